"""Ollama: no metrics; its root answers when it runs, and ``/v1/models`` lists what it has pulled.

Documented in https://github.com/ollama/ollama/blob/main/docs/api.md and
https://github.com/ollama/ollama/blob/main/docs/openai.md
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.listing import no_adapters, openai_models
from breakeven.engines.dialects.load import Engine
from breakeven.engines.dialects.other import read_nothing

OLLAMA: Final = Engine(
    name="ollama",
    title="Ollama",
    health_path="/api/version",
    models_path="/v1/models",
    metrics_path=None,
    read_load=read_nothing,
    read_models=openai_models,
    read_adapters=no_adapters,
)
