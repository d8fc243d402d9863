"""Brings rows from files into the ledger: from an export of a ledger, or from any trace that can be read."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.days import day_files, day_number, keeping
from breakeven.ledger.intake import BATCH_ROWS, Intake
from breakeven.ledger.rollups import DAY_US
from breakeven.ledger.store import Store, connect, trouble_of
from breakeven.wiring.ledger_known import RowsInFiles
from breakeven.wiring.ledger_rows import read_rows
from breakeven.wiring.plan import require_plan_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.ledger.cards import CardSchedule
    from breakeven.ledger.intake import Incoming
    from breakeven.wiring.ledger_rows import ImportOptions

BUSY_S: Final = 10.0
MAX_SOURCE_LENGTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one file."""

    file: str
    source: str
    added_count: int
    repeated_count: int
    """Rows that the ledger had already."""

    left_out_count: int
    """Rows of days that were pruned, and of times that are still to come."""

    notes: tuple[str, ...]


def import_file(store: Path, path: Path, cards: CardSchedule, options: ImportOptions, *, now_s: float) -> Imported:
    """Add the rows of one file to a ledger, which is made where there is none; what is there is not added again.

    Raises ``InputError`` for a file that cannot be used, and where another command changes the ledger.
    """
    require_plan_extra()
    source = options.source
    if not source or not source.isprintable() or len(source) > MAX_SOURCE_LENGTH:
        raise InputError(f"--source {source!r}: name it in up to {MAX_SOURCE_LENGTH} characters that print.")
    sha256 = _sha256(path)
    try:
        connect(store, create=True).close()
        with keeping(store) as folder:
            return _Import(store, folder, now_s).take(path, sha256, cards, options)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


class _Import:
    """One file on its way into one store."""

    def __init__(self, store: Path, folder: Path, now_s: float) -> None:
        self._folder = folder
        self._now_s = now_s
        self._left_out = self._pruned_before = 0
        self._store = Store(store, busy_s=BUSY_S)

    def take(self, path: Path, sha256: str, cards: CardSchedule, options: ImportOptions) -> Imported:
        try:
            if (before := self._imported(sha256)) is not None:
                source, count = before
                note = f"This very file was imported as {source} before: nothing is added."
                return Imported(
                    file=str(path),
                    source=source,
                    added_count=0,
                    repeated_count=count,
                    left_out_count=self._left_out,
                    notes=(note,),
                )
            reading = read_rows(path, options)
            intake = Intake(self._store, cards, self._rows_in_files())
            found = self._fitting(reading.rows)
            while batch := list(islice(found, BATCH_ROWS)):
                self._store.begin()
                intake.add(batch)
                self._store.commit()
            count = intake.added + intake.repeated
            self._store.begin()
            self._store.connection.execute(
                "INSERT INTO import_file VALUES (?, ?, ?, ?)", (sha256, options.source, count, self._now_s)
            )
            self._store.commit()
            return Imported(
                file=str(path),
                source=options.source,
                added_count=intake.added,
                repeated_count=intake.repeated,
                left_out_count=self._left_out,
                notes=reading.notes,
            )
        finally:
            self._store.close()

    def _imported(self, sha256: str) -> tuple[str, int] | None:
        self._store.begin()
        found: tuple[str, int] | None = self._store.connection.execute(
            "SELECT source, rows FROM import_file WHERE sha256 = ?", (sha256,)
        ).fetchone()
        self._store.commit()
        return found

    def _rows_in_files(self) -> RowsInFiles:
        self._store.begin()
        files = day_files(self._store.connection)
        self._pruned_before = int(self._store.connection.execute("SELECT pruned_before FROM upkeep").fetchone()[0])
        self._store.commit()
        return RowsInFiles(self._folder, files)

    def _fitting(self, found: Iterator[Incoming]) -> Iterator[Incoming]:
        """Yield rows but those of pruned days, whose sums are there for good, and those of the future."""
        end_us = (day_number(self._now_s) + 1) * DAY_US
        for row in found:
            if self._pruned_before * DAY_US <= row.received_us < end_us:
                yield row
            else:
                self._left_out += 1


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
