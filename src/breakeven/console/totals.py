"""Sums over everything that the ledger has ever kept, by few labels with few values each: what metrics count.

A client may choose any model, task or tag, so each label has at most ``MAX_VALUES`` values and each grouping at most
``MAX_GROUPS`` groups; what is beyond is summed up as ``other``.  Those that the settings name come first, then those
that came first, so that a value, once shown, stays: a sum never goes down because another one overtook it.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.labels import TEXT_KINDS
from breakeven.ledger.query import Cards, usage_of
from breakeven.ledger.rollups import NO_HOUR, cells_within
from breakeven.ledger.schema import SUM_COLUMNS, SUMMED
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

MAX_VALUES: Final = 200
MAX_GROUPS: Final = 1_000
OTHER: Final = "other"
BUSY_S: Final = 5.0

GROUPINGS: Final = (("model", "target", "outcome"), ("model", "target"), ("key", "model"), ("task",))
"""The labels by which sums are kept apart."""

_OTHER_ID: Final = -1
_OUTCOME: Final = "outcome"

Labels = tuple[str, ...]
Totals = dict[tuple[str, ...], dict[Labels, "Sums"]]
"""By grouping, then by the values of its labels; an attempt without a key, say, has the empty text for one."""


class Sums:
    """What is counted of one group."""

    __slots__ = ("attempts", "cost_usd", "estimated", "requests", "tokens", "unpriced")

    def __init__(self) -> None:
        self.requests = self.attempts = self.estimated = self.unpriced = 0
        self.cost_usd = Decimal(0)
        self.tokens = {"input": 0, "cached_input": 0, "cache_write": 0, "output": 0}
        """By type; input leaves the cached and the written out, so that all types add up."""

    def add(self, part: Sequence[int | str], cards: Cards) -> None:
        """Add attempts that have rate card, failure and kind of counting in common."""
        card_id, over_tokens, failed, estimated, first, *counted = part
        attempts, given, cached, written, output = (int(number) for number in counted)
        usage = usage_of(given, cached, written, output)
        self.attempts += attempts
        self.requests += attempts if first else 0
        self.estimated += attempts if estimated else 0
        self.tokens["input"] += usage.input_tokens - cached - written
        self.tokens["cached_input"] += cached
        self.tokens["cache_write"] += written
        self.tokens["output"] += output
        card = cards.get(str(card_id))
        over = int(over_tokens)
        cost = cost_usd(card, usage, attempts=attempts, failed=bool(failed), over_tokens=over) if card else None
        if cost is None:
            self.unpriced += attempts
        else:
            self.cost_usd += cost


def all_totals(store: Path, reserved: Mapping[str, Sequence[str]]) -> Totals:
    """Return the sums by each of ``GROUPINGS``; ``reserved`` are values by label that are shown in any case.

    A store that is not there yet has none.  Raises ``InputError`` for one that cannot be read.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("BEGIN")
            _sum_series(connection)
            cards = Cards(connection)
            names = {
                label: _kept(connection, label, reserved.get(label, ()))
                for label in dict.fromkeys(label for grouping in GROUPINGS for label in grouping if label != _OUTCOME)
            }
            return {grouping: _grouped(connection, grouping, names, cards) for grouping in GROUPINGS}
    except StoreMissingError:
        return {grouping: {} for grouping in GROUPINGS}
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _sum_series(connection: sqlite3.Connection) -> None:
    """Sum up each series over all time, once for all groupings: in a table of this connection alone."""
    cells = cells_within(connection, (0, NO_HOUR))
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUM_COLUMNS)
    connection.execute(f"CREATE TEMP TABLE total AS SELECT series, {sums} FROM ({cells}) GROUP BY series")


def _kept(connection: sqlite3.Connection, label: str, reserved: Sequence[str]) -> dict[int, str]:
    """Return the values of a label that are shown, by their number in the store."""
    found = connection.execute(
        "SELECT id, text FROM text WHERE kind = ? ORDER BY text IN (SELECT value FROM json_each(?)) DESC, id LIMIT ?",
        (TEXT_KINDS[label], json.dumps(list(reserved)), MAX_VALUES),
    )
    return {0: "", _OTHER_ID: OTHER, **dict(found.fetchall())}


def _grouped(
    connection: sqlite3.Connection, grouping: tuple[str, ...], names: Mapping[str, Mapping[int, str]], cards: Cards
) -> dict[Labels, Sums]:
    columns: list[str] = []
    values: list[str] = []
    for label in grouping:
        if label == _OUTCOME:
            columns.append("s.outcome")
            continue
        columns.append(f"iif(s.{label} IN (SELECT value FROM json_each(?)), s.{label}, {_OTHER_ID})")
        values.append(json.dumps(list(names[label])))
    places = ", ".join(str(place + 1) for place in range(len(grouping) + 5))
    found = connection.execute(
        f"SELECT {', '.join(columns)}, s.rate_card, s.over_tokens, s.outcome = 1, s.flags & 1, s.fallback = 0, "
        f"{SUMMED}, min(s.id) FROM total JOIN series s ON s.id = series WHERE s.outcome <> {rows.CACHED} "
        f"GROUP BY {places}",
        values,
    )
    groups: dict[Labels, Sums] = {}
    for row in sorted(found, key=lambda row: row[-1]):
        labels = _said(grouping, row, names)
        if labels not in groups and len(groups) >= MAX_GROUPS:
            labels = tuple(value if label == _OUTCOME else OTHER for label, value in zip(grouping, labels, strict=True))
        groups.setdefault(labels, Sums()).add(row[len(grouping) : -1], cards)
    return groups


def _said(grouping: tuple[str, ...], row: Sequence[int], names: Mapping[str, Mapping[int, str]]) -> Labels:
    return tuple(
        rows.OUTCOMES[code] if label == _OUTCOME else names[label][code]
        for label, code in zip(grouping, row, strict=False)
    )
