"""What is believed of the roofline before the data: rates with their doubt, and how alike deployments err."""

from __future__ import annotations

from typing import Final

from breakeven.catalog.roofline import Likeness

PRIOR: Final[dict[str, tuple[float, float]]] = {
    "weight_read_ratio": (0.7, 0.3),
    "expert_read_ratio": (0.6, 0.4),
    "kv_read_ratio": (0.6, 0.4),
    "compute_16bit_ratio": (0.6, 0.3),
    "compute_8bit_ratio": (0.5, 0.3),
    "compute_4bit_ratio": (0.4, 0.4),
    "expert_compute_ratio": (0.5, 0.4),
    "attention_compute_ratio": (0.4, 0.5),
    "activation_ratio": (20, 0.6),
    "dispatch_ratio": (6, 0.6),
    "step_us": (1500, 0.8),
    "layer_us": (15, 0.6),
    "expert_us": (1.5, 0.6),
    "latent_layer_ratio": (1.3, 0.3),
    "sequence_us": (10, 0.8),
    "collective_us": (8, 0.6),
    "pcie_collective_us": (20, 0.8),
    "link_ratio": (0.6, 0.4),
    "pcie_link_ratio": (0.5, 0.4),
    "first_token_us": (20_000, 0.7),
    "own_prefill_ratio": (1.2, 0.5),
    "queue_ratio": (0.3, 0.7),
    "wave_ratio": (0.05, 0.8),
    "offline_ratio": (1, 0.2),
}
"""What is believed of a rate before the data: centre, and standard deviation of its logarithm."""

STEP_PRIOR: Final = (1.0, 0.3)
PREFILL_PRIOR: Final = (0.8, 0.4)
ENGINES: Final = ("tensorrt-llm", "vllm", "sglang")

LIKENESSES: Final = (
    Likeness(regime="offline", alike=(), share_ratio=0.2, constant_ratio=0, smooth_ratio=0.1),
    Likeness(regime="offline", alike=("shape",), share_ratio=0, constant_ratio=0, smooth_ratio=0.2),
    Likeness(regime="offline", alike=("engine",), share_ratio=0.2, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="offline", alike=("version",), share_ratio=0, constant_ratio=0, smooth_ratio=0.2),
    Likeness(regime="offline", alike=("generation",), share_ratio=0, constant_ratio=0.1, smooth_ratio=0),
    Likeness(regime="offline", alike=("precision", "kind"), share_ratio=0, constant_ratio=0.1, smooth_ratio=0),
    Likeness(regime="offline", alike=("generation", "precision"), share_ratio=0.2, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="offline", alike=("shape", "engine"), share_ratio=0, constant_ratio=0, smooth_ratio=0.2),
    Likeness(regime="offline", alike=("precision", "engine"), share_ratio=0.2, constant_ratio=0, smooth_ratio=0),
    Likeness(
        regime="offline", alike=("shape", "gpu", "precision"), share_ratio=0, constant_ratio=0.05, smooth_ratio=0.05
    ),
    Likeness(regime="tpot", alike=("gpu",), share_ratio=0.05, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="tpot", alike=("version",), share_ratio=0.05, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="tpot", alike=("precision", "kind"), share_ratio=0.03, constant_ratio=0.03, smooth_ratio=0.1),
    Likeness(regime="tpot", alike=("shape", "engine"), share_ratio=0.1, constant_ratio=0, smooth_ratio=0.1),
    Likeness(regime="tpot", alike=("layout",), share_ratio=0, constant_ratio=0.05, smooth_ratio=0),
    Likeness(regime="tpot", alike=("shape", "gpu", "precision"), share_ratio=0, constant_ratio=0.1, smooth_ratio=0.05),
    Likeness(regime="ttft", alike=(), share_ratio=0, constant_ratio=0, smooth_ratio=0.2),
    Likeness(regime="ttft", alike=("shape",), share_ratio=0.08, constant_ratio=0, smooth_ratio=0.3),
    Likeness(regime="ttft", alike=("engine",), share_ratio=0.1, constant_ratio=0.3, smooth_ratio=0.2),
    Likeness(regime="ttft", alike=("precision", "kind"), share_ratio=0, constant_ratio=0, smooth_ratio=0.1),
    Likeness(regime="ttft", alike=("kind", "engine"), share_ratio=0, constant_ratio=0, smooth_ratio=0.1),
    Likeness(regime="ttft", alike=("shape", "gpu", "precision"), share_ratio=0, constant_ratio=0.1, smooth_ratio=0.1),
    Likeness(regime="ttft", alike=("gpu",), share_ratio=0, constant_ratio=0, smooth_ratio=0.1),
    Likeness(regime="ttft", alike=("shape", "engine"), share_ratio=0.1, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="ttft", alike=("precision", "engine"), share_ratio=0.1, constant_ratio=0, smooth_ratio=0),
    Likeness(regime="ttft", alike=("layout", "engine"), share_ratio=0, constant_ratio=0, smooth_ratio=0.2),
)
"""Errors that deployments share: chosen by hand on a coarse grid, by the error on groups left out."""
