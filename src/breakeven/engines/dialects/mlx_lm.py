"""mlx-lm's server: no metrics; ``/health`` says whether it still generates.

https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/SERVER.md ; the paths were read in release 0.32.2.
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.listing import no_adapters, openai_models
from breakeven.engines.dialects.load import Engine
from breakeven.engines.dialects.other import read_nothing

MLX_LM: Final = Engine(
    name="mlx-lm",
    title="mlx-lm",
    health_path="/health",
    models_path="/v1/models",
    metrics_path=None,
    read_load=read_nothing,
    read_models=openai_models,
    read_adapters=no_adapters,
)
