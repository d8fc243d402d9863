"""The ways to run a model on GPUs: those that the catalogue has measured and priced, and stated ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.capacity.estimate import Deployment
from breakeven.capacity.memory import weights_fit, weights_gb
from breakeven.catalog.assumptions import Assumption, Basis
from breakeven.errors import InputError
from breakeven.studies.verdict.configs import (
    Config,
    estimated_config,
    estimated_configs,
    measured_configs,
    memory_of,
    user_service,
)
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.node_cost import CAPITAL_KEY, PRICE_KEY
from breakeven.studies.verdict.pool_option import PoolOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from breakeven.catalog.hardware import Gpu, OwnedNode, Purchase, Rental
    from breakeven.catalog.models import OpenModel
    from breakeven.sources.scenario import Pool
    from breakeven.studies.verdict.context import Context

MAX_OFFER_AGE_DAYS: Final = 400
"""Older offers are left out of a price interval; the catalogue still shows them."""

_MARKET: Final[tuple[Purchase, ...]] = ("on-demand", "spot", "serverless")
"""Ways to buy whose price is the day's; a reserved or owned node costs what was agreed."""

_RENTED: Final[tuple[Purchase, ...]] = ("on-demand", "reserved", "spot", "serverless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An option with the assumptions that are its own: the price of its nodes, and how sure its throughput is.

    ``pricing`` names what the price is of: options of one name pay the same price in every world that is drawn.
    """

    option: PoolOption
    price: Assumption
    pricing: str
    config: Config | None

    @property
    def own(self) -> tuple[Assumption, ...]:
        """The assumptions that hold for this option alone, or mean something else for it."""
        band = self.config.band if self.config else None
        return (self.price, band) if band else (self.price,)


def catalogue_candidates(model: OpenModel, context: Context) -> list[Candidate]:
    """Return every way to run ``model`` that the catalogue prices, as measured; where nobody measured, estimated."""
    measured = measured_configs(model, context)
    seen = {config.gpu for config in measured}
    unseen = [gpu for gpu in context.book.gpus.values() if gpu.id not in seen]
    estimated = estimated_configs(model, unseen, context)
    return [item for config in (*measured, *estimated) for item in _priced(model, config, context)]


def stated_candidate(pool: Pool, context: Context) -> Candidate:
    """Return the pool that a scenario describes in its own figures.

    Raises ``InputError`` when the model does not fit, or its price is not known.
    """
    model, gpu = context.book.model(pool.model), context.book.gpu(pool.gpu)
    config = _stated_config(pool, model, gpu, context)
    kind = ServerlessOption if pool.purchase == "serverless" else PoolOption
    option = kind(
        id=f"{pool.purchase}:{model.id}:{pool.gpus_per_node}x{gpu.id}:stated",
        title=f"{model.name} on {pool.gpus_per_node}x {gpu.name}, {pool.purchase} (your figures)",
        model=model.id,
        gpu=gpu.id,
        gpus_per_node=pool.gpus_per_node,
        precision=config.precision,
        engine=config.engine,
        purchase=pool.purchase,
        provider=pool.price_source,
        parameters=model.total_parameters,
        service=config.service,
        workload=context.workload,
        same_model=context.same_model(model.id),
        min_nodes=pool.min_nodes,
        node_power_w=pool.node_power_w or gpu.tdp_w * pool.gpus_per_node,
        modelled_tco=pool.purchase == "owned" and pool.node_usd is None,
        price_moves=pool.purchase in _MARKET and pool.usd_per_gpu_hour is None,
        hardware_is_sunk=pool.already_owned,
        team_is_sunk=context.scenario.team_exists,
        tuning=context.scenario.tuning,
        active_parameters=model.active_parameters,
        gpu_tflops=gpu.bf16_tflops,
        regions=pool.regions,
        compliance=pool.compliance,
    )
    return Candidate(option=option, price=_stated_price(pool, gpu, context), pricing=option.id, config=config)


def _stated_config(pool: Pool, model: OpenModel, gpu: Gpu, context: Context) -> Config:
    """Return how fast a stated pool is: the user's figure, else measured, else estimated."""
    matching = None if pool.throughput else _matching_config(pool, model, gpu, context)
    precision = matching.precision if matching else pool.precision
    if not weights_fit(model.total_parameters, precision, gpu, gpus=pool.gpus_per_node):
        need, have = weights_gb(model.total_parameters, precision), gpu.memory_gb * pool.gpus_per_node
        raise InputError(
            f"{model.id} at {precision} needs {need:,.0f} GB for its weights alone, and {pool.gpus_per_node}x {gpu.id} "
            f"have {have:,.0f} GB. Take more GPUs per node or a lower precision."
        )
    deployment = Deployment(model=model, gpu=gpu, gpus=pool.gpus_per_node, precision=precision, engine=pool.engine)
    if pool.throughput:
        service = user_service(pool.throughput, deployment, context)
        return Config(gpu=gpu.id, gpus=pool.gpus_per_node, precision=precision, engine=pool.engine, service=service)
    if matching:
        return replace(matching, service=matching.service.replicated(pool.gpus_per_node // matching.gpus))
    estimated = estimated_config(deployment, context)
    if estimated is None:
        memory = memory_of(model, gpu, gpus=pool.gpus_per_node, precision=precision, context=context)
        raise InputError(
            f"{model.id} at {precision} leaves no room for requests on {pool.gpus_per_node}x {gpu.id}: "
            f"{'; '.join(memory.reasons) or 'its weights fill the memory'}. Take more GPUs per node, a lower "
            "precision, or state the throughput that you measured."
        )
    return estimated


def _priced(model: OpenModel, config: Config, context: Context) -> list[Candidate]:
    """Return a configuration by every way to buy its GPUs."""
    found = []
    for purchase in _RENTED:
        offers = current_offers(context.book.rentals_of(config.gpu), purchase, context.on)
        if offers:
            found.append(_rented(model, config, offers, context))
    owned = [node for node in context.book.owned if node.gpu == config.gpu and node.as_of <= context.on]
    if owned:
        found.append(_owned(model, config, owned, context))
    return found


def _matching_config(pool: Pool, model: OpenModel, gpu: Gpu, context: Context) -> Config | None:
    """Return the measured configuration that fits a stated pool best."""
    match = [
        config
        for config in measured_configs(model, context)
        if config.gpu == gpu.id and config.precision == pool.precision and pool.gpus_per_node % config.gpus == 0
    ]
    return max(match, key=lambda config: config.gpus, default=None)


def current_offers(rentals: Sequence[Rental], purchase: Purchase, on: date) -> list[Rental]:
    """Return the latest dated offer of each provider that somebody can take."""
    latest: dict[str, Rental] = {}
    for offer in rentals:
        age = (on - offer.as_of).days
        if offer.purchase != purchase or offer.is_modelled or not 0 <= age <= MAX_OFFER_AGE_DAYS:
            continue
        name = f"{offer.provider}/{offer.term_months or ''}"
        if name not in latest or latest[name].as_of < offer.as_of:
            latest[name] = offer
    return list(latest.values())


def _rented(model: OpenModel, config: Config, offers: list[Rental], context: Context) -> Candidate:
    """Return the option at the median of the offers, its price interval spanning them.

    Offers of larger nodes than the configuration needs count only when there are no smaller ones;
    then a node holds several copies.
    """
    fitting = [offer for offer in offers if offer.gpus_per_node <= config.gpus] or offers
    gpus = max(config.gpus, _round_up(min(offer.gpus_per_node for offer in fitting), config.gpus))
    oldest, newest = min(offer.as_of for offer in fitting), max(offer.as_of for offer in fitting)
    names = ", ".join(sorted({offer.provider for offer in fitting}))
    purchase = fitting[0].purchase
    return Candidate(
        option=_option(
            model,
            config,
            context,
            purchase=purchase,
            gpus=gpus,
            provider=names,
            regions=tuple(sorted({region for offer in fitting for region in offer.regions})),
            compliance=_shared(offer.compliance for offer in fitting),
        ),
        price=_spread(
            PRICE_KEY,
            f"{purchase} price of one {config.gpu}",
            [float(offer.usd_per_gpu_hour) for offer in fitting],
            as_of=oldest,
            source=f"{len(fitting)} dated offer(s), {oldest} to {newest}: {names}",
        ),
        pricing=f"{purchase} {config.gpu}",
        config=config,
    )


def _owned(model: OpenModel, config: Config, nodes: list[OwnedNode], context: Context) -> Candidate:
    """Return the option that owns its nodes: by purchase price where one is known, else by a published model."""
    bought = [node for node in nodes if node.kind == "purchase"]
    used = bought or nodes
    gpus = _round_up(max(config.gpus, used[0].gpus_per_node), config.gpus)
    share = gpus / used[0].gpus_per_node
    if bought:
        ends = (used[0].low_node_usd, used[0].node_usd, used[0].high_node_usd)
        prices = [float(value) * share for value in ends if value is not None]
        key, meaning = CAPITAL_KEY, f"purchase price of {gpus}x {config.gpu}"
    else:
        prices = [float(node.usd_per_gpu_hour) for node in used if node.usd_per_gpu_hour is not None]
        key, meaning = PRICE_KEY, f"modelled cost of owning one {config.gpu}"
    # A price without its own power draw is taken at the GPUs' rated power.
    rated_w = context.book.gpus[config.gpu].tdp_w * gpus
    power_w = used[0].node_power_w * share if used[0].node_power_w else rated_w
    return Candidate(
        option=_option(
            model,
            config,
            context,
            purchase="owned",
            gpus=gpus,
            provider="your own",
            regions=("your own",),
            compliance=(),
            node_power_w=power_w,
            modelled_tco=not bought,
        ),
        price=_spread(
            key,
            meaning,
            prices,
            as_of=min(node.as_of for node in used),
            source="; ".join(dict.fromkeys(node.source for node in used)),
        ),
        pricing=f"owned {config.gpu}",
        config=config,
    )


def _option(  # noqa: PLR0913 - one builder for all catalogue options
    model: OpenModel,
    config: Config,
    context: Context,
    *,
    purchase: Purchase,
    gpus: int,
    provider: str,
    regions: tuple[str, ...],
    compliance: tuple[str, ...],
    node_power_w: float | None = None,
    modelled_tco: bool = False,
) -> PoolOption:
    kind = ServerlessOption if purchase == "serverless" else PoolOption
    return kind(
        id=f"{purchase}:{model.id}:{gpus}x{config.gpu}:{config.precision}",
        title=f"{model.name} on {gpus}x {config.gpu}, {purchase} ({config.precision}, {config.engine})",
        model=model.id,
        gpu=config.gpu,
        gpus_per_node=gpus,
        precision=config.precision,
        engine=config.engine,
        purchase=purchase,
        provider=provider,
        parameters=model.total_parameters,
        service=config.service.replicated(gpus // config.gpus),
        workload=context.workload,
        same_model=context.same_model(model.id),
        node_power_w=node_power_w,
        modelled_tco=modelled_tco,
        price_moves=purchase in _MARKET,
        team_is_sunk=context.scenario.team_exists,
        tuning=context.scenario.tuning,
        active_parameters=model.active_parameters,
        gpu_tflops=context.book.gpus[config.gpu].bf16_tflops,
        regions=regions,
        compliance=compliance,
    )


def _stated_price(pool: Pool, gpu: Gpu, context: Context) -> Assumption:
    stated = pool.node_usd if pool.node_usd is not None else pool.usd_per_gpu_hour
    if stated is not None:
        key = CAPITAL_KEY if pool.node_usd is not None else PRICE_KEY
        meaning = "price of the pool's nodes, as stated"
        return _spread(key, meaning, [float(stated)], as_of=context.on, source=pool.price_source, basis="user")
    offers = current_offers(context.book.rentals_of(gpu.id), pool.purchase, context.on)
    if not offers:
        raise InputError(
            f"No current {pool.purchase} price of {gpu.id} is in the catalogue, and a missing price is never zero. "
            "Give pools[].usd_per_gpu_hour."
        )
    prices = [float(offer.usd_per_gpu_hour) for offer in offers]
    names = ", ".join(sorted(offer.provider for offer in offers))
    oldest = min(offer.as_of for offer in offers)
    return _spread(PRICE_KEY, f"{pool.purchase} price of one {gpu.id}", prices, as_of=oldest, source=names)


def _spread(
    key: str, meaning: str, prices: list[float], *, as_of: date, source: str, basis: Basis = "published"
) -> Assumption:
    """Return prices as an assumption: their median, between the cheapest and the dearest."""
    return Assumption(
        key=key,
        meaning=meaning,
        unit="USD" if key == CAPITAL_KEY else "USD/GPU/hour",
        low=min(prices),
        likely=median(prices),
        high=max(prices),
        distribution="triangular",
        basis=basis,
        as_of=as_of,
        source=source,
    )


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _shared(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what every offer shows: one without an attestation spoils the claim for a mix of offers."""
    return tuple(sorted(set.intersection(*(set(group) for group in groups))))
