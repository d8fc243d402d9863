"""What engines say of themselves: one file an engine, bytes in, numbers out.

Pure, and light enough for the gateway's worker: nothing here asks an engine anything.
"""

from __future__ import annotations

from typing import Final

from breakeven.engines.dialects.llama_cpp import LLAMA_CPP
from breakeven.engines.dialects.load import UNKNOWN, Adapter, Engine, EngineLoad
from breakeven.engines.dialects.mlx_lm import MLX_LM
from breakeven.engines.dialects.ollama import OLLAMA
from breakeven.engines.dialects.other import OTHER
from breakeven.engines.dialects.sglang import SGLANG
from breakeven.engines.dialects.tgi import TGI
from breakeven.engines.dialects.transformers import TRANSFORMERS
from breakeven.engines.dialects.trtllm import TRTLLM
from breakeven.engines.dialects.vllm import VLLM

__all__ = ["ENGINES", "UNKNOWN", "Adapter", "Engine", "EngineLoad"]

ENGINES: Final[dict[str, Engine]] = {
    engine.name: engine for engine in (VLLM, SGLANG, TRTLLM, TGI, LLAMA_CPP, OLLAMA, TRANSFORMERS, MLX_LM, OTHER)
}
"""By the name that settings use."""
