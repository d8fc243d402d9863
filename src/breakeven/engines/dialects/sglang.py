"""SGLang: metrics on ``/metrics`` if started with ``--enable-metrics``.

Each rank may have a row of its own: those of one data-parallel rank say the same, those of several add up.  With
priority scheduling there are rows by priority beside one for all, whose ``priority`` is empty.  Names:
https://docs.sglang.io/references/production_metrics.html
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.exposition import Row, label, mean_fraction, rows, total
from breakeven.engines.dialects.listing import openai_adapters, openai_models
from breakeven.engines.dialects.load import Engine, EngineLoad


def read_load(page: bytes) -> EngineLoad:
    """Return the load of all data-parallel ranks together."""
    input_tokens = total(rows(page, b"sglang:prompt_tokens_total"))
    cached_tokens = total(rows(page, b"sglang:cached_tokens_total"))
    return EngineLoad(
        running_requests=total(_by_rank(rows(page, b"sglang:num_running_reqs"))),
        waiting_requests=total(_by_rank(rows(page, b"sglang:num_queue_reqs"))),
        kv_use_fraction=mean_fraction(_by_rank(rows(page, b"sglang:token_usage"))),
        prefix_hit_tokens=cached_tokens,
        prefix_query_tokens=input_tokens if cached_tokens is not None else None,
        input_tokens=input_tokens,
        output_tokens=total(rows(page, b"sglang:generation_tokens_total")),
    )


def _by_rank(found: list[Row]) -> list[Row]:
    """Return one row for each data-parallel rank: the largest of what its other ranks say."""
    if len(found) < 2:
        return found
    largest: dict[bytes | None, Row] = {}
    for row in found:
        if label(row, b"priority"):
            continue
        rank = label(row, b"dp_rank")
        if rank not in largest or row.value > largest[rank].value:
            largest[rank] = row
    return list(largest.values())


SGLANG: Final = Engine(
    name="sglang",
    title="SGLang",
    health_path="/health",
    models_path="/v1/models",
    metrics_path="/metrics",
    read_load=read_load,
    read_models=openai_models,
    read_adapters=openai_adapters,
    metrics_flag="--enable-metrics",
)
