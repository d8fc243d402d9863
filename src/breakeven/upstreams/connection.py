"""One connection to a target, carrying one request at a time.

Protocol logic without decisions: it tells its ``Answering`` what came (head, body, end) or that it was
lost, and gives itself back to its pool when the answer is whole.  It holds no bytes: what has come is
passed on within the same call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import httptools

from breakeven.upstreams.heads import RepeatedHead, repeated_head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONNECT_FAILED: Final = "connect_failed"
CONNECT_TIMEOUT: Final = "connect_timeout"
TLS_FAILED: Final = "tls_failed"
PROXY_REFUSED: Final = "proxy_refused"
SATURATED: Final = "saturated"
LOST: Final = "connection_lost"
MALFORMED: Final = "malformed_answer"
HEAD_TOO_LARGE: Final = "answer_head_too_large"

MAX_HEAD_BYTES: Final = 64 * 1024
"""Answers with larger heads are refused: nginx's default is 8 KiB, and OpenAI's heads have 2."""


class Answering(Protocol):
    """Who waits for an answer.  Every method is called from the event loop, never from within ``send``."""

    def connected(self, connection: UpstreamConnection) -> None:
        """Take a connection that is ready for one request."""

    def not_connected(self, reason: str, detail: str) -> None:
        """Learn that there will be no connection, and why."""

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came in one piece; the connection is no longer the caller's."""

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take the head of any other; header names as the target wrote them, valid during this call only.

        Where the bytes of the body go is told here, to the connection's ``pass_to``.
        """

    def complete(self) -> None:
        """Learn that the answer is whole; the connection is no longer the caller's."""

    def lost(self, reason: str, *, stale: bool) -> None:
        """Learn that the answer ends here.  ``stale``: a kept connection that gave not one byte."""


class Taker(Protocol):
    """Who takes a body, and is told how it comes."""

    def chunk(self, data: bytes, chunk: bytes) -> None:
        """Take what is in a chunk, and the chunk itself: its framing is that of HTTP on the client's side too."""

    def last(self, data: bytes) -> None:
        """Take the last bytes: that the answer is whole is told next."""


class KnownAnswer(NamedTuple):
    """A head that this target gave before, and what it says."""

    head: RepeatedHead
    status: int
    headers: dict[bytes, bytes]


class Keeper(Protocol):
    """Who owns a connection while it carries nothing."""

    known: KnownAnswer | None
    """The head with which the target's next answer may begin."""

    def remember(self, head: RepeatedHead | None, status: int, headers: dict[bytes, bytes]) -> None:
        """Keep the head of an answer that came whole in one packet."""

    def keep(self, connection: UpstreamConnection) -> None:
        """Take it back for the next request."""

    def gone(self, connection: UpstreamConnection) -> None:
        """Forget it: it is closed."""


def _nowhere(data: bytes) -> None:
    """Take the bytes of an answer that nobody has asked for."""


_MOST_SIZE_LINES: Final = 1 << 12
_size_lines: dict[int, bytes] = {}
"""By the length of a packet: how it begins if it is one chunk."""


def _size_line(packet_bytes: int) -> bytes:
    """Return how a packet of that length begins if it is one chunk; what is longer than it where it cannot be one.

    A chunk is its size in hexadecimal digits, a line end, so many bytes and a line end (RFC 9112, 7.1); most servers
    write the digits small and without zeros before them, and what others write is left to the parser.
    """
    found = bytes(packet_bytes + 1)
    for digits in range(1, 7):
        size = packet_bytes - digits - 4
        if size > 0 and len(line := b"%x\r\n" % size) == digits + 2:
            found = line
    if packet_bytes < _MOST_SIZE_LINES:
        _size_lines[packet_bytes] = found
    return found


class _MoreError(Exception):
    """More came behind an answer that was whole."""


_ENDED: Final = httptools.HttpResponseParser(None)
"""In place of the parser of a connection that has ended, which knows it: together they would wait for the collector."""


class UpstreamConnection(asyncio.Protocol):
    """HTTP/1.1 towards a target, with the callbacks of ``httptools.HttpResponseParser``.

    Headers and body pieces are collected by C functions (``dict.__setitem__``, ``list.append``) instead
    of methods: that saves 1 µs an answer.

    A packet that is one whole chunk, where one may begin, needs no parser: its size line says so, and the parser, which
    stands between two chunks, need not know.

    The way of a chunk is as short in memory as it is in steps: among hundreds of streams nothing of the one whose turn
    it is lies in a cache, so that each object it touches costs more than most of what is done there.  Hence slots, and
    objects that are asked instead of their bound methods.
    """

    __slots__ = (
        "_after_chunk", "_answers", "_between_chunks", "_head_bytes", "_head_told", "_headers", "_parser", "_paused",
        "_pieces", "_sink", "_status", "_stays_open", "_taker", "_whole", "answering", "arrived", "on_body",
        "on_header", "pool", "rested", "transport", "used",
    )  # fmt: skip

    def __init__(self, pool: Keeper) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.answering: Answering | None = None
        self.used = False
        """Whether it has carried a request before the one it carries now."""

        self.rested = False
        """Whether it was idle when the pool was last swept, and has been since."""

        self._sink: Callable[[bytes], None] = _nowhere
        self._taker: Taker | None = None
        self.arrived = False
        """Whether bytes of a body have come since whoever watches the clock last set it to False."""

        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self.on_header = self._headers.__setitem__
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._head_told = False
        self._whole = False
        self._after_chunk = False
        """Whether the parser has read the end of a chunk, and not the size of another since."""

        self._between_chunks = False
        """Whether somebody waits for an answer, and what comes next begins with the size of a chunk of it."""

        self._stays_open = False
        self._head_bytes = 0
        self._answers = 0
        self._paused = False

    # What the pool and the exchange ask of it

    def send(self, answering: Answering, request: bytes) -> None:
        """Write one whole request; what comes back is told to ``answering``."""
        self.answering = answering
        self.rested = False
        self._headers.clear()
        self._status = self._head_bytes = self._answers = 0
        self._head_told = self._whole = self._after_chunk = self._between_chunks = False
        cast("asyncio.Transport", self.transport).write(request)

    def send_more(self, data: bytes) -> None:
        """Write more of the request."""
        if self.transport is not None:
            self.transport.write(data)

    def pass_to(self, sink: Callable[[bytes], None], taker: Taker | None = None) -> None:
        """Pass the bytes of the body, without the framing of HTTP, on to ``sink`` from now on.

        Where there is a ``taker``, it takes packets that are one whole chunk, and what comes with the answer's end.
        """
        self._sink, self._taker = sink, taker

    def pause(self) -> None:
        """Read no more until ``resume``: the client is slower than the target."""
        if self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def drop(self) -> None:
        """Close at once, so that the target stops working on the request; nothing more is told."""
        self._forget()
        if self.transport is not None:
            self.transport.abort()

    # What the event loop tells it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool; an answer without a length ends here, any other is cut."""
        self.pool.gone(self)
        self.transport = None
        self._sink, self._taker, self._parser = _nowhere, None, _ENDED
        answering, self.answering = self.answering, None
        if answering is None:
            return
        if self._head_told and exc is None and self._ends_with_the_connection():
            answering.complete()
        else:
            answering.lost(LOST, stale=self.used and not self._head_bytes)

    def data_received(self, data: bytes) -> None:
        """Parse, and pass on what came."""
        if self._between_chunks and (taker := self._taker) is not None:
            line = _size_lines.get(len(data)) or _size_line(len(data))
            if data.startswith(line) and data.endswith(b"\r\n"):
                self.arrived = True
                taker.chunk(data[len(line) : -2], data)
                return
        answering = self.answering
        if answering is None:  # said something that nobody asked for
            self._close()
            return
        if not self._head_bytes:
            known = self.pool.known
            if known is not None and (body_at := known.head.body_at(data)) > 0:
                self._keep()
                answering.whole(known.status, known.headers, data[body_at:])
                return
        is_broken = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._stays_open = False  # what came before it is good, and so is the answer if that was all of it
            is_broken = not self._whole
            if is_broken and not self._status:
                self._fail(answering, MALFORMED)
                return
        pieces = self._pieces
        body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._between_chunks = self._after_chunk and data[-2:] == b"\r\n"
        if self._head_told or self._tell_head(answering, data, body):
            self._tell_body(answering, body)
        if is_broken and self.answering is not None:
            self._fail(self.answering, MALFORMED)

    def _tell_head(self, answering: Answering, data: bytes, body: bytes) -> bool:
        """Tell of the head, if it is complete; return whether the body is still to be told of."""
        if self._whole:
            if not self._head_bytes and self._stays_open and self._answers == 1:
                self.pool.remember(repeated_head(data, len(body)), self._status, self._headers)
            self._give_back()
            answering.whole(self._status, self._headers, body)
            return False
        self._head_bytes += len(data)
        if self._status:
            self._head_told = True
            answering.head(self._status, self._headers)
        elif self._head_bytes > MAX_HEAD_BYTES:
            self._fail(answering, HEAD_TOO_LARGE)
        return self._head_told

    def _tell_body(self, answering: Answering, body: bytes) -> None:
        """Tell of more of the body, where there is any, and of its end, if that has come."""
        if body:
            self.arrived = True
            taker = self._taker
            if self._whole and taker is not None:
                taker.last(body)
            else:
                self._sink(body)
        if self._whole and self.answering is not None:  # not dropped while it was told of the body
            self._give_back()
            answering.complete()

    # What the parser tells it

    def on_message_begin(self) -> None:
        """Read no answer behind the one that was asked for: it would be taken for the next request's."""
        if self._whole:
            raise _MoreError

    def on_headers_complete(self) -> None:
        """Note the status; interim answers (1xx) are passed over."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._answers += 1
        else:
            self._headers.clear()

    def on_message_complete(self) -> None:
        """Note that the answer is whole, unless it was an interim one."""
        if self._status:
            self._whole = True
            self._stays_open = self._parser.should_keep_alive()  # the parser forgets it after this call

    def on_chunk_header(self) -> None:
        """Note that a chunk has begun."""
        self._after_chunk = False

    def on_chunk_complete(self) -> None:
        """Note that it has ended, with the line end behind it."""
        self._after_chunk = True

    # Its own affairs

    def _give_back(self) -> None:
        if self._answers == 1 and self._stays_open:
            self._keep()
        else:
            self._forget()
            self._close()

    def _keep(self) -> None:
        """Be ready for another request, unless this one was answered before it was read."""
        self._forget()
        self.pass_to(_nowhere)
        if self.transport is None or self.transport.get_write_buffer_size():
            self._close()
            return
        self.used = True
        if self._paused:  # the last bytes came just when the client was slow
            self.resume()
        self.pool.keep(self)

    def _forget(self) -> None:
        """Wait for no answer any more."""
        self.answering = None
        self._between_chunks = False

    def _ends_with_the_connection(self) -> bool:
        names = {name.lower() for name in self._headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    def _fail(self, answering: Answering, reason: str) -> None:
        self._forget()
        if self.transport is not None:
            self.transport.abort()
        answering.lost(reason, stale=False)

    def _close(self) -> None:
        self.pool.gone(self)
        if self.transport is not None:
            self.transport.close()
