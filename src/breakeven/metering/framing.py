"""Cuts a stream of server-sent events into events, however it comes in packets, and finds its terminator.

It decides only which bytes may go on now: all of an event at once where it may yet be dropped, and never a part of the
terminator.  What an event says is for its caller to judge.  There are two kinds of terminator: the line
``data: [DONE]``, which ends a stream of any protocol, and an event that its judge says is the last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_EVENT_BYTES: Final = 1 << 20
"""Longest event that is held and read, where a protocol has no reason for another bound; a longer one passes."""

PASS: Final = 0
DROP: Final = 1
LAST: Final = 2
"""What a judge says of an event: it goes on, it does not, or it is the terminator and nothing after it goes on."""

_MOST_TERMINATOR_BYTES: Final = 64
_LINE_END: Final = re.compile(rb"\r\n?|\n")
_LINE_END_WITHOUT_RETURNS: Final = re.compile(rb"\n")
"""The same where there is no carriage return: ten times as fast."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CARRIAGE_RETURN: Final = 13
_LINE_FEED: Final = 10
_STUB: Final = b":"
"""Stands for the part of a line that has gone on unread; a comment, so that what follows is none of our business."""


class EventFramer:
    """One stream's bytes in, the bytes to forward out."""

    __slots__ = (
        "_after_return", "_buffer", "_data", "_drop_line_feed", "_judge", "_line_start", "_most_bytes", "_oversized",
        "_sent", "at_start", "unread", "whole_events",
    )  # fmt: skip

    def __init__(self, judge: Callable[[bytes, bool, bool], int], *, whole_events: bool, most_event_bytes: int) -> None:
        """``judge(data, cut, sent)`` is called once an event and returns ``PASS``, ``DROP`` or ``LAST``.

        ``cut`` says that the stream ended before the event did, and ``sent`` that a part of it has gone on, so that it
        can be neither dropped nor kept back.  With ``whole_events`` no part of one ever has, but of an event of more
        than ``most_event_bytes``, which is not judged.
        """
        self._judge = judge
        self.whole_events = whole_events
        """Whether no part of an event goes on before all of it is here; may be changed between two calls."""

        self._most_bytes = most_event_bytes
        self._buffer = bytearray()
        """The event that is not complete, as it came."""

        self._line_start = 0
        self._sent = 0
        """How much of the buffer has been forwarded."""

        self._data: list[bytes] = []
        self._oversized = False
        self._after_return = False
        """The last byte was a carriage return: a line feed would belong to it."""

        self._drop_line_feed = False
        self.at_start = True
        """Nothing has been read, so a byte order mark may come."""

        self.unread = False
        """Some event was too long to be judged."""

    @property
    def idle(self) -> bool:
        """Whether the next byte begins an event, with nothing left of the last."""
        return not (self._buffer or self._after_return or self._oversized)

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes of the stream; return those that may go on, and the terminator with all that follows.

        Once there is a terminator the stream is over, and nothing more may be fed.
        """
        forward = bytearray()
        buffer = self._buffer
        if self._after_return and data:
            data = self._take_line_feed(data, forward)
        searched = len(buffer)
        buffer += data
        event_start = 0
        line_start = self._line_start
        line_end = _LINE_END if _CARRIAGE_RETURN in data else _LINE_END_WITHOUT_RETURNS
        for end in line_end.finditer(buffer, searched):
            line = self._without_mark(bytes(buffer[line_start : end.start()]))
            if _terminates(line):
                return self._terminate(forward, event_start, line_start)
            self.at_start = False
            if line:
                self._take_line(line)
                line_start = end.end()
                continue
            verdict = self._finish_event(line_start - event_start, cut=False)
            if verdict == LAST:
                return self._terminate_at(forward, event_start)
            if verdict == PASS:
                forward += buffer[event_start + self._sent : end.end()]
            self._sent = 0
            self._drop_line_feed = verdict == DROP
            event_start = line_start = end.end()
        self._set_aside(forward, event_start, line_start)
        return bytes(forward), b""

    def close(self) -> tuple[bytes, bytes]:
        """Take the end of the stream; return what is left, divided as by ``feed``.

        An event without its blank line is judged as ``cut``; a terminator without a line end is one.
        """
        forward = bytearray()
        line = self._without_mark(bytes(self._buffer[self._line_start :]))
        if _terminates(line):
            return self._terminate(forward, 0, self._line_start)
        self._take_line(line)
        verdict = self._finish_event(len(self._buffer), cut=True)
        if verdict == LAST:
            return self._terminate_at(forward, 0)
        if verdict == PASS:
            forward += self._buffer[self._sent :]
        self._buffer.clear()
        self._line_start = self._sent = 0
        return bytes(forward), b""

    def _take_line_feed(self, data: bytes, forward: bytearray) -> bytes:
        """Give a line feed to the carriage return before it, and return the rest."""
        self._after_return = False
        if data[0] != _LINE_FEED:
            return data
        if self._buffer or self._oversized:
            self._buffer += b"\n"
            self._line_start = len(self._buffer)
        elif not self._drop_line_feed:
            forward += b"\n"
        return data[1:]

    def _take_line(self, line: bytes) -> None:
        # "data" alone, without a colon, is a field without a value: it adds an empty line, which JSON does not mind.
        if line[:5] == b"data:":
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])

    def _finish_event(self, length_bytes: int, *, cut: bool) -> int:
        """Judge the event whose lines were taken."""
        data, self._data = self._data, []
        oversized = self._oversized or length_bytes > self._most_bytes
        self._oversized = False
        self.unread |= oversized
        payload = b"\n".join(data)
        return PASS if oversized or not payload else self._judge(payload, cut, self._sent > 0)

    def _terminate(self, forward: bytearray, event_start: int, line_start: int) -> tuple[bytes, bytes]:
        """End the stream at the terminator's line; what its event had before that is judged as an event."""
        verdict = self._finish_event(line_start - event_start, cut=False)
        if verdict == LAST:
            return self._terminate_at(forward, event_start)
        if verdict == PASS:
            forward += self._buffer[event_start + self._sent : line_start]
        return self._terminate_at(forward, line_start)

    def _terminate_at(self, forward: bytearray, start: int) -> tuple[bytes, bytes]:
        terminator = bytes(self._buffer[start:])
        self._buffer = bytearray()
        return bytes(forward), terminator

    def _set_aside(self, forward: bytearray, event_start: int, line_start: int) -> None:
        """Forward what may go on of the event that is not complete, and keep the rest for the next packet."""
        buffer = self._buffer
        if buffer:
            self._after_return = buffer[-1] == _CARRIAGE_RETURN
        waits = self._may_become_terminator(bytes(buffer[line_start : line_start + _MOST_TERMINATOR_BYTES + 4]))
        free_until = line_start if waits else len(buffer)
        self._oversized |= free_until - event_start > self._most_bytes
        if self._oversized or not self.whole_events:
            forward += buffer[event_start + self._sent : free_until]
            self._sent = free_until - event_start
        del buffer[:event_start]
        self._line_start = line_start - event_start
        if self._oversized:
            self._forget(waits=waits)

    def _forget(self, *, waits: bool) -> None:
        """Keep nothing of an oversized event but what tells where its current line stands."""
        if waits:
            del self._buffer[: self._line_start]
        else:
            self._buffer[:] = _STUB
        self._line_start = 0
        self._sent = 0 if waits else len(_STUB)

    def _without_mark(self, line: bytes) -> bytes:
        return line.removeprefix(_BYTE_ORDER_MARK) if self.at_start else line

    def _may_become_terminator(self, line: bytes) -> bool:
        if self.at_start and _BYTE_ORDER_MARK.startswith(line[:3]):
            line = line[3:]
        if len(line) > _MOST_TERMINATOR_BYTES:
            return False
        return b"data:".startswith(line[:5]) and b"[DONE]".startswith(line[5:].strip(b" \t"))


def _terminates(line: bytes) -> bool:
    if len(line) > _MOST_TERMINATOR_BYTES or line[:5] != b"data:":
        return False
    return line[5:].strip(b" \t") == b"[DONE]"
