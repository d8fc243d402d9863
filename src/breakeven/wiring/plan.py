"""Joins what a plan needs: reads inputs, builds the book, runs studies, knows what day it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.errors import InputError, MissingExtraError, UnknownNameError
from breakeven.wiring.clock import current_date, current_moment
from breakeven.wiring.traffic_read import read_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList
    from breakeven.records import TrafficProfile
    from breakeven.sources.scenario import Scenario
    from breakeven.studies.catalogue import CatalogueRow, Section
    from breakeven.studies.claims import ClaimResult
    from breakeven.studies.verdict.context import Targets
    from breakeven.studies.verdict.result import Verdict
    from breakeven.studies.verdict.shadowed import Shadowed
    from breakeven.studies.verdict.succeeded import Succeeded
    from breakeven.traffic.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What a person asked ``plan`` for, before anything is read."""

    files: tuple[str | Path, ...] = ()
    scenario: str | Path | None = None
    today: str | None = None
    consider: tuple[str, ...] = ()
    as_of: date | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    tolerate_fraction: float = 0.05
    calibrations: tuple[str | Path, ...] = ()
    """What ``breakeven bench --save`` measured; it takes the place of the catalogue's measurements of the same."""

    progress: Callable[[float], None] | None = None
    """Told the share of the traffic that is summed up, from another thread too."""

    shadow: str | None = None
    """``ledger:FOLDER`` whose pairs of answers count; None: those of the ledger that is planned for, if it is one."""


def require_plan_extra() -> None:
    """Raise ``MissingExtraError`` unless the packages for planning are installed."""
    missing = [name for name in ("ibis", "duckdb", "numpy", "pyarrow") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"This command needs {', '.join(missing)}, which the core install leaves out (they take hundreds of MB). "
            "Install them with: pip install 'breakeven[plan]'"
        )


def run_plan(request: PlanRequest) -> Verdict:
    """Read everything a plan needs, then compute it."""
    _check_tolerance(request)
    require_plan_extra()
    from breakeven.sources.roofline import load_roofline
    from breakeven.sources.rules import load_rules
    from breakeven.studies.rule_facts import computed_of, facts_of
    from breakeven.studies.rules import judge_rules
    from breakeven.studies.verdict.context import Catalogue
    from breakeven.studies.verdict.study import verdict

    scenario, book, on = _known(request)
    stated = _stated_traffic(request, scenario)
    trace = _read(request) if stated is None else None
    today = scenario.today or _dominant_model(trace, named_by_target=_is_ledger(request))
    targets, book = resolve_targets(scenario, book, today)
    lists = book.price_lists.values()
    boundaries = sorted({second for item in lists for second in item.day_boundaries_s()} - {0})
    profile, warnings = (stated, list[str]())
    if trace is not None:
        profile, warnings = _profile(trace, lists, boundaries, request.progress)
    assert profile is not None, "there is either a trace or a stated profile"
    known = Catalogue(book=book, roofline=load_roofline(), succeeded=_succeeded(request, targets, book))
    known = replace(known, shadowed=_shadowed(request, targets, book))
    result = verdict(profile, known, scenario, targets, day_boundaries_s=boundaries, on=on, warnings=warnings)
    rules = judge_rules(facts_of(result, scenario), load_rules(), computed_of(result))
    return replace(result, rules=rules, warnings=(*result.warnings, *_beside_paid(result, trace)))


def run_profile(request: PlanRequest) -> tuple[TrafficProfile, list[str]]:
    """Read a traffic and sum it up; returns with it what was understood and what cannot be known."""
    _check_tolerance(request)
    require_plan_extra()
    if not request.files:
        raise InputError("There is no traffic to look at. Give a trace, a log or a bill: breakeven profile FILE.")
    return _profile(_read(request), (), (), request.progress)


def _check_tolerance(request: PlanRequest) -> None:
    if not 0 <= request.tolerate_fraction <= 1:
        raise InputError(
            f"--tolerate {request.tolerate_fraction:g} is no share: write it between 0 and 1, such as 0.2 for a fifth."
        )


def _known(request: PlanRequest) -> tuple[Scenario, Book, date]:
    """Return the scenario with what the request says, the book with its figures and prices, and the day."""
    from breakeven.sources.catalogue import load_book
    from breakeven.sources.scenario import own_assumptions, parse_scenario, read_scenario

    book = load_book()
    scenario, document = read_scenario(Path(request.scenario)) if request.scenario else parse_scenario("{}", "defaults")
    on = request.as_of or scenario.as_of or current_date()
    book = book.with_assumptions(own_assumptions(scenario, document, book, on))
    said = {"today": request.today or scenario.today, "consider": (*scenario.consider, *request.consider)}
    folder = Path(request.scenario).parent if request.scenario else Path()
    book = _calibrated(book.with_prices(_local_cards(scenario, folder)), request.calibrations)
    return scenario.model_copy(update=said), book, on


def _calibrated(book: Book, paths: Iterable[str | Path]) -> Book:
    """Return the book with what was measured here.  Raises ``InputError`` for hardware that no catalogue prices."""
    from breakeven.capacity.calibration import with_calibration
    from breakeven.sources.calibration import read_calibration

    for path in paths:
        calibration = read_calibration(Path(path))
        if calibration.gpu is None:
            raise InputError(
                f"{path} was measured on {calibration.hardware!r}, which is no GPU of the catalogue, so a plan cannot "
                "price it. Measure with --pool 2xH100:llama-3.3-70b:fp8:vllm, say, or state the pool's throughput and "
                "price in a scenario."
            )
        book = with_calibration(book, calibration)
    return book


def _stated_traffic(request: PlanRequest, scenario: Scenario) -> TrafficProfile | None:
    """Return the traffic that the scenario states; raises where there is none at all, or twice."""
    from breakeven.sources.scenario import stated_profile

    stated = stated_profile(scenario)
    if not request.files and stated is None:
        raise InputError(
            "There is no traffic to plan for. Give a trace, a log or a bill (breakeven plan FILE), or state "
            "traffic.input_tokens_per_month and traffic.output_tokens_per_month in a scenario (--scenario FILE)."
        )
    if request.files and stated is not None:
        raise InputError(
            "The traffic is given twice: in a file and as totals in the scenario. Keep one; "
            "traffic.total_tokens_per_month scales a file to another volume."
        )
    return stated


def _beside_paid(result: Verdict, trace: Trace | None) -> list[str]:
    """Set what a cost report says was paid beside what the same tokens cost at the prices of the plan."""
    if trace is None or trace.paid_usd is None:
        return []
    today = next(item for item in result.options if item.kind == "today")
    priced = sum(item.value for line in today.lines for item in line.inputs if item.name == "observed_usd")
    paid = float(trace.paid_usd)
    ratio = f", {priced / paid:.0%} of it" if paid else ""
    told = f"the cost report says that {paid:,.2f} USD were paid in the time observed; at the prices of this plan the "
    told += f"same tokens cost {priced:,.2f} USD{ratio}. Discounts and other services make the difference"
    return [told]


def resolve_targets(scenario: Scenario, book: Book, today: str) -> tuple[Targets, Book]:
    """Find every target that the plan compares, and put its prices into the book."""
    from breakeven.studies.verdict.context import Targets
    from breakeven.studies.verdict.select import default_models

    first = find_prices(book, today)
    sold = {item.target: model.id for model in book.models.values() for item in model.sold_as}
    known = next((book.model(name).id for name in (today, first.model) if book.has_model(name)), None)
    today_model = scenario.today_is_open_model or first.open_model or sold.get(first.target) or known or first.target
    if scenario.today_is_open_model:
        today_model = book.model(scenario.today_is_open_model).id
    own = book.api_models.get(first.target)
    others = [own.cheaper] if own and own.cheaper and not scenario.consider else []
    others += [name for name in scenario.consider if not book.has_model(name)]
    models = default_models(scenario, book, today_model)
    lists = [first, *(find_prices(book, name) for name in others)]
    for model in models:
        for item in book.models[model].sold_as:
            try:
                lists.append(find_prices(book, item.target))
            except UnknownNameError:
                continue  # the price source of this install no longer knows that seller
    targets = Targets(
        today=first.target,
        others=tuple(item.target for item in lists[1 : 1 + len(others)]),
        open_models=models,
        today_model=today_model,
    )
    return targets, book.with_prices(lists)


def find_prices(book: Book, name: str) -> PriceList:
    """Find a target's prices: local rate cards first, then genai-prices."""
    from breakeven.sources import genai

    for target, prices in book.price_lists.items():
        if name.lower() in (target.lower(), prices.model.lower()):
            return prices
    return genai.price_list(name)


def run_claims(path: Path | None = None) -> tuple[ClaimResult, ...]:
    """Recompute the published claims, or those of a user's file."""
    from breakeven.sources.catalogue import load_book
    from breakeven.sources.claims import read_claims
    from breakeven.studies.claims import check_claims

    return check_claims(read_claims(path), load_book())


def catalogue_rows(section: Section, search: str | None) -> tuple[CatalogueRow, ...]:
    """Return the rows of one section of the catalogue."""
    from breakeven.sources import genai
    from breakeven.sources.catalogue import load_book
    from breakeven.studies.catalogue import priced_rows, rows

    if section != "prices":
        return rows(section, load_book(), current_date(), search)
    wanted = [name for name in genai.known_targets() if search is None or search.lower() in name.lower()]
    return priced_rows((genai.exact_price_list(name) for name in wanted), current_moment(), None)


def two_weeks() -> tuple[Path, ...]:
    """Return the bundled rates of two weeks of a production service."""
    require_plan_extra()
    from breakeven.traffic.sample import two_weeks_paths

    return two_weeks_paths()


def sample_trace() -> Path:
    """Return the bundled hour of a production chat trace."""
    from breakeven.traffic.sample import sample_path

    return sample_path()


def _local_cards(scenario: Scenario, folder: Path) -> list[PriceList]:
    from breakeven.sources.rate_cards import read_rate_cards

    return [item for path in scenario.rate_cards for item in read_rate_cards(folder / path)]


def _is_ledger(request: PlanRequest) -> bool:
    from breakeven.wiring.ledger_trace import is_ledger

    return any(is_ledger(item) for item in request.files)


def _succeeded(request: PlanRequest, targets: Targets, book: Book) -> tuple[Succeeded, ...] | None:
    """Return what a ledger knows of outcomes, by model; None where the traffic is from elsewhere."""
    if not _is_ledger(request):
        return None
    from breakeven.wiring.plan_success import ledger_success

    return ledger_success(request.files[0], targets, book)


def _shadowed(request: PlanRequest, targets: Targets, book: Book) -> tuple[Shadowed, ...]:
    """Return what pairs of answers say of other models: of the ledger that is named for that, or planned for."""
    from breakeven.wiring.ledger_trace import is_ledger

    if request.shadow is not None and not is_ledger(request.shadow):
        raise InputError(f"--shadow {request.shadow[:80]}: name a ledger with pairs of answers, as ledger:FOLDER.")
    name = request.shadow or (request.files[0] if _is_ledger(request) else None)
    if name is None:
        return ()
    from breakeven.wiring.plan_shadow import ledger_shadowed

    return ledger_shadowed(name, targets, book)


def _profile(
    trace: Trace, lists: Iterable[PriceList], boundaries: Sequence[int], progress: Callable[[float], None] | None
) -> tuple[TrafficProfile, list[str]]:
    from breakeven.traffic.profile import profile

    thresholds = sorted({tokens for item in lists for tokens in item.thresholds_tokens()})
    found = profile(trace, input_thresholds_tokens=thresholds, day_boundaries_s=boundaries, progress=progress)
    return found, [*trace.notes, *found.notes, *(str(problem) for problem in trace.problems)]


def _dominant_model(trace: Trace | None, *, named_by_target: bool = False) -> str:
    """Return the model that most tokens went to, where the log names it.

    A ledger's models have names of the gateway's own; what they are sold as stands with the target.
    """
    from breakeven.traffic.dominant import dominant_model
    from breakeven.wiring.ledger_trace import dominant_target

    target = dominant_target(trace) if trace is not None and named_by_target else None
    named = target or (dominant_model(trace) if trace is not None else None)
    if named is None:
        raise InputError(
            "The traffic does not say what serves it now, so there is nothing to compare with. "
            "Name it: --today gpt-4o (or today: in the scenario)."
        )
    return named


def _read(request: PlanRequest) -> Trace:
    return read_traffic(
        request.files, columns=request.columns, zone=request.zone, tolerate_fraction=request.tolerate_fraction
    )
