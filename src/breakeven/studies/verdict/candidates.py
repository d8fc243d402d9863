"""The ways to run a model on GPUs: those that the catalogue has measured and priced, and stated ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.capacity.memory import weights_fit, weights_gb
from breakeven.capacity.service import MIN_POINTS, Service, fit_service, stated_service
from breakeven.catalog.assumptions import Assumption, Basis
from breakeven.errors import InputError
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.node_cost import CAPITAL_KEY, PRICE_KEY
from breakeven.studies.verdict.pool_option import PoolOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Gpu, Measurement, OwnedNode, Purchase, Rental
    from breakeven.catalog.models import OpenModel
    from breakeven.sources.scenario import Pool, Throughput
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
    measured: Measurement | None

    @property
    def own(self) -> tuple[Assumption, ...]:
        """The assumptions that hold for this option alone, or mean something else for it."""
        return (self.price,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One measured way to run a model: how many GPUs, at which precision, on which engine."""

    gpu: str
    gpus: int
    precision: str
    engine: str
    points: tuple[Measurement, ...]

    def service(self, replicas: int) -> Service:
        """Return the service of a node that holds that many copies of this configuration."""
        isl = [point.isl_tokens for point in self.points]
        osl = [point.osl_tokens for point in self.points]
        basis = (
            f"{len(self.points)} measured lengths of {self.points[0].source}, "
            f"{min(isl):,}-{max(isl):,} in and {min(osl):,}-{max(osl):,} out"
        )
        return fit_service(self.points, basis=basis).replicated(replicas)


def catalogue_candidates(model: OpenModel, context: Context) -> list[Candidate]:
    """Return every way to run ``model`` that the catalogue has both measured and priced."""
    found: list[Candidate] = []
    for config in _configs(model, context.book):
        for purchase in _RENTED:
            offers = _current(context.book.rentals_of(config.gpu), purchase, context.on)
            if offers:
                found.append(_rented(model, config, offers, context))
        owned = [node for node in context.book.owned if node.gpu == config.gpu]
        if owned:
            found.append(_owned(model, config, owned, context))
    return found


def stated_candidate(pool: Pool, context: Context) -> Candidate:
    """Return the pool that a scenario describes in its own figures.

    Raises ``InputError`` when the model does not fit, or its throughput or price is not known.
    """
    model, gpu = context.book.model(pool.model), context.book.gpu(pool.gpu)
    config = None if pool.throughput else _matching_config(pool, model, gpu, context.book)
    precision = config.precision if config else pool.precision
    if not weights_fit(model.total_parameters, precision, gpu, gpus=pool.gpus_per_node):
        need, have = weights_gb(model.total_parameters, precision), gpu.memory_gb * pool.gpus_per_node
        raise InputError(
            f"{model.id} at {precision} needs {need:,.0f} GB for its weights alone, and {pool.gpus_per_node}x {gpu.id} "
            f"have {have:,.0f} GB. Take more GPUs per node or a lower precision."
        )
    if pool.throughput:
        service = stated_service(
            output_tokens_per_s=pool.throughput.output_tokens_per_s,
            total_tokens_per_s=pool.throughput.total_tokens_per_s,
            basis=_stated_basis(pool.throughput, context),
        )
    else:
        assert config is not None
        service = config.service(pool.gpus_per_node // config.gpus)
    kind = ServerlessOption if pool.purchase == "serverless" else PoolOption
    option = kind(
        id=f"{pool.purchase}:{model.id}:{pool.gpus_per_node}x{gpu.id}:stated",
        title=f"{model.name} on {pool.gpus_per_node}x {gpu.name}, {pool.purchase} (your figures)",
        model=model.id,
        gpu=gpu.id,
        gpus_per_node=pool.gpus_per_node,
        precision=precision,
        engine=config.engine if config else pool.engine,
        purchase=pool.purchase,
        provider=pool.price_source,
        parameters=model.total_parameters,
        service=service,
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
    price = _stated_price(pool, gpu, context)
    measured = config.points[0] if config else None
    return Candidate(option=option, price=price, pricing=option.id, measured=measured)


def _stated_basis(stated: Throughput, context: Context) -> str:
    """Say where a stated throughput comes from, and at which lengths beside those of the traffic."""
    month = context.workload.month(context.likely())
    means = f"this traffic averages {month.input_tokens / month.requests:,.0f} input and "
    means += f"{month.output_tokens / month.requests:,.0f} output tokens"
    if stated.isl_tokens is None or stated.osl_tokens is None:
        return f"{stated.source}, at lengths not stated; {means}"
    return f"{stated.source}, at {stated.isl_tokens:,.0f}/{stated.osl_tokens:,.0f} tokens; {means}"


def _configs(model: OpenModel, book: Book) -> list[Config]:
    """Return the configurations of the model that were measured at enough lengths to fit."""
    groups: dict[tuple[str, int, str, str], list[Measurement]] = defaultdict(list)
    for item in book.measurements_of(model.id):
        if item.basis == "measured-max-throughput" and item.concurrency_count is None and item.gpu in book.gpus:
            groups[(item.gpu, item.gpus, item.precision, item.engine)].append(item)
    return [
        Config(gpu=gpu, gpus=gpus, precision=precision, engine=engine, points=tuple(points))
        for (gpu, gpus, precision, engine), points in groups.items()
        if len(points) >= MIN_POINTS
    ]


def _matching_config(pool: Pool, model: OpenModel, gpu: Gpu, book: Book) -> Config:
    """Return the measured configuration that fits a stated pool best."""
    match = [
        config
        for config in _configs(model, book)
        if config.gpu == gpu.id and config.precision == pool.precision and pool.gpus_per_node % config.gpus == 0
    ]
    if not match:
        known = sorted({f"{c.gpus}x {c.gpu} {c.precision}" for c in _configs(model, book)})
        raise InputError(
            f"No throughput of {model.id} at {pool.precision} on {pool.gpus_per_node}x {gpu.id} is in the catalogue, "
            "so what a node serves cannot be said. State it in the pool, as throughput: {output_tokens_per_s: 1500}, "
            f"or take a measured one: {', '.join(known) or 'none for this model'}."
        )
    return max(match, key=lambda config: config.gpus)


def _current(rentals: Sequence[Rental], purchase: Purchase, on: date) -> list[Rental]:
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
        measured=config.points[0],
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
        measured=config.points[0],
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
        service=config.service(gpus // config.gpus),
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
    offers = _current(context.book.rentals_of(gpu.id), pool.purchase, context.on)
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
