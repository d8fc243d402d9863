"""The bytes of a spool segment: how frames of attempts are written, and how they are read again.

A segment is ``SEGMENT_MAGIC`` and then frames: ``[payload length u32][crc32 of the payload u32][payload]``.
A payload is its own magic (by which a reader finds the next frame after a damaged one), the size of the
definitions and the number of rows; then definitions of codes, rows of fixed size, and episodes of the rows
that have one.  All little-endian.  Nothing here opens a file.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.ledger.rows import Attempt

SEGMENT_MAGIC: Final = b"BEspool1"
PAYLOAD_MAGIC: Final = b"BEf1"
FRAME: Final = struct.Struct("<II")
PAYLOAD: Final = struct.Struct("<4sII")
ROW: Final = struct.Struct("<QQ3I10H3B4I")
"""Every field of ``Attempt`` but the episode, in its order."""

ROW_BY_LABELS: Final = struct.Struct("<QQ3I23s4I")
"""The same bytes with the fields from ``key`` to ``flags`` as one string: what repeats from row to row."""

LABELS: Final = struct.Struct("<10H3B")
EPISODE: Final = struct.Struct("<IB")
DEFINITION: Final = struct.Struct("<BHH")

MAX_TEXT_BYTES: Final = 512
MAX_EPISODE_BYTES: Final = 128

_U32: Final = (1 << 32) - 1
_LIMITS: Final = (
    *((1 << 63) - 1,) * 2, *(_U32,) * 3, *((1 << 16) - 1,) * 10, *(255,) * 3, *(_U32,) * 4,
)  # fmt: skip


class Damage(NamedTuple):
    """Bytes of a segment that are no frame: where they begin and end."""

    begins: int
    ends: int


class Frame(NamedTuple):
    """A whole frame: its bytes, and where the next one begins."""

    payload: memoryview
    ends: int


def cut_text(text: str, limit_bytes: int) -> bytes:
    """Return UTF-8 of at most that many bytes, without half a character at its end."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= limit_bytes else data[:limit_bytes].decode("utf-8", "ignore").encode()


def clamped(attempt: Attempt) -> tuple[int, ...]:
    """Return the numbers of a row, those out of range brought to its nearest end.

    A target can tell any count; a row with the largest one is better than none.
    """
    return tuple(min(max(value, 0), limit) for value, limit in zip(attempt[:-1], _LIMITS, strict=True))


def definition(kind: int, code: int, data: bytes) -> bytes:
    """Return the bytes that say what a code means."""
    return DEFINITION.pack(kind, code, len(data)) + data


def frame(definitions: bytes, rows: list[bytes], episodes: list[bytes]) -> bytes:
    """Return one frame; ``episodes`` are ``EPISODE`` (row, length) and text, in the order of rows."""
    payload = b"".join((PAYLOAD.pack(PAYLOAD_MAGIC, len(definitions), len(rows)), definitions, *rows, *episodes))
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_frame(data: memoryview, at: int) -> Frame | None:
    """Return the frame that begins there, or None when the bytes are damaged or not all there."""
    begins = at + FRAME.size
    if begins > len(data):
        return None
    length, crc = FRAME.unpack_from(data, at)
    ends = begins + length
    if length < PAYLOAD.size or ends > len(data):
        return None
    payload = data[begins:ends]
    return Frame(payload, ends) if zlib.crc32(payload) == crc and bytes(payload[:4]) == PAYLOAD_MAGIC else None


def claimed_end(data: memoryview, at: int) -> int:
    """Return where the frame that begins there says it ends, or where its head would."""
    if at + FRAME.size > len(data):
        return at + FRAME.size
    length: int = FRAME.unpack_from(data, at)[0]
    return at + FRAME.size + length


def next_frame(data: memoryview, after: int) -> int | None:
    """Return where the first whole frame after a damaged place begins; None when there is none."""
    whole = bytes(data)
    found = whole.find(PAYLOAD_MAGIC, after + FRAME.size + 1)
    while found >= 0:
        if read_frame(data, found - FRAME.size) is not None:
            return found - FRAME.size
        found = whole.find(PAYLOAD_MAGIC, found + 1)
    return None


class Payload:
    """The parts of a frame's payload."""

    __slots__ = ("_data", "_definitions_end", "_rows_end", "count")

    def __init__(self, data: memoryview) -> None:
        """Raise ``ValueError`` when the parts do not fit into the whole."""
        _, definitions_bytes, self.count = PAYLOAD.unpack_from(data)
        self._data = data
        self._definitions_end = PAYLOAD.size + definitions_bytes
        self._rows_end = self._definitions_end + self.count * ROW.size
        if self._rows_end > len(data):
            raise ValueError(f"{self.count} rows and {definitions_bytes} bytes of definitions exceed {len(data)} bytes")

    def definitions(self) -> Iterator[tuple[int, int, str]]:
        """Yield kind, code and text."""
        at = PAYLOAD.size
        while at < self._definitions_end:
            kind, code, length = DEFINITION.unpack_from(self._data, at)
            at += DEFINITION.size + length
            yield kind, code, str(self._data[at - length : at], "utf-8", "replace")

    def rows(self) -> Iterator[tuple[int, int, int, int, int, bytes, int, int, int, int]]:
        """Yield id, four times, labels, and four token counts of every row."""
        return ROW_BY_LABELS.iter_unpack(self._data[self._definitions_end : self._rows_end])

    def episodes(self) -> dict[int, str]:
        """Return the episodes by the row's place in the frame."""
        found: dict[int, str] = {}
        at = self._rows_end
        while at < len(self._data):
            row, length = EPISODE.unpack_from(self._data, at)
            at += EPISODE.size + length
            found[row] = str(self._data[at - length : at], "utf-8", "replace")
        return found
