"""What a pool of nodes and the API behind it would have done with a trace: times, use, overflow, money.

The trace runs through the simulator three times: with nodes as slow, as fast as is likely, and as fast as the error of
their estimate allows.  What comes out is the range of those three, not a probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.fleet import POLICY_NAMES, Demand, Rules
from breakeven.capacity.pace import pace_of
from breakeven.capacity.simulate import Api, Simulation
from breakeven.errors import InputError
from breakeven.quantities import DAYS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR, Interval
from breakeven.studies.verdict.candidates import current_offers
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.simulate import Outcome
    from breakeven.catalog.hardware import Rental
    from breakeven.catalog.rate_card import PriceList, RateCard
    from breakeven.catalog.roofline import Roofline
    from breakeven.quantities import Array
    from breakeven.traffic.arrivals import Arrivals

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """The API that takes what the pool does not."""

    prices: PriceList
    ttft_s: float
    tpot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is simulated."""

    deployment: Deployment
    nodes: int
    policy: str
    overflow: Overflow | None
    most_waiting_requests: int
    """Requests that wait at a node before others overflow."""

    most_ttft_s: float
    """Expected time to the first token above which requests overflow."""

    seed: int
    usd_per_gpu_hour: float | None
    """As stated; None: the catalogue's offers."""

    on: date
    """The day whose prices hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pass, at one speed of the nodes."""

    speed_ratio: float
    """Of the roofline's."""

    ttft_s: tuple[float, ...]
    """By ``QUANTILES``, of requests on nodes; so are the next two."""

    tpot_s: tuple[float, ...]
    total_s: tuple[float, ...]
    utilisation_fraction: float
    """Time in which a node does anything, over all time."""

    overflow_requests: int
    overflow_fraction: float
    """Of output tokens."""

    rejected_requests: int
    put_back_requests: int
    overflow_usd: float
    usd_per_month: Interval
    """Nodes and overflow, by the prices of nodes."""

    overflow_fraction_by_hour: tuple[float, ...]
    """Of requests; the last hour may be cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What came out; ``runs`` are slow, likely and fast."""

    requests: int
    span_s: float
    node_usd_per_hour: Interval
    nodes_usd: Interval
    """Over the span; without engineering, standby and the other fixed lines of a verdict."""

    api_only_usd: float | None
    """What all requests would have cost at the overflow's prices; None without overflow."""

    runs: tuple[Run, Run, Run]


def simulate(
    arrivals: Callable[[], Iterable[Arrivals]],
    question: Question,
    roofline: Roofline,
    rentals: Sequence[Rental],
    told: Callable[[int], None],
) -> Simulated:
    """Run a trace through a pool; ``arrivals`` begins it anew at each call, ``told`` hears of each request done.

    Raises ``InputError`` where there are no requests, the model does not fit, or no price of the nodes is known.
    """
    deployment = question.deployment
    hour = _node_usd_per_hour(question, rentals)
    architecture = roofline.architecture(deployment.model)
    band = roofline.band("throughput", architecture, deployment.gpu, deployment.engine)
    size, span_s, all_usd = _measure(arrivals(), question)
    hours = span_s / SECONDS_PER_HOUR
    spent = hour.map(lambda usd: usd * hours * question.nodes)
    runs = []
    for ratio in (band.low, band.likely, band.high):
        outcome = _run(arrivals(), question, roofline, (ratio, span_s), told)
        runs.append(_told(outcome, question, ratio, span_s, spent))
    slow, likely, fast = runs
    return Simulated(
        requests=size,
        span_s=span_s,
        node_usd_per_hour=hour,
        nodes_usd=spent,
        api_only_usd=all_usd,
        runs=(slow, likely, fast),
    )


def _node_usd_per_hour(question: Question, rentals: Sequence[Rental]) -> Interval:
    """Return what was stated, or the median of current offers between the cheapest and the dearest."""
    deployment, stated = question.deployment, question.usd_per_gpu_hour
    current = current_offers(rentals, "on-demand", question.on)
    offers = [stated] if stated is not None else [float(offer.usd_per_gpu_hour) for offer in current]
    if not offers:
        raise InputError(
            f"No current on-demand price of {deployment.gpu.id} is in the catalogue, "
            "and a missing price is never zero. Give --usd-per-gpu-hour."
        )
    each = Interval(low=min(offers), likely=median(offers), high=max(offers))
    return each.map(lambda usd: usd * deployment.gpus)


def _measure(batches: Iterable[Arrivals], question: Question) -> tuple[int, float, float | None]:
    """Return how many requests there are, how long they last, and what they would cost at the overflow's prices."""
    prices = _prices(question)
    count, last_s, usd = 0, 0.0, 0.0
    for batch in batches:
        count += len(batch.at_s)
        last_s = float(batch.at_s[-1])
        usd += float(prices(batch).sum()) if prices else 0.0
    if not count:
        raise InputError("The trace holds no requests, so there is nothing to simulate.")
    return count, max(last_s, 1.0), usd if prices else None


def _run(
    batches: Iterable[Arrivals],
    question: Question,
    roofline: Roofline,
    at: tuple[float, float],
    told: Callable[[int], None],
) -> Outcome:
    """Simulate at one speed ratio over one span."""
    speed_ratio, span_s = at
    try:
        pace = pace_of(question.deployment, roofline, speed_ratio=speed_ratio)
    except ValueError as error:
        raise InputError(f"The model does not fit on this node: {error}. Take more or larger GPUs.") from None
    overflow = question.overflow
    apis = (Api(ttft_s=overflow.ttft_s, tpot_s=overflow.tpot_s),) if overflow else ()
    rules = Rules(POLICY_NAMES.index(question.policy), question.most_waiting_requests, question.most_ttft_s)
    simulation = Simulation(pace, question.nodes, rules, apis=apis, span_s=span_s)
    for demand in _demands(batches, question):
        simulation.feed(demand)
        told(len(demand.output))
    return simulation.outcome()


def _demands(batches: Iterable[Arrivals], question: Question) -> Iterator[Demand]:
    prices = _prices(question)
    chance = np.random.Generator(np.random.PCG64(question.seed))
    for batch in batches:
        count = len(batch.at_s)
        prompt = np.maximum(batch.input_tokens, 1)
        usd = prices(batch)[:, None] if prices else np.zeros((count, 0))
        yield Demand(
            arrived_s=batch.at_s,
            prompt=prompt,
            output=np.maximum(batch.output_tokens, 1),
            cached=np.minimum(batch.cached_input_tokens, prompt - 1),
            uniform=chance.random(count),
            api_usd=np.ascontiguousarray(usd),
        )


def _told(outcome: Outcome, question: Question, ratio: float, span_s: float, spent: Interval) -> Run:
    month = DAYS_PER_MONTH * SECONDS_PER_DAY / span_s
    came, overflowed = outcome.by_hour[:, 0], outcome.by_hour[:, 1]
    output = outcome.pool_output_tokens + outcome.api_output_tokens
    return Run(
        speed_ratio=ratio,
        ttft_s=tuple(outcome.pool_ttft.quantile_s(share) for share in QUANTILES),
        tpot_s=tuple(outcome.pool_tpot.quantile_s(share) for share in QUANTILES),
        total_s=tuple(outcome.pool_total.quantile_s(share) for share in QUANTILES),
        utilisation_fraction=float(outcome.busy_s.sum()) / (question.nodes * span_s),
        overflow_requests=outcome.api_requests,
        overflow_fraction=outcome.api_output_tokens / output if output else 0.0,
        rejected_requests=outcome.rejected_requests,
        put_back_requests=outcome.put_back_requests,
        overflow_usd=outcome.api_usd,
        usd_per_month=spent.map(lambda usd: (usd + outcome.api_usd) * month),
        overflow_fraction_by_hour=tuple(float(share) for share in overflowed / np.maximum(came, 1)),
    )


def _prices(question: Question) -> Callable[[Arrivals], Array] | None:
    """Return what requests cost at the overflow's prices, each in its own tier; None without overflow."""
    if question.overflow is None:
        return None
    prices = question.overflow.prices
    card = prices.card_at(datetime.combine(question.on, time(12), UTC))
    if card.missing:
        raise InputError(f"{prices.target} has no price for {' and '.join(card.missing)}, and none is never zero.")
    edges = sorted(prices.thresholds_tokens())
    by_tier = np.array([_per_token(card, edge) for edge in (0, *edges)])

    def priced(batch: Arrivals) -> Array:
        tier = by_tier[np.searchsorted(edges, batch.input_tokens, side="left")]
        plain = batch.input_tokens - batch.cached_input_tokens
        tokens = np.stack([plain, batch.cached_input_tokens, batch.output_tokens, np.ones_like(plain)], axis=1)
        usd: Array = np.sum(tokens * tier, axis=1)
        return usd

    return priced


def _per_token(card: RateCard, over_tokens: int) -> list[float]:
    """Return dollars for one token of input, of cached input and of output, and for a request, in one tier."""
    million = 1_000_000
    kinds = (
        TokenUsage(input_tokens=million, output_tokens=0),
        TokenUsage(input_tokens=million, output_tokens=0, cached_input_tokens=million),
        TokenUsage(input_tokens=0, output_tokens=million),
    )
    found = [card.price_usd(usage, requests=0, input_over_tokens=over_tokens) for usage in kinds]
    return [*(float(usd or 0) / million for usd in found), float(card.prices.request_usd)]
