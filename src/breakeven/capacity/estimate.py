"""The answer before anybody has measured: does it fit, how fast is it, how sure is that.

A ladder: measured here or in the catalogue, else estimated and corrected by measurements of the same deployment at
other lengths or loads, else estimated.  ``Rates.rung`` says which, and intervals are those of what it had not seen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from breakeven.capacity.likeness import Key, case_of, shape_of
from breakeven.capacity.memory import Memory, fits
from breakeven.capacity.predict import measured_interval, predict, ratio_interval
from breakeven.capacity.roofline import Case, requests_that_fit
from breakeven.capacity.service import MIN_POINTS, Service, fit_service
from breakeven.catalog.hardware import Measurement
from breakeven.catalog.roofline import Anchor, engine_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.predict import Figure
    from breakeven.catalog.hardware import Gpu
    from breakeven.catalog.models import OpenModel
    from breakeven.catalog.roofline import Roofline
    from breakeven.quantities import Interval

Rung = Literal["measured", "nearby", "estimated"]
"""How an answer came about: measured just so; estimated, with measurements of the deployment elsewhere; estimated."""

ISL_TOKENS: Final = (128, 512, 1024, 2048, 4096, 8192, 20_000)
OSL_TOKENS: Final = (128, 512, 1024, 2048, 4096)
"""Lengths at which a service is fitted to the roofline: those that the measurements span."""

MIDDLING_REQUESTS: Final = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model on the GPUs of one node, at a precision, on an engine; GPUs share the work as in ``Case``."""

    model: OpenModel
    gpu: Gpu
    gpus: int
    precision: str
    engine: str
    pipeline_stage_count: int = 1
    attention_group_count: int = 1
    expert_group_count: int = 1

    def case(
        self,
        roofline: Roofline,
        *,
        isl_tokens: float,
        osl_tokens: float,
        concurrency_count: float | None = None,
        cached_tokens: float = 0.0,
    ) -> Case:
        """Return the deployment serving these lengths, with so much of the input found in its prefix cache."""
        return Case(
            architecture=roofline.architecture(self.model),
            gpu=self.gpu,
            gpus=self.gpus,
            precision=self.precision,
            engine=self.engine,
            isl_tokens=isl_tokens,
            osl_tokens=osl_tokens,
            concurrency_count=concurrency_count,
            pipeline_stage_count=self.pipeline_stage_count,
            attention_group_count=self.attention_group_count,
            expert_group_count=self.expert_group_count,
            cached_tokens=cached_tokens,
        )

    def point(
        self, *, isl_tokens: float, osl_tokens: float, output_tokens_per_s: float, basis: str, source: str
    ) -> Measurement:
        """Return a throughput of the deployment at these lengths, in the form of a measurement."""
        return Measurement(
            model=self.model.id,
            gpu=self.gpu.id,
            gpus=self.gpus,
            precision=self.precision,
            engine=self.engine,
            isl_tokens=round(isl_tokens),
            osl_tokens=round(osl_tokens),
            output_tokens_per_s=output_tokens_per_s,
            basis=basis,
            source=source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast a deployment is, at one pair of lengths and one load.

    Estimated: the value, and the narrowest range around it that held 90 % of what was not seen.
    By measurement: the median, and what 90 % of other runs would show.  ``ttft_ms`` and ``tpot_ms`` are None for a
    queue that never empties, where a first token waits as long as the queue is; ``running_requests``, what is served
    at once, is None where it was not measured.
    """

    ttft_ms: Interval | None
    tpot_ms: Interval | None
    output_tokens_per_s: Interval
    requests_per_s: Interval
    running_requests: float | None
    basis: str
    rung: Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a deployment holds and how fast it is; ``concurrency_count`` None: a queue that never empties.

    ``rates`` is None when it does not fit; ``memory.reasons`` then says why.
    """

    isl_tokens: float
    osl_tokens: float
    concurrency_count: float | None
    memory: Memory
    rates: Rates | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedService:
    """A service, and measured over predicted that goes with it: 1, from 10th to 90th percentile, as assumptions are."""

    service: Service
    throughput_ratio: Interval


def estimate(
    deployment: Deployment,
    roofline: Roofline,
    *,
    isl_tokens: float,
    osl_tokens: float,
    concurrency_count: float | None = None,
    cached_tokens: float = 0.0,
    measured: Sequence[Measurement] = (),
) -> Estimate:
    """Return whether it fits and what it serves, at fixed lengths and a concurrency or all that it can.

    ``measured``: measurements of this deployment at these lengths and this concurrency.  They win.
    ``cached_tokens`` of the input are found in the prefix cache.
    """
    case = deployment.case(
        roofline,
        isl_tokens=isl_tokens,
        osl_tokens=osl_tokens,
        concurrency_count=concurrency_count,
        cached_tokens=cached_tokens,
    )
    memory = fits(
        case.architecture,
        deployment.gpu,
        gpus=deployment.gpus,
        precision=deployment.precision,
        held_tokens=isl_tokens + osl_tokens / 2,
    )
    rates = None
    if measured:
        rates = _measured(measured, osl_tokens)
    elif memory.fits and requests_that_fit(case, roofline) >= 1:
        rates = _predicted(deployment, roofline, case)
    return Estimate(
        isl_tokens=isl_tokens,
        osl_tokens=osl_tokens,
        concurrency_count=concurrency_count,
        memory=memory,
        rates=rates,
    )


@lru_cache(maxsize=256)
def roofline_service(deployment: Deployment, roofline: Roofline) -> EstimatedService | None:
    """Return the node-seconds of a request, fitted to the roofline over a grid of lengths; kept, as fits take time.

    None if fewer than ``MIN_POINTS`` lengths fit; a length fits when one of its requests does.
    ``fit_error_fraction`` is the error of the three coefficients against the roofline; the roofline's own error
    is the interval.
    """
    grid = product(ISL_TOKENS, OSL_TOKENS)
    cases = [deployment.case(roofline, isl_tokens=isl, osl_tokens=osl) for isl, osl in grid]
    cases = [case for case in cases if requests_that_fit(case, roofline) >= 1]
    if len(cases) < MIN_POINTS:
        return None
    found = predict(cases, roofline)
    rates = found.output_tokens_per_s
    points = [
        deployment.point(
            isl_tokens=case.isl_tokens,
            osl_tokens=case.osl_tokens,
            output_tokens_per_s=float(rate),
            basis="roofline",
            source="roofline",
        )
        for case, rate in zip(cases, rates, strict=True)
    ]
    ratio = ratio_interval(roofline, "throughput", cases[0], float(np.median(found.output_deviation)), width=80)
    return EstimatedService(service=fit_service(points, basis=basis_of(deployment, roofline)), throughput_ratio=ratio)


def calibrated(
    estimated: EstimatedService, points: Sequence[Measurement], measured_ratio: Interval
) -> EstimatedService:
    """Return the service with measured throughput in its place: measurements always win.

    With ``MIN_POINTS`` lengths the coefficients are fitted to them.  With fewer, the roofline keeps its shape and
    is scaled by the median of measured over predicted.  Either way the interval becomes ``measured_ratio``, the
    assumption for what was measured.  Without any, nothing changes.
    """
    if not points:
        return estimated
    source = points[0].source
    if len(points) >= MIN_POINTS:
        service = fit_service(points, basis=f"{len(points)} measured lengths of {source}")
        return EstimatedService(service=service, throughput_ratio=measured_ratio)
    shape = estimated.service
    ratio = median(p.output_tokens_per_s / shape.output_tokens_per_s(p.isl_tokens, p.osl_tokens) for p in points)
    scaled = replace(
        shape,
        input_node_seconds=shape.input_node_seconds / ratio,
        output_node_seconds=shape.output_node_seconds / ratio,
        kv_node_seconds=shape.kv_node_seconds / ratio,
        basis=f"{shape.basis}, scaled by {ratio:.2f} to {len(points)} measured length(s) of {source}",
    )
    return EstimatedService(service=scaled, throughput_ratio=measured_ratio)


def basis_of(deployment: Deployment, roofline: Roofline) -> str:
    """Say where an estimate comes from, and what of this deployment the fit had no measurement of."""
    new = [] if roofline.has_seen(deployment.gpu) else [deployment.gpu.id]
    if not roofline.has_measured(deployment.engine):
        new.append(deployment.engine)
    told = f"roofline fitted on {roofline.provenance.rows_count:,} measurements, {roofline.provenance.as_of}"
    near = nearby(deployment, roofline)
    if near:
        sources = ", ".join(dict.fromkeys(row.source for row in near))
        told += f", corrected by {len(near):,} of this deployment at other lengths or loads ({sources})"
    return f"{told}; none of {' or '.join(new)}" if new else told


def nearby(deployment: Deployment, roofline: Roofline) -> tuple[Measurement, ...]:
    """Return the measurements of this deployment at any lengths and load; a model's twins count as itself."""
    shape = shape_of(roofline.architecture(deployment.model))
    wanted = (shape, deployment.gpu.id, deployment.gpus, deployment.precision, engine_name(deployment.engine))
    return _measured_by_deployment(roofline).get(wanted, ())


@lru_cache(maxsize=4)
def _measured_by_deployment(roofline: Roofline) -> dict[Key, tuple[Measurement, ...]]:
    """Return all measurements by what ``nearby`` asks for, in their order."""
    found: dict[Key, list[Measurement]] = defaultdict(list)
    for anchor in roofline.anchors:
        row = anchor.measurement
        shape, precision = shape_of(anchor.architecture), case_of(anchor).precision
        found[shape, anchor.gpu.id, row.gpus, precision, engine_name(row.engine)].append(row)
    return {key: tuple(rows) for key, rows in found.items()}


def speed_interval(deployment: Deployment, roofline: Roofline, *, isl_tokens: float, osl_tokens: float) -> Interval:
    """Return how fast the node is over what the corrected roofline says: likely 1, and 10th to 90th percentile.

    Of throughput at a middling load, half of what the node runs at once and at most ``MIDDLING_REQUESTS``: what the
    pace of a simulation, which is corrected too, is to be scaled by.
    """
    case = deployment.case(roofline, isl_tokens=isl_tokens, osl_tokens=osl_tokens, concurrency_count=1.0)
    middling = max(1.0, min(MIDDLING_REQUESTS, requests_that_fit(case, roofline) / 2))
    case = replace(case, concurrency_count=middling)
    deviation = float(predict([case], roofline).output_deviation[0])
    return ratio_interval(roofline, "throughput", case, deviation, width=80)


def with_measurements(roofline: Roofline, deployment: Deployment, rows: Sequence[Measurement]) -> Roofline:
    """Return the roofline corrected by measurements of a deployment too, whatever name they give its model."""
    anchors = [
        Anchor(measurement=row, architecture=roofline.architecture(deployment.model), gpu=deployment.gpu)
        for row in rows
    ]
    return replace(roofline, anchors=(*roofline.anchors, *anchors)) if rows else roofline


def _predicted(deployment: Deployment, roofline: Roofline, case: Case) -> Rates:
    found = predict([case], roofline)

    def interval(figure: Figure, value: float, deviation: float) -> Interval:
        return ratio_interval(roofline, figure, case, deviation).map(lambda ratio: ratio * value)

    steady = case.concurrency_count is not None
    output = interval("throughput", float(found.output_tokens_per_s[0]), float(found.output_deviation[0]))
    return Rates(
        ttft_ms=interval("ttft", float(found.ttft_s[0]) * 1e3, float(found.ttft_deviation[0])) if steady else None,
        tpot_ms=interval("tpot", float(found.tpot_s[0]) * 1e3, float(found.tpot_deviation[0])) if steady else None,
        output_tokens_per_s=output,
        requests_per_s=output.map(lambda tokens: tokens / case.osl_tokens),
        running_requests=float(found.running[0]),
        basis=basis_of(deployment, roofline),
        rung="nearby" if nearby(deployment, roofline) else "estimated",
    )


def _measured(rows: Sequence[Measurement], osl_tokens: float) -> Rates:
    output = measured_interval("throughput", [row.output_tokens_per_s for row in rows])
    ttft = [row.ttft_ms for row in rows if row.ttft_ms is not None]
    tpot = [row.tpot_ms for row in rows if row.tpot_ms is not None]
    return Rates(
        ttft_ms=measured_interval("ttft", ttft) if ttft else None,
        tpot_ms=measured_interval("tpot", tpot) if tpot else None,
        output_tokens_per_s=output,
        requests_per_s=output.map(lambda tokens: tokens / osl_tokens),
        running_requests=None,
        basis=f"{len(rows)} measurement(s): {', '.join(sorted({f'{row.source}, {row.engine}' for row in rows}))}",
        rung="measured",
    )
