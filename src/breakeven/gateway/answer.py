"""How a target's answer reaches the client: whole, as a stream of events, or as a large body in pieces.

An answer forwards bytes, watches a copy of them for usage, and keeps back the last ones: whoever has
received an answer whole must find its row in the ledger.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Final

from breakeven.gateway import replies
from breakeven.gateway.cache import CollectingMeter
from breakeven.gateway.failures import ERROR_EVENT, NO_DONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.gateway.cache import Stored
    from breakeven.gateway.client import Client, Receiver
    from breakeven.metering.meter import EventMeter
    from breakeven.metering.reading import Reading

HELD_BYTES: Final = 96 * 1024
"""Answers up to this size are sent in one piece when they are whole, so that a broken one can still be
replaced by another target's; larger ones flow, or a slow client would hold more than 256 KiB."""

WATCHED_BYTES: Final = 64 * 1024
"""Of a body that flows, so much of its beginning and of its end is searched for the usage."""

_DONE: Final = b"data: [DONE]"
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

    skipped_events = 0
    says_all = False

    def __init__(
        self, client: Receiver, status: int, lines: bytes, headers: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Send an answer behind a head with these lines; ``headers`` are the target's own."""
        self._read = client.dialect.read_answer
        self.headers = dict(headers) if headers and status >= 400 else {}
        """Of an error."""

        self.status = status
        self.started = False
        """Whether the client has received any of it."""

        self.lines = lines
        self._client = client
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._first = self._last = b""

    def kept(self) -> bytes | None:
        """Return the whole body, to be given again; None where some of it has gone already."""
        return None if self.started else b"".join(self._parts)

    def so_far(self) -> bytes:
        """Return what is held of the body."""
        return b"".join(self._parts)

    def body(self, data: bytes) -> None:
        """Take the next bytes."""
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES or self.started:
            self._flow()

    def chunk(self, data: bytes, chunk: bytes) -> None:
        """Take the next bytes, which came as this one chunk."""
        del chunk  # it is framed anew, if it flows
        self.body(data)

    def last(self, data: bytes) -> None:
        """Take the last bytes."""
        self.body(data)

    def end(self) -> str:
        """Take the end of the body; return why this is no whole answer although it ended as one, or nothing."""
        return ""

    def reading(self, request_body_bytes: int, *, complete: bool) -> Reading:
        """Return what it used."""
        del complete  # a cut body is no JSON, which tells
        return self._read(self._first + self._last + b"".join(self._parts), request_body_bytes)

    def finish(self, *, close: bool, line: bytes = b"") -> bytes:
        """Return the bytes that end it; ``line``: one more header, if the head has not been sent."""
        body = b"".join(self._parts)
        if self.started:
            return framed(self._client, body) + end_of(self._client)
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

    def go_to(self, client: Receiver) -> None:
        """Send to a client what comes from now on; it has been sent what came before."""
        self._client = client

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
            self._client.write(framed(self._client, data))


class StreamedAnswer:
    """A stream of events, passed on as they come; its ``[DONE]`` waits for the row."""

    __slots__ = ("_chunks", "_client", "_dialect", "_meter", "_out", "_rest", "lines", "started")

    status = 200
    headers: ClassVar[Mapping[bytes, bytes]] = {}

    def __init__(
        self, client: Receiver, lines: bytes, meter: EventMeter | CollectingMeter, *, started: bool = False
    ) -> None:
        """Pass on what ``meter`` watches, behind a head with these lines, or without one where it has ``started``."""
        self.started = started
        self._dialect = client.dialect
        self._meter = meter
        self.go_to(client)
        self.lines = lines
        self._rest = b""

    def body(self, data: bytes) -> None:
        """Pass on the next bytes, with the head before the first of them."""
        data = self._meter.feed(data)
        if self.started:
            if data:
                self._out.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data)
        elif data:
            self._client.write(self._head() + framed(self._client, data))

    def chunk(self, data: bytes, chunk: bytes) -> None:
        """Pass on the next bytes, which came as this one chunk: as they came, where nothing in them changes."""
        passed = self._meter.feed(data)
        if passed is data and self._chunks and self.started:
            self._out.write(chunk)
        elif passed:
            head = b"" if self.started else self._head()
            self._client.write(head + framed(self._client, passed))

    def last(self, data: bytes) -> None:
        """Pass on the last bytes; with what was held back of them, where that is the end of a stream without fault."""
        passed = self._meter.feed(data)
        if self.says_all:
            self._rest = passed
        elif passed:
            head = b"" if self.started else self._head()
            self._client.write(head + framed(self._client, passed))

    @property
    def skipped_events(self) -> int:
        """Events that were no JSON and did not go on."""
        return self._meter.skipped_events

    @property
    def says_all(self) -> bool:
        """Whether the stream has said that it is over, and well: whatever may come now is no part of it."""
        return self._meter.done and not self._meter.error

    @property
    def unsaid(self) -> bool:
        """Whether its client has read no event, at most comments."""
        return self._meter.unsaid

    @property
    def continuable(self) -> bool:
        """Whether what its client has read is text that another answer can begin with."""
        return self._meter.continuable

    def text(self) -> str:
        """Return the text that its client has read."""
        return self._meter.text()

    def kept(self) -> bytes | None:
        """Return all events as the client gets them; None where they were not collected, or are not to be kept."""
        return self._meter.body() if isinstance(self._meter, CollectingMeter) else None

    def so_far(self) -> bytes:
        """Return the error that came as an event; nothing where there was none."""
        return self._meter.error_event

    def end(self) -> str:
        """Take the end of the body; return why this is no whole answer although it ended as one, or nothing."""
        self._rest += self._meter.close()
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
        held = self._held()
        if self._meter.error:  # what is held is the error itself, where it might have been mended; never a clean end
            held = b"" if self._meter.done else held.partition(_DONE)[0]
        rest = self._rest + held
        return head + (framed(self._client, rest) if rest else b"") + end_of(self._client)

    def cut(self, message: str, code: str) -> bytes:
        """Return the event that tells the client that the stream broke, and the end of the body.

        The blank line before it ends what may have passed of an event that will not be finished.
        """
        said = self._rest + b"\n\n" + self._dialect.error_event(message, code)
        return framed(self._client, said) + end_of(self._client)

    def go_to(self, client: Receiver) -> None:
        """Send to a client what comes from now on; it has been sent what came before."""
        self._client = client
        self._chunks = client.takes_chunks
        self._out = client if client.transport is None else client.transport

    def _held(self) -> bytes:
        """Return what was kept back, as the client takes it."""
        return self._meter.held

    def _head(self) -> bytes:
        self.started = True
        return _stream_head(self._client, 200, self.lines)


def replayed(client: Client, stored: Stored, lines: bytes, age_s: int, *, similar: bool) -> bytes:
    """Return an answer as it is given again: head, body and end; ``similar``: it was made for a similar question."""
    how = b"similar" if similar else b"hit"
    own = b"content-type: %b\r\n%bx-breakeven-cache: %b\r\nage: %d\r\n" % (stored.content_type, lines, how, age_s)
    if stored.streamed:
        return _stream_head(client, 200, own) + framed(client, stored.body) + end_of(client)
    closing = b"" if client.keeps_alive else CLOSE
    head = b"%b%b%bcontent-length: %d\r\n\r\n" % (replies.status_line(200), own, closing, len(stored.body))
    return head + stored.body


def begun(client: Receiver, answer: WholeAnswer | StreamedAnswer, body: bytes, line: bytes) -> bytes:
    """Return the beginning of an answer that was held, as it is sent at last; ``line``: more of its head."""
    head = _stream_head(client, answer.status, answer.lines + line)
    return head + framed(client, body) if body else head


def given(client: Client, answer: WholeAnswer | StreamedAnswer, body: bytes, line: bytes) -> bytes:
    """Return a whole answer that was held, with its head; ``line``: more of that."""
    if isinstance(answer, StreamedAnswer):
        return begun(client, answer, body, line) + end_of(client)
    closing = b"" if client.keeps_alive else CLOSE
    length = b"content-length: %d\r\n\r\n" % len(body)
    return b"".join((replies.status_line(answer.status), answer.lines, line, closing, length, body))


def _choose(names: tuple[bytes, ...]) -> tuple[bytes, Callable[[Mapping[bytes, bytes]], object]]:
    passed = [name for name in names if name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIXES)]
    lines = b"".join(b"%b: %%b\r\n" % name.lower().replace(b"%", b"%%") for name in passed)
    chosen = lines, (itemgetter(*passed) if passed else lambda _: ())
    if len(_heads) < _MOST_HEADS:
        _heads[names] = chosen
    return chosen


def _stream_head(client: Receiver, status: int, lines: bytes) -> bytes:
    if client.takes_chunks:
        return b"%b%btransfer-encoding: chunked\r\n\r\n" % (replies.status_line(status), lines)
    return b"%b%b%b\r\n" % (replies.status_line(status), lines, CLOSE)


def framed(client: Receiver, data: bytes) -> bytes:
    """Return bytes of a body as this client takes them."""
    return b"%x\r\n%b\r\n" % (len(data), data) if client.takes_chunks else data


def end_of(client: Receiver) -> bytes:
    """Return the bytes that end a body of unknown length."""
    return replies.LAST_CHUNK if client.takes_chunks else b""
