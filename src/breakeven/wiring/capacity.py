"""Joins catalogue, roofline and a person's question about one deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from breakeven.capacity.calibration import measurements_of
from breakeven.capacity.estimate import Deployment, Estimate, estimate, with_measurements
from breakeven.capacity.likeness import same_version
from breakeven.capacity.loads import NO_SLO, Load, Slo, doublings, largest_batch, loads_of, within
from breakeven.catalog.models import Precision
from breakeven.catalog.names import model_index, squashed
from breakeven.catalog.roofline import engine_name
from breakeven.errors import InputError, Problem
from breakeven.sources.calibration import read_calibration
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Measurement

MAX_GPUS: Final = 8
"""One node: the roofline knows the link inside it, not a network."""

PRECISIONS: Final[tuple[str, ...]] = get_args(Precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRequest:
    """What a person asks: names as the catalogue knows them; None for the model's first precision."""

    model: str
    gpu: str
    gpus: int
    precision: str | None
    engine: str
    isl_tokens: int
    osl_tokens: int
    concurrency_count: int | None
    pipeline_stage_count: int = 1
    attention_group_count: int = 1
    cached_fraction: float = 0.0
    slo: Slo = NO_SLO
    calibration: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityEstimate:
    """The deployment by its catalogue ids, and what was found of it.

    ``loads`` are those of 1, 2, 4 … requests at a time, up to all that the node runs at once (``largest_batch_count``);
    ``within_slo`` is the greatest load that keeps the SLO, None where none is asked or none keeps it.
    """

    model: str
    gpu: str
    gpus: int
    precision: str
    engine: str
    fits: bool
    estimate: Estimate
    largest_batch_count: int
    loads: tuple[Load, ...]
    slo: Slo
    within_slo: Load | None


def run_estimate(request: EstimateRequest) -> CapacityEstimate:
    """Answer the question from the bundled catalogue.

    Raises ``InputError`` with every problem of the numbers, ``UnknownNameError`` for a model or GPU.
    """
    book = load_book()
    model, gpu = book.model(request.model), book.gpu(request.gpu)
    precision = request.precision or model.precisions[0]
    problems = _problems(request, precision, model.context_tokens)
    if problems:
        raise InputError("This deployment cannot be estimated.", problems)
    deployment = Deployment(
        model=model,
        gpu=gpu,
        gpus=request.gpus,
        precision=precision,
        engine=request.engine,
        pipeline_stage_count=request.pipeline_stage_count,
        attention_group_count=request.attention_group_count,
    )
    roofline = load_roofline()
    here: tuple[Measurement, ...] = ()
    if request.calibration is not None:
        here = _measured_here(request.calibration, deployment, book)
        roofline = with_measurements(roofline, deployment, here)
    cached = request.isl_tokens * request.cached_fraction
    case = deployment.case(roofline, isl_tokens=request.isl_tokens, osl_tokens=request.osl_tokens, cached_tokens=cached)
    found = estimate(
        deployment,
        roofline,
        isl_tokens=request.isl_tokens,
        osl_tokens=request.osl_tokens,
        concurrency_count=request.concurrency_count,
        cached_tokens=cached,
        measured=() if cached else _just_so(here, book.measurements_of(model.id), deployment, request),
    )
    has_rates = found.rates is not None
    asked = request.slo != NO_SLO
    return CapacityEstimate(
        model=model.id,
        gpu=gpu.id,
        gpus=request.gpus,
        precision=precision,
        engine=request.engine,
        fits=found.memory.fits,
        estimate=found,
        largest_batch_count=largest_batch(case, roofline) if has_rates else 0,
        loads=loads_of(case, roofline, doublings(case, roofline)) if has_rates else (),
        slo=request.slo,
        within_slo=within(case, roofline, request.slo) if asked and has_rates else None,
    )


def _problems(request: EstimateRequest, precision: str, context_tokens: int) -> tuple[Problem, ...]:
    found = []
    if not 1 <= request.gpus <= MAX_GPUS:
        found.append(
            Problem(where="--gpus", what=f"{request.gpus} is not between 1 and {MAX_GPUS}, the GPUs of a node.")
        )
    if precision not in PRECISIONS:
        found.append(Problem(where="--precision", what=f"{precision!r} is none of {', '.join(PRECISIONS)}."))
    if not request.engine.strip():
        found.append(Problem(where="--engine", what="an engine has a name.", fix="Say vllm, sglang or tensorrt-llm."))
    for where, tokens in (("--isl", request.isl_tokens), ("--osl", request.osl_tokens)):
        if tokens < 1:
            found.append(Problem(where=where, what=f"{tokens} tokens is not a length.", fix="Take 1 or more."))
    if request.isl_tokens + request.osl_tokens > context_tokens:
        total = request.isl_tokens + request.osl_tokens
        found.append(Problem(where="--isl", what=f"{total:,} tokens are more than the model's {context_tokens:,}."))
    if request.concurrency_count is not None and request.concurrency_count < 1:
        found.append(Problem(where="--concurrency", what=f"{request.concurrency_count} is not at least 1."))
    return (*found, *_option_problems(request))


def _option_problems(request: EstimateRequest) -> list[Problem]:
    """Return what is wrong with layout, cache and SLO."""
    found = []
    layout = request.pipeline_stage_count * request.attention_group_count
    if request.pipeline_stage_count < 1 or request.attention_group_count < 1 or request.gpus % max(1, layout):
        what = (
            f"{request.gpus} GPUs do not form {request.pipeline_stage_count} x {request.attention_group_count} groups."
        )
        fix = "Pipeline stages x attention groups divides the number of GPUs."
        found.append(Problem(where="--pipeline", what=what, fix=fix))
    if not 0 <= request.cached_fraction < 1:
        found.append(Problem(where="--cached-share", what=f"{request.cached_fraction:g} is not from 0 to below 1."))
    for where, limit in (("--slo-ttft-ms", request.slo.ttft_ms), ("--slo-tpot-ms", request.slo.tpot_ms)):
        if limit is not None and not limit > 0:
            found.append(Problem(where=where, what=f"{limit:g} ms is not above 0."))
    return found


def _measured_here(path: Path, deployment: Deployment, book: Book) -> tuple[Measurement, ...]:
    """Return what was measured of the deployment.  Raises ``InputError`` when the calibration is of another."""
    calibration = read_calibration(path)
    rows = _of(measurements_of(calibration), deployment)
    known = model_index(book.models.values(), ()).get(squashed(calibration.model), deployment.model.id)
    twins = {row.model for row in book.measurements_of(deployment.model.id)} | {deployment.model.id}
    if rows and known in twins:
        return rows
    of = f"{calibration.model} at {calibration.precision} on {calibration.hardware}, {calibration.engine}"
    node = f"{deployment.gpus}x {deployment.gpu.id}, {deployment.engine}"
    asked = f"{deployment.model.id} at {deployment.precision} on {node}"
    raise InputError(f"The calibration {path} says nothing of what is asked: it is of {of}; asked is {asked}.")


def _of(rows: Sequence[Measurement], deployment: Deployment) -> tuple[Measurement, ...]:
    """Return the rows of a deployment."""
    wanted = (deployment.gpu.id, deployment.gpus, deployment.precision, engine_name(deployment.engine))
    return tuple(
        row
        for row in rows
        if (row.gpu, row.gpus, row.precision, engine_name(row.engine)) == wanted
        and (row.pipeline_stage_count, row.attention_group_count)
        == (deployment.pipeline_stage_count, deployment.attention_group_count)
    )


def _just_so(
    here: Sequence[Measurement], catalogue: Sequence[Measurement], deployment: Deployment, request: EstimateRequest
) -> tuple[Measurement, ...]:
    """Return measurements of just this: those made here, else the catalogue's.

    A static batch is never taken for a concurrency, a row with a fault never counts, nor does another version where
    one is asked for: versions differ by 14 % at the median.
    """
    wanted = (request.isl_tokens, request.osl_tokens, request.concurrency_count)
    for rows in (here, catalogue):
        found = tuple(
            row
            for row in _of(rows, deployment)
            if (row.isl_tokens, row.osl_tokens, row.concurrency_count) == wanted
            and (row.concurrency_count is None or row.tpot_ms is not None)
            and same_version(deployment.engine, row.engine)
            and not row.fault
        )
        if found:
            return found
    return ()
