"""Sums hours of virtual pools up: what they would have cost, what they would have saved, and what to make of it.

Tokens and node time are facts of the ledger; dollars follow here, from the prices of nodes and the rate cards that the
same requests really were paid by.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Final

from breakeven.economics.allocation import allocate_units, usd_of
from breakeven.economics.pool_hours import NodePrices, hour_bill, pool_hours
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.query import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from breakeven.catalog.rate_card import RateCard
    from breakeven.economics.pool_hours import HourBill, PoolTerms
    from breakeven.ledger.virtual import VirtualHour, VirtualPart
    from breakeven.usage import TokenUsage

TIMES: Final = ("hour", "day")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_S: Final = 1_000_000
_SHORTEST_S: Final = 1e-5
_BUCKET_RATIO: Final = 1.01
"""Of the simulator's tallies; a test keeps them equal to its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualCost:
    """What a virtual pool would have done and cost in some hours."""

    pool: str
    time: str
    """The hour or the day; empty: all of them."""

    hours: int
    requests: int
    """That it was shown."""

    served_requests: int
    """Of these, those that its nodes would have served; the rest stays at the API."""

    served: TokenUsage
    paid_s: Decimal
    busy_s: Decimal
    used_s: Decimal
    """Of the paid time, what the work takes in full batches."""

    bill_usd: Decimal
    idle_usd: Decimal
    fixed_usd: Decimal
    """Engineering, infrastructure and reliability, beside the bill."""

    unpriced_s: Decimal
    """Paid time without a known price: the bill leaves it out."""

    avoided_usd: Decimal
    """What the requests that it would have served really cost."""

    left_usd: Decimal
    """What the others really cost."""

    unpriced_count: int
    """Requests without a known price; what they cost is in no figure."""

    ttft_p50_s: float | None
    """None where nothing was served; likewise the next four."""

    ttft_p95_s: float | None
    ttft_p99_s: float | None
    queue_p50_s: float | None
    queue_p99_s: float | None

    @property
    def utilisation_fraction(self) -> float | None:
        """Needed over paid time; None where nothing is paid."""
        return float(self.used_s / self.paid_s) if self.paid_s else None

    @property
    def served_fraction(self) -> float | None:
        """Of the requests, what its nodes would have served; None without requests."""
        return self.served_requests / self.requests if self.requests else None

    @property
    def saved_usd(self) -> Decimal:
        """What would have been saved on the bill alone; below 0: it would have cost more."""
        return self.avoided_usd - self.bill_usd

    @property
    def saved_loaded_usd(self) -> Decimal:
        """What would have been saved with people, infrastructure and reliability counted."""
        return self.saved_usd - self.fixed_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAnswer:
    """A pool's hours, in groups and together."""

    terms: PoolTerms
    groups: tuple[VirtualCost, ...]
    whole: VirtualCost
    pays_since: datetime | None
    """From when on the sum of all savings so far, fully loaded, stays above 0; None: it is not, as of the end."""

    begins: datetime
    ends: datetime
    unbilled_hours: int
    """Hours that are in no figure: they were worked out for other nodes than the pool's terms say were paid in them."""


class _Sums:
    """What is added up of some hours; money in units of ``allocation.UNIT_USD``, or exact."""

    def __init__(self) -> None:
        self.hours = self.paid_us = self.busy_us = self.used_us = self.unpriced_us = 0
        self.bill = self.needed = self.fixed = self.unpriced = 0
        self.requests = [0, 0]
        self.usd = [Decimal(0), Decimal(0)]
        self.tokens = [0] * 4
        self.ttft: Counter[int] = Counter()
        self.queue: Counter[int] = Counter()

    def told(self, pool: str, time: str) -> VirtualCost:
        return VirtualCost(
            pool=pool,
            time=time,
            hours=self.hours,
            requests=sum(self.requests),
            served_requests=self.requests[0],
            served=usage_of(self.tokens[0], self.tokens[1], self.tokens[2], self.tokens[3]),
            paid_s=Decimal(self.paid_us) / _US_PER_S,
            busy_s=Decimal(self.busy_us) / _US_PER_S,
            used_s=Decimal(self.used_us) / _US_PER_S,
            bill_usd=usd_of(self.bill),
            idle_usd=usd_of(self.bill - self.needed),
            fixed_usd=usd_of(self.fixed),
            unpriced_s=Decimal(self.unpriced_us) / _US_PER_S,
            avoided_usd=self.usd[0],
            left_usd=self.usd[1],
            unpriced_count=self.unpriced,
            ttft_p50_s=quantile_s(self.ttft, 0.5),
            ttft_p95_s=quantile_s(self.ttft, 0.95),
            ttft_p99_s=quantile_s(self.ttft, 0.99),
            queue_p50_s=quantile_s(self.queue, 0.5),
            queue_p99_s=quantile_s(self.queue, 0.99),
        )


def quantile_s(counts: Mapping[int, int], fraction: float) -> float | None:
    """Return the time within which that share was, 0 < fraction <= 1, from counts by bucket; None where none is."""
    total, passed = sum(counts.values()), 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= ceil(fraction * total - 1e-9):
            return float(_SHORTEST_S * _BUCKET_RATIO ** (bucket + 0.5))
    return None


def virtual_answer(
    terms: PoolTerms, hours: Sequence[VirtualHour], cards: Callable[[str], RateCard | None], by: str = "day"
) -> VirtualAnswer | None:
    """Sum hours up, in their order, by one of ``TIMES``; ``cards`` knows rate cards by their id.

    An hour that was worked out for another time of nodes than its bill would be of is left out and counted.  None
    without any hour that is left.
    """
    prices = NodePrices(terms.prices)
    bills = [(hour, hour_bill(terms, prices, pool_hours(terms, hour.hour + 1, hour.hour))) for hour in hours]
    billed = [(hour, bill) for hour, bill in bills if bill.paid_us == hour.paid_us]
    if not billed:
        return None
    whole, groups = _Sums(), dict[str, _Sums]()
    pays_since: int | None = None
    for hour, bill in billed:
        for sums in (whole, groups.setdefault(_said(hour.hour, by), _Sums())):
            _add(sums, hour, bill)
            _add_parts(sums, hour.parts, cards)
        if whole.usd[0] <= usd_of(whole.bill + whole.fixed):
            pays_since = None
        elif pays_since is None:
            pays_since = hour.hour
    return VirtualAnswer(
        terms=terms,
        groups=tuple(sums.told(terms.name, time) for time, sums in groups.items()),
        whole=whole.told(terms.name, ""),
        pays_since=None if pays_since is None else _EPOCH + timedelta(hours=pays_since),
        begins=_EPOCH + timedelta(hours=billed[0][0].hour),
        ends=_EPOCH + timedelta(hours=billed[-1][0].hour + 1),
        unbilled_hours=len(bills) - len(billed),
    )


def sentence_of(answer: VirtualAnswer, node: str) -> str:
    """Say in a few words what a pool would have come to; ``node`` names what one of its nodes is."""
    found, terms = answer.whole, answer.terms
    used = found.utilisation_fraction
    served = found.served_fraction
    loaded = found.saved_loaded_usd
    if loaded > 0:
        since = f" since {answer.pays_since:%Y-%m-%dT%H:%MZ}" if answer.pays_since else ""
        verdict = f"worth it{since}: with people and infrastructure ({_usd(found.fixed_usd)}) it saves {_usd(loaded)}"
    elif found.saved_usd > 0:
        verdict = (
            f"not yet worth it: it saves {_usd(found.saved_usd)} on the bill alone, and people and infrastructure "
            f"({_usd(found.fixed_usd)}) make that {_usd(-loaded)} more than the API"
        )
    else:
        verdict = (
            f"not yet worth it: {_usd(-found.saved_usd)} more than the API on the bill alone, {_usd(-loaded)} more "
            f"with people and infrastructure ({_usd(found.fixed_usd)})"
        )
    return (
        f"{terms.name}: with {_nodes(terms, node, answer)} you would have paid {_usd(found.bill_usd)} from "
        f"{answer.begins:%Y-%m-%dT%H:%MZ} to {answer.ends:%Y-%m-%dT%H:%MZ}, served "
        f"{'no requests' if served is None else f'{served:.0%} of {found.requests:,} requests'} at "
        f"{'no' if used is None else f'{used:.1%}'} utilisation, and not paid {_usd(found.avoided_usd)} to the API; "
        f"{verdict}."
    )


def _nodes(terms: PoolTerms, node: str, answer: VirtualAnswer) -> str:
    """Say how many nodes there are at most, and what the first costs at the end."""
    ends_us = int(answer.ends.timestamp()) * _US_PER_S
    there = [item for item in terms.nodes if item.since_us < ends_us]
    paid = [item for item in there if item.until_us is None or item.until_us >= ends_us] or there
    prices = NodePrices(terms.prices)
    known = {price for item in paid for _, price in prices.between(item.name, ends_us - 1, ends_us)}
    price = f" at {next(iter(known))} USD/h each" if len(known) == 1 and None not in known else ""
    return f"{len(paid)} × {node}{price}" if len(paid) > 1 else f"{node}{price.removesuffix(' each')}"


def _add(sums: _Sums, hour: VirtualHour, bill: HourBill) -> None:
    sums.hours += 1
    sums.paid_us += hour.paid_us
    sums.busy_us += hour.busy_us
    sums.used_us += hour.used_us
    sums.unpriced_us += bill.unpriced_us
    sums.bill += bill.bill
    sums.fixed += bill.fixed
    sums.needed += sum(allocate_units(bill.bill, [min(hour.used_us, hour.paid_us)], hour.paid_us))
    sums.ttft.update(hour.ttft_counts)
    sums.queue.update(hour.queue_counts)


def _add_parts(sums: _Sums, parts: Iterable[VirtualPart], cards: Callable[[str], RateCard | None]) -> None:
    for part in parts:
        counts = part[4:]
        sums.requests[part.went_over] += part.requests
        if not part.went_over:
            sums.tokens = [total + count for total, count in zip(sums.tokens, counts, strict=True)]
        card = cards(part.rate_card)
        usage = usage_of(*counts)
        cost = (
            cost_usd(card, usage, attempts=part.requests, failed=False, over_tokens=part.over_tokens) if card else None
        )
        if cost is None:
            sums.unpriced += part.requests
        else:
            sums.usd[part.went_over] += cost


def _said(hour: int, by: str) -> str:
    moment = _EPOCH + timedelta(hours=hour)
    return f"{moment:%Y-%m-%dT%H:00Z}" if by == "hour" else f"{moment:%Y-%m-%d}"


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f} USD"
