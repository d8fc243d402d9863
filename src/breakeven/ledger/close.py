"""Moves the rows of days that are over from the store into a file a day, each row exactly once.

The file is written beside its place, brought to the disk, renamed, and read over again.  Then one transaction
compares what the store has of the day with what went into the file, lets the file count and deletes the rows.
What comes later for such a day stays in the store until the next run, which writes the day's file anew.
"""

# ruff: noqa: S608 - the names in these statements stand in this package

from __future__ import annotations

import heapq
import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger import day_file
from breakeven.ledger.batch import HOUR_US
from breakeven.ledger.days import (
    PART,
    DayFile,
    claim,
    count_file,
    date_of,
    day_files,
    days_in_store,
    discard,
    keeping,
    sweep,
)
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.rollups import shift_cells
from breakeven.ledger.said import BATCH_ROWS, said_rows
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from breakeven.ledger.days import DayInStore
    from breakeven.ledger.rollups import Cell
    from breakeven.ledger.said import SaidAttempt

BUSY_S: Final = 10.0
_TRIES: Final = 5
_FOR_CELLS: Final = (
    "SELECT received_us, series, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens "
    "FROM attempt WHERE attempt_id = ?"
)


class ClosedDay(NamedTuple):
    """A day whose rows are in a file now."""

    day: date
    rows: int
    size_bytes: int


def close_days(store: Path, before_day: int) -> tuple[ClosedDay, ...]:
    """Move the rows of every day before that one, counted from 1970, into files.

    Raises ``InputError`` where another command is at it, and where store or folder cannot be written.
    """
    try:
        with keeping(store) as folder, closing(connect(store, busy_s=BUSY_S)) as connection:
            sweep(connection, store, folder)
            days = [found for found in days_in_store(connection) if found.day < before_day]
            closed = [_close(connection, folder, found) for found in days]
            sweep(connection, store, folder)
            return tuple(item for item in closed if item is not None)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    except OSError as error:
        raise InputError(f"The files of closed days of {store} cannot be written: {error}. Free some space.") from error


def write_day(connection: sqlite3.Connection, folder: Path, day: int, rows: Iterable[SaidAttempt]) -> DayFile:
    """Write a file of a day that does not count yet, and look it over.  Raises ``OSError``."""
    name = claim(connection, folder, day)
    ends = _Ends()
    try:
        written = day_file.write(folder / f"{name}{PART}", ends.watch(rows))
        os.rename(folder / f"{name}{PART}", folder / name)  # noqa: PTH104 - one call beside the others on paths
        _sync_folder(folder)
        if (found := day_file.check(folder / name)) != written:
            raise OSError(f"{folder / name} reads back as {found} after {written} was written")  # noqa: TRY301 - as any other failure
    except OSError:
        discard(connection, folder, name)
        raise
    return DayFile(name, day, written.rows, ends.first_id, ends.last_id, (folder / name).stat().st_size)


class _Ends:
    """Takes down the first and the last id of rows that pass by."""

    def __init__(self) -> None:
        self.first_id = self.last_id = 0

    def watch(self, rows: Iterable[SaidAttempt]) -> Iterator[SaidAttempt]:
        for row in rows:
            self.first_id = self.first_id or row.attempt_id
            self.last_id = row.attempt_id
            yield row


class _Merge:
    """The rows of a day from its file and from the store, by id, each once."""

    def __init__(self) -> None:
        self.taken = day_file.Sums()
        """What the rows of the store add up to."""

        self.repeated: list[int] = []
        """Ids of the store's rows that the file had already: a segment was copied back after its day was closed."""

    def rows(self, before: Iterable[SaidAttempt], added: Iterator[SaidAttempt]) -> Iterator[SaidAttempt]:
        """Yield them; one of the store that only shares its id with another gets the next that is free."""
        renamed: list[tuple[int, int, SaidAttempt]] = []  # new id, id in the store, row
        stream = heapq.merge(before, self._count(added), key=lambda row: row.attempt_id)
        row, last = next(stream, None), None
        while row is not None or renamed:
            if row is None or (renamed and renamed[0][0] < row.attempt_id):
                _, id_in_store, taken = heapq.heappop(renamed)
            else:
                id_in_store, taken, row = row.attempt_id, row, next(stream, None)
            if last is None or taken.attempt_id != last.attempt_id:
                yield taken
                last = taken
            elif taken.facts == last.facts:
                self.repeated.append(id_in_store)
            else:
                other = taken._replace(attempt_id=taken.attempt_id + ATTEMPTS)
                heapq.heappush(renamed, (other.attempt_id, id_in_store, other))

    def _count(self, rows: Iterator[SaidAttempt]) -> Iterator[SaidAttempt]:
        while batch := list(islice(rows, BATCH_ROWS)):
            self.taken = self.taken.plus(day_file.sums_of(batch))
            yield from batch


def _close(connection: sqlite3.Connection, folder: Path, found: DayInStore) -> ClosedDay | None:
    """Write a day's file anew with what the store has of it; None when rows of that day kept coming."""
    for _ in range(_TRIES):
        old = next((file for file in day_files(connection) if file.day == found.day), None)
        merge = _Merge()
        before = day_file.read(folder / old.name) if old else ()
        new = write_day(connection, folder, found.day, merge.rows(before, said_rows(connection, found.condition)))
        connection.execute("BEGIN IMMEDIATE")
        if _sums_in_store(connection, found) == merge.taken:
            shift_cells(connection, _cells_of(connection, merge.repeated))
            count_file(connection, new)
            connection.execute(f"DELETE FROM attempt WHERE {found.condition}")
            connection.execute("COMMIT")
            return ClosedDay(date_of(new.day), new.rows, new.size_bytes)
        connection.execute("ROLLBACK")  # more came in the meantime
        discard(connection, folder, new.name)
        found = next(item for item in days_in_store(connection) if item.day == found.day)
    return None


def _sums_in_store(connection: sqlite3.Connection, found: DayInStore) -> day_file.Sums:
    return day_file.Sums._make(
        connection.execute(f"SELECT {day_file.SUMS_IN_SQL} FROM attempt WHERE {found.condition}").fetchone()
    )


def _cells_of(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[Cell, list[int]]:
    """Return what rows of the store add to their cells, with a minus."""
    cells: dict[Cell, list[int]] = defaultdict(lambda: [0] * 5)
    for attempt_id in ids:
        received_us, series, *tokens = connection.execute(_FOR_CELLS, (attempt_id,)).fetchone()
        cell = cells[received_us // HOUR_US, series]
        for place, count in enumerate((1, *tokens)):
            cell[place] -= count
    return cells


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
