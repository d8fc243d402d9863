"""How a target's answer reaches the client: whole, as a stream of events, or as a large body in pieces.

An answer forwards bytes, watches a copy of them for usage, and keeps back the last ones: whoever has
received an answer whole must find its row in the ledger.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from breakeven.gateway import replies
from breakeven.gateway.failures import ERROR_EVENT, NO_DONE
from breakeven.metering.completion import read_completion
from breakeven.metering.stream import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.gateway.connection import ClientConnection
    from breakeven.metering.reading import Reading

HELD_BYTES: Final = 96 * 1024
"""Answers up to this size are sent in one piece when they are whole, so that a broken one can still be
replaced by another target's; larger ones flow, or a slow client would hold more than 256 KiB."""

WATCHED_BYTES: Final = 64 * 1024
"""Of a body that flows, so much of its beginning and of its end is searched for the usage."""

CLOSE: Final = b"connection: close\r\n"
_PASSED: Final = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"date",
        b"retry-after",
        b"retry-after-ms",
        b"x-request-id",
        b"x-should-retry",
    }
)
_PASSED_PREFIXES: Final = (b"x-ratelimit-", b"openai-")
_MOST_HEADS: Final = 1000
_heads: dict[tuple[bytes, ...], tuple[bytes, Callable[[Mapping[bytes, bytes]], object]]] = {}
"""By the names in a head: the lines that are passed on, and what takes their values.

A target writes the same names in most of its answers, so each set of them is looked at once.
"""


def passed_headers(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the header lines of a target's answer that its client may see; the rest concerns only us."""
    names = tuple(headers)
    lines, values = _heads.get(names) or _choose(names)
    return lines % values(headers)


def is_event_stream(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the answer is a stream of server-sent events."""
    kinds = (value for name, value in headers.items() if name.lower() == b"content-type")
    return next(kinds, b"").lower().startswith(b"text/event-stream")


class WholeAnswer:
    """An answer that is sent when it is whole, or flows when it grows past ``HELD_BYTES``."""

    def __init__(self, client: ClientConnection, status: int, headers: Mapping[bytes, bytes], own_lines: bytes) -> None:
        self.status = status
        self.started = False
        """Whether the client has received any of it."""

        self.lines = passed_headers(headers) + own_lines
        self._client = client
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._first = self._last = b""

    def body(self, data: bytes) -> None:
        """Take the next bytes."""
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES or self.started:
            self._flow()

    def end(self) -> str:
        """Take the end of the body; return why this is no whole answer although it ended as one, or nothing."""
        return ""

    def reading(self, request_body_bytes: int, *, complete: bool) -> Reading:
        """Return what it used."""
        del complete  # a cut body is no JSON, which tells
        return read_completion(self._first + self._last + b"".join(self._parts), request_body_bytes)

    def finish(self, *, close: bool, line: bytes = b"") -> bytes:
        """Return the bytes that end it; ``line``: one more header, if the head has not been sent."""
        body = b"".join(self._parts)
        if self.started:
            return _framed(self._client, body) + _end(self._client)
        return b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (
            replies.status_line(self.status),
            self.lines,
            line,
            CLOSE if close else b"",
            len(body),
            body,
        )

    def cut(self, message: str, code: str) -> bytes:
        """Return nothing: a body whose end is missing cannot be mended, only left without its end."""
        del message, code
        return b""

    def _flow(self) -> None:
        """Send everything but the newest part, which may be the last."""
        *ready, newest = self._parts
        self._parts = [newest]
        data = b"".join(ready)
        if not self.started:
            self.started = True
            self._first = data[:WATCHED_BYTES]
            data_after = data[WATCHED_BYTES:]
            self._client.write(_stream_head(self._client, self.status, self.lines))
        else:
            data_after = data
        self._last = (self._last + data_after)[-WATCHED_BYTES:]
        if data:
            self._client.write(_framed(self._client, data))


class StreamedAnswer:
    """A stream of events, passed on as they come; its ``[DONE]`` waits for the row."""

    status = 200

    def __init__(
        self, client: ClientConnection, headers: Mapping[bytes, bytes], own_lines: bytes, *, hide_usage: bool
    ) -> None:
        self.started = False
        self._meter = StreamMeter(hide_usage=hide_usage)
        self._client = client
        self._chunks = client.takes_chunks
        self._write = client.transport.write if client.transport is not None else client.write
        self._lines = passed_headers(headers) + own_lines
        self._rest = b""

    def body(self, data: bytes) -> None:
        """Pass on the next bytes, with the head before the first of them."""
        data = self._meter.feed(data)
        if self.started:
            if data:
                self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data)
        elif data:
            self._client.write(self._head() + _framed(self._client, data))

    def end(self) -> str:
        """Take the end of the body; return why this is no whole answer although it ended as one, or nothing."""
        self._rest = self._meter.close()
        if self._meter.error:
            return ERROR_EVENT
        return "" if self._meter.done else NO_DONE

    def reading(self, request_body_bytes: int, *, complete: bool) -> Reading:
        """Return what it used so far."""
        return self._meter.reading(request_body_bytes, complete=complete)

    def finish(self, *, close: bool, line: bytes = b"") -> bytes:
        """Return the bytes that end it; a stream that broke gets no ``[DONE]``."""
        del close, line
        head = b"" if self.started else self._head()
        rest = self._rest if self._meter.error else self._rest + self._meter.held
        return head + (_framed(self._client, rest) if rest else b"") + _end(self._client)

    def cut(self, message: str, code: str) -> bytes:
        """Return the event that tells the client that the stream broke, and the end of the body.

        The blank line before it ends what may have passed of an event that will not be finished.
        """
        return _framed(self._client, b"\n\n" + replies.error_event(message, code)) + _end(self._client)

    def _head(self) -> bytes:
        self.started = True
        return _stream_head(self._client, 200, self._lines)


def _choose(names: tuple[bytes, ...]) -> tuple[bytes, Callable[[Mapping[bytes, bytes]], object]]:
    passed = [name for name in names if name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIXES)]
    lines = b"".join(b"%b: %%b\r\n" % name.lower().replace(b"%", b"%%") for name in passed)
    chosen = lines, (itemgetter(*passed) if passed else lambda _: ())
    if len(_heads) < _MOST_HEADS:
        _heads[names] = chosen
    return chosen


def _stream_head(client: ClientConnection, status: int, lines: bytes) -> bytes:
    if client.takes_chunks:
        return b"%b%btransfer-encoding: chunked\r\n\r\n" % (replies.status_line(status), lines)
    return b"%b%b%b\r\n" % (replies.status_line(status), lines, CLOSE)


def _framed(client: ClientConnection, data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if client.takes_chunks else data


def _end(client: ClientConnection) -> bytes:
    return replies.LAST_CHUNK if client.takes_chunks else b""
