"""What alerts look at and no other question asks: requests that nobody answered, and prices that are others now."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.query import Cards, usage_of
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Result = TypeVar("Result")

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

BUSY_S: Final = 5.0
BEFORE_HOURS: Final = 7 * 24
"""How far prices are looked back for before the last day."""

_DAY_HOURS: Final = 24
_DONE: Final = ", ".join(map(str, (*ANSWERED, rows.CACHED)))
_MARKS: Final = ", ".join("?" * len(EVALUATION))
_REQUESTS: Final = (
    "SELECT coalesce(m.text, ''), sum(iif(s.fallback = 0, r.attempts, 0)), "
    f"sum(iif(s.outcome IN ({_DONE}) OR (s.status BETWEEN 400 AND 499 AND s.status NOT IN (401, 403, 408, 429)), "
    "r.attempts, 0)) FROM rollup_hour r JOIN series s ON s.id = r.series LEFT JOIN text m ON m.id = s.model "
    f"LEFT JOIN text d ON d.id = s.decision WHERE r.hour >= ? AND coalesce(d.text, '') NOT IN ({_MARKS}) GROUP BY 1"
)
_CARDS: Final = (
    "SELECT p.text, s.processing, s.rate_card, max(r.hour) FROM rollup_hour r JOIN series s ON s.id = r.series "
    "JOIN text p ON p.id = s.priced_as WHERE r.hour >= ? AND r.hour < ? AND s.rate_card <> '' "
    "AND p.text NOT LIKE 'pool:%' GROUP BY 1, 2, 3 ORDER BY 1, 2, 4"
)
_TOKENS: Final = (
    "SELECT s.over_tokens, s.outcome, sum(r.attempts), sum(r.input_tokens), sum(r.cached_input_tokens), "
    "sum(r.cache_write_tokens), sum(r.output_tokens) FROM rollup_hour r JOIN series s ON s.id = r.series "
    "JOIN text p ON p.id = s.priced_as WHERE r.hour >= ? AND p.text = ? AND s.processing = ? GROUP BY 1, 2"
)


class Asked(NamedTuple):
    """Requests of a model since an hour, and those of them that nobody answered."""

    requests: int
    failed: int


class NewPrice(NamedTuple):
    """The tokens of the last day, by the prices of before and by those of now."""

    priced_as: str
    processing: str
    before_usd: Decimal
    after_usd: Decimal


def failed_since(store: Path, hour: int) -> dict[str, Asked]:
    """Return, by model, what was asked since an hour since 1970.

    A request that a target refused as wrong (a status of 4xx but of keys, time-outs and rates) is answered: trying
    elsewhere would not help it.  Raises ``InputError`` for a store that cannot be read.
    """
    found = _read(store, lambda connection: connection.execute(_REQUESTS, (hour, *EVALUATION)).fetchall())
    return {model: Asked(requests, max(requests - done, 0)) for model, requests, done in found}


def new_prices(store: Path, now_hour: int) -> tuple[NewPrice, ...]:
    """Return the names whose newest prices no attempt was paid by in the week before the last day.

    Prices by the time of day have all been used in that week, so they do not count as new.  What is asked for the
    first time has no prices before.  Raises ``InputError`` for a store that cannot be read.
    """
    return _read(store, lambda connection: tuple(_new_prices(connection, now_hour)))


def _new_prices(connection: sqlite3.Connection, now_hour: int) -> list[NewPrice]:
    day = now_hour - _DAY_HOURS
    before: dict[tuple[str, int], list[str]] = {}
    for name, processing, card, _ in connection.execute(_CARDS, (day - BEFORE_HOURS, day)):
        before.setdefault((name, processing), []).append(card)
    newest = {(name, kind): card for name, kind, card, _ in connection.execute(_CARDS, (day, 1 << 40))}
    cards = Cards(connection)
    found = []
    for (name, processing), card in newest.items():
        known = before.get((name, processing), [])
        if not known or card in known:
            continue
        tokens = connection.execute(_TOKENS, (day, name, processing)).fetchall()
        costs = [_cost_usd(cards, item, tokens) for item in (known[-1], card)]
        if costs[0] is not None and costs[1] is not None:
            found.append(NewPrice(name, rows.PROCESSINGS[processing], costs[0], costs[1]))
    return found


def _cost_usd(cards: Cards, card_id: str, tokens: Sequence[Sequence[int]]) -> Decimal | None:
    card, total_usd = cards.get(card_id), Decimal(0)
    if card is None:
        return None
    for over, outcome, attempts, *counts in tokens:
        usage = usage_of(counts[0], counts[1], counts[2], counts[3])
        part_usd = cost_usd(card, usage, attempts=attempts, failed=outcome == rows.FAILED, over_tokens=over)
        if part_usd is None:
            return None
        total_usd += part_usd
    return total_usd


def _read(store: Path, read: Callable[[sqlite3.Connection], Result]) -> Result:
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN")
            return read(connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
