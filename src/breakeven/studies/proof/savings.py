"""What was saved: requests priced as they would have been elsewhere, minus all that was paid for them and beside them.

Paid is everything: API calls, failed ones too, the pools' whole bills with what nobody used, their people,
infrastructure and reliability, and the evaluation (requests copied to compare targets, and judges).  All figures are
``Decimal`` sums of the ledger's facts, unrounded; nothing here is a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from breakeven.economics.counterfactual import (
    BetterUse,
    TokenCounts,
    TokenRatios,
    better_bill_usd,
    token_bill_usd,
    waiting_bill_usd,
)
from breakeven.ledger.counterfactual import EVALUATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from breakeven.ledger.costs import Costs, GroupCost
    from breakeven.ledger.counterfactual import Answered

PaidKind = Literal["api", "pool", "idle", "fixed", "evaluation"]

PAID_BY: Final = ("day", "model", "decision", "pool", "priced_as")
"""What the ledger's costs have to be grouped by here."""

PAID_WORDS: Final[Mapping[PaidKind, str]] = {
    "api": "API calls",
    "pool": "pools, what they served",
    "idle": "pools, idle",
    "fixed": "people, infrastructure and reliability of pools",
    "evaluation": "evaluation: shadows and judges",
}
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidLine:
    """What was paid on a day for one thing."""

    day: date
    kind: PaidKind
    what: str
    """Prices it was paid by (``provider:model``), or the pool; empty where nobody said."""

    model: str
    """Logical model; empty for what no request asked for."""

    requests: int
    amount_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldLine:
    """What the requests of a day would have cost at one price list."""

    day: date
    model: str
    served_by: str
    """Where they were really answered: the pool, or the prices they were paid by."""

    from_memory: bool
    """They were answered again from memory, without an attempt: elsewhere they would have been paid."""

    prices: str
    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    """As they were counted where they were answered, not rescaled."""

    amount_usd: Decimal | None
    """None: there is no price for them there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """One way in which the same requests might have been served."""

    name: str
    title: str
    lines: tuple[WouldLine, ...]

    @property
    def unpriced_count(self) -> int:
        """Requests that have no price there."""
        return sum(item.requests for item in self.lines if item.amount_usd is None)

    @property
    def would_usd(self) -> Decimal | None:
        """What all requests would have cost; None where some have no price there."""
        return None if self.unpriced_count else _sum(item.amount_usd for item in self.lines)

    @property
    def memory_usd(self) -> Decimal:
        """Of it, what is known of requests that were answered from memory."""
        return _sum(item.amount_usd for item in self.lines if item.from_memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDay:
    """One day against one counterfactual."""

    day: date
    requests: int
    would_usd: Decimal | None
    paid_usd: Decimal

    @property
    def saved_usd(self) -> Decimal | None:
        """What was saved; below 0: it cost more.  None where a request has no price there."""
        return None if self.would_usd is None else self.would_usd - self.paid_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What was paid from a moment until another, and what each counterfactual would have been."""

    begins: datetime
    ends: datetime
    """Hours from there on are still open, or were not asked for."""

    paid: tuple[PaidLine, ...]
    counterfactuals: tuple[Counterfactual, ...]
    unbilled_count: int
    """Attempts whose cost is in no figure: without a known price, or in hours of a pool that nobody says were paid."""

    notes: tuple[str, ...] = ()

    @property
    def paid_usd(self) -> Decimal:
        """All that was paid, to the last digit."""
        return _sum(item.amount_usd for item in self.paid)

    @property
    def is_partial(self) -> bool:
        """Whether something that was paid is missing, so that the saving is less than it says."""
        return self.unbilled_count > 0

    def paid_of(self, kind: PaidKind) -> Decimal:
        """Return what was paid of one kind."""
        return _sum(item.amount_usd for item in self.paid if item.kind == kind)

    def saved_usd(self, found: Counterfactual) -> Decimal | None:
        """Return what was saved against a counterfactual; below 0: it cost more.  None where it has no whole price."""
        return None if found.would_usd is None else found.would_usd - self.paid_usd

    def days(self, found: Counterfactual) -> tuple[SavedDay, ...]:
        """Return each day against a counterfactual; their sums are the whole, to the last digit."""
        days = sorted({item.day for item in self.paid} | {item.day for item in found.lines})
        return tuple(self._day(day, found) for day in days)

    def _day(self, day: date, found: Counterfactual) -> SavedDay:
        own = [item for item in found.lines if item.day == day]
        priced = all(item.amount_usd is not None for item in own)
        return SavedDay(
            day=day,
            requests=sum(item.requests for item in own),
            would_usd=_sum(item.amount_usd for item in own) if priced else None,
            paid_usd=_sum(item.amount_usd for item in self.paid if item.day == day),
        )


def paid_lines(costs: Costs) -> tuple[PaidLine, ...]:
    """Return what was paid, from costs that are grouped by ``PAID_BY``; the sum is all of it, to the last digit."""
    found: dict[tuple[date, PaidKind, str, str], list[Decimal | int]] = {}

    def add(key: tuple[date, PaidKind, str, str], requests: int, amount_usd: Decimal) -> None:
        if not requests and not amount_usd:
            return
        line = found.setdefault(key, [0, Decimal(0)])
        line[0] += requests
        line[1] += amount_usd

    for group in costs.groups:
        for kind, what, amount_usd in _parts(group):
            day, model, *_ = group.labels
            add((date.fromisoformat(day or ""), kind, what, model or ""), _counted(group, kind), amount_usd)
    for pool in costs.pools:
        day_ = date.fromisoformat(pool.time)
        add((day_, "idle", pool.pool, ""), 0, pool.idle_usd)
        add((day_, "fixed", pool.pool, ""), 0, pool.idle_fixed_usd)
    return tuple(
        PaidLine(day=day, kind=kind, what=what, model=model, requests=int(requests), amount_usd=Decimal(amount_usd))
        for (day, kind, what, model), (requests, amount_usd) in sorted(found.items())
    )


def would_cost(
    name: str,
    title: str,
    answered: Iterable[Answered],
    *,
    ratios: Callable[[str, str], TokenRatios] | None = None,
    better: BetterUse | None = None,
) -> Counterfactual:
    """Price answered requests at the list that each is set against.

    ``ratios`` gives by who served and which list how token counts differ there; none: counts are as they are.
    ``better``: the list is used better than requests were sent.  Requests from memory cost what any other would.
    """
    parts = list(answered)
    caches = {(item.part.model, item.part.prices) for item in parts if item.counts[1]}
    return Counterfactual(name=name, title=title, lines=tuple(_would(item, caches, ratios, better) for item in parts))


def _would(
    item: Answered,
    caches: set[tuple[str, str]],
    ratios: Callable[[str, str], TokenRatios] | None,
    better: BetterUse | None,
) -> WouldLine:
    part, counts = item.part, item.counts
    scale = ratios(part.served_by, part.prices) if ratios is not None else TokenRatios()
    tokens = TokenCounts.of(*counts, scale)
    size = {"requests": item.requests, "over_tokens": part.over_tokens}
    amount_usd: Decimal | None = None
    if part.card is not None and better is None:
        amount_usd = token_bill_usd(part.card.prices, tokens, **size)
    elif part.card is not None and better is not None:
        in_use = (part.model, part.prices) in caches
        amount_usd = better_bill_usd(part.card.prices, tokens, better, caches=in_use, **size)
        if amount_usd is not None and part.patient is not None:
            patient_usd = better_bill_usd(part.patient.prices, tokens, better, caches=in_use, **size)
            amount_usd = waiting_bill_usd(amount_usd, patient_usd, better)
    return WouldLine(
        day=_EPOCH + timedelta(days=part.day),
        model=part.model,
        served_by=part.served_by,
        from_memory=part.from_memory,
        prices=part.prices,
        requests=item.requests,
        input_tokens=counts[0],
        cached_input_tokens=counts[1],
        cache_write_tokens=counts[2],
        output_tokens=counts[3],
        amount_usd=amount_usd,
    )


def _parts(group: GroupCost) -> Sequence[tuple[PaidKind, str, Decimal]]:
    """Return what a group was charged, by kind."""
    _, _, decision, pool, priced_as = group.labels
    what = pool or priced_as or ""
    if decision in EVALUATION:
        return (("evaluation", what, group.loaded_usd),)
    if pool is None:
        return (("api", what, group.loaded_usd),)
    served_usd = group.allocated_usd - group.marginal_usd
    # A target that has a slash in its name but is no declared pool is paid as an API is.
    api = (("api", what, group.marginal_usd),) if group.marginal_usd else ()
    fixed_usd = group.loaded_usd - group.allocated_usd
    return (("pool", what, served_usd), ("fixed", what, fixed_usd), *api)


def _counted(group: GroupCost, kind: PaidKind) -> int:
    """Return the requests that a line counts: each once, at its first attempt, and none beside the fixed lines."""
    return group.total.requests if kind != "fixed" else 0


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((item for item in amounts if item is not None), Decimal(0))
