"""The verdict: profile, book and scenario in; ranked options, break-even and the answer out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.economics.outcomes import paying_quality_loss_fraction
from breakeven.economics.sensitivity import likely_values
from breakeven.errors import InputError, NoPriceError
from breakeven.quantities import Interval
from breakeven.studies.verdict.answer import answer
from breakeven.studies.verdict.api_option import ApiOption, batch_price, price_traffic
from breakeven.studies.verdict.candidates import DEFAULT_MODELS, Candidate, pool_candidates, stated_candidate
from breakeven.studies.verdict.evaluate import (
    Corners,
    bases,
    corners_of,
    crossing,
    interval,
    line_results,
    nodes_of,
)
from breakeven.studies.verdict.gate import evidence, exclusions
from breakeven.studies.verdict.limits import limits_of, shown_assumptions
from breakeven.studies.verdict.pool_option import PoolOption, ServerlessOption
from breakeven.studies.verdict.result import Fact, OptionKind, OptionResult, Verdict
from breakeven.studies.verdict.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList
    from breakeven.records import TrafficProfile
    from breakeven.sources.scenario import Scenario

STALE_DAYS: Final = 90
"""A figure older than this warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What is compared, by name: resolved before the study, so that their prices are in the book."""

    today: str
    cheaper: tuple[str, ...]
    open_models: tuple[str, ...]
    today_model: str
    """What today's target serves: an open model's id, or the target itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    book: Book
    workload: Workload
    scenario: Scenario
    targets: Targets
    assumptions: Mapping[str, Interval]
    day_boundaries_s: tuple[int, ...]
    on: date


def verdict(
    profile: TrafficProfile,
    book: Book,
    scenario: Scenario,
    targets: Targets,
    *,
    day_boundaries_s: Sequence[int],
    on: date,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Compare every way to serve the profiled traffic, priced on one day.

    Raises ``NoPriceError`` when today's target has no price on that day, ``InputError`` when there is
    no volume.
    """
    context = _Context(
        book=book,
        workload=Workload(profile=profile, total_tokens_per_month=scenario.traffic.total_tokens_per_month),
        scenario=scenario,
        targets=targets,
        assumptions={key: item.interval for key, item in book.assumptions.items()},
        day_boundaries_s=tuple(day_boundaries_s),
        on=on,
    )
    dropped: list[str] = []
    apis = _api_options(context, dropped)
    pools = _pool_options(context, dropped)
    rivals = _rivals(apis)
    results = [_api_result(context, option) for option in apis]
    results += [_pool_result(context, candidate, rivals) for candidate in pools]
    today_usd = results[0].usd_per_month.likely
    results = [_with_quality_loss(item, today_usd) for item in results]
    ranked = tuple(sorted(results, key=_rank))
    return Verdict(
        scenario=scenario.name,
        as_of=on,
        profile=profile,
        volume_mtok_per_month=_volume(context),
        requests_per_month=_requests(context),
        options=ranked,
        answer=answer(ranked, context.workload, context.assumptions),
        assumptions=shown_assumptions(book, ranked, on, stale_days=STALE_DAYS),
        limits=limits_of(context.workload, book),
        warnings=(*warnings, *dropped),
    )


def default_models(scenario: Scenario, book: Book, today_model: str) -> tuple[str, ...]:
    """Return the open models to compare: those the scenario names, else the usual ones and today's own."""
    named = [book.model(name).id for name in scenario.consider if book.has_model(name)]
    named += [book.model(pool.model).id for pool in scenario.pools]
    if not named and not scenario.consider:
        named = [name for name in DEFAULT_MODELS if name in book.models]
    own = [today_model] if today_model in book.models else []
    return tuple(dict.fromkeys([*own, *named]))


def _api_options(context: _Context, dropped: list[str]) -> list[ApiOption]:
    """Return today's API first; raises where it has no price, and drops others that have none."""
    targets, book = context.targets, context.book
    today_list = book.price_list(targets.today)
    today = _api(context, today_list, "today", targets.today_model)
    options = [today, _api(context, today_list, "today-optimised", targets.today_model)]
    wanted: list[tuple[str, OptionKind, str]] = [(name, "api", _model_of(name, book)) for name in targets.cheaper]
    for model in targets.open_models:
        sold = {item.target for item in book.models[model].sold_as}
        sold |= {item.target for item in book.price_lists.values() if item.open_model == model}
        wanted += [(name, "open-model-api", model) for name in sorted(sold) if name in book.price_lists]
    best: dict[str, ApiOption] = {}
    for name, kind, model in wanted:
        if name == targets.today:
            continue
        try:
            option = _api(context, book.price_list(name), kind, model)
        except NoPriceError as error:
            dropped.append(f"left out: {error}")
            continue
        if option.standard.partial:
            dropped.append(f"{name} left out: it quotes no {' and no '.join(option.standard.partial)}")
            continue
        key = model if kind == "open-model-api" else name
        if key not in best or _likely_usd(option, context) < _likely_usd(best[key], context):
            best[key] = option
    return options + list(best.values())


def _api(context: _Context, price_list: PriceList, kind: OptionKind, model: str) -> ApiOption:
    assert kind in ("today", "today-optimised", "api", "open-model-api")
    cells, bounds = context.workload.profile.cells, context.day_boundaries_s
    standard = price_traffic(cells, price_list, bounds, on=context.on)
    if kind == "today" and standard.partial:
        missing = " and ".join(standard.partial)
        raise NoPriceError(f"{price_list.target} has no {missing} on {context.on}: its cost cannot be said.")
    prefix = {"today": "today", "today-optimised": "today-optimised", "api": "api", "open-model-api": "open-api"}[kind]
    names = {
        "today": f"{price_list.target}, as it is used now",
        "today-optimised": f"{price_list.target}, used better (cache, batch)",
        "api": f"{price_list.target}, another model on an API",
        "open-model-api": f"{model} by the token at {price_list.provider}",
    }
    return ApiOption(
        id=f"{prefix}:{price_list.target}",
        title=names[kind],
        kind=kind,  # type: ignore[arg-type]  # narrowed by the assert above
        model=model,
        price_list=price_list,
        workload=context.workload,
        standard=standard,
        batch=batch_price(cells, price_list, bounds, on=context.on),
        same_model=model == context.targets.today_model,
        target_is_today=price_list.target == context.targets.today,
    )


def _model_of(target: str, book: Book) -> str:
    sold = {item.target: model.id for model in book.models.values() for item in model.sold_as}
    return book.price_list(target).open_model or sold.get(target, target)


def _pool_options(context: _Context, dropped: list[str]) -> list[Candidate]:
    """Return, for each open model, the best configuration per GPU and way to buy it."""
    book, scenario = context.book, context.scenario
    found: list[Candidate] = []
    for name in context.targets.open_models:
        same = name == context.targets.today_model
        candidates = pool_candidates(
            book.models[name], book, context.workload, same_model=same, on=context.on, team_is_sunk=scenario.team_exists
        )
        if not candidates:
            dropped.append(
                f"{name} is not compared as self-hosted: no GPU has both a measured throughput at enough lengths and a "
                "current price. State yours under pools: in a scenario."
            )
        best: dict[tuple[str, str], Candidate] = {}
        for item in candidates:
            key = (item.option.gpu, item.option.purchase)
            if key not in best or _pool_usd(item, context) < _pool_usd(best[key], context):
                best[key] = item
        found += best.values()
    for pool in scenario.pools:
        model_id = book.model(pool.model).id
        found.append(
            stated_candidate(
                pool,
                book,
                context.workload,
                same_model=model_id == context.targets.today_model,
                on=context.on,
                team_is_sunk=scenario.team_exists,
            )
        )
    ids = [item.option.id for item in found]
    if len(ids) != len(set(ids)):
        raise InputError("two pools of the scenario are the same: give each another GPU, count or purchase.")
    return found


def _rivals(apis: Sequence[ApiOption]) -> list[ApiOption]:
    """Return what pools are measured against: today, and the same open model on an API."""
    return [option for option in apis if option.kind in ("today", "open-model-api")]


def _likely_usd(option: ApiOption, context: _Context) -> float:
    return option.bill(likely_values(context.assumptions)).usd_per_month


def _pool_usd(candidate: Candidate, context: _Context) -> float:
    values = likely_values(_with_price(context, candidate))
    return candidate.option.bill(values).usd_per_month


def _with_price(context: _Context, candidate: Candidate) -> dict[str, Interval]:
    return {**context.assumptions, candidate.price.key: candidate.price.interval}


def _api_result(context: _Context, option: ApiOption) -> OptionResult:
    corners = corners_of(option, context.assumptions)
    lists = option.price_list
    notes = [lists.note] if lists.note else []
    return _result(
        context,
        option,
        corners,
        kind=option.kind,
        excluded=exclusions(
            context.scenario.constraints,
            runs_on_own_nodes=False,
            weights_open=option.model in context.book.models,
            model=option.model,
            regions=lists.regions,
            compliance=lists.compliance,
        ),
        crossings=(),
        facts=(_fact(f"prices of {lists.target}", lists.source, lists.checked_on, context.on),),
        notes=tuple(notes),
    )


def _pool_result(context: _Context, candidate: Candidate, rivals: Sequence[ApiOption]) -> OptionResult:
    option = candidate.option
    assumptions = _with_price(context, candidate)
    corners = corners_of(option, assumptions)
    against = [rival for rival in rivals if rival.kind == "today" or rival.model == option.model]
    serverless = isinstance(option, ServerlessOption)
    kind: OptionKind = "serverless" if serverless else ("owned" if option.purchase == "owned" else "self-hosted")
    facts = [_fact(candidate.price.meaning, candidate.price.source, candidate.price_as_of, context.on)]
    if candidate.measured is not None:
        source = context.book.measurement_sources[candidate.measured.source]
        facts.append(_fact(f"throughput: {source.title}", source.url, candidate.measured.as_of, context.on))
    fit = option.service.fit_error_fraction
    notes = [f"throughput from {option.service.basis}" + (f", fit within {fit:.0%} (median)" if fit is not None else "")]
    if serverless:
        notes.append("break-even is not given: its bill grows with volume, it has no staircase")
    return _result(
        context,
        option,
        corners,
        kind=kind,
        excluded=exclusions(
            context.scenario.constraints,
            runs_on_own_nodes=not serverless,
            weights_open=True,
            model=option.model,
            regions=option.regions,
            compliance=option.compliance,
        ),
        crossings=()
        if serverless
        else tuple(crossing(option, rival, assumptions, context.workload) for rival in against),
        facts=tuple(facts),
        notes=tuple(notes),
    )


def _result(
    context: _Context,
    option: ApiOption | PoolOption,
    corners: Corners,
    *,
    kind: OptionKind,
    excluded: tuple[str, ...],
    crossings: tuple,
    facts: tuple[Fact, ...],
    notes: tuple[str, ...],
) -> OptionResult:
    ends = (corners.low, corners.likely, corners.high)
    months = [context.workload.month(values) for values in ends]
    usd = [option.bill(values).usd_per_month for values in ends]
    per_mtok = [total / month.volume_mtok for total, month in zip(usd, months, strict=True)]
    per_request = [total / month.requests for total, month in zip(usd, months, strict=True)]
    counted = context.workload.profile.moments.requests > 0
    return OptionResult(
        id=option.id,
        title=option.title,
        kind=kind,
        model=option.model,
        usd_per_month=interval(*usd),
        usd_per_mtok=Interval(low=min(per_mtok), likely=per_mtok[1], high=max(per_mtok)),
        usd_per_request=Interval(low=min(per_request), likely=per_request[1], high=max(per_request)) if counted else None,
        bases=bases(option, corners.likely, context.workload),
        lines=line_results(option, corners),
        nodes=nodes_of(option, corners) if isinstance(option, PoolOption) else None,
        quality=evidence(option.model, context.targets.today_model, context.book, context.scenario.quality),
        excluded_by=excluded,
        partial=option.bill(corners.likely).partial,
        paying_quality_loss_fraction=None,
        break_even=crossings,
        swings=corners.swings,
        facts=facts,
        notes=notes,
    )


def _with_quality_loss(item: OptionResult, today_usd: float) -> OptionResult:
    from dataclasses import replace  # noqa: PLC0415

    if item.quality.standing == "same model":
        return item
    loss = paying_quality_loss_fraction(item.usd_per_month.likely, today_usd=today_usd)
    return replace(item, paying_quality_loss_fraction=loss)


def _rank(item: OptionResult) -> tuple[bool, bool, float]:
    return (bool(item.excluded_by), item.quality.standing == "no evidence", item.usd_per_month.likely)


def _volume(context: _Context) -> Interval:
    return _spread(context, lambda values: context.workload.month(values).volume_mtok)


def _requests(context: _Context) -> Interval | None:
    if not context.workload.profile.moments.requests:
        return None
    return _spread(context, lambda values: context.workload.month(values).requests)


def _spread(context: _Context, figure) -> Interval:
    from breakeven.economics.sensitivity import corner, swings  # noqa: PLC0415

    moved = swings(figure, context.assumptions)
    ends = [corner(context.assumptions, moved, lowest=lowest) for lowest in (True, False)]
    likely = figure(likely_values(context.assumptions))
    return Interval(low=figure(ends[0]), likely=likely, high=figure(ends[1]))


def _fact(what: str, source: str, as_of: date | None, on: date) -> Fact:
    age = (on - as_of).days if as_of else None
    return Fact(what=what, source=source, as_of=as_of, age_days=age, stale=age is None or age > STALE_DAYS)
