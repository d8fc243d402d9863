"""``transformers serve``: no metrics; ``/health`` says whether its continuous batching still lives.

https://huggingface.co/docs/transformers/serving ; the paths were read in release 5.23.
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.listing import no_adapters, openai_models
from breakeven.engines.dialects.load import Engine
from breakeven.engines.dialects.other import read_nothing

TRANSFORMERS: Final = Engine(
    name="transformers",
    title="transformers serve",
    health_path="/health",
    models_path="/v1/models",
    metrics_path=None,
    read_load=read_nothing,
    read_models=openai_models,
    read_adapters=no_adapters,
)
