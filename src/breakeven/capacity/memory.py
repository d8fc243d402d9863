"""Whether a model's weights fit: bytes at a precision against the memory of a node's GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.catalog.models import BITS_PER_WEIGHT
from breakeven.quantities import BYTES_PER_GB

if TYPE_CHECKING:
    from breakeven.catalog.hardware import Gpu


def weights_gb(parameters: float, precision: str) -> float:
    """Return the size of the weights in GB: parameters x bits / 8 / 10^9 (140 GB for 70B at 16 bit)."""
    return parameters * BITS_PER_WEIGHT[precision] / 8 / BYTES_PER_GB


def weights_fit(parameters: float, precision: str, gpu: Gpu, *, gpus: int) -> bool:
    """Whether the weights alone fit in the node's memory; the KV cache comes on top of them."""
    return weights_gb(parameters, precision) < gpu.memory_gb * gpus
