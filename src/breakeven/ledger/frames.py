"""The bytes of a spool segment: how frames of attempts are written, and how they are read again.

A segment is ``SEGMENT_MAGIC`` and then frames: ``[payload length u32][crc32 of the payload u32][payload]``.
A payload is its own magic (by which a reader finds the next frame after a damaged one), the size of the
definitions and the number of rows; then definitions of codes, rows of fixed size, and episodes of the rows
that have one.  All little-endian.  Nothing here opens a file.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.ledger.rows import Attempt

SEGMENT_MAGIC: Final = b"BEspool1"
PAYLOAD_MAGIC: Final = b"BEf1"
FRAME: Final = struct.Struct("<II")
_HEAD: Final = struct.Struct("<II4sII")
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

FrameAt = tuple[int, int, int, int]
"""Where a frame's definitions begin, its rows, its episodes, and the next frame."""

_U32: Final = (1 << 32) - 1
_LIMITS: Final = (
    *((1 << 63) - 1,) * 2, *(_U32,) * 3, *((1 << 16) - 1,) * 10, *(255,) * 3, *(_U32,) * 4,
)  # fmt: skip


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


def whole_frames(data: bytes, at: int) -> tuple[list[FrameAt], int]:
    """Return the frames that follow each other from there, and where the first byte after them is.

    Stops at the first frame that is damaged or not all there.
    """
    found: list[FrameAt] = []
    size = len(data)
    while at + _HEAD.size <= size:
        length, crc, magic, definitions_bytes, count = _HEAD.unpack_from(data, at)
        begins = at + FRAME.size
        ends = begins + length
        rows = at + _HEAD.size + definitions_bytes
        rows_end = rows + count * ROW.size
        if magic != PAYLOAD_MAGIC or rows_end > ends or ends > size or zlib.crc32(data[begins:ends]) != crc:
            break
        found.append((at + _HEAD.size, rows, rows_end, ends))
        at = ends
    return found, at


def claimed_bytes(data: bytes) -> int:
    """Return how long the frame at the beginning says it is; it may be damaged."""
    return FRAME.size + int(FRAME.unpack_from(data)[0]) if len(data) >= FRAME.size else FRAME.size


def next_frame(data: bytes) -> int | None:
    """Return where the first whole frame behind the beginning begins; None when there is none."""
    found = data.find(PAYLOAD_MAGIC, FRAME.size + 1)
    while found >= 0:
        if whole_frames(data, found - FRAME.size)[0]:
            return found - FRAME.size
        found = data.find(PAYLOAD_MAGIC, found + 1)
    return None


def definitions(data: bytes, frame: FrameAt) -> Iterator[tuple[int, int, str]]:
    """Yield kind, code and text of each definition in a frame."""
    at, end, _, _ = frame
    while at < end:
        kind, code, length = DEFINITION.unpack_from(data, at)
        at += DEFINITION.size + length
        yield kind, code, data[at - length : at].decode("utf-8", "replace")


def episodes(data: bytes, frame: FrameAt) -> Iterator[tuple[int, str]]:
    """Yield row and text of each episode in a frame."""
    _, _, at, end = frame
    while at < end:
        row, length = EPISODE.unpack_from(data, at)
        at += EPISODE.size + length
        yield row, data[at - length : at].decode("utf-8", "replace")
