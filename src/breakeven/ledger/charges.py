"""What was paid, charge by charge: a token type at its unit price, node time at a pool's, and what pools had idle.

A charge is what one key, task, model and target used in one day or hour of one thing that has a price, so that its
quantity times its unit price is its cost.  Together the charges are all that the ledger knows was paid: they add up to
what ``ledger query --costs`` says.  Attempts without a known price are counted, and in no charge.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from breakeven.economics.pool_hours import POOL
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.labels import pool_of
from breakeven.ledger.pools import all_terms, stored_pools
from breakeven.ledger.query import Cards, Question, usage_of
from breakeven.ledger.rollups import cells_within
from breakeven.ledger.store import connect, trouble_of
from breakeven.quantities import TOKENS_PER_MTOK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard, TokenPrice
    from breakeven.ledger.costs import Costs, Known, PoolCost
    from breakeven.usage import TokenUsage

# ruff: noqa: S608 - the names in these statements stand in this package, and values are bound

Meter = Literal["input", "cached_input", "cache_write", "output", "requests", "node_time"]
Line = Literal["serving", "evaluation", "idle", "saving"]
Grain = Literal["day", "hour"]

_LABELS: Final = ("key", "task", "tags", "model", "target", "decision")
_HOUR_S: Final = 3600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SERIES: Final = (
    "SELECT k.text, t.text, g.text, m.text, p.text, d.text, r.text, s.processing, s.rate_card, s.over_tokens, "
    "s.outcome FROM series s LEFT JOIN text k ON k.id = s.key LEFT JOIN text t ON t.id = s.task "
    "LEFT JOIN text g ON g.id = s.tags LEFT JOIN text m ON m.id = s.model LEFT JOIN text p ON p.id = s.target "
    "LEFT JOIN text d ON d.id = s.decision LEFT JOIN text r ON r.id = s.priced_as WHERE s.id = ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Who used something, and what it is called there; None where nothing says."""

    key: str | None = None
    task: str | None = None
    tags: str | None = None
    model: str | None = None
    target: str | None = None
    priced_as: str | None = None
    """``provider:model`` of the price; of a pool ``pool:NAME``."""

    processing: str = "standard"
    line: Line = "serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One thing used in one stretch of time [begins, ends)."""

    begins: datetime
    ends: datetime
    used: Used
    meter: Meter
    used_count: Decimal
    """How many tokens, requests, or hours of a node, by ``meter``."""

    unit_price_usd: Decimal
    """For a million tokens, a request, or an hour of a node."""

    cost_usd: Decimal
    loaded_usd: Decimal
    """That, and engineering, infrastructure and reliability of a pool; from assumptions, not from a bill."""

    price_id: str = ""
    """Of the rate card, with the size that the input exceeds; empty for node time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """All charges of some hours, and what had to be left out."""

    charges: tuple[Charge, ...]
    since: datetime | None
    until: datetime
    """Hours from there on are still open, or were not asked for."""

    unpriced_count: int
    """Attempts without a known price, or in a pool's hours that nobody says were paid."""

    unpriced_s: Decimal
    """Node time that was paid without a known price."""


class Span(NamedTuple):
    """The hours that are asked for, and how they are cut."""

    since: datetime | None
    until: datetime | None
    grain: Grain


def ask_charges(store: Path, span: Span, known: Known) -> Charges:
    """Return what was paid in hours that are over.

    Raises ``InputError`` for times that are no full hours and for a store that cannot be read.
    """
    question = Question(by=(span.grain, *_LABELS), since=span.since, until=span.until)
    costs = ask_costs(store, question, replace(known, against=None))
    periods = _Periods(span, costs.until)
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            pools = frozenset(all_terms(stored_pools(connection), known.declared, known.closed_hours))
            tokens = tuple(_of_tokens(connection, periods, pools))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    return Charges(
        charges=(*tokens, *_of_pools(costs, periods)),
        since=span.since,
        until=costs.until,
        unpriced_count=sum(group.unbilled_count for group in costs.groups),
        unpriced_s=sum((pool.unpriced_s for pool in costs.pools), Decimal(0)),
    )


class Part(NamedTuple):
    """One of the things that a price is made of."""

    meter: Meter
    used_count: int
    unit_price_usd: Decimal
    cost_usd: Decimal


def parts_of(card: RateCard, usage: TokenUsage, *, requests: int, over_tokens: int) -> tuple[Part, ...] | None:
    """Return what attempts of one tier cost, type by type; None where a type with tokens has no price.

    Their costs add up to what ``RateCard.price_usd`` says, to the last digit.
    """
    prices, size = card.prices, (over_tokens or -1) + 1
    counts: tuple[tuple[Meter, int, TokenPrice | None], ...] = (
        ("input", usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, prices.input),
        ("cached_input", usage.cached_input_tokens, prices.cached_input or prices.input),
        ("cache_write", usage.cache_write_tokens, prices.cache_write or prices.input),
        ("output", usage.output_tokens, prices.output),
    )
    found = []
    for meter, tokens, price in counts:
        if not tokens:
            continue
        if price is None:
            return None
        usd_per_mtok = price.at(size)
        found.append(Part(meter, tokens, usd_per_mtok, usd_per_mtok * tokens / TOKENS_PER_MTOK))
    if requests and prices.request_usd:
        found.append(Part("requests", requests, prices.request_usd, prices.request_usd * requests))
    return tuple(found)


class _Periods:
    """Turns the days or hours of the roll-ups into stretches of time within what is asked for."""

    def __init__(self, span: Span, until: datetime) -> None:
        self.grain = span.grain
        self.hours = (
            int(span.since.timestamp()) // _HOUR_S if span.since else 0,
            int(until.timestamp()) // _HOUR_S,
        )
        self._since = span.since or _EPOCH
        self._until = until

    def of(self, at: int) -> tuple[datetime, datetime]:
        """Return the stretch of a day or an hour since 1970."""
        length = timedelta(days=1) if self.grain == "day" else timedelta(hours=1)
        begins = _EPOCH + at * length
        return max(begins, self._since), min(begins + length, self._until)

    def said(self, text: str) -> tuple[datetime, datetime]:
        """Return the stretch of a day or an hour as labels say it."""
        begins = datetime.fromisoformat(text).replace(tzinfo=UTC)
        since_1970 = begins - _EPOCH
        return self.of(since_1970.days if self.grain == "day" else since_1970 // timedelta(hours=1))


def _of_tokens(connection: sqlite3.Connection, periods: _Periods, pools: frozenset[str]) -> Iterator[Charge]:
    """Yield the charges of targets that are paid by the token."""
    cards = Cards(connection)
    series: dict[int, tuple[Used, str, int, int] | None] = {}
    cells = cells_within(connection, periods.hours, periods.grain)
    found = connection.execute(f"SELECT * FROM ({cells}) ORDER BY at, series")
    for at, group in groupby(found, key=itemgetter(0)):
        sums: dict[tuple[Used, Meter, Decimal, str], list[Decimal]] = {}
        for _, number, attempts, *counts in group:
            if number not in series:
                series[number] = _said_of(connection, number, pools)
            said = series[number]
            if said is None:
                continue
            used, card_id, over_tokens, outcome = said
            card = cards.get(card_id)
            requests = 0 if outcome == rows.FAILED else attempts
            usage = usage_of(*counts)
            for part in (card and parts_of(card, usage, requests=requests, over_tokens=over_tokens)) or ():
                price_id = f"{card_id}>{over_tokens}" if over_tokens else card_id
                known = sums.setdefault((used, part.meter, part.unit_price_usd, price_id), [Decimal(0), Decimal(0)])
                known[0] += part.used_count
                known[1] += part.cost_usd
        begins, ends = periods.of(at)
        for (used, meter, unit_price_usd, price_id), (quantity, cost_usd) in sums.items():
            yield Charge(
                begins=begins, ends=ends, used=used, meter=meter, used_count=quantity, unit_price_usd=unit_price_usd,
                cost_usd=cost_usd, loaded_usd=cost_usd, price_id=price_id,
            )  # fmt: skip


def _said_of(connection: sqlite3.Connection, number: int, pools: frozenset[str]) -> tuple[Used, str, int, int] | None:
    """Return what a series says, with its card, its tier and its outcome; None for one that is not paid by tokens."""
    key, task, tags, model, target, decision, priced_as, processing, card, over, outcome = connection.execute(
        _SERIES, (number,)
    ).fetchone()
    if outcome == rows.CACHED or (target and pool_of(target) in pools):
        return None
    names = rows.PROCESSINGS
    used = Used(
        key=key, task=task, tags=tags, model=model, target=target, priced_as=priced_as,
        processing=names[processing] if processing < len(names) else names[0],
        line="evaluation" if decision in EVALUATION else "serving",
    )  # fmt: skip
    return used, card, over, outcome


def _of_pools(costs: Costs, periods: _Periods) -> Iterator[Charge]:
    """Yield the charges of pools: the parts of their hours that served somebody, and what nobody used."""
    by_pool = {(pool.pool, pool.time): pool for pool in costs.pools}
    merged: dict[tuple[str, PoolCost, Used], list[Decimal]] = {}
    for group in costs.groups:
        time, *labels = group.labels
        name = pool_of(labels[4] or "")
        pool = by_pool.get((name or "", time or ""))
        if pool is None or name is None:
            continue
        sums = merged.setdefault((time or "", pool, _used(labels, name)), [Decimal(0), Decimal(0)])
        sums[0] += group.allocated_usd - group.marginal_usd
        sums[1] += group.loaded_usd - group.marginal_usd
    for (time, pool, used), (cost_usd, loaded_usd) in merged.items():
        if cost_usd or loaded_usd:
            yield _of_pool(periods.said(time), pool, used, cost_usd, loaded_usd)
    for pool in costs.pools:
        if pool.idle_usd or pool.idle_fixed_usd:
            used = Used(target=pool.pool, priced_as=f"{POOL}:{pool.pool}", line="idle")
            loaded_usd = pool.idle_usd + pool.idle_fixed_usd
            yield _of_pool(periods.said(pool.time), pool, used, pool.idle_usd, loaded_usd)


def _used(labels: Sequence[str | None], pool: str) -> Used:
    key, task, tags, model, target, decision = labels
    line: Line = "evaluation" if decision in EVALUATION else "serving"
    priced_as = f"{POOL}:{pool}"
    return Used(key=key, task=task, tags=tags, model=model, target=target, priced_as=priced_as, line=line)


def _of_pool(
    period: tuple[datetime, datetime], pool: PoolCost, used: Used, cost_usd: Decimal, loaded_usd: Decimal
) -> Charge:
    """Return a charge of node time: at what an hour of the pool's nodes cost on average in that time."""
    hours = pool.paid_s / _HOUR_S
    unit_price_usd = pool.bill_usd / hours if hours else Decimal(0)
    return Charge(
        begins=period[0], ends=period[1], used=used, meter="node_time",
        used_count=cost_usd / unit_price_usd if unit_price_usd else Decimal(0),
        unit_price_usd=unit_price_usd, cost_usd=cost_usd, loaded_usd=loaded_usd,
    )  # fmt: skip
