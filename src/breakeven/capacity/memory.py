"""Whether a model fits on a node: weights at a precision, KV cache at the lengths of the traffic, a reserve.

Bytes only: how fast a request is served is in ``roofline.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from breakeven.catalog.models import BITS_PER_WEIGHT
from breakeven.quantities import BYTES_PER_GB

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.catalog.hardware import Gpu
    from breakeven.catalog.models import Architecture

USABLE_FRACTION: Final = 0.9
"""Of a GPU's nominal memory, what weights and KV cache may take.  The rest is for the engine: activations,
graphs, communication buffers.  vLLM's ``gpu_memory_utilization`` was 0.9 for years; see also the reserve."""

ENGINE_GB_PER_GPU: Final = 1.0
"""CUDA context and communication buffers, below the reserve in all but small GPUs."""

CHUNK_TOKENS: Final = 8192
"""Tokens of one prefill step: the largest batch of tokens that activations are held for."""

ACTIVATION_RATIO: Final = 8
"""Hidden vectors, of 2 bytes an element, that live at once for a token of that step (feed-forward's are wider)."""

DEFAULT_HIDDEN_SIZE: Final = 8192
"""Where a model's is not known: that of a 70B model, on the safe side for smaller ones."""

SCALED_BITS: Final[dict[str, float]] = {**BITS_PER_WEIGHT, "fp4": 4.5, "int4": 4.25}
"""Bits of a weight with its share of scales: one 8-bit scale for 16 weights (NVFP4), 16 bits for 64 (int4)."""

KV_BYTES: Final[dict[str, int]] = {"bf16": 2, "fp16": 2, "fp8": 1, "int8": 2, "fp4": 1, "int4": 2}
"""Bytes of a KV element that goes with a precision of weights, unless said: 8 bits with fp8 and fp4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a node's memory holds.  All of the node's GPUs together, in GB of 10^9 bytes.

    ``free_gb`` is what weights leave for the KV cache, negative when they do not fit;
    ``kv_gb`` what one request in flight holds on average; ``largest_request_tokens`` input and
    output of a request that has the node for itself.
    """

    node_gb: float
    usable_gb: float
    reserve_gb: float
    activations_gb: float
    weights_gb: float
    free_gb: float
    kv_gb: float
    concurrent_requests: int
    largest_request_tokens: int
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the weights and at least one request at a time have room."""
        return self.concurrent_requests > 0


def weights_gb(parameters: float, precision: str) -> float:
    """Return the size of the weights in GB: parameters x bits / 8 / 10^9 (140 GB for 70B at 16 bit)."""
    return parameters * BITS_PER_WEIGHT[precision] / 8 / BYTES_PER_GB


def weights_fit(parameters: float, precision: str, gpu: Gpu, *, gpus: int) -> bool:
    """Whether the weights alone fit in the node's memory; the KV cache comes on top of them."""
    return weights_gb(parameters, precision) < gpu.memory_gb * gpus


def stored_bytes(architecture: Architecture, precision: str) -> tuple[float, float]:
    """Return the bytes of routed experts, and of all else.

    At 4 bits a mixture keeps what is not a routed expert at 16 bits, as gpt-oss and Kimi are published.
    """
    experts = architecture.expert_parameters
    rest_precision = "bf16" if experts and precision in {"fp4", "int4"} else precision
    rest = architecture.total_parameters - experts
    return experts * SCALED_BITS[precision] / 8, rest * SCALED_BITS[rest_precision] / 8


def in_flight_tokens(output_tokens: float, input_output_tokens2: float, output_output_tokens2: float) -> float:
    """Return the mean length that a request in flight holds, over joint lengths: sum o(i + o/2) / sum o.

    A request with i input and o output tokens holds i, then i + 1 … i + o, one step each; averaged over
    the steps of all requests, so that long outputs weigh what they last.  0 without output: nothing stays in
    flight.  Arguments as in ``Moments``.
    """
    return (input_output_tokens2 + output_output_tokens2 / 2) / output_tokens if output_tokens else 0.0


def kv_bytes(
    architecture: Architecture, held_tokens: float, *, gpus: int, element_bytes: float, splits_requests: bool = False
) -> float:
    """Return the KV cache of one request that holds so many tokens, in bytes over the node's GPUs.

    Tensor parallel splits KV heads; each GPU holds at least one, so that beyond ``kv_heads`` GPUs they are
    copied, and a latent (MLA) is copied to every GPU, unless attention splits requests between GPUs
    (data-parallel attention).  A sliding-window layer holds its window at most.
    """
    if splits_requests:
        copies, heads = 1, architecture.kv_heads
    else:
        copies, heads = gpus, ceil(architecture.kv_heads / gpus)
    width = architecture.kv_latent_size or 2 * heads * architecture.head_size
    windowed = architecture.sliding_window_layers or 0
    window = min(held_tokens, architecture.sliding_window_tokens or 0)
    return width * element_bytes * copies * ((architecture.layers - windowed) * held_tokens + windowed * window)


def fits(
    architecture: Architecture,
    gpu: Gpu,
    *,
    gpus: int,
    precision: str,
    held_tokens: float,
    kv_element_bytes: float | None = None,
    usable_fraction: float = USABLE_FRACTION,
    splits_requests: bool = False,
) -> Memory:
    """Return what of the node's memory is taken, and how many requests fit that hold so many tokens each.

    ``held_tokens`` is the mean over requests in flight (``in_flight_tokens``; i + o/2 at fixed lengths).
    The reserve is what ``usable_fraction`` leaves, or what activations and the engine need where that is
    more, as on small GPUs.  Weights are split evenly.  Concurrency is a mean: an engine that admits a
    request only with room for its whole length runs fewer.
    """
    element = KV_BYTES[precision] if kv_element_bytes is None else kv_element_bytes
    node = gpu.memory_gb * gpus
    weights = sum(stored_bytes(architecture, precision)) / BYTES_PER_GB
    activations = _activations_gb(architecture, gpus)
    reserve = max(node * (1 - usable_fraction), activations + ENGINE_GB_PER_GPU * gpus)
    free = node - reserve - weights

    def held_gb(tokens: float) -> float:
        held = kv_bytes(architecture, tokens, gpus=gpus, element_bytes=element, splits_requests=splits_requests)
        return held / BYTES_PER_GB

    per_request = held_gb(held_tokens)
    return Memory(
        node_gb=node,
        usable_gb=node - reserve,
        reserve_gb=reserve,
        activations_gb=activations,
        weights_gb=weights,
        free_gb=free,
        kv_gb=per_request,
        concurrent_requests=max(0, floor(free / per_request)),
        largest_request_tokens=_largest_tokens(architecture, free, held_gb),
        reasons=_reasons(
            weights, per_request, held_tokens, usable_gb=node - reserve, node=f"{gpus}x {gpu.name} has {node:,.0f} GB"
        ),
    )


def _activations_gb(architecture: Architecture, gpus: int) -> float:
    hidden = architecture.hidden_size or DEFAULT_HIDDEN_SIZE
    return CHUNK_TOKENS * hidden * 2 * ACTIVATION_RATIO / BYTES_PER_GB * gpus


def _largest_tokens(architecture: Architecture, free_gb: float, held_gb: Callable[[float], float]) -> int:
    """Return the longest request that fits alone: KV is linear beyond the sliding window."""
    window = float(architecture.sliding_window_tokens or 0)
    base = held_gb(window)
    if free_gb <= base:
        return max(0, floor(free_gb / held_gb(1.0))) if held_gb(1.0) > 0 else 0
    slope = held_gb(window + 1) - base
    return floor(window + (free_gb - base) / slope)


def _reasons(weights: float, kv: float, held: float, *, usable_gb: float, node: str) -> tuple[str, ...]:
    """Say in words why it does not fit, with values, and what would help; nothing where it fits."""
    if weights + kv <= usable_gb:
        return ()
    have = f"{node} of which {usable_gb:,.0f} usable"
    if weights > usable_gb:
        return (f"needs {weights:,.0f} GB for weights alone; {have}", "take more GPUs or a lower precision")
    need = f"needs {weights:,.0f} GB for weights + {kv:,.1f} GB for the KV cache of one request of {held:,.0f} tokens"
    return (f"{need}; {have}", "take more GPUs, a lower precision or shorter requests")
