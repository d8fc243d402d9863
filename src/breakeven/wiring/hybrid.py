"""Joins a trace, the catalogue, a scenario and a person's question about how many nodes to hold before an API."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, Problem
from breakeven.wiring.clock import current_date
from breakeven.wiring.kept_code import keep_compiled
from breakeven.wiring.plan import find_prices
from breakeven.wiring.pool_text import deployment_of
from breakeven.wiring.traffic_read import read_traffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.pool import Pace
    from breakeven.catalog.assumptions import Assumption
    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList
    from breakeven.records import TrafficProfile
    from breakeven.sources.scenario import Pool, Scenario
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.result import HybridSize, SloRun
    from breakeven.studies.hybrid.simulated import Slo
    from breakeven.studies.verdict.context import Catalogue, Context
    from breakeven.traffic.trace import Trace

MOST_HORIZON_DAYS: Final = 366
GROWTH: Final = "traffic_growth_per_month"
MOST_POOLS: Final = 8
REFUSED: Final = "This cannot be sized."


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a person knows beside the traffic and its options."""

    scenario: str | Path | None = None
    slo_ttft_s: float | None = None
    overflow_ttft_s: float = 0.6
    overflow_tpot_s: float = 0.015
    growth_per_month: float | None = None
    batchable_fraction: float | None = None
    usd_per_gpu_hour: float | None = None
    seed: int = 1
    horizon_days: int = 30
    """For which nodes are held."""

    as_of: date | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    tolerate_fraction: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRequest(Figures):
    """What a person asks."""

    files: tuple[str | Path, ...]
    pools: tuple[str, ...]
    """Nodes to choose from: ``2xH100:llama-3.3-70b:fp8:vllm``.  The first is the one that is sized alone."""

    overflow: str
    """Whose API takes what the nodes do not."""

    today: str | None = None
    """Whose tokens the trace counts; default: what it names, else the overflow's."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A trace that was read, with the nodes to choose from and a sizing for each."""

    trace: Trace
    deployments: tuple[Deployment, ...]
    sizings: tuple[Sizing, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reading has to tell."""
        return (*self.trace.notes, *(str(problem) for problem in self.trace.problems))


def run_size(request: SizeRequest) -> HybridSize:
    """Read the trace, and size a hybrid for it.  Raises ``InputError`` with every problem of the question."""
    problems = problems_of(request)
    if problems:
        raise InputError(REFUSED, tuple(problems))
    from breakeven.studies.hybrid.joint import mixed_pools
    from breakeven.studies.hybrid.study import sized

    known = prepared(request)
    found = list(known.sizings)
    runs: Sequence[SloRun] = ()
    if request.slo_ttft_s is not None:
        found[0], pace = at_slo(request, known.trace, known.deployments[0], found[0])
        runs = _slo_runs(request, known.trace, found[0], pace)
    mix = mixed_pools(found) if len(found) > 1 else None
    return sized(found[0], slo=runs, mix=mix, notes=known.notes)


def prepared(request: SizeRequest) -> Prepared:
    """Read the trace and the catalogue, and find out what sizing each of the nodes takes."""
    from breakeven.sources.roofline import load_roofline
    from breakeven.studies.hybrid.prepared import Question, prepare
    from breakeven.studies.verdict.context import Catalogue

    scenario, book, on = _known(request)
    deployments = tuple(deployment_of(text, book) for text in request.pools)
    overflow = find_prices(book, request.overflow)
    trace = read_traffic(
        request.files, columns=request.columns, zone=request.zone, tolerate_fraction=request.tolerate_fraction
    )
    known = Catalogue(book=book, roofline=load_roofline())
    context = _context(request, trace, known, scenario, overflow, deployments, on)
    questions = [
        Question(
            pool=_pool(item, scenario, request),
            overflow=overflow,
            batchable_fraction=request.batchable_fraction,
            seed=request.seed,
            horizon_days=request.horizon_days,
        )
        for item in deployments
    ]
    sizings = tuple(prepare(question, context) for question in questions)
    return Prepared(trace=trace, deployments=deployments, sizings=sizings)


def problems_of(request: SizeRequest) -> list[Problem]:
    """Return what cannot be in the figures that a person gave."""
    problems = []
    if not request.files:
        problems.append(Problem(where="FILES", what="there is no traffic.", fix="Give a trace: breakeven size FILE."))
    if not 1 <= len(request.pools) <= MOST_POOLS:
        what = f"{len(request.pools)} pools; 1 to {MOST_POOLS} can be compared."
        problems.append(Problem(where="--pool", what=what))
    for where, value in (
        ("--slo-ttft-s", request.slo_ttft_s),
        ("--overflow-ttft-s", request.overflow_ttft_s),
        ("--overflow-tpot-s", request.overflow_tpot_s),
        ("--usd-per-gpu-hour", request.usd_per_gpu_hour),
    ):
        if value is not None and not (value > 0 and isfinite(value)):
            problems.append(Problem(where=where, what=f"{value:g} is not above 0."))
    if not 1 <= request.horizon_days <= MOST_HORIZON_DAYS:
        what = f"{request.horizon_days} days; nodes can be held for 1 to {MOST_HORIZON_DAYS}."
        problems.append(Problem(where="--horizon-days", what=what, fix="1 sizes for tomorrow, 30 for a month."))
    growth = request.growth_per_month
    if growth is not None and not -1 < growth <= 1:
        what = f"{growth:g} a month is not above -1, the loss of all, and at most 1, double each month."
        problems.append(Problem(where="--growth", what=what, fix="5 % a month is 0.05."))
    for where, share in (("--batchable", request.batchable_fraction), ("--tolerate", request.tolerate_fraction)):
        if share is not None and not 0 <= share <= 1:
            problems.append(Problem(where=where, what=f"{share:g} is no share between 0 and 1."))
    return problems


def _known(request: SizeRequest) -> tuple[Scenario, Book, date]:
    """Return the scenario, the book with its figures and the growth that was stated, and the day."""
    from breakeven.sources.catalogue import load_book
    from breakeven.sources.rate_cards import read_rate_cards
    from breakeven.sources.scenario import own_assumptions, parse_scenario, read_scenario

    book = load_book()
    path = Path(request.scenario) if request.scenario else None
    scenario, document = read_scenario(path) if path else parse_scenario("{}", "defaults")
    on = request.as_of or scenario.as_of or current_date()
    book = book.with_assumptions(own_assumptions(scenario, document, book, on))
    if request.growth_per_month is not None:
        book = book.with_assumptions([_stated_growth(book.assumption(GROWTH), request.growth_per_month, on)])
    folder = path.parent if path else Path()
    cards = [item for card in scenario.rate_cards for item in read_rate_cards(folder / card)]
    return scenario, book.with_prices(cards), on


def _stated_growth(known: Assumption, growth: float, on: date) -> Assumption:
    return replace(
        known,
        low=growth,
        likely=growth,
        high=growth,
        distribution="fixed",
        basis="user",
        as_of=on,
        source="--growth",
    )


def _context(  # noqa: PLR0917 - everything that was read, joined once
    request: SizeRequest,
    trace: Trace,
    known: Catalogue,
    scenario: Scenario,
    overflow: PriceList,
    deployments: Sequence[Deployment],
    on: date,
) -> Context:
    from breakeven.studies.verdict.context import Context, Targets
    from breakeven.studies.verdict.token_price import PricingDay
    from breakeven.studies.verdict.workload import Workload
    from breakeven.traffic.profile import profile

    boundaries = sorted(overflow.day_boundaries_s() - {0})
    seen: TrafficProfile = profile(
        trace, input_thresholds_tokens=sorted(overflow.thresholds_tokens()), day_boundaries_s=boundaries
    )
    today, today_model = _today(request, known.book, scenario, overflow)
    targets = Targets(
        today=today,
        others=() if today == overflow.target or today_model == overflow.open_model else (overflow.target,),
        open_models=tuple(dict.fromkeys(item.model.id for item in deployments)),
        today_model=today_model,
    )
    return Context(
        book=known.book.with_prices([overflow]),
        workload=Workload(profile=seen, total_tokens_per_month=scenario.traffic.total_tokens_per_month),
        roofline=known.roofline,
        scenario=scenario,
        targets=targets,
        day=PricingDay(on=on, boundaries_s=tuple(boundaries), timed=seen.times is not None),
    )


def _today(request: SizeRequest, book: Book, scenario: Scenario, overflow: PriceList) -> tuple[str, str]:
    """Return whose tokens the trace counts, as a target and as a model; the overflow's where nobody says."""
    named = request.today or scenario.today
    if named is None:
        return overflow.target, overflow.open_model or overflow.target
    if book.has_model(named):
        model = book.model(named).id
        return model, model
    prices = find_prices(book, named)
    return prices.target, scenario.today_is_open_model or prices.open_model or prices.target


def _pool(deployment: Deployment, scenario: Scenario, request: SizeRequest) -> Pool:
    """Return the node as a scenario's pool: one of the scenario's own, where it states the same node."""
    from breakeven.sources.scenario import Pool

    mine = (deployment.model.id, deployment.gpu.id, deployment.gpus)
    stated = next((item for item in scenario.pools if (item.model, item.gpu, item.gpus_per_node) == mine), None)
    known = stated.model_dump() if stated is not None else {"engine": deployment.engine}
    names = {"model": mine[0], "gpu": mine[1], "gpus_per_node": mine[2], "precision": deployment.precision}
    price = {} if request.usd_per_gpu_hour is None else {"usd_per_gpu_hour": str(request.usd_per_gpu_hour)}
    return Pool.model_validate(known | names | price)


def at_slo(request: SizeRequest, trace: Trace, deployment: Deployment, found: Sizing) -> tuple[Sizing, Pace]:
    """Return the sizing at the capacity within the SLO that was simulated, and the pace of the node that was."""
    keep_compiled()
    from breakeven.studies.hybrid.prepared import prepare
    from breakeven.studies.hybrid.requests import requests_of
    from breakeven.studies.hybrid.simulated import pace_as_served, slo_capacity_fraction

    requests = requests_of(found, trace, seed=request.seed)
    pace = pace_as_served(found, deployment, found.context.roofline, requests)
    share = slo_capacity_fraction(pace, requests, _slo(request))
    return prepare(found.question, found.context, capacity_fraction=share), pace


def _slo_runs(request: SizeRequest, trace: Trace, found: Sizing, pace: Pace) -> tuple[SloRun, ...]:
    from breakeven.studies.hybrid.requests import requests_of
    from breakeven.studies.hybrid.simulated import slo_runs

    return slo_runs(found, pace, requests_of(found, trace, seed=request.seed), _slo(request))


def _slo(request: SizeRequest) -> Slo:
    from breakeven.capacity.simulate import Api
    from breakeven.studies.hybrid.simulated import Slo

    assert request.slo_ttft_s is not None, "asked for only then"
    api = Api(ttft_s=request.overflow_ttft_s, tpot_s=request.overflow_tpot_s)
    return Slo(ttft_s=request.slo_ttft_s, api=api, seed=request.seed)
