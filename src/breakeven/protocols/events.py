"""Cuts a stream of server-sent events into the data of its events, however it comes in packets.

The lines are those of https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.  Names of
events are not read: in both protocols the data says what it is.
"""

from __future__ import annotations

import re
from typing import Final

MOST_EVENT_BYTES: Final = 1 << 20
"""Longest event that is held."""

DONE: Final = b"[DONE]"
"""The data that ends a stream of chat completion chunks."""

_LINE_END: Final = re.compile(rb"\r\n?|\n")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_FEED: Final = 10
_CARRIAGE_RETURN: Final = 13


class EventReader:
    """One stream's bytes in, the data of its events out."""

    __slots__ = ("_after_return", "_at_start", "_buffer", "_data", "_length_bytes", "oversized")

    def __init__(self) -> None:
        self._buffer = bytearray()
        """The line that is not complete."""

        self._data: list[bytes] = []
        self._length_bytes = 0
        """Of the lines that were taken of the event that is not complete."""

        self._after_return = False
        self._at_start = True
        self.oversized = False
        """An event was longer than ``MOST_EVENT_BYTES``; nothing is read after it."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the data of every event that is complete with them.

        A line ``data: [DONE]`` is complete by itself, even inside an event, for that is how clients read it.
        """
        events: list[bytes] = []
        if self._after_return and data:
            self._after_return = False
            data = data[1:] if data[0] == _LINE_FEED else data
        if self.oversized or not data:
            return events
        returns = _CARRIAGE_RETURN in data
        lines = _LINE_END.split(data) if returns else data.split(b"\n")
        rest = lines.pop()
        if lines and self._buffer:
            lines[0] = bytes(self._buffer + lines[0])
            self._buffer.clear()
        for line in lines:
            self._take_line(line, events)
        self._buffer += rest
        self._after_return = returns and data[-1] == _CARRIAGE_RETURN
        if self._length_bytes + len(self._buffer) > MOST_EVENT_BYTES:
            self.oversized = True
            self._buffer.clear()
        return events

    def close(self) -> list[bytes]:
        """Take the end of the stream; return the data of an event that lacks its last line ends."""
        events: list[bytes] = []
        if not self.oversized:
            self._take_line(bytes(self._buffer), events)
            self._buffer.clear()
            self._take_line(b"", events)
        return events

    def _take_line(self, line: bytes, events: list[bytes]) -> None:
        self._length_bytes += len(line)
        if self.oversized or self._length_bytes > MOST_EVENT_BYTES:
            self.oversized = True
            return
        if self._at_start:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
        ends = line[:5] == b"data:" and line[5:].strip(b" \t") == DONE
        if not line or ends:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data = []
            self._length_bytes = 0
        if ends:
            events.append(DONE)
        elif line[:5] == b"data:":
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
