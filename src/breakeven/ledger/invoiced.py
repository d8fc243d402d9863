"""What sellers of tokens charged, as an invoice says it: by day, the name of the prices, and what is charged.

Pools are left out: they are billed by the hour, whatever they served.  Everything that was sent is in, also what
failed, and what was sent to compare targets or to judge answers.  The sum is what ``ledger query`` says, to the last
digit.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.counterfactual import TokenCounts, TokenRatios, bill_lines_usd
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.labels import pool_of
from breakeven.ledger.pools import stored_pools
from breakeven.ledger.query import Cards
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from breakeven.economics.counterfactual import ChargeKind

_EPOCH: Final = date(1970, 1, 1)
_AS_IT_IS: Final = TokenRatios()
_CELLS: Final = (
    "SELECT r.hour / 24, s.id, sum(r.attempts), sum(r.input_tokens), sum(r.cached_input_tokens), "
    "sum(r.cache_write_tokens), sum(r.output_tokens) FROM rollup_hour r JOIN series s ON s.id = r.series "
    "WHERE r.hour >= ? AND r.hour < ? GROUP BY 1, 2 ORDER BY 1, 2"
)
_SERIES: Final = (
    "SELECT s.id, coalesce(t.text, ''), coalesce(p.text, ''), s.outcome, s.flags, s.rate_card, s.over_tokens "
    "FROM series s LEFT JOIN text t ON t.id = s.target LEFT JOIN text p ON p.id = s.priced_as"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What one day came to at one list of prices."""

    day: date
    """UTC."""

    priced_as: str
    """``provider:model``; the target's name where nobody said at which prices."""

    charges_usd: Mapping[ChargeKind, Decimal]
    attempt_count: int
    unpriced_count: int
    """Attempts without a known price: what they cost is in no figure."""

    estimated_count: int
    """Attempts whose tokens were counted from what passed, not told by the target."""

    cut_count: int
    """Attempts that ended before their answer did: a seller may have counted on."""


class _Sums:
    """One day's sums while they are added up."""

    __slots__ = ("attempts", "charges_usd", "cut", "estimated", "unpriced")

    def __init__(self) -> None:
        self.attempts = self.cut = self.estimated = self.unpriced = 0
        self.charges_usd: dict[ChargeKind, Decimal] = {}

    def told(self, day: int, priced_as: str) -> Charged:
        return Charged(
            day=_EPOCH + timedelta(days=day),
            priced_as=priced_as,
            charges_usd=self.charges_usd,
            attempt_count=self.attempts,
            unpriced_count=self.unpriced,
            estimated_count=self.estimated,
            cut_count=self.cut,
        )


def charged(store: Path, hours: tuple[int, int], pools: Collection[str] = ()) -> tuple[Charged, ...]:
    """Return what was charged between two hours [from, before), by day and name of prices, in this order.

    ``pools``: names of pools that are declared besides those that the ledger knows.  Raises ``InputError`` for a store
    that cannot be read.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            return _charged(connection, hours, frozenset(pools) | stored_pools(connection).keys())
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _charged(connection: sqlite3.Connection, hours: tuple[int, int], pools: Collection[str]) -> tuple[Charged, ...]:
    series = {number: said for number, *said in connection.execute(_SERIES)}
    cards = Cards(connection)
    found: dict[tuple[int, str], _Sums] = {}
    for day, number, attempts, given, cached, written, output in connection.execute(_CELLS, hours):
        target, priced_as, outcome, flags, card_id, over_tokens = series[number]
        if outcome == rows.CACHED or pool_of(target) in pools:
            continue
        item = found.setdefault((day, priced_as or target), _Sums())
        item.attempts += attempts
        item.estimated += attempts if flags & rows.ESTIMATED else 0
        item.cut += attempts if outcome in (rows.CUT, rows.CLIENT_LEFT) else 0
        card = cards.get(card_id)
        counts = TokenCounts.of(given, cached, written, output, _AS_IT_IS)
        requests = 0 if outcome == rows.FAILED else attempts
        lines = (
            bill_lines_usd(card.prices, counts, requests=requests, over_tokens=over_tokens)
            if card is not None
            else None
        )
        if lines is None:
            item.unpriced += attempts
            continue
        for kind, amount_usd in lines.items():
            item.charges_usd[kind] = item.charges_usd.get(kind, Decimal(0)) + amount_usd
    return tuple(sums.told(*key) for key, sums in sorted(found.items(), key=lambda item: item[0]))
