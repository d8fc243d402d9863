"""Carries rows and outcomes from the spool into the store, each exactly once, and removes what has been carried.

Rows, roll-ups and the position behind them are one transaction, so a kill -9 at any point leaves either all
of a step or none of it.  The position in the store is the truth: it is compared before each step, so even two
movers on one spool move nothing twice.  It reads no clock and waits for nothing: its owner calls ``step``.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.batch import Cell, Labels, gather
from breakeven.ledger.outcome_spool import OutcomeCarrier
from breakeven.ledger.repeats import without_repeats
from breakeven.ledger.segments import Segment
from breakeven.ledger.spool import SUFFIX
from breakeven.ledger.store import trouble_of

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.cards import CardSchedule
    from breakeven.ledger.segments import Rows
    from breakeven.ledger.store import AttemptRow, Store

STEP_BYTES: Final = 1024 * 1024
"""Read in one step: 15,000 rows, which take some 10 MB while they are moved."""

_IDLE_STEPS: Final = 3
"""After the last rows one step takes the locks of segments that were left, the next removes them."""

_NOT_KNOWN: Final = -1
"""In place of the position of a segment that the store has not been asked about yet."""


class Mover:
    """Moves one spool folder into one store."""

    __slots__ = (
        "_cards",
        "_folder",
        "_labels",
        "_lists_kept",
        "_outcomes",
        "_segments",
        "_step_bytes",
        "_store",
        "_warnings",
        "trouble",
    )

    def __init__(self, spool_folder: Path, store: Store, cards: CardSchedule, *, step_bytes: int = STEP_BYTES) -> None:
        self._folder = str(spool_folder)
        self._store = store
        self._cards = cards
        self._step_bytes = step_bytes
        self._outcomes = OutcomeCarrier(self._folder, store)
        self._segments: dict[str, Segment] = {}
        self._labels: dict[str, Labels] = {}
        self._lists_kept = False
        self._warnings: list[str] = []
        self.trouble = ""
        """Why the last step could not move what was there; empty when it could."""

    def step(self) -> int:
        """Move what is there now, up to a bound; return how many rows and outcomes.

        When the store or the spool cannot be used it moves nothing, says why in ``trouble``, and the next
        step tries again.  0 without trouble: nothing is left to move.
        """
        try:
            self._outcomes.read()
            moved = self._step() + self._outcomes.write()
            self._warnings += self._outcomes.remove_finished()
        except sqlite3.Error as error:
            self._give_up(trouble_of(self._store.path, error))
        except InputError as error:
            self._give_up(str(error))
        except OSError as error:
            self._give_up(f"The spool {self._folder} cannot be read or cleared: {error}.")
        except BaseException:
            self._give_up("")
            raise
        else:
            self.trouble = ""
            return moved
        return 0

    def drain(self) -> int:
        """Move everything that is there, and remove segments that nobody writes; return how many rows and outcomes.

        Stops where ``trouble`` begins.
        """
        total = idle = 0
        while idle < _IDLE_STEPS:
            moved = self.step()
            if self.trouble:
                break
            total += moved
            idle = 0 if moved else idle + 1
        return total

    def take_warnings(self) -> list[str]:
        """Return what should be told to somebody, once: prices that are missing, damage that was found."""
        told, self._warnings = self._warnings, []
        return [*told, *self._cards.take_warnings()]

    def close(self) -> None:
        """Let go of all files; what has not been moved stays in the spool."""
        self._store.close()
        self._outcomes.close()
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()
        self._labels.clear()

    def _step(self) -> int:
        self._look()
        moved = None
        while moved is None:
            batch = self._read()
            moved = self._move(batch) if batch else 0
        self._remove_finished()
        return moved

    def _look(self) -> None:
        """Open segments that are new."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(SUFFIX))  # noqa: PTH208 - plain strings, 5 times a second
        except FileNotFoundError:
            return  # no worker has written anything yet
        for name in names:
            if name not in self._segments:
                self._open(name)

    def _open(self, name: str) -> None:
        with suppress(FileNotFoundError):  # another mover was faster
            segment = Segment(self._folder, name)
            segment.moved_bytes = _NOT_KNOWN
            self._segments[name] = segment

    def _read(self) -> list[tuple[Segment, Rows]]:
        """Read from the segments in turn until there is enough for a step."""
        self._resume_new()
        batch: list[tuple[Segment, Rows]] = []
        left_bytes = self._step_bytes
        for segment in self._segments.values():
            while left_bytes > 0 and (rows := segment.read(left_bytes)) is not None:
                left_bytes -= max(len(rows.data), 1)
                batch.append((segment, rows))
        return batch

    def _resume_new(self) -> None:
        """Ask the store how far segments have been moved that this mover has not read yet."""
        new = [segment for segment in self._segments.values() if segment.moved_bytes == _NOT_KNOWN]
        if not new:
            return
        self._store.begin()
        positions = self._store.positions()
        self._store.commit()
        for segment in new:
            segment.resume(positions.get(segment.name, 0))

    def _move(self, batch: list[tuple[Segment, Rows]]) -> int | None:
        """Write a batch; None when some of it had been written already, and it has to be read again."""
        self._store.begin()
        if self._moved_by_others():
            self._store.commit()
            return None
        try:
            rows = self._write(batch)
        except sqlite3.IntegrityError:
            rows = self._move_without_repeats(batch)
        self._store.commit()
        for segment, _ in batch:
            segment.settle()
        self._lists_kept = True
        return len(rows)

    def _moved_by_others(self) -> bool:
        """Whether another mover was here; then start from where it left off."""
        positions = self._store.positions()
        changed = False
        for segment in self._segments.values():
            moved_bytes = positions.pop(segment.name, 0)
            if moved_bytes != segment.moved_bytes:
                segment.resume(moved_bytes)
                changed = True
        for name in positions:
            if not os.path.exists(f"{self._folder}/{name}"):  # noqa: PTH110 - as above
                self._store.forget_position(name)
        if changed:
            for segment in self._segments.values():
                segment.back()
        return changed

    def _write(self, batch: list[tuple[Segment, Rows]]) -> list[AttemptRow]:
        cells: list[Cell] = []
        rows: list[AttemptRow] = []
        for segment, spooled in batch:
            labels = self._labels.get(segment.name)
            if labels is None:
                labels = self._labels[segment.name] = Labels(segment.texts, self._store, self._cards)
            rows += gather(spooled, labels, cells)
        for segment in {segment.name: segment for segment, _ in batch}.values():
            self._store.set_position(segment.name, segment.read_bytes)
        if not self._lists_kept:
            self._store.keep_lists(self._cards.written_lists())
        self._store.insert_attempts(rows)
        self._store.tell(rows)
        self._store.add_to_hours([cell.sums() for cell in cells])
        for cell in cells:
            cell.clear()
        for labels in self._labels.values():
            labels.shrink()
        return rows

    def _move_without_repeats(self, batch: list[tuple[Segment, Rows]]) -> list[AttemptRow]:
        """Do the step again, leaving out what the store has, and with a new id for what only shares one."""
        self._store.give_up()
        self._labels.clear()
        self._store.begin()
        taken: dict[int, tuple[int, ...]] = {}
        kept = []
        for segment, spooled in batch:
            rows, repeated, renamed = without_repeats(spooled, self._store, taken)
            kept.append((segment, rows))
            if repeated:
                self._warnings.append(f"{segment.path}: {repeated} attempts were in the store already.")
            if renamed:
                self._warnings.append(f"{segment.path}: {renamed} attempts had ids of others, and got new ones.")
        return self._write(kept)

    def _remove_finished(self) -> None:
        done = [segment for segment in self._segments.values() if segment.finished()]
        if not done:
            return
        if any(segment.moved_bytes for segment in done):
            self._store.sync()
        for segment in done:
            if segment.damaged_bytes:
                self._warnings.append(
                    f"{segment.path}: {segment.damaged_bytes:,} bytes are damaged and were left out; the file is kept "
                    "beside the others, as .damaged."
                )
            del self._segments[segment.name]
            self._labels.pop(segment.name, None)
            with suppress(FileNotFoundError):
                segment.remove()
            segment.close()

    def _give_up(self, trouble: str) -> None:
        """Undo the step: rows, and numbers of texts and series that the store has not kept."""
        self.trouble = trouble
        self._store.give_up()
        self._labels.clear()
        self._outcomes.back()
        for segment in self._segments.values():
            if segment.moved_bytes != _NOT_KNOWN:
                segment.back()
