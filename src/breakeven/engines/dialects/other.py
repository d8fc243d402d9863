"""Any other server that speaks OpenAI's protocol: healthy if it lists its models, and silent about its load."""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.listing import openai_adapters, openai_models
from breakeven.engines.dialects.load import UNKNOWN, Engine, EngineLoad


def read_nothing(_: bytes) -> EngineLoad:
    """Return that nothing is known."""
    return UNKNOWN


OTHER: Final = Engine(
    name="other",
    title="another engine",
    health_path="/v1/models",
    models_path="/v1/models",
    metrics_path=None,
    read_load=read_nothing,
    read_models=openai_models,
    read_adapters=openai_adapters,
)
