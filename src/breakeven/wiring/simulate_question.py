"""A person's question about a pool in the catalogue's terms: nodes and their pace, APIs, and when nodes are there."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from breakeven.capacity.estimate import basis_of
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.sources.calibration import read_calibration
from breakeven.wiring.clock import current_date
from breakeven.wiring.plan import find_prices
from breakeven.wiring.pool_text import deployment_of
from breakeven.wiring.simulate_check import overflow_values, timetables, week_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.calibrated_pace import PaceFit
    from breakeven.capacity.calibration import Calibration
    from breakeven.capacity.estimate import Deployment
    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Rental
    from breakeven.catalog.roofline import Roofline
    from breakeven.studies.simulation import Line, Question, Upkeep
    from breakeven.wiring.simulate_check import SimulateRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question, how its pool is called, where its speed comes from, and what its GPUs are offered for."""

    question: Question
    pool: str
    basis: str
    rentals: Sequence[Rental]


def asked_of(request: SimulateRequest, book: Book, roofline: Roofline) -> Asked:
    """Return the question in the catalogue's terms.  Raises ``InputError``, ``UnknownNameError``."""
    calibration = read_calibration(request.calibration) if request.calibration is not None else None
    deployment = deployment_of(request.pool, book) if request.pool is not None else None
    if calibration is None:
        assert deployment is not None, "one of the two was asked for"
        return Asked(
            question=_question(request, book, deployment, None, deployment.gpus),
            pool=_pool_name(deployment),
            basis=f"{basis_of(deployment, roofline)}; slow and fast are the 10th and 90th percentile of its error",
            rentals=book.rentals_of(deployment.gpu.id),
        )
    fit = _fitted(calibration, deployment, roofline, request.cache_tokens)
    hardware = f"{calibration.hardware}:{calibration.model}:{calibration.engine}"
    return Asked(
        question=_question(request, book, deployment, fit, deployment.gpus if deployment else calibration.gpus),
        pool=_pool_name(deployment) if deployment else hardware,
        basis=(
            f"{calibration.source}, {fit.levels_count} loads on {calibration.hardware}, which the pace meets within "
            f"{fit.throughput_error_fraction:.0%} of their throughput at the median, with room for "
            f"{fit.pace.kv_tokens:,} tokens and {fit.pace.max_requests} requests at a time; slow and fast are the 10th "
            "and 90th percentile"
        ),
        rentals=book.rentals_of(calibration.gpu) if calibration.gpu else (),
    )


def _fitted(
    calibration: Calibration, deployment: Deployment | None, roofline: Roofline, cache_tokens: int | None
) -> PaceFit:
    """Return the pace that was measured; with a pool that is known, the cache is as large as its memory allows."""
    from breakeven.capacity.calibrated_pace import fit_pace
    from breakeven.capacity.pace import pace_of

    if deployment is not None and (calibration.gpu, calibration.gpus) != (deployment.gpu.id, deployment.gpus):
        raise InputError(
            f"The calibration is of {calibration.hardware}, and --pool names {deployment.gpus}x{deployment.gpu.id}. "
            "Leave --pool out to simulate what was measured, or --calibration to estimate the pool."
        )
    try:
        kv_tokens = pace_of(deployment, roofline).kv_tokens if deployment else cache_tokens
        return fit_pace(calibration.levels, kv_tokens=kv_tokens)
    except ValueError as error:
        raise InputError(
            f"No pace follows from the calibration: {error}. Measure more loads: breakeven bench URL --concurrency "
            "1,2,4,8 --save FILE."
        ) from None


def _pool_name(deployment: Deployment) -> str:
    model, precision, engine = deployment.model.id, deployment.precision, deployment.engine
    return f"{deployment.gpus}x{deployment.gpu.id}:{model}:{precision}:{engine}"


def _question(
    request: SimulateRequest, book: Book, deployment: Deployment | None, measured: PaceFit | None, gpus: int
) -> Question:
    from breakeven.studies.simulation import Goal, Overflow, Question

    upkeep = _upkeep(request)
    overflow = tuple(
        Overflow(prices=find_prices(book, name), ttft_s=ttft_s, tpot_s=tpot_s, most_requests_per_s=rate)
        for name, ttft_s, tpot_s, rate in overflow_values(request)
    )
    return Question(
        deployment=deployment,
        measured=measured,
        gpus=gpus,
        nodes=max(upkeep.week_nodes) if upkeep.week_nodes else request.nodes,
        policy=request.policy,
        overflow=overflow,
        most_waiting_requests=request.most_waiting_requests,
        most_ttft_s=request.most_ttft_s,
        most_kv_fraction=request.most_kv_fraction,
        back_ratio=request.back_ratio,
        seed=request.seed,
        usd_per_gpu_hour=request.usd_per_gpu_hour,
        on=request.as_of or current_date(),
        upkeep=upkeep,
        goal=Goal(
            ttft_s=request.slo_ttft_s,
            tpot_s=request.slo_tpot_s,
            quantile_fraction=request.slo_quantile_fraction,
        ),
        prefix_hit_fraction=request.prefix_hit_fraction,
        most_usd=inf if request.most_usd is None else request.most_usd,
        budget_day_usd=inf if request.budget_day_usd is None else request.budget_day_usd,
        hours=timetables(request),
        line=_line(request),
    )


def _line(request: SimulateRequest) -> Line | None:
    from breakeven.studies.simulation import Line

    if request.line_requests is None:
        return None
    if request.line_longest_s is None:
        return Line(most_requests=request.line_requests)
    return Line(most_requests=request.line_requests, longest_s=request.line_longest_s)


def _upkeep(request: SimulateRequest) -> Upkeep:
    from breakeven.studies.simulation import Reactive, Upkeep

    reactive = None
    if request.min_nodes is not None:
        reactive = Reactive(
            min_nodes=request.min_nodes,
            waiting_requests=request.scale_waiting_requests,
            used_fraction=request.scale_used_fraction,
            up_after_s=request.scale_up_after_s,
            down_after_s=request.scale_down_after_s,
            idle_s=request.idle_s,
        )
    return Upkeep(
        start_s=request.cold_start_s,
        mtbf_s=request.mtbf_hours * SECONDS_PER_HOUR if request.mtbf_hours is not None else None,
        repair_s=request.repair_s,
        week_nodes=week_of(request.schedule) if request.schedule is not None else (),
        reactive=reactive,
    )
