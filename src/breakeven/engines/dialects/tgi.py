"""Text Generation Inference: metrics on ``/metrics``; token totals are the sums of histograms over finished requests.

Names: https://huggingface.co/docs/text-generation-inference/reference/metrics
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.exposition import rows, total
from breakeven.engines.dialects.listing import no_adapters, openai_models
from breakeven.engines.dialects.load import Engine, EngineLoad


def read_load(page: bytes) -> EngineLoad:
    """Return the size of its batch and queue, and its tokens."""
    return EngineLoad(
        running_requests=total(rows(page, b"tgi_batch_current_size")),
        waiting_requests=total(rows(page, b"tgi_queue_size")),
        input_tokens=total(rows(page, b"tgi_request_input_length_sum")),
        output_tokens=total(rows(page, b"tgi_request_generated_tokens_sum")),
    )


TGI: Final = Engine(
    name="tgi",
    title="Text Generation Inference",
    health_path="/health",
    models_path="/v1/models",
    metrics_path="/metrics",
    read_load=read_load,
    read_models=openai_models,
    read_adapters=no_adapters,
)
