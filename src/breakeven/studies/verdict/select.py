"""Which options are compared: builds them, keeps the best of each kind, and says what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.capacity.service import stated_service
from breakeven.catalog.assumptions import Assumption
from breakeven.errors import InputError, NoPriceError
from breakeven.studies.verdict.api_option import ApiKind, ApiOption
from breakeven.studies.verdict.candidates import Candidate, catalogue_candidates, stated_candidate
from breakeven.studies.verdict.elastic_option import ProvisionedOption
from breakeven.studies.verdict.token_price import patient_price, price_traffic

if TYPE_CHECKING:
    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList
    from breakeven.sources.scenario import Scenario
    from breakeven.studies.verdict.context import Context

DEFAULT_MODELS: Final = ("llama-3.3-70b", "gpt-oss-120b", "qwen3-235b-a22b", "llama-3.1-8b")
"""Open models compared when none is named: three weight classes of the large ones, and a small one."""

_PREFIX: Final[dict[ApiKind, str]] = {
    "today": "today",
    "today-optimised": "today-optimised",
    "api": "api",
    "open-model-api": "open-api",
}


def default_models(scenario: Scenario, book: Book, today_model: str) -> tuple[str, ...]:
    """Return the open models to compare: those the scenario names, else the usual ones and today's own."""
    named = [book.model(name).id for name in scenario.consider if book.has_model(name)]
    named += [book.model(pool.model).id for pool in scenario.pools]
    if not named and not scenario.consider:
        named = [name for name in DEFAULT_MODELS if name in book.models]
    own = [today_model] if today_model in book.models else []
    return tuple(dict.fromkeys([*own, *named]))


def api_options(context: Context) -> tuple[list[ApiOption], list[str]]:
    """Return today's API first, then the others that can be priced; and what was left out, why.

    See ``priced_apis``.
    """
    found, _, left_out = priced_apis(context)
    return found, left_out


def priced_apis(context: Context) -> tuple[list[ApiOption], dict[str, list[ApiOption]], list[str]]:
    """Return the APIs to compare, today's first; all sellers of each open model; and what was left out, why.

    Raises ``NoPriceError`` when today's own traffic cannot be priced on the day.
    """
    targets, book = context.targets, context.book
    today_list = book.price_list(targets.today)
    today = _api(context, today_list, "today", targets.today_model)
    if today.standard.partial:
        missing = " and ".join(today.standard.partial)
        raise NoPriceError(f"{today_list.target} has no {missing} on {context.on}: what it costs cannot be said.")
    optimised = _api(context, today_list, "today-optimised", targets.today_model)
    found, left_out = [today, optimised], list[str]()
    if optimised.patient is None and today.standard.plain_as_cached_usd == today.standard.plain_input_usd:
        found = [today]
        left_out.append(f"{targets.today} quotes no cached, batch or flex price: nothing to save there by price")
    best: dict[str, ApiOption] = {}
    sellers: dict[str, list[ApiOption]] = {}
    for name, kind, model in _wanted(context):
        try:
            option = _api(context, book.price_list(name), kind, model)
        except NoPriceError as error:
            left_out.append(f"left out: {error}")
            continue
        if option.standard.partial:
            left_out.append(f"{name} left out: it quotes no {' and no '.join(option.standard.partial)}")
            continue
        sellers.setdefault(model, []).append(option)
        # Of those who sell one open model the cheapest is shown; a target named by the user always is.
        key = model if kind == "open-model-api" else name
        if key not in best or _likely_usd(option, context) < _likely_usd(best[key], context):
            best[key] = option
    return [*found, *best.values()], sellers, left_out


def pool_options(context: Context) -> tuple[list[Candidate], list[str]]:
    """Return the best configuration per model, GPU and way to buy it, and every stated pool."""
    found: list[Candidate] = []
    left_out: list[str] = []
    for name in context.targets.open_models:
        candidates = catalogue_candidates(context.book.models[name], context)
        if not candidates and not any(context.book.model(pool.model).id == name for pool in context.scenario.pools):
            left_out.append(
                f"{name} is not compared as self-hosted: no GPU that it fits has a current price. "
                "State yours under pools: in a scenario."
            )
        best: dict[tuple[str, str], Candidate] = {}
        for item in candidates:
            # Of what is only estimated the cheapest is shown: its GPU is the first to measure.
            estimated = item.config is not None and item.config.measured is None
            key = ("estimated" if estimated else item.option.gpu, item.option.purchase)
            if key not in best or _pool_usd(item, context) < _pool_usd(best[key], context):
                best[key] = item
        found += best.values()
    found += [stated_candidate(pool, context) for pool in context.scenario.pools]
    found += [_provisioned(item, context) for item in context.book.price_lists.values() if item.provisioned]
    ids = [item.option.id for item in found]
    for repeated in {name for name in ids if ids.count(name) > 1}:
        raise InputError(
            f"two pools of the scenario are the same ({repeated}): vary the GPU, its count or the purchase."
        )
    return found, left_out


def _wanted(context: Context) -> list[tuple[str, ApiKind, str]]:
    """Return target, kind and model of every API to compare besides today's."""
    book, targets = context.book, context.targets
    sold = {item.target: model.id for model in book.models.values() for item in model.sold_as}
    named: list[tuple[str, ApiKind, str]] = [
        (name, "api", book.price_list(name).open_model or sold.get(name, name)) for name in targets.others
    ]
    for model in targets.open_models:
        sellers = {item.target for item in book.models[model].sold_as}
        sellers |= {item.target for item in book.price_lists.values() if item.open_model == model}
        named += [(name, "open-model-api", model) for name in sorted(sellers) if name in book.price_lists]
    return [item for item in named if item[0] != targets.today and not book.price_list(item[0]).provisioned]


def _api(context: Context, price_list: PriceList, kind: ApiKind, model: str) -> ApiOption:
    cells = context.workload.profile.cells
    titles: dict[ApiKind, str] = {
        "today": f"{price_list.target}, as it is used now",
        "today-optimised": f"{price_list.target}, used better (cache, batch, trim)",
        "api": f"{price_list.target}, another target",
        "open-model-api": f"{model} by the token at {price_list.provider}",
    }
    return ApiOption(
        id=f"{_PREFIX[kind]}:{price_list.target}",
        title=titles[kind],
        kind=kind,
        model=model,
        price_list=price_list,
        workload=context.workload,
        standard=price_traffic(cells, price_list, context.day),
        patient=patient_price(cells, price_list, context.day),
        same_model=context.same_model(model),
        target_is_today=price_list.target == context.targets.today,
        tuning=context.scenario.tuning,
    )


def _provisioned(item: PriceList, context: Context) -> Candidate:
    """Return reserved throughput of a local rate card as an option of whole units."""
    unit = item.provisioned
    assert unit is not None
    assert item.checked_on is not None
    model = item.open_model or item.target
    hourly_usd = float(unit.usd_per_unit_hour)
    option = ProvisionedOption(
        id=f"provisioned:{item.target}",
        title=f"{item.target}, provisioned units",
        model=model,
        gpu="provisioned unit",
        gpus_per_node=1,
        precision="fp8",
        engine=item.provider,
        purchase="provisioned",
        provider=item.provider,
        parameters=0,
        service=stated_service(output_tokens_per_s=unit.unit_output_tokens_per_s, basis=item.source),
        workload=context.workload,
        same_model=context.same_model(model),
        min_nodes=unit.min_units,
        regions=item.regions,
        compliance=item.compliance,
        unit_usd_per_hour=hourly_usd,
    )
    price = Assumption(
        key="unit_usd_per_hour",
        meaning=f"price of one provisioned unit of {item.target}",
        unit="USD/hour",
        low=hourly_usd,
        likely=hourly_usd,
        high=hourly_usd,
        distribution="fixed",
        basis="user",
        as_of=item.checked_on,
        source=item.source,
    )
    return Candidate(option=option, price=price, pricing=option.id, config=None)


def _likely_usd(option: ApiOption, context: Context) -> float:
    return float(option.bill(context.likely()).usd_per_month)


def _pool_usd(candidate: Candidate, context: Context) -> float:
    values = {**context.likely(), **{item.key: item.likely for item in candidate.own}}
    return float(candidate.option.bill(values).usd_per_month)
