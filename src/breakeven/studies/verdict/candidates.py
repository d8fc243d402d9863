"""Which options are compared: today's API and its alternatives, and the plausible ways to self-host."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.capacity.memory import weights_fit
from breakeven.capacity.service import MIN_POINTS, Service, fit_service, stated_service
from breakeven.catalog.assumptions import Assumption
from breakeven.errors import InputError
from breakeven.studies.verdict.pool_option import CAPITAL_KEY, PRICE_KEY, PoolOption, ServerlessOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Measurement, OwnedNode, Purchase, Rental
    from breakeven.catalog.models import OpenModel
    from breakeven.sources.scenario import Pool
    from breakeven.studies.verdict.workload import Workload

DEFAULT_MODELS: Final = ("llama-3.3-70b", "gpt-oss-120b", "qwen3-235b-a22b", "llama-3.1-8b")
"""Open models compared when none is named: three of the frontier's weight classes and a small one."""

MAX_OFFER_AGE_DAYS: Final = 400
"""Older offers are left out of a price interval; the catalogue still shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An option with the assumption that is its own: the price of its nodes."""

    option: PoolOption
    price: Assumption
    price_as_of: date
    measured: Measurement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """One measured way to run a model: how many GPUs, at which precision, on which engine."""

    gpu: str
    gpus: int
    precision: str
    engine: str
    points: tuple[Measurement, ...]


def pool_candidates(
    model: OpenModel, book: Book, workload: Workload, *, same_model: bool, on: date, team_is_sunk: bool
) -> list[Candidate]:
    """Return every way to run ``model`` that the catalogue has both measured and priced."""
    found: list[Candidate] = []
    for config in _configs(model, book):
        service = fit_service(config.points, basis=f"measured table: {config.points[0].source}")
        for purchase in ("on-demand", "reserved", "spot", "serverless"):
            offers = _current(book.rentals_of(config.gpu), purchase, on)
            if offers:
                found.append(
                    _rented(model, config, service, offers, workload, same_model=same_model, team=team_is_sunk)
                )
        owned = [node for node in book.owned if node.gpu == config.gpu]
        if owned:
            found.append(_owned(model, config, service, owned, workload, same_model=same_model, team=team_is_sunk))
    return found


def stated_candidate(
    pool: Pool, book: Book, workload: Workload, *, same_model: bool, on: date, team_is_sunk: bool
) -> Candidate:
    """Return the pool that a scenario describes in its own figures."""
    model = book.model(pool.model)
    gpu = book.gpu(pool.gpu)
    if pool.throughput is None:
        match = [c for c in _configs(model, book) if c.gpu == gpu.id and c.gpus <= pool.gpus_per_node]
        match = [c for c in match if c.precision == pool.precision] or match
        if not match:
            raise InputError(
                f"No measured throughput is known for {model.id} on {gpu.id}, so what a node of {pool.gpus_per_node} "
                "serves cannot be said. State it: pools[].throughput.output_tokens_per_s (with isl_tokens, osl_tokens)."
            )
        config = max(match, key=lambda c: c.gpus)
        service = fit_service(config.points, basis=f"measured table: {config.points[0].source}")
        service = service.replicated(pool.gpus_per_node // config.gpus)
        precision, engine = config.precision, config.engine
        measured: Measurement | None = config.points[0]
    else:
        service = stated_service(
            output_tokens_per_s=pool.throughput.output_tokens_per_s,
            total_tokens_per_s=pool.throughput.total_tokens_per_s,
            basis=pool.throughput.source,
        )
        precision, engine, measured = pool.precision, pool.engine, None
    if not weights_fit(model.total_parameters, precision, gpu, gpus=pool.gpus_per_node):
        raise InputError(
            f"{model.id} at {precision} needs {model.total_parameters * _bytes(precision) / 1e9:,.0f} GB for its weights alone, "
            f"and {pool.gpus_per_node}x {gpu.id} have {gpu.memory_gb * pool.gpus_per_node:,.0f} GB. "
            "Take more GPUs per node or a lower precision."
        )
    price = _stated_price(pool, book, gpu.id, on)
    option_class = ServerlessOption if pool.purchase == "serverless" else PoolOption
    option = option_class(
        id=f"{pool.purchase}:{model.id}:{pool.gpus_per_node}x{gpu.id}:stated",
        title=f"{model.name} on {pool.gpus_per_node}x {gpu.name}, {pool.purchase} (your figures)",
        model=model.id,
        gpu=gpu.id,
        gpus_per_node=pool.gpus_per_node,
        precision=precision,
        engine=engine,
        purchase=pool.purchase,
        provider=pool.price_source,
        parameters=model.total_parameters,
        service=service,
        workload=workload,
        same_model=same_model,
        min_nodes=pool.min_nodes,
        node_power_w=pool.node_power_w or gpu.tdp_w * pool.gpus_per_node,
        modelled_tco=pool.purchase == "owned" and pool.node_usd is None,
        hardware_is_sunk=pool.already_owned,
        team_is_sunk=team_is_sunk,
        regions=pool.regions,
        compliance=pool.compliance,
    )
    return Candidate(option=option, price=price, price_as_of=price.as_of, measured=measured)


def _bytes(precision: str) -> float:
    from breakeven.catalog.models import BITS_PER_WEIGHT  # noqa: PLC0415

    return BITS_PER_WEIGHT[precision] / 8


def _configs(model: OpenModel, book: Book) -> list[_Config]:
    """Return the measured configurations with enough lengths; twins in architecture count as one model."""
    groups: dict[tuple[str, int, str, str], list[Measurement]] = defaultdict(list)
    for item in book.measurements_of(model.id):
        if item.basis == "measured-max-throughput" and item.gpu in book.gpus:
            groups[(item.gpu, item.gpus, item.precision, item.engine)].append(item)
    return [
        _Config(gpu=gpu, gpus=gpus, precision=precision, engine=engine, points=tuple(points))
        for (gpu, gpus, precision, engine), points in groups.items()
        if len(points) >= MIN_POINTS
    ]


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


def _rented(
    model: OpenModel,
    config: _Config,
    service: Service,
    offers: list[Rental],
    workload: Workload,
    *,
    same_model: bool,
    team: bool,
) -> Candidate:
    """Return the option at the median of the offers, its price interval spanning them.

    Offers of larger nodes than the configuration needs count only when there are no smaller ones;
    then a node holds several replicas.
    """
    fitting = [offer for offer in offers if offer.gpus_per_node <= config.gpus] or offers
    node_gpus = max(config.gpus, _round_up(min(o.gpus_per_node for o in fitting), config.gpus))
    prices = sorted(float(offer.usd_per_gpu_hour) for offer in fitting)
    purchase = fitting[0].purchase
    names = ", ".join(sorted({offer.provider for offer in fitting}))
    newest = max(offer.as_of for offer in fitting)
    oldest = min(offer.as_of for offer in fitting)
    price = Assumption(
        key=PRICE_KEY,
        meaning=f"{purchase} price of one {config.gpu}",
        unit="USD/GPU/hour",
        low=prices[0],
        likely=median(prices),
        high=prices[-1],
        distribution="triangular",
        basis="published",
        as_of=oldest,
        source=f"{len(fitting)} dated offer(s), {oldest} to {newest}: {names}",
    )
    option_class = ServerlessOption if purchase == "serverless" else PoolOption
    option = option_class(
        id=f"{purchase}:{model.id}:{node_gpus}x{config.gpu}:{config.precision}",
        title=f"{model.name} on {node_gpus}x {config.gpu}, {purchase} ({config.precision}, {config.engine})",
        model=model.id,
        gpu=config.gpu,
        gpus_per_node=node_gpus,
        precision=config.precision,
        engine=config.engine,
        purchase=purchase,
        provider=names,
        parameters=model.total_parameters,
        service=service.replicated(node_gpus // config.gpus),
        workload=workload,
        same_model=same_model,
        team_is_sunk=team,
        regions=tuple(sorted({region for offer in fitting for region in offer.regions})),
        compliance=_shared(offer.compliance for offer in fitting),
    )
    return Candidate(option=option, price=price, price_as_of=oldest, measured=config.points[0])


def _owned(
    model: OpenModel,
    config: _Config,
    service: Service,
    nodes: list[OwnedNode],
    workload: Workload,
    *,
    same_model: bool,
    team: bool,
) -> Candidate:
    """Return the option that owns its nodes: by purchase price where one is known, else by a published model."""
    bought = [node for node in nodes if node.kind == "purchase" and node.node_usd is not None]
    used = bought or nodes
    first = used[0]
    node_gpus = _round_up(max(config.gpus, first.gpus_per_node), config.gpus)
    share = node_gpus / first.gpus_per_node
    if bought:
        assert first.node_usd is not None
        low, likely, high = (
            float(value if value is not None else first.node_usd) * share
            for value in (first.node_usd_low, first.node_usd, first.node_usd_high)
        )
        key, meaning, unit = CAPITAL_KEY, f"purchase price of {node_gpus}x {config.gpu}", "USD"
    else:
        prices = sorted(float(node.usd_per_gpu_hour or 0) for node in used)
        low, likely, high = prices[0], median(prices), prices[-1]
        key, meaning, unit = PRICE_KEY, f"modelled cost of owning one {config.gpu}", "USD/GPU/hour"
    price = Assumption(
        key=key,
        meaning=meaning,
        unit=unit,
        low=low,
        likely=likely,
        high=high,
        distribution="triangular",
        basis="published",
        as_of=min(node.as_of for node in used),
        source="; ".join(dict.fromkeys(node.source for node in used)),
    )
    option = PoolOption(
        id=f"owned:{model.id}:{node_gpus}x{config.gpu}:{config.precision}",
        title=f"{model.name} on {node_gpus}x {config.gpu}, owned ({config.precision}, {config.engine})",
        model=model.id,
        gpu=config.gpu,
        gpus_per_node=node_gpus,
        precision=config.precision,
        engine=config.engine,
        purchase="owned",
        provider="your own",
        parameters=model.total_parameters,
        service=service.replicated(node_gpus // config.gpus),
        workload=workload,
        same_model=same_model,
        node_power_w=(first.node_power_w or 0) * share or None,
        modelled_tco=not bought,
        team_is_sunk=team,
        regions=("your own",),
        compliance=(),
    )
    return Candidate(option=option, price=price, price_as_of=price.as_of, measured=config.points[0])


def _stated_price(pool: Pool, book: Book, gpu: str, on: date) -> Assumption:
    stated = pool.node_usd if pool.node_usd is not None else pool.usd_per_gpu_hour
    key = CAPITAL_KEY if pool.node_usd is not None else PRICE_KEY
    if stated is not None:
        low = likely = high = float(stated)
        source, as_of = pool.price_source, on
    else:
        offers = _current(book.rentals_of(gpu), pool.purchase, on)
        if not offers:
            raise InputError(
                f"No current {pool.purchase} price of {gpu} is in the catalogue, and a missing price is never zero. "
                "Give pools[].usd_per_gpu_hour."
            )
        prices = sorted(float(offer.usd_per_gpu_hour) for offer in offers)
        low, likely, high = prices[0], median(prices), prices[-1]
        source, as_of = ", ".join(sorted(o.provider for o in offers)), min(o.as_of for o in offers)
    return Assumption(
        key=key,
        meaning="price of the pool's nodes",
        unit="USD" if key == CAPITAL_KEY else "USD/GPU/hour",
        low=low,
        likely=likely,
        high=high,
        distribution="triangular",
        basis="user" if stated is not None else "published",
        as_of=as_of,
        source=source,
    )


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _shared(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what every offer shows: one without an attestation spoils the claim for a mix of offers."""
    sets = [set(group) for group in groups]
    return tuple(sorted(set.intersection(*sets))) if sets else ()
