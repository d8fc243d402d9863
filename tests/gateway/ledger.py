"""Reads what the gateway kept, as an auditor would: straight from the store, without the program's own queries."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from breakeven.ledger.cards import read_card
from breakeven.ledger.ids import request_text
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal
    from pathlib import Path

Row = dict[str, Any]
"""An attempt: the columns of the view ``attempt_said``, the request's id as clients see it, and ``cost_usd``."""

SUMS = "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"


def all_rows(store: Path) -> list[Row]:
    """Every attempt in the store, in the order of their ids; none while there is no store."""
    with _opened(store) as opened:
        if opened is None:
            return []
        opened.execute("BEGIN")  # one moment for both: rows must not be newer than the cards
        cards = dict(opened.execute("SELECT id, content FROM rate_card"))
        found = opened.execute("SELECT * FROM attempt_said ORDER BY attempt_id").fetchall()
    return [_row(dict(row), cards) for row in found]


def rows_of(store: Path, request_id: str) -> list[Row]:
    """The attempts of one request."""
    return [row for row in all_rows(store) if row["request_id"] == request_id]


def hourly_sums(store: Path) -> tuple[int, ...]:
    """Attempts and tokens by type over all hourly roll-ups."""
    with _opened(store) as opened:
        assert opened is not None
        columns = ", ".join(f"sum({name})" for name in ("attempts", *SUMS))
        sums: tuple[int, ...] = tuple(opened.execute(f"SELECT {columns} FROM rollup_hour").fetchone())  # noqa: S608
    return sums


@contextlib.contextmanager
def _opened(store: Path) -> Iterator[sqlite3.Connection | None]:
    try:
        opened = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        yield None
        return
    with contextlib.closing(opened):
        opened.row_factory = sqlite3.Row
        begun = opened.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'attempt_said'").fetchone()[0]
        yield opened if begun else None


def _row(row: Row, cards: dict[str, str]) -> Row:
    card = cards.get(row["rate_card"])
    return row | {
        "request_id": request_text(row["attempt_id"]),
        "estimated": bool(row["estimated"]),
        "streamed": bool(row["streamed"]),
        "cost_usd": None if card is None else _cost_usd(row, card),
    }


def _cost_usd(row: Row, card: str) -> Decimal | None:
    return read_card(card).price_usd(TokenUsage(**{name: row[name] for name in SUMS}))
