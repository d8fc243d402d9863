"""The hours in which a pool's nodes are paid, and what each hour's bill is: from nodes with dates and dated prices.

The hours are facts, seconds that were paid; the dollars follow from the prices that are known now, so a price that is
corrected, or a node that is added, changes what the past cost.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.economics.allocation import GpuTime, units_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOUR_US: Final = 3_600_000_000
PROVISIONAL_UTILISATION_FRACTION: Final = 0.5
"""At which the provisional price of a token is reckoned: half of the time that is paid serves somebody.  An
assumption; what it gets wrong is made good when the hour closes."""

POOL: Final = "pool"
"""Seller of a pool's own tokens in the name of its prices: ``pool:NAME``."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US: Final = 24 * HOUR_US
_NO_DAY_US: Final = ((date.max - _EPOCH.date()).days + 1) * _DAY_US
"""From here on a moment has no date: the year is over 9999."""

_PRICE_DIGITS: Final = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidNode:
    """A node and the time in which it is paid, [since, until) in Unix microseconds; None: it still is."""

    name: str
    since_us: int
    until_us: int | None = None
    is_former: bool = False
    """Whether it is declared no more: it ended at ``until_us``, and nothing that is declared later moves that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrice:
    """What a node costs an hour from a moment on, until its next price."""

    node: str
    """Empty: every node of the pool."""

    since_us: int
    usd_per_hour: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """What the cost of a pool follows from, beside what it served."""

    name: str
    nodes: tuple[PaidNode, ...] = ()
    prices: tuple[NodePrice, ...] = ()
    """Later ones go before earlier ones; of one moment the last."""

    gpu_time: GpuTime | None = None
    """None: nothing is known, and what was measured of the attempts stands in for it."""

    basis: str = ""
    """Where ``gpu_time`` is from."""

    slots_count: int = 1
    """Requests that a node works on at once: by it measured seconds of requests become seconds of a node."""

    fixed_usd_per_hour: Decimal = Decimal(0)
    """Engineering, infrastructure and reliability of the pool with one node; from assumptions, not from a bill."""

    further_node_usd_per_hour: Decimal = Decimal(0)
    """What each further node adds to it."""


class PoolHour(NamedTuple):
    """A fact: of one hour since 1970, a node was paid for a stretch, from so many microseconds in, so long."""

    pool: str
    node: str
    hour: int
    from_us: int
    paid_us: int


class HourBill(NamedTuple):
    """What a pool costs in one hour, money in units of ``allocation.UNIT_USD``."""

    paid_us: int
    """Of all nodes together."""

    bill: int
    fixed: int
    """Engineering, infrastructure and reliability, beside the bill."""

    unpriced_us: int
    """Paid time without a known price: the bill leaves it out."""


def pool_hours(terms: PoolTerms, until_hour: int, since_hour: int = 0) -> Iterator[PoolHour]:
    """Yield the hours [since, until) in which nodes are paid, node by node."""
    for node in terms.nodes:
        ends_us = until_hour * HOUR_US if node.until_us is None else min(node.until_us, until_hour * HOUR_US)
        begins_us = max(node.since_us, since_hour * HOUR_US)
        while begins_us < ends_us:
            hour = begins_us // HOUR_US
            stops_us = min((hour + 1) * HOUR_US, ends_us)
            yield PoolHour(terms.name, node.name, hour, begins_us - hour * HOUR_US, stops_us - begins_us)
            begins_us = stops_us


class NodePrices:
    """The dated prices of a pool's nodes, looked up node by node."""

    __slots__ = ("_by_node", "_prices")

    def __init__(self, prices: Iterable[NodePrice]) -> None:
        """Take all prices; of one node and moment the last holds."""
        self._prices = tuple(prices)
        self._by_node: dict[str, tuple[list[int], list[Decimal]]] = {}

    def between(self, node: str, begins_us: int, ends_us: int) -> Iterator[tuple[int, Decimal | None]]:
        """Yield how many microseconds of a stretch each price holds; None where none is known."""
        moments, prices = self._of(node)
        while begins_us < ends_us:
            place = bisect_right(moments, begins_us)
            stops_us = min(moments[place], ends_us) if place < len(moments) else ends_us
            yield stops_us - begins_us, prices[place - 1] if place else None
            begins_us = stops_us

    def _of(self, node: str) -> tuple[list[int], list[Decimal]]:
        if node not in self._by_node:
            own = own_prices(self._prices, node)
            self._by_node[node] = [item.since_us for item in own], [item.usd_per_hour for item in own]
        return self._by_node[node]


def own_prices(prices: Iterable[NodePrice], node: str) -> tuple[NodePrice, ...]:
    """Return the prices that hold for one node, those of the whole pool among them, as its own and in their order."""
    held = {item.since_us: replace(item, node=node) for item in prices if item.node in ("", node)}
    return tuple(held[moment] for moment in sorted(held))


def hour_bill(terms: PoolTerms, prices: NodePrices, hours: Iterable[PoolHour]) -> HourBill:
    """Return what a pool costs in one hour, from the facts of its nodes in that hour.

    A node's part is rounded to a unit once, whatever prices hold in it.  The fixed lines are those of a month over
    its hours: the first node's for the time in which the pool has a node at all, a further node's for what is paid
    beyond that time.
    """
    paid_us = bill = unpriced_us = any_us = reached_us = 0
    for item in sorted(hours, key=lambda found: found.from_us):
        begins_us = item.hour * HOUR_US + item.from_us
        cost_usd = Fraction(0)
        for length_us, usd_per_hour in prices.between(item.node, begins_us, begins_us + item.paid_us):
            if usd_per_hour is None:
                unpriced_us += length_us
            else:
                cost_usd += Fraction(usd_per_hour) * length_us / HOUR_US
        bill += units_of(cost_usd)
        paid_us += item.paid_us
        ends_us = item.from_us + item.paid_us
        any_us += max(0, ends_us - max(item.from_us, reached_us))
        reached_us = max(reached_us, ends_us)
    further_us = paid_us - any_us
    fixed_usd = Fraction(terms.fixed_usd_per_hour) * any_us + Fraction(terms.further_node_usd_per_hour) * further_us
    return HourBill(paid_us, bill, units_of(fixed_usd / HOUR_US), unpriced_us)


def pool_price_list(
    terms: PoolTerms, utilisation_fraction: float = PROVISIONAL_UTILISATION_FRACTION
) -> PriceList | None:
    """Return the provisional prices of a pool's tokens, ``pool:NAME``, dated as its nodes' prices are.

    A token's price is the node time it takes x the mean price of the pool's nodes on that day / the utilisation that
    is assumed.  Prices hold from a UTC day on, so one that changes within a day holds here from that day's beginning.
    None where the GPU time of tokens or every price is unknown.
    """
    weights = terms.gpu_time
    if weights is None:
        return None
    known: list[PriceEntry] = []
    for day in _days(terms):
        entry = _entry(terms, weights, day, utilisation_fraction)
        if entry is not None and (not known or entry.prices != known[-1].prices):
            known.append(entry)
    if not known:
        return None
    return PriceList(
        provider=POOL,
        model=terms.name,
        entries=tuple(known),
        source=f"the pool's own nodes; GPU time of tokens: {terms.basis}",
        note=f"Provisional, at {utilisation_fraction:.0%} utilisation; made good when each hour closes.",
    )


def is_pool_price(priced_as: str) -> bool:
    """Whether a name of prices is that of a pool's own, ``pool:NAME``, which no catalogue knows."""
    return priced_as.startswith(f"{POOL}:")


def _days(terms: PoolTerms) -> list[date | None]:
    """Return the days on which the mean price may change; None is the beginning of all times."""
    moments = {price.since_us for price in terms.prices} | {node.since_us for node in terms.nodes}
    moments |= {-(-node.until_us // _DAY_US) * _DAY_US for node in terms.nodes if node.until_us is not None}
    known = (moment for moment in moments if 0 < moment < _NO_DAY_US)
    return [None, *sorted({(_EPOCH + timedelta(microseconds=moment)).date() for moment in known})]


def _entry(terms: PoolTerms, weights: GpuTime, day: date | None, utilisation_fraction: float) -> PriceEntry | None:
    usd_per_hour = _mean_usd_per_hour(terms, day)
    if usd_per_hour is None:
        return None
    usd_per_s = usd_per_hour / 3600 / Decimal(repr(utilisation_fraction))

    def price(weight_us: float) -> TokenPrice:
        return TokenPrice(usd_per_mtok=(usd_per_s * Decimal(repr(weight_us))).quantize(_PRICE_DIGITS))

    prices = TokenPrices(
        input=price(weights.prefill_us), cached_input=price(weights.cached_us), output=price(weights.decode_us)
    )
    return PriceEntry(prices=prices, starts_on=day)


def _mean_usd_per_hour(terms: PoolTerms, day: date | None) -> Decimal | None:
    """Return the mean price of the nodes that are paid on a day, at its end; of all where none is."""
    last_us = ((day - _EPOCH.date()).days + 1) * _DAY_US - 1 if day else 0
    paid = [node for node in terms.nodes if node.since_us <= last_us and not (node.until_us or last_us + 1) <= last_us]
    prices = NodePrices(terms.prices)
    found = [
        price
        for node in paid or terms.nodes
        for _, price in prices.between(node.name, last_us, last_us + 1)
        if price is not None
    ]
    return sum(found, Decimal(0)) / len(found) if found else None
