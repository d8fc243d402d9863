"""llama.cpp's server: metrics on ``/metrics`` if started with ``--metrics``.

Names: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md .  ``prompt_tokens_total`` leaves out
tokens that were found in its cache, which later versions count beside it; earlier ones told how full the KV cache is.
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.exposition import mean_fraction, rows, total
from breakeven.engines.dialects.listing import no_adapters, openai_models
from breakeven.engines.dialects.load import Engine, EngineLoad


def read_load(page: bytes) -> EngineLoad:
    """Return the requests in its slots and those deferred, and its tokens."""
    read_tokens = total(rows(page, b"llamacpp:prompt_tokens_total"))
    cached_tokens = total(rows(page, b"llamacpp:prompt_tokens_cached_total"))
    input_tokens = read_tokens + (cached_tokens or 0) if read_tokens is not None else None
    return EngineLoad(
        running_requests=total(rows(page, b"llamacpp:requests_processing")),
        waiting_requests=total(rows(page, b"llamacpp:requests_deferred")),
        kv_use_fraction=mean_fraction(rows(page, b"llamacpp:kv_cache_usage_ratio")),
        prefix_hit_tokens=cached_tokens,
        prefix_query_tokens=input_tokens if cached_tokens is not None else None,
        input_tokens=input_tokens,
        output_tokens=total(rows(page, b"llamacpp:tokens_predicted_total")),
    )


LLAMA_CPP: Final = Engine(
    name="llama.cpp",
    title="llama.cpp",
    health_path="/health",
    models_path="/v1/models",
    metrics_path="/metrics",
    read_load=read_load,
    read_models=openai_models,
    read_adapters=no_adapters,
    metrics_flag="--metrics",
)
