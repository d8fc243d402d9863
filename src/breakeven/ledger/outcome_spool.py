"""Outcomes on their way from a worker to the store: files beside the spool's segments, of the same frames.

What ``keep`` has returned from survives kill -9, as rows of the spool do.  There are few outcomes beside requests and
their senders wait for the answer, so each message is one write, and one that cannot be made is the sender's to repeat:
nothing waits in memory.  The mover carries them over; writing one twice changes nothing, so a position that lags
behind does no harm.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.ledger.frames import frame
from breakeven.ledger.outcomes import Outcome, put_outcomes
from breakeven.ledger.segments import Segment
from breakeven.ledger.spool import NO_FILE, Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.ledger.store import Store

OUTCOME_SUFFIX: Final = ".outcomes"
STEP_BYTES: Final = 256 * 1024
"""Read from one file in one step: a thousand outcomes with comments, or a few with long demonstrations."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Outcome])


class OutcomeSpool(Spool):
    """The outcomes that one worker was told, ``<worker>-<boot>-<number>.outcomes``."""

    __slots__ = ()
    suffix = OUTCOME_SUFFIX

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes, all or none.  Raises ``OSError``: then nothing of them is in the file."""
        if self._file == NO_FILE:
            self._open()
        self._append(frame(b"", [], [_ENCODER.encode(outcomes)]))
        if self._offset > self._rotate_at:
            self._leave()


class OutcomeSegment(Segment):
    """One file of outcomes, read on from where it was left."""

    __slots__ = ()

    def read_outcomes(self, limit_bytes: int) -> list[Outcome] | None:
        """Return outcomes that have not been read yet, about that much of them; None when there are none now."""
        read_from = self.read_bytes
        taken = self._take(limit_bytes)
        self._exhausted = taken is None
        if taken is None:
            return None
        data, frames = taken
        found: list[Outcome] = []
        for _, _, begins, ends in frames:
            try:
                found += _DECODER.decode(data[begins:ends])
            except msgspec.MsgspecError:  # whole, but of a program that is not this one: rows must not wait for it
                self._damage[read_from + begins] = ends - begins
        return found


class OutcomeCarrier:
    """Carries the outcomes of one spool folder into one store; what goes wrong is its owner's to handle.

    A step has two halves, between which the owner moves rows: whoever speaks of a request has its answer, so its row
    was in the spool before the outcome, and is in the store before it.  Only a mover that lags behind turns that round.
    """

    __slots__ = ("_folder", "_read", "_segments", "_store")

    def __init__(self, folder: str, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._segments: dict[str, OutcomeSegment] = {}
        self._read: list[tuple[OutcomeSegment, list[Outcome]]] = []

    def read(self) -> None:
        """Read what is there now, up to a bound.

        Raises ``sqlite3.Error``, ``InputError`` and ``OSError``; then ``back`` has to be called.
        """
        self._look()
        for segment in self._segments.values():
            if (outcomes := segment.read_outcomes(STEP_BYTES)) is not None:
                self._read.append((segment, outcomes))

    def write(self) -> int:
        """Move what was read to the store; return how many outcomes.  Raises what ``read`` does."""
        moved = 0
        for segment, outcomes in self._read:
            self._write(segment, outcomes)
            moved += len(outcomes)
        self._read.clear()
        return moved

    def remove_finished(self) -> list[str]:
        """Remove files that have been moved and that nobody writes; return what should be told somebody."""
        done = [segment for segment in self._segments.values() if segment.finished()]
        if any(segment.moved_bytes for segment in done):
            self._store.sync()
        told = []
        for segment in done:
            if segment.damaged_bytes:
                told.append(
                    f"{segment.path}: {segment.damaged_bytes:,} bytes of outcomes are damaged and were left out; the "
                    "file is kept beside the others, as .damaged."
                )
            del self._segments[segment.name]
            with suppress(FileNotFoundError):
                segment.remove()
            segment.close()
        return told

    def back(self) -> None:
        """Read again what the store does not have."""
        self._read.clear()
        for segment in self._segments.values():
            segment.back()

    def close(self) -> None:
        """Let go of all files."""
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()

    def _look(self) -> None:
        """Open files that are new, and ask the store how far they have been moved."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(OUTCOME_SUFFIX)]  # noqa: PTH208 - as in mover.py
        except FileNotFoundError:
            return
        new = sorted(name for name in names if name not in self._segments)
        if not new:
            return
        self._store.begin()
        positions = self._store.positions()
        self._store.commit()
        for name in new:
            with suppress(FileNotFoundError):  # another mover was faster
                segment = OutcomeSegment(self._folder, name)
                segment.resume(positions.get(name, 0))
                self._segments[name] = segment

    def _write(self, segment: OutcomeSegment, outcomes: list[Outcome]) -> None:
        self._store.begin()
        put_outcomes(self._store.connection, outcomes)
        self._store.tell_outcomes([outcome.id for outcome in outcomes])
        self._store.set_position(segment.name, segment.read_bytes)
        self._store.commit()
        segment.settle()
