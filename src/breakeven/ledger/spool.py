"""The write side of the spool: a worker's rows, appended to a file before their answers are let go.

What ``flush`` has written survives kill -9, since it lies in the kernel's page cache.  It does not survive
power loss: an fsync would cost a hundred times what the rest of a request does.  A spool belongs to one
process.  It holds a lock on the segment that it writes, by which the mover knows that the segment may grow.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from breakeven.ledger.frames import (
    EPISODE,
    MAX_EPISODE_BYTES,
    MAX_TEXT_BYTES,
    ROW,
    SEGMENT_MAGIC,
    clamped,
    cut_text,
    definition,
    frame,
)
from breakeven.ledger.rows import REASON

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.rows import Attempt

SUFFIX: Final = ".spool"
SEGMENT_BYTES: Final = 64 * 1024 * 1024
OTHER: Final = "(other)"
OTHER_CODE: Final = 65_535
MAX_KIND_BYTES: Final = 4 * 1024 * 1024
"""Texts of one kind in a process: clients choose tags, and must not fill its memory with them."""

NO_FILE: Final = -1
"""In place of the descriptor of a segment while there is none."""

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Spool:
    """Rows of one worker on their way to its segments, ``<worker>-<boot>-<number>.spool``.

    ``boot`` is random, so no name is ever used twice.  The first segment is made by the first flush that has
    rows.  Rows that could not be written stay in memory, in order.
    """

    __slots__ = (
        "_boot",
        "_codes",
        "_definitions",
        "_drop",
        "_episodes",
        "_file",
        "_folder",
        "_frame",
        "_frame_rows",
        "_kind_bytes",
        "_number",
        "_offset",
        "_rotate_at",
        "_rows",
        "_segment_bytes",
        "_undefined",
        "_waiting_rows",
        "_worker",
        "dropped_rows",
        "trouble",
    )
    suffix = SUFFIX

    def __init__(
        self,
        folder: Path,
        *,
        worker: int,
        segment_bytes: int = SEGMENT_BYTES,
        waiting_rows: int = 100_000,
        drop_when_full: bool = False,
    ) -> None:
        """Take the spool's folder, which is made when it is needed; nothing is opened yet."""
        self._folder = str(folder)
        self._worker = worker
        self._segment_bytes = segment_bytes
        self._waiting_rows = waiting_rows
        self._drop = drop_when_full
        self._boot = os.urandom(8).hex()
        self._number = 0
        self._file = NO_FILE
        self._offset = self._rotate_at = 0
        self._codes: list[dict[str, int]] = [{} for _ in range(REASON + 1)]
        self._kind_bytes = [0] * (REASON + 1)
        self._definitions: list[bytes] = []
        self._undefined: list[bytes] = []
        self._rows: list[bytes] = []
        self._episodes: list[bytes] = []
        self._frame = b""
        self._frame_rows = 0
        self.dropped_rows = 0
        self.trouble = ""
        """Why the last flush did not write everything; empty when it did."""

    @property
    def waiting(self) -> int:
        """Rows that are in memory only."""
        return len(self._rows) + self._frame_rows

    @property
    def full(self) -> bool:
        """Whether more rows wait than may; never so when rows are dropped instead."""
        return len(self._rows) + self._frame_rows > self._waiting_rows and not self._drop

    def code(self, kind: int, text: str) -> int:
        """Return the code of a text; 0 for the empty one.

        Texts are cut at 512 bytes.  When a kind has 65,534 texts or 4 MiB of them, new ones get the code
        of ``(other)``.
        """
        if not text:
            return 0
        return self._codes[kind].get(text) or self._new_code(kind, text)

    def add(self, attempt: Attempt) -> None:
        """Buffer a row for the next flush; numbers out of range are brought to its end."""
        rows = self._rows
        if self._drop and len(rows) + self._frame_rows >= self._waiting_rows:
            self.dropped_rows += 1
            return
        try:
            row = ROW.pack(*attempt[:22])
        except struct.error:
            row = ROW.pack(*clamped(attempt))
        episode = attempt[22]
        if episode:
            data = cut_text(episode, MAX_EPISODE_BYTES)
            self._episodes.append(EPISODE.pack(len(rows), len(data)) + data)
        rows.append(row)

    def flush(self) -> bool:
        """Write everything that waits; return whether all of it is in the file.

        After a failure the file ends where it ended before, the rows wait, and a later call tries again.
        While nothing can be written a call costs one attempt, however many rows wait.
        """
        while True:
            if not self._frame:
                if not self._rows:
                    return True
                self._frame = frame(b"".join(self._undefined), self._rows, self._episodes)
                self._frame_rows = len(self._rows)
                self._rows = []
                self._episodes = []
                self._undefined = []
            try:
                if self._file == NO_FILE:
                    self._open()
                self._append(self._frame)
            except OSError as error:
                self.trouble = f"{self._folder}: {error.strerror or error}"
                return False
            self._frame = b""
            self._frame_rows = 0
            self.trouble = ""
            if self._offset > self._rotate_at:
                self._leave()

    def close(self) -> None:
        """Try once more to write what waits, then leave the segment to the mover."""
        self.flush()
        self._leave()

    def _new_code(self, kind: int, text: str) -> int:
        codes = self._codes[kind]
        data = cut_text(text, MAX_TEXT_BYTES)
        kept = data.decode()
        if kept in codes:
            return codes[kept]
        code = len(codes) + 1
        if code >= OTHER_CODE or self._kind_bytes[kind] + len(data) > MAX_KIND_BYTES:
            # Filed under a key that no text has, since a client may send "(other)" itself.
            code, kept, data = OTHER_CODE, "", OTHER.encode()
            if "" in codes:
                return code
        codes[kept] = code
        self._kind_bytes[kind] += len(data)
        said = definition(kind, code, data)
        self._definitions.append(said)
        self._undefined.append(said)
        return code

    def _open(self) -> None:
        """Begin a segment: definitions of all codes stand at its head, so that it can be read alone."""
        os.makedirs(self._folder, exist_ok=True)  # noqa: PTH103 - no Path on this side: it would be built anew each time
        while not self._begin():
            pass
        self._rotate_at = self._offset + self._segment_bytes

    def _begin(self) -> bool:
        """Begin the segment of the next number; return whether it could be locked before the mover took it away."""
        path = f"{self._folder}/{self._worker:02d}-{self._boot}-{self._number:06d}{self.suffix}"
        self._number += 1
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = file
        self._offset = 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                self._append(SEGMENT_MAGIC + frame(b"".join(self._definitions), [], []))
                return True
        except BlockingIOError:  # the mover is about to
            pass
        except OSError:
            self._leave()
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - as above
            raise
        self._leave()
        return False

    def _append(self, data: bytes) -> None:
        """Append to the segment, wholly or not at all."""
        try:
            written = os.write(self._file, data)
            if written == len(data):
                self._offset += written
                return
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes could be written")  # noqa: TRY301 - undone below
        except OSError as error:
            try:
                os.ftruncate(self._file, self._offset)
            except OSError:
                self._leave()  # with a torn tail, which a reader leaves out
                raise error from None
            if error.errno not in _NO_SPACE:
                self._leave()  # this file may be what is wrong: the next flush begins another
            raise

    def _leave(self) -> None:
        if self._file != NO_FILE:
            file, self._file = self._file, NO_FILE
            os.close(file)
