"""Deletes the rows of days that are too old to be kept, and outcomes; sums by the hour and by the day stay.

It needs no pyarrow: a file of a closed day is removed as it is.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger.days import REPLACED, date_of, day_files, days_in_store, keeping, sweep
from breakeven.ledger.rollups import DAY_US
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

BUSY_S: Final = 10.0


class PrunedDay(NamedTuple):
    """What was kept of a day, row by row, before it was deleted."""

    day: date
    rows: int
    file_bytes: int
    """Size of its file; 0 where its rows were in the store."""


class Pruned(NamedTuple):
    """What a run deleted, or would delete."""

    days: tuple[PrunedDay, ...]
    files_in_use: int
    """Files that no longer count but are being read: the next run removes them."""

    outcomes: int = 0
    """That came about before those days."""


def prune(store: Path, before_day: int, *, dry_run: bool = False) -> Pruned:
    """Delete the rows of every day before that one, counted from 1970; with ``dry_run`` only say which.

    Raises ``InputError`` where another command is at it, and where the store cannot be written.
    """
    try:
        if dry_run:
            with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
                connection.execute("BEGIN")
                return Pruned(_old_days(connection, before_day), 0, _old_outcomes(connection, before_day))
        with keeping(store) as folder, closing(connect(store, busy_s=BUSY_S)) as connection:
            days, outcomes = _old_days(connection, before_day), _old_outcomes(connection, before_day)
            _delete(connection, before_day)
            return Pruned(days, sweep(connection, store, folder), outcomes)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _delete(connection: sqlite3.Connection, before_day: int) -> None:
    """Delete rows of the store day by day, then let files no longer count."""
    for item in days_in_store(connection):
        if item.day < before_day:
            connection.execute(f"DELETE FROM attempt WHERE {item.condition}")  # noqa: S608 - numbers of days.py
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE day_file SET state = ? WHERE day < ?", (REPLACED, before_day))
    connection.execute("DELETE FROM outcome WHERE at_us < ?", (before_day * DAY_US,))
    connection.execute("UPDATE upkeep SET pruned_before = max(pruned_before, ?)", (before_day,))
    connection.execute("COMMIT")


def _old_outcomes(connection: sqlite3.Connection, before_day: int) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM outcome WHERE at_us < ?", (before_day * DAY_US,))
    return int(count)


def _old_days(connection: sqlite3.Connection, before_day: int) -> tuple[PrunedDay, ...]:
    rows: dict[int, int] = {item.day: item.rows for item in days_in_store(connection) if item.day < before_day}
    sizes: dict[int, int] = {}
    for file in day_files(connection):
        if file.day < before_day:
            rows[file.day] = rows.get(file.day, 0) + file.rows
            sizes[file.day] = file.size_bytes
    return tuple(PrunedDay(date_of(day), rows[day], sizes.get(day, 0)) for day in sorted(rows))
