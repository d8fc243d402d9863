"""GPUs, the dated offers to rent them, and what it takes to own them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal, get_args

Purchase = Literal["on-demand", "spot", "reserved", "serverless", "owned"]
PURCHASES: tuple[Purchase, ...] = get_args(Purchase)
Link = Literal["nvlink", "pcie", "infinity-fabric"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator's data sheet: dense rates, without sparsity."""

    id: str
    name: str
    memory_gb: float
    memory_gb_per_s: float
    bf16_tflops: float
    tdp_w: float
    link: Link
    source: str
    as_of: date
    fp8_tflops: float | None = None
    fp4_tflops: float | None = None
    caveat: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """One dated offer of GPU time.  ``gpus_per_node`` is the smallest number that can be rented."""

    gpu: str
    provider: str
    purchase: Purchase
    usd_per_gpu_hour: Decimal
    gpus_per_node: int
    as_of: date
    source: str
    usd_per_gpu_second: Decimal | None = None
    term_months: int | None = None
    cold_start_s: float | None = None
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    caveat: str = ""

    @property
    def is_modelled(self) -> bool:
        """Whether the figure is a model's and not an offer that someone can take."""
        return "modelled" in (self.provider + self.caveat).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedNode:
    """What owning a node costs.

    A purchase price (power, space and upkeep are assumptions), or a published model's cost per
    GPU-hour that includes them.
    """

    gpu: str
    gpus_per_node: int
    kind: Literal["purchase", "modelled-tco"]
    as_of: date
    source: str
    node_usd: Decimal | None = None
    low_node_usd: Decimal | None = None
    high_node_usd: Decimal | None = None
    node_power_w: float | None = None
    usd_per_gpu_hour: Decimal | None = None
    lifetime_months: int | None = None
    caveat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSource:
    """Where a set of throughput measurements stands, and under which licence."""

    key: str
    title: str
    url: str
    licence: str
    attribution: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Measured output tokens/s of one node serving one model at fixed lengths.

    ``basis`` says how the figure came about; ``concurrency_count`` is None at maximum load.  How the GPUs shared the
    work is told by ``pipeline_stage_count``, ``attention_group_count`` and ``expert_group_count``, all 1 for plain
    tensor parallel.  ``fault`` says why it is not to be learned from.
    """

    model: str
    gpu: str
    gpus: int
    precision: str
    engine: str
    isl_tokens: int
    osl_tokens: int
    output_tokens_per_s: float
    basis: str
    source: str
    concurrency_count: int | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    as_of: date | None = None
    pipeline_stage_count: int = 1
    attention_group_count: int = 1
    expert_group_count: int = 1
    fault: str = ""
