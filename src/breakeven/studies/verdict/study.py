"""The verdict: profile, book and scenario in; ranked options, break-even and the answer out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from breakeven.economics.outcomes import paying_quality_loss_fraction
from breakeven.economics.sensitivity import swings
from breakeven.studies.verdict.ahead import bills_ahead
from breakeven.studies.verdict.answer import answer, may_be_recommended
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.configs import memory_of
from breakeven.studies.verdict.context import Context
from breakeven.studies.verdict.elastic_option import ProvisionedOption, ServerlessOption
from breakeven.studies.verdict.evaluate import bases, crossing, lever_bill, line_results, nodes_of, spread
from breakeven.studies.verdict.gate import evidence, weaker
from breakeven.studies.verdict.hybrid_break_even import hybrid_crossings
from breakeven.studies.verdict.hybrid_candidates import (
    api_exclusions,
    hybrid_candidates,
    hybrid_exclusions,
    pool_exclusions,
)
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.hybrid_result import overflow_of
from breakeven.studies.verdict.limits import limits_of, shown_assumptions
from breakeven.studies.verdict.observed import with_observed
from breakeven.studies.verdict.outlook import Contender, outlook
from breakeven.studies.verdict.result import CrossingResult, Fact, OptionKind, OptionResult, Verdict
from breakeven.studies.verdict.select import pool_options, priced_apis
from breakeven.studies.verdict.shadowed import with_shadowed
from breakeven.studies.verdict.success import SuccessRates, success_notes, weights_of
from breakeven.studies.verdict.token_price import PricingDay
from breakeven.studies.verdict.tuning import UNPRICED
from breakeven.studies.verdict.turning import turning_points
from breakeven.studies.verdict.workload import Workload
from breakeven.studies.verdict.worlds import Chance, Worlds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from breakeven.catalog.rate_card import PriceList
    from breakeven.quantities import Interval
    from breakeven.records import TrafficProfile
    from breakeven.sources.scenario import Scenario
    from breakeven.studies.verdict.candidates import Candidate
    from breakeven.studies.verdict.configs import Config
    from breakeven.studies.verdict.context import Catalogue, Targets
    from breakeven.studies.verdict.evaluate import Case, Option
    from breakeven.studies.verdict.hybrid_candidates import HybridCandidate
    from breakeven.studies.verdict.pool_option import PoolOption

DEFAULT_CHANCE: Final = Chance()
STALE_DAYS: Final = 90
"""A figure older than this warns."""


def verdict(
    profile: TrafficProfile,
    catalogue: Catalogue,
    scenario: Scenario,
    targets: Targets,
    *,
    day_boundaries_s: Sequence[int],
    on: date,
    warnings: Sequence[str] = (),
    chance: Chance = DEFAULT_CHANCE,
) -> Verdict:
    """Compare every way to serve the profiled traffic, priced on one day.

    ``day_boundaries_s`` are those with which the profile's price cells were cut.  Raises
    ``NoPriceError`` when today's target has no price on that day, ``InputError`` when there is no
    volume or a stated pool cannot work.
    """
    day = PricingDay(on=on, boundaries_s=tuple(day_boundaries_s), timed=profile.times is not None)
    context = _context(profile, catalogue, scenario, targets, day)
    apis, sellers, unpriced = priced_apis(context)
    pools, unmeasured = pool_options(context)
    hybrids, unheld = hybrid_candidates(context, pools, sellers, apis[0])
    worlds = Worlds.draw(context, pools, chance)
    bought = [worlds.case(api) for api in apis]
    run = _running(context, worlds, pools, hybrids, bought)
    results = [*(_api_result(context, case) for case in bought), *(result for _, result in run)]
    cases = {case.option.id: case for case in (*bought, *(case for case, _ in run))}
    rates = SuccessRates.drawn(context, chance)
    ranked = _ranked(results, cases, rates, context)
    contenders = _contenders(ranked, cases, rates)
    own = {item.option.id: item.own for item in pools} | {item.option.id: item.nodes.own for item in hybrids}
    turns = turning_points(
        [(item.case.option, context.with_own(own.get(item.result.id, ()))) for item in contenders if item.allowed],
        weights_of(ranked),
    )
    seen = outlook(contenders, bought[0], context.workload, seed=chance.seed)
    said = answer(ranked, context, turns, seen)
    told = success_notes(rates, ranked, context)
    ahead = dict.fromkeys((bought[0].option.id, said.recommended, seen.leading_pool))
    month, months = context.workload.month(worlds.likely), context.workload.month(worlds.shared)
    return Verdict(
        scenario=scenario.name,
        as_of=on,
        profile=profile,
        volume_mtok_per_month=spread(months.volume_mtok, month.volume_mtok),
        requests_per_month=spread(months.requests, month.requests) if profile.moments.requests else None,
        options=ranked,
        answer=said,
        outlook=seen,
        forecast=bills_ahead([cases[name] for name in ahead if name], context.workload, catalogue.book, chance),
        turning_points=turns,
        assumptions=shown_assumptions(context.book, ranked, on, stale_days=STALE_DAYS),
        limits=limits_of(context.workload, context.book),
        warnings=(*warnings, *_backdated(apis, on), *unpriced, *unmeasured, *unheld, *_unpriced_tuning(ranked), *told),
    )


def _context(
    profile: TrafficProfile, catalogue: Catalogue, scenario: Scenario, targets: Targets, day: PricingDay
) -> Context:
    return Context(
        book=with_observed(with_shadowed(catalogue.book, catalogue.shadowed), profile),
        roofline=catalogue.roofline,
        workload=Workload(profile=profile, total_tokens_per_month=scenario.traffic.total_tokens_per_month),
        scenario=scenario,
        targets=targets,
        day=day,
        shadowed=catalogue.shadowed,
        succeeded=catalogue.succeeded,
    )


def _ranked(
    results: Sequence[OptionResult], cases: Mapping[str, Case], rates: SuccessRates | None, context: Context
) -> tuple[OptionResult, ...]:
    """Return results from the best down, with what a success costs where that is known; today's comes first here."""
    today_usd = results[0].usd_per_month.likely
    found = (_with_quality_loss(item, today_usd) for item in results)
    if rates is not None:
        found = (rates.with_success(cases[item.id], item, context) for item in found)
    return tuple(sorted(found, key=_rank))


def _contenders(
    ranked: Sequence[OptionResult], cases: Mapping[str, Case], rates: SuccessRates | None
) -> list[Contender]:
    return [
        Contender(
            case=cases[item.id],
            result=item,
            allowed=may_be_recommended(item),
            success_fraction=1.0 if rates is None else rates.of(cases[item.id].option).drawn,
        )
        for item in ranked
        if not item.excluded_by and not item.partial
    ]


def _running(
    context: Context,
    worlds: Worlds,
    pools: Sequence[Candidate],
    hybrids: Sequence[HybridCandidate],
    bought: Sequence[Case],
) -> list[tuple[Case, OptionResult]]:
    """Return the options that run a model in every world, and their results; ``bought`` are those to compare with."""
    found = []
    for candidate in pools:
        case = worlds.case(candidate.option, candidate)
        found.append((case, _pool_result(context, candidate, case, bought)))
    for item in hybrids:
        case = worlds.case(item.option, item.nodes)
        found.append((case, _hybrid_result(context, item.nodes, case, bought)))
    return found


def _backdated(apis: Sequence[ApiOption], on: date) -> list[str]:
    """Warn where prices that carry no start were read after the day for which they are used."""
    lists = {api.price_list.target: api.price_list for api in apis}.values()
    return [
        f"the price of {item.target} was read on {item.checked_on} and carries no start: on {on} it may have differed"
        for item in lists
        if item.checked_on and item.checked_on > on
        if not any(entry.starts_on for entry in item.entries if entry.processing == "standard")
    ]


def _api_result(context: Context, case: Case) -> OptionResult:
    option = case.option
    assert isinstance(option, ApiOption)
    prices = option.price_list
    return _result(
        context,
        case,
        context.assumptions,
        kind=option.kind,
        excluded=api_exclusions(context, option),
        crossings=(),
        facts=(_price_fact(prices, context),),
        notes=(prices.note,) if prices.note else (),
    )


def _price_fact(prices: PriceList, context: Context) -> Fact:
    return _fact(f"prices of {prices.target}", prices.source, prices.checked_on, context.on)


def _pool_result(context: Context, candidate: Candidate, case: Case, bought: Sequence[Case]) -> OptionResult:
    option = candidate.option
    serverless = isinstance(option, ServerlessOption)
    own_nodes = not isinstance(option, ServerlessOption | ProvisionedOption)
    rivals = [rival for rival in bought if _is_rival(rival.option, option.model)]
    crossings = () if serverless else tuple(crossing(case, rival) for rival in rivals)
    notes = _pool_notes(context, candidate)
    if serverless:
        notes.append("no break-even is given: the bill follows the volume, it has no staircase")
    return _result(
        context,
        case,
        context.with_own(candidate.own),
        kind=_kind(option),
        excluded=pool_exclusions(context, option, runs_on_own_nodes=own_nodes),
        crossings=crossings,
        facts=tuple(_pool_facts(context, candidate)),
        notes=tuple(notes),
    )


def _hybrid_result(context: Context, candidate: Candidate, case: Case, bought: Sequence[Case]) -> OptionResult:
    option = case.option
    assert isinstance(option, HybridOption)
    rivals = [rival for rival in bought if _is_rival(rival.option, option.model)]
    target = option.api.price_list
    return _result(
        context,
        case,
        context.with_own(candidate.own),
        kind="hybrid",
        excluded=hybrid_exclusions(context, option),
        crossings=hybrid_crossings(case, rivals),
        facts=(*_pool_facts(context, candidate), _price_fact(target, context)),
        notes=(
            *_pool_notes(context, candidate),
            f"what the nodes cannot carry goes to {target.target} by the token, which stands by in place of a node",
        ),
    )


def _pool_facts(context: Context, candidate: Candidate) -> list[Fact]:
    price = candidate.price
    return [
        _fact(price.meaning, price.source, price.as_of, context.on),
        *_throughput_facts(context, candidate.config),
    ]


def _pool_notes(context: Context, candidate: Candidate) -> list[str]:
    service = candidate.option.service
    fit = service.fit_error_fraction
    basis = f"throughput: {service.basis}" + (f", fitted within {fit:.0%} (median)" if fit is not None else "")
    return [basis, *_memory_notes(context, candidate)]


def _memory_notes(context: Context, candidate: Candidate) -> list[str]:
    """Say what the memory of one copy of the model holds at the traffic's joint lengths."""
    config, option = candidate.config, candidate.option
    if config is None:
        return []
    memory = memory_of(
        context.book.models[option.model],
        context.book.gpus[config.gpu],
        gpus=config.gpus,
        precision=config.precision,
        context=context,
    )
    if not memory.fits:
        return [f"memory: {'; '.join(memory.reasons)}"]
    taken = f"{memory.weights_gb:,.0f} GB of weights in {memory.usable_gb:,.0f} GB usable"
    held = f"{memory.kv_gb:.2f} GB of KV cache a request in flight"
    return [f"memory: {taken}, {held}: room for {memory.concurrent_requests:,} at once"]


def _throughput_facts(context: Context, config: Config | None) -> list[Fact]:
    """Return what a pool's throughput rests on: a measurement, or the roofline."""
    if config is None:
        return []
    if config.measured is not None:
        source = context.book.measurement_sources[config.measured.source]
        return [_fact(f"throughput: {source.title}", source.url, config.measured.as_of, context.on)]
    if config.band is not None:
        return [_fact("throughput: estimated, not measured", config.band.source, config.band.as_of, context.on)]
    return []


def _is_rival(option: Option, model: str) -> bool:
    """Whether break-even is solved against it: today's API, and the same open model by the token."""
    assert isinstance(option, ApiOption)
    return option.kind in ("today", "today-optimised") or (option.kind == "open-model-api" and option.model == model)


def _kind(option: PoolOption) -> OptionKind:
    if isinstance(option, ServerlessOption):
        return "serverless"
    if isinstance(option, ProvisionedOption):
        return "provisioned"
    return "owned" if option.purchase == "owned" else "self-hosted"


def _result(
    context: Context,
    case: Case,
    assumptions: Mapping[str, Interval],
    *,
    kind: OptionKind,
    excluded: tuple[str, ...],
    crossings: tuple[CrossingResult, ...],
    facts: tuple[Fact, ...],
    notes: tuple[str, ...],
) -> OptionResult:
    option, workload = case.option, context.workload
    stated = context.scenario.quality
    models = {option.model: None} | ({option.api.model: None} if isinstance(option, HybridOption) else {})
    likely, drawn = case.likely_bill, case.drawn_bill
    month, months = workload.month(case.likely), workload.month(case.drawn)
    usd, all_usd = likely.usd_per_month, drawn.usd_per_month
    return OptionResult(
        id=option.id,
        title=option.title,
        kind=kind,
        model=option.model,
        usd_per_month=spread(all_usd, usd),
        usd_per_mtok=spread(all_usd / months.volume_mtok, usd / month.volume_mtok),
        usd_per_request=spread(all_usd / months.requests, usd / month.requests)
        if workload.profile.moments.requests
        else None,
        bases=bases(option, case.likely, workload),
        lines=line_results(likely, drawn),
        nodes=None if isinstance(option, ApiOption) else nodes_of(option, case),
        overflow=overflow_of(option, case) if isinstance(option, HybridOption) else None,
        quality=weaker(
            [evidence(model, context.targets.today_model, context.book, stated, context.shadowed) for model in models]
        ),
        excluded_by=excluded,
        partial=likely.partial,
        paying_quality_loss_fraction=None,
        break_even=crossings,
        levers=lever_bill(case),
        swings=swings(lambda values: option.bill(values).usd_per_month, assumptions),
        facts=facts,
        notes=notes,
    )


def _with_quality_loss(item: OptionResult, today_usd: float) -> OptionResult:
    if item.quality.standing == "same model":
        return item
    loss = paying_quality_loss_fraction(item.usd_per_month.likely, today_usd=today_usd)
    return replace(item, paying_quality_loss_fraction=loss)


def _rank(item: OptionResult) -> tuple[bool, bool, bool, float]:
    unproven = item.quality.standing == "no evidence"
    return bool(item.excluded_by), unproven, bool(item.partial), item.ranking_usd


def _unpriced_tuning(results: Sequence[OptionResult]) -> list[str]:
    """Warn where a price is missing without which no API can be recommended, nor enter the draws."""
    count = sum(UNPRICED in item.partial for item in results)
    if not count:
        return []
    missing = "what their provider asks for training is not known. Give tuning.api_training_usd_per_mtok"
    return [f"{count} options that buy tokens are not in the draws and are not recommended: {missing}"]


def _fact(what: str, source: str, as_of: date | None, on: date) -> Fact:
    age = (on - as_of).days if as_of else None
    return Fact(what=what, source=source, as_of=as_of, age_days=age, stale=age is None or age > STALE_DAYS)
