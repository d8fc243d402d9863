"""What the roofline knows: fitted efficiencies, engines, links, shapes of models, and how far it errs.

Types and lookup only; ``capacity/roofline.py`` computes with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from math import prod
from typing import TYPE_CHECKING, Literal

from breakeven.catalog.models import Architecture, Attention
from breakeven.quantities import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.catalog.hardware import Gpu, Measurement
    from breakeven.catalog.models import OpenModel

Quantity = Literal["throughput", "tpot", "ttft"]
Left = Literal["model", "gpu", "engine"]
Regime = Literal["offline", "tpot", "ttft"]
"""What the roofline errs in: throughput of a queue that never empties, and the two times of a steady load."""

Trait = Literal["shape", "gpu", "generation", "gpus", "precision", "kind", "engine", "version", "layout"]
"""In what two deployments can be alike.  ``shape``: a model's architecture; ``kind``: dense or mixture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The share of data-sheet rates that is reached, and fixed costs: all fitted, all above zero.

    A ``_ratio`` of a rate is achieved over data sheet.  ``activation_ratio`` counts readings and
    writings of a token's hidden vector in a layer, ``dispatch_ratio`` those for each expert that it visits;
    ``layer_us`` and ``expert_us`` are what a layer, and each expert that a token visits in it, cost however
    few tokens pass.
    ``own_prefill_ratio`` to ``wave_ratio`` say how many prefill times a first token waits: its own, and
    those of others, by the root of their number and by their number.  ``offline_ratio`` scales the
    overheads and prefill of a queue without end, against those under steady concurrency.
    """

    weight_read_ratio: float
    expert_read_ratio: float
    kv_read_ratio: float
    compute_16bit_ratio: float
    compute_8bit_ratio: float
    compute_4bit_ratio: float
    expert_compute_ratio: float
    attention_compute_ratio: float
    activation_ratio: float
    dispatch_ratio: float
    step_us: float
    layer_us: float
    expert_us: float
    latent_layer_ratio: float
    sequence_us: float
    collective_us: float
    pcie_collective_us: float
    link_ratio: float
    pcie_link_ratio: float
    first_token_us: float
    own_prefill_ratio: float
    queue_ratio: float
    wave_ratio: float
    offline_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRates:
    """How an engine differs from TensorRT-LLM: overheads of a step, and prefill time over the common rates; fitted."""

    engine: str
    step_ratio: float
    prefill_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What an engine takes of memory and how many requests it runs at once, as configured for throughput.

    ``reserves_output``: a request is let in only when its whole length has room.
    """

    engine: str
    memory_fraction: float
    max_requests: int
    reserves_output: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpeed:
    """One direction of the link between the GPUs of a node."""

    gpu: str
    link_gb_per_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """10th, 50th and 90th percentile of measured over predicted, on rows that the fit had not seen.

    ``left`` says what was left out of the fit; ``engine`` is None for all engines together.
    """

    quantity: Quantity
    is_mixture: bool
    left: Left
    engine: str | None
    low_ratio: float
    likely_ratio: float
    high_ratio: float
    rows_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How much of the roofline's error deployments share that are alike in all of ``alike`` (nothing: all of them).

    Standard deviations of log measured over predicted: ``share_ratio`` of an error of a whole term, which counts by
    the share of time that the term takes; ``constant_ratio`` of one the same everywhere; ``smooth_ratio`` of one
    that changes with load, lengths, GPUs and size.
    """

    regime: Regime
    alike: tuple[Trait, ...]
    share_ratio: float
    constant_ratio: float
    smooth_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Where (log measured over predicted) / (its expected deviation ^ ``power_ratio``) lies, on groups not seen.

    ``low_ratio`` to ``high_ratio`` is the narrowest range that holds 90 % of an engine's rows; of all engines' where
    ``engine`` is None.  ``p10_ratio`` and ``p90_ratio`` are percentiles.  ``power_ratio`` is by how much of a logarithm
    errors grow with one of their deviation.  ``quantity`` "steady" is the throughput at a concurrency.
    """

    quantity: Literal["offline", "steady", "tpot", "ttft"]
    engine: str | None
    power_ratio: float
    low_ratio: float
    p10_ratio: float
    p90_ratio: float
    high_ratio: float
    rows_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A measurement that corrects the roofline, with what it was measured of."""

    measurement: Measurement
    architecture: Architecture
    gpu: Gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What a roofline needs of a model beyond its catalogue entry, or all of it where there is no entry."""

    model: str
    hidden_size: int
    query_heads: int
    source: str
    routed_experts: int | None = None
    active_experts: int | None = None
    total_parameters: int | None = None
    active_parameters: int | None = None
    layers: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    attention: Attention | None = None
    kv_latent_size: int | None = None
    sliding_window_tokens: int | None = None
    sliding_window_layers: int | None = None

    def architecture(self, known: Architecture | None) -> Architecture:
        """Return the whole architecture: the catalogue's with these fields, or these alone."""
        if known is None:
            assert self.total_parameters
            assert self.active_parameters
            assert self.layers
            assert self.kv_heads
            assert self.head_size
            assert self.attention
            known = Architecture(
                total_parameters=self.total_parameters,
                active_parameters=self.active_parameters,
                layers=self.layers,
                kv_heads=self.kv_heads,
                head_size=self.head_size,
                attention=self.attention,
                kv_latent_size=self.kv_latent_size,
                sliding_window_tokens=self.sliding_window_tokens,
                sliding_window_layers=self.sliding_window_layers,
            )
        return replace(
            known,
            hidden_size=self.hidden_size,
            query_heads=self.query_heads,
            routed_experts=self.routed_experts,
            active_experts=self.active_experts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the rates were fitted on, and when."""

    fitted_on: str
    rows_count: int
    data_sha256: str
    gpus_seen: tuple[str, ...]
    as_of: date


@dataclass(frozen=True, kw_only=True, eq=False)
class Roofline:
    """All of it, as one value that the pure functions take.  Two are equal only if they are the same."""

    rates: Rates
    engines: Mapping[str, EngineRates]
    limits: Mapping[str, EngineLimits]
    links: Mapping[str, LinkSpeed]
    bands: tuple[Band, ...]
    architectures: Mapping[str, Architecture]
    provenance: Provenance
    likenesses: tuple[Likeness, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    anchors: tuple[Anchor, ...] = ()

    def architecture(self, model: OpenModel) -> Architecture:
        """Return the model's architecture with all that is known of it."""
        return self.architectures.get(model.id, model.architecture)

    def engine_rates(self, engine: str) -> EngineRates:
        """Return an engine's fitted rates; the geometric mean of all for an engine that was not measured."""
        if engine_name(engine) in self.engines:
            return self.engines[engine_name(engine)]
        known = self.engines.values()
        return EngineRates(
            engine=engine_name(engine),
            step_ratio=prod(item.step_ratio for item in known) ** (1 / len(known)),
            prefill_ratio=prod(item.prefill_ratio for item in known) ** (1 / len(known)),
        )

    def engine_limits(self, engine: str) -> EngineLimits:
        """Return an engine's limits; those of vLLM for an engine that is not known."""
        return self.limits.get(engine_name(engine), self.limits["vllm"])

    def link_gb_per_s(self, gpu: Gpu) -> float:
        """Return the speed of a GPU's link; the slowest of its kind that is known where its own is not."""
        if gpu.id in self.links:
            return self.links[gpu.id].link_gb_per_s
        return _UNKNOWN_LINK_GB_PER_S[gpu.link]

    def band(self, quantity: Quantity, architecture: Architecture, gpu: Gpu, engine: str) -> Interval:
        """Return measured over predicted for a case as new as this one is to the fit.

        Every model counts as new.  A GPU or engine that is new too widens the interval to what its being left
        out showed, and moves its middle there.
        """
        left: list[Left] = ["model"]
        left += [] if self.has_seen(gpu) else ["gpu"]
        left += [] if self.has_measured(engine) else ["engine"]
        bands = [self._band(quantity, architecture, item, engine) for item in left]
        return Interval(
            low=min(band.low_ratio for band in bands),
            likely=bands[-1].likely_ratio,
            high=max(band.high_ratio for band in bands),
        )

    def _band(self, quantity: Quantity, architecture: Architecture, left: Left, engine: str) -> Band:
        """Return one band: by engine where enough of its rows were left out, else over all engines."""
        wanted = (quantity, architecture.is_mixture, left)
        rows = {band.engine: band for band in self.bands if (band.quantity, band.is_mixture, band.left) == wanted}
        return rows.get(engine_name(engine), rows[None])

    def has_measured(self, engine: str) -> bool:
        """Whether the fit had measurements of this engine."""
        return engine_name(engine) in self.engines

    def has_seen(self, gpu: Gpu) -> bool:
        """Whether the fit had measurements on this GPU."""
        return gpu.id in self.provenance.gpus_seen


def engine_name(engine: str) -> str:
    """Return an engine's name without its version: ``vllm`` of ``vLLM 0.19.0``."""
    return engine.split(maxsplit=1)[0].lower()


_UNKNOWN_LINK_GB_PER_S = {"nvlink": 300.0, "pcie": 32.0, "infinity-fabric": 300.0}
"""A100's NVLink, PCIe 4.0 x16, and a cautious share of AMD's mesh: one direction."""
