"""vLLM: metrics on ``/metrics``, one row for each engine behind the address (data parallelism).

Names: https://docs.vllm.ai/en/stable/usage/metrics.html and, for those that were renamed in V1,
https://github.com/vllm-project/vllm/blob/main/docs/design/metrics.md .  A page recorded from vLLM 0.32 is in the tests.
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.exposition import first_rows, mean_fraction, rows, total
from breakeven.engines.dialects.listing import openai_adapters, openai_models
from breakeven.engines.dialects.load import Engine, EngineLoad

_KV_USE: Final = (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc")
_HITS: Final = (
    b"vllm:prefix_cache_hits_total",
    b"vllm:gpu_prefix_cache_hits_total",
    b"vllm:gpu_prefix_cache_hits",
)
_QUERIES: Final = (
    b"vllm:prefix_cache_queries_total",
    b"vllm:gpu_prefix_cache_queries_total",
    b"vllm:gpu_prefix_cache_queries",
)


def read_load(page: bytes) -> EngineLoad:
    """Return the load of all engines behind the address together."""
    return EngineLoad(
        running_requests=total(rows(page, b"vllm:num_requests_running")),
        waiting_requests=total(rows(page, b"vllm:num_requests_waiting")),
        kv_use_fraction=mean_fraction(first_rows(page, _KV_USE)),
        prefix_hit_tokens=total(first_rows(page, _HITS)),
        prefix_query_tokens=total(first_rows(page, _QUERIES)),
        input_tokens=total(rows(page, b"vllm:prompt_tokens_total")),
        output_tokens=total(rows(page, b"vllm:generation_tokens_total")),
    )


VLLM: Final = Engine(
    name="vllm",
    title="vLLM",
    health_path="/health",
    models_path="/v1/models",
    metrics_path="/metrics",
    read_load=read_load,
    read_models=openai_models,
    read_adapters=openai_adapters,
)
