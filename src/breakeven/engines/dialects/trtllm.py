"""TensorRT-LLM's ``trtllm-serve``: metrics on ``/prometheus/metrics``.

Older versions tell of their iterations alone, as JSON on ``/metrics``: that is read too, from the last one, but asking
takes it away from whoever asks next.  Documented in
https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html and
https://nvidia.github.io/TensorRT-LLM/latest/examples/prometheus_metrics.html
"""

from __future__ import annotations

from typing import Any, Final

from breakeven.engines.dialects.exposition import MAX_PAGE_BYTES, mean_fraction, rows, total
from breakeven.engines.dialects.listing import decoded, no_adapters, openai_models
from breakeven.engines.dialects.load import UNKNOWN, Engine, EngineLoad


def read_load(body: bytes) -> EngineLoad:
    """Return the load by its metrics, or by the last iteration of a JSON list."""
    if body.lstrip()[:1] == b"[":
        return _last_iteration(body)
    input_tokens = total(rows(body, b"trtllm_prompt_tokens_total"))
    cached_tokens = total(rows(body, b"trtllm_prompt_cached_tokens_total"))
    return EngineLoad(
        running_requests=total(rows(body, b"trtllm_num_requests_running")),
        waiting_requests=total(rows(body, b"trtllm_num_requests_waiting")),
        kv_use_fraction=mean_fraction(rows(body, b"trtllm_kv_cache_utilization")),
        prefix_hit_tokens=cached_tokens,
        prefix_query_tokens=input_tokens if cached_tokens is not None else None,
        input_tokens=input_tokens,
        output_tokens=total(rows(body, b"trtllm_generation_tokens_total")),
    )


def _last_iteration(body: bytes) -> EngineLoad:
    said = decoded(body) if len(body) <= MAX_PAGE_BYTES else None
    last = said[-1] if isinstance(said, list) and said else None
    if not isinstance(last, dict):
        return UNKNOWN
    blocks = last.get("kvCacheStats")
    return EngineLoad(
        running_requests=_count(last.get("numActiveRequests")),
        waiting_requests=_count(last.get("numQueuedRequests")),
        kv_use_fraction=_used(blocks) if isinstance(blocks, dict) else None,
    )


def _used(blocks: dict[str, Any]) -> float | None:
    used, most = _count(blocks.get("usedNumBlocks")), _count(blocks.get("maxNumBlocks"))
    return used / most if used is not None and most and used <= most else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


TRTLLM: Final = Engine(
    name="trtllm",
    title="TensorRT-LLM",
    health_path="/health",
    models_path="/v1/models",
    metrics_path="/prometheus/metrics",
    read_load=read_load,
    read_models=openai_models,
    read_adapters=no_adapters,
    metrics_flag="return_perf_metrics: true and enable_iter_perf_stats: true in its --config file",
)
