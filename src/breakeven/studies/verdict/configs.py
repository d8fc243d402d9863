"""Ways to run a model on a node, with how fast each is: measured, estimated by the roofline, or as the user says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.capacity.estimate import Deployment, EstimatedService, calibrated, roofline_service
from breakeven.capacity.memory import fits, in_flight_tokens
from breakeven.capacity.service import MIN_POINTS, Service, fit_service, stated_service
from breakeven.catalog.assumptions import Assumption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.capacity.memory import Memory
    from breakeven.catalog.hardware import Gpu, Measurement
    from breakeven.catalog.models import OpenModel
    from breakeven.catalog.roofline import Roofline
    from breakeven.sources.scenario import Throughput
    from breakeven.studies.verdict.context import Context

RATIO_KEY: Final = "throughput_ratio"
ESTIMATED_ENGINE: Final = "vllm"
NODE_GPUS: Final = (1, 2, 4, 8)
"""Sizes of node that are tried for an estimate: tensor parallel over one link."""

MIN_CONCURRENT_REQUESTS: Final = 8
"""An estimate takes the smallest node that holds this many requests at once: fewer would waste its arithmetic."""

_PREFERRED: Final = ("fp8", "fp4", "int8", "bf16", "fp16", "int4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One way to run a model: GPUs, precision, engine, and the work of a request on such a node.

    ``band`` is the assumption of how far the throughput may be off, where it is this way's own; else the shared
    one holds.  ``measured`` is a measurement it rests on.
    """

    gpu: str
    gpus: int
    precision: str
    engine: str
    service: Service
    measured: Measurement | None = None
    band: Assumption | None = None


def measured_configs(model: OpenModel, context: Context) -> list[Config]:
    """Return the configurations of the model that were measured at enough lengths to fit."""
    groups: dict[tuple[str, int, str, str], list[Measurement]] = defaultdict(list)
    for item in context.book.measurements_of(model.id):
        if item.basis == "measured-max-throughput" and item.concurrency_count is None and item.gpu in context.book.gpus:
            groups[(item.gpu, item.gpus, item.precision, item.engine)].append(item)
    return [
        Config(
            gpu=gpu,
            gpus=gpus,
            precision=precision,
            engine=engine,
            service=fit_service(points, basis=_measured_basis(points)),
            measured=points[0],
        )
        for (gpu, gpus, precision, engine), points in groups.items()
        if len(points) >= MIN_POINTS
    ]


def estimated_configs(model: OpenModel, gpus: Iterable[Gpu], context: Context) -> list[Config]:
    """Return the roofline's estimate for each GPU: on the smallest node that holds the model and enough requests."""
    found = []
    for gpu in gpus:
        precision = _precision(model, gpu)
        if precision is None:
            continue
        for count in NODE_GPUS:
            memory = memory_of(model, gpu, gpus=count, precision=precision, context=context)
            if memory.concurrent_requests >= MIN_CONCURRENT_REQUESTS:
                deployment = Deployment(model=model, gpu=gpu, gpus=count, precision=precision, engine=ESTIMATED_ENGINE)
                found += _estimated(deployment, context)
                break
    return found


def estimated_config(deployment: Deployment, context: Context) -> Config | None:
    """Return the roofline's estimate of one deployment; None where it does not fit."""
    return next(iter(_estimated(deployment, context)), None)


def user_service(stated: Throughput, deployment: Deployment, context: Context) -> Service:
    """Return the service of a throughput that the user states.

    Stated with its lengths, it scales the roofline, which says how throughput changes at other lengths; stated
    without, it holds at every length.
    """
    basis = _stated_basis(stated, context)
    if stated.isl_tokens is None or stated.osl_tokens is None:
        return stated_service(
            output_tokens_per_s=stated.output_tokens_per_s, total_tokens_per_s=stated.total_tokens_per_s, basis=basis
        )
    estimated = roofline_service(deployment, context.roofline)
    output = stated.output_tokens_per_s
    if output is None:
        assert stated.total_tokens_per_s is not None
        output = stated.total_tokens_per_s * stated.osl_tokens / (stated.isl_tokens + stated.osl_tokens)
    if estimated is None:
        return stated_service(output_tokens_per_s=output, basis=basis)
    point = deployment.point(
        isl_tokens=stated.isl_tokens,
        osl_tokens=stated.osl_tokens,
        output_tokens_per_s=output,
        basis="user",
        source=stated.source,
    )
    shared = context.book.assumptions[RATIO_KEY].interval
    return calibrated(estimated, [point], shared).service


def memory_of(model: OpenModel, gpu: Gpu, *, gpus: int, precision: str, context: Context) -> Memory:
    """Return what a node's memory holds of the model, and how many requests at the traffic's joint lengths."""
    month = context.workload.month(context.likely())
    held = in_flight_tokens(
        float(month.output_tokens), float(month.input_output_tokens2), float(month.output_output_tokens2)
    )
    # Without output a request holds its input, as long as it is read.
    held = held or float(month.input_tokens / month.requests)
    architecture = context.roofline.architecture(model)
    return fits(architecture, gpu, gpus=gpus, precision=precision, held_tokens=held)


def _estimated(deployment: Deployment, context: Context) -> list[Config]:
    estimated = roofline_service(deployment, context.roofline)
    if estimated is None:
        return []
    return [
        Config(
            gpu=deployment.gpu.id,
            gpus=deployment.gpus,
            precision=deployment.precision,
            engine=f"{deployment.engine}, estimated",
            service=estimated.service,
            band=_band(estimated, context.roofline),
        )
    ]


def _band(estimated: EstimatedService, roofline: Roofline) -> Assumption:
    """Return the roofline's error as the option's own assumption."""
    ratio = estimated.throughput_ratio
    return Assumption(
        key=RATIO_KEY,
        meaning="throughput over what the roofline estimates",
        unit="ratio",
        low=ratio.low,
        likely=ratio.likely,
        high=ratio.high,
        distribution="lognormal",
        basis="measured",
        as_of=roofline.provenance.as_of,
        source=f"measured over estimated, on what the fit had not seen: {estimated.service.basis}",
    )


def _precision(model: OpenModel, gpu: Gpu) -> str | None:
    """Return the usual precision for serving in which the model is published and which the GPU computes."""
    able = {"fp8": gpu.fp8_tflops is not None, "fp4": gpu.fp4_tflops is not None}
    return next((name for name in _PREFERRED if name in model.precisions and able.get(name, True)), None)


def _measured_basis(points: list[Measurement]) -> str:
    isl, osl = [point.isl_tokens for point in points], [point.osl_tokens for point in points]
    return (
        f"{len(points)} measured lengths of {points[0].source}, "
        f"{min(isl):,}-{max(isl):,} in and {min(osl):,}-{max(osl):,} out"
    )


def _stated_basis(stated: Throughput, context: Context) -> str:
    """Say where a stated throughput comes from, and at which lengths beside those of the traffic."""
    month = context.workload.month(context.likely())
    means = f"this traffic averages {month.input_tokens / month.requests:,.0f} input and "
    means += f"{month.output_tokens / month.requests:,.0f} output tokens"
    if stated.isl_tokens is None or stated.osl_tokens is None:
        return f"{stated.source}, at lengths not stated; {means}"
    return f"{stated.source}, at {stated.isl_tokens:,.0f}/{stated.osl_tokens:,.0f} tokens; {means}"
