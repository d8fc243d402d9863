"""Attempts for the tests of the ledger: written to a spool, moved to a store, and read back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

START_US = int(datetime(2026, 11, 2, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000
SECOND_US = 1_000_000
TEXTS = {
    "key": rows.KEY,
    "task": rows.TASK,
    "tags": rows.TAGS,
    "model": rows.MODEL,
    "target": rows.TARGET,
    "priced_as": rows.PRICED_AS,
    "decision": rows.REASON,
    "fallback": rows.REASON,
    "failure": rows.REASON,
}


def attempt(spool: Spool, number: int, **said: Any) -> rows.Attempt:
    """Make the row of the ``number``-th request, one a second; texts are given as texts."""
    codes = {name: spool.code(kind, said.pop(name, "")) for name, kind in TEXTS.items()}
    plain = rows.Attempt(
        attempt_id=(number + 1) << 16,
        received_us=START_US + number * SECOND_US,
        queued_us=100,
        first_byte_us=20_000,
        ended_us=900_000,
        **codes,
        status=200,
        outcome=rows.OK,
        processing=0,
        flags=0,
        input_tokens=100,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=10,
        episode="",
    )
    return plain._replace(**said)


def spool_of(folder: Path, **options: Any) -> Spool:
    """Open a spool in a ledger's folder."""
    return Spool(folder / "spool", worker=options.pop("worker", 0), **options)


def mover_of(folder: Path, cards: CardSchedule | None = None, **options: Any) -> Mover:
    """Open a mover of a ledger's folder."""
    return Mover(folder / "spool", Store(folder / "ledger.sqlite", busy_s=0.01), cards or CardSchedule(), **options)


def write(folder: Path, many: Iterable[dict[str, Any]]) -> None:
    """Write rows to a spool of their own and close it."""
    spool = spool_of(folder)
    for number, said in enumerate(many):
        spool.add(attempt(spool, said.pop("number", number), **said))
    assert spool.flush()
    spool.close()


def move(folder: Path, cards: CardSchedule | None = None) -> int:
    """Move everything that is there."""
    mover = mover_of(folder, cards)
    try:
        moved = mover.drain()
        assert not mover.trouble, mover.trouble
        return moved
    finally:
        mover.close()


def ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the store."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        return connection.execute(query).fetchall()


def segments(folder: Path) -> list[Path]:
    """Return the segments that are there."""
    return sorted((folder / "spool").glob("*.spool"))
