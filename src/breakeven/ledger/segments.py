"""The read side of the spool: one segment, read on from where it was left, while its owner may still write.

Only whole frames with a right checksum are read.  What follows the last of them is a write under way, or,
when the owner is gone, a torn one whose answer was never let go: it is left out.  Damage in the middle is
skipped and told.  It knows nothing of the store.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.ledger.frames import (
    ROW,
    SEGMENT_MAGIC,
    claimed_bytes,
    definitions,
    episodes,
    next_frame,
    whole_frames,
)

if TYPE_CHECKING:
    from breakeven.ledger.frames import FrameAt

DAMAGED_SUFFIX: Final = ".damaged"


class Rows(NamedTuple):
    """Rows as they lie in the segment (``frames.ROW_BY_LABELS``), and episodes by their place among them."""

    data: bytes
    episodes: dict[int, str]


class Segment:
    """One file of the spool.

    ``read_bytes`` is how far it has been read, ``moved_bytes`` how far the store has it for certain.
    """

    __slots__ = ("_damage", "_exhausted", "_file", "_left", "moved_bytes", "name", "path", "read_bytes", "texts")

    def __init__(self, folder: str, name: str) -> None:
        """Open it.  Raises ``OSError``."""
        self.name = name
        self.path = f"{folder}/{name}"
        self.read_bytes = self.moved_bytes = 0
        self._damage: dict[int, int] = {}  # by its place, since what was not moved is read again
        self.texts: dict[tuple[int, int], str] = {}
        """What the codes of each kind mean."""

        self._left = self._exhausted = False
        self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def damaged_bytes(self) -> int:
        """Bytes that had to be left out, other than a write cut short at the end."""
        return sum(self._damage.values())

    def resume(self, moved_bytes: int) -> None:
        """Go on behind what was moved; the definitions before it are read again."""
        self.read_bytes = 0
        while self.read_bytes < moved_bytes and self._take(moved_bytes - self.read_bytes) is not None:
            pass
        self.read_bytes = self.moved_bytes = moved_bytes

    def read(self, limit_bytes: int) -> Rows | None:
        """Return rows that have not been read yet, about that much of them; None when there are none now."""
        taken = self._take(limit_bytes)
        self._exhausted = taken is None
        if taken is None:
            return None
        data, frames = taken
        parts = []
        said: dict[int, str] = {}
        count = 0
        for frame in frames:
            _, rows, rows_end, ends = frame
            parts.append(data[rows:rows_end])
            if rows_end < ends:
                said.update((count + row, text) for row, text in episodes(data, frame))
            count += (rows_end - rows) // ROW.size
        return Rows(b"".join(parts), said)

    def settle(self) -> None:
        """Take down that the store has everything that was read."""
        self.moved_bytes = self.read_bytes

    def back(self) -> None:
        """Read again what the store does not have."""
        self.read_bytes = self.moved_bytes
        self._exhausted = False

    def finished(self) -> bool:
        """Whether everything has been moved and nobody can write any more.

        The owner's lock goes with its process.  Once it is gone the file cannot grow, so a read that finds
        nothing more *after* that shows that nothing is left but, perhaps, a torn tail.
        """
        if not self._left:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._left = True
            self._exhausted = False
        if not self._exhausted or self.read_bytes != self.moved_bytes:
            return False
        tail = os.fstat(self._file).st_size - self.read_bytes
        if tail and claimed_bytes(os.pread(self._file, tail, self.read_bytes)) <= tail:
            self._damage[self.read_bytes] = tail  # whole in length, wrong in content: not a write cut short
        return True

    def remove(self) -> None:
        """Delete the file; one with damage is put aside instead, for a person to look at."""
        if self.damaged_bytes:
            os.rename(self.path, self.path + DAMAGED_SUFFIX)  # noqa: PTH104 - paths are plain strings here
        else:
            os.unlink(self.path)  # noqa: PTH108 - as above
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, limit_bytes: int) -> tuple[bytes, list[FrameAt]] | None:
        """Read whole frames from ``read_bytes`` on, and move it behind them; None when there are none."""
        while True:
            data = os.pread(self._file, limit_bytes, self.read_bytes)
            at = len(SEGMENT_MAGIC) if not self.read_bytes and data.startswith(SEGMENT_MAGIC) else 0
            frames, ends = whole_frames(data, at)
            if frames:
                self.read_bytes += ends
                self._learn(data, frames)
                return data, frames
            rest = data[at:]
            size = os.fstat(self._file).st_size - self.read_bytes
            wanted = at + claimed_bytes(rest)
            if len(data) < wanted <= size:
                limit_bytes = wanted  # one frame larger than the limit
            elif (found := next_frame(rest)) is not None:
                self._damage[self.read_bytes + at] = found
                self.read_bytes += at + found
            elif len(data) < size:
                limit_bytes = size  # the next whole frame lies further on, if there is one
            else:
                return None

    def _learn(self, data: bytes, frames: list[FrameAt]) -> None:
        for frame in frames:
            if frame[0] < frame[1]:
                self.texts.update(((kind, code), text) for kind, code, text in definitions(data, frame))
