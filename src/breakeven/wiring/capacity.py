"""Joins catalogue, roofline and a person's question about one deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from breakeven.capacity.estimate import Deployment, Estimate, estimate
from breakeven.catalog.models import Precision
from breakeven.catalog.roofline import engine_name
from breakeven.errors import InputError, Problem
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Measurement

MAX_GPUS: Final = 8
"""One node: the roofline knows tensor parallel over one link, not a network."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityEstimate:
    """The deployment by its catalogue ids, and what was found of it."""

    model: str
    gpu: str
    gpus: int
    precision: str
    engine: str
    fits: bool
    estimate: Estimate


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
    deployment = Deployment(model=model, gpu=gpu, gpus=request.gpus, precision=precision, engine=request.engine)
    found = estimate(
        deployment,
        load_roofline(),
        isl_tokens=request.isl_tokens,
        osl_tokens=request.osl_tokens,
        concurrency_count=request.concurrency_count,
        measured=_measured(book, deployment, request),
    )
    return CapacityEstimate(
        model=model.id,
        gpu=gpu.id,
        gpus=request.gpus,
        precision=precision,
        engine=request.engine,
        fits=found.memory.fits,
        estimate=found,
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
    return tuple(found)


def _measured(book: Book, deployment: Deployment, request: EstimateRequest) -> tuple[Measurement, ...]:
    """Return the catalogue's measurements of just this, with a static batch never taken for a concurrency."""
    wanted = (
        deployment.gpu.id,
        deployment.gpus,
        deployment.precision,
        engine_name(deployment.engine),
        request.isl_tokens,
        request.osl_tokens,
        request.concurrency_count,
    )
    return tuple(
        row
        for row in book.measurements_of(deployment.model.id)
        if (row.gpu, row.gpus, row.precision, engine_name(row.engine)) == wanted[:4]
        and (row.isl_tokens, row.osl_tokens, row.concurrency_count) == wanted[4:]
        and (row.concurrency_count is None or row.tpot_ms is not None)
    )
