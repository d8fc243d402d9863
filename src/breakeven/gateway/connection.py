"""One client's connection: HTTP/1.1 in, bounded in every direction, one request at a time.

It checks what can be checked before the body is read (path, method, key, size), reads the body, and hands
a request for a model to an ``Exchange``.  What the exchange gives back is written as it comes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

import httptools

from breakeven.gateway import heads, replies
from breakeven.gateway.dialects import CHAT_COMPLETIONS
from breakeven.upstreams.heads import MAX_LESSONS, repeated_head

if TYPE_CHECKING:
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.reception import Reception
    from breakeven.gateway.shared import Carried, Shared

IDLE, HEAD, BODY, HANDED, ANSWERING, CLOSING = range(6)
"""Waiting for a request; within head; within body; about to be another process's; being answered; about to be closed"""

SEND_BUFFER_BYTES: Final = 32 * 1024
"""Asked of the kernel for each client (which doubles it): what a client does not read stays at the target."""

HIGH_WATER_BYTES: Final = 16 * 1024
_log = logging.getLogger("breakeven.gateway")

_ENDED: Final = httptools.HttpRequestParser(None)  # a parser knows its connection: both would wait for the collector
_NO_LABELS: Final[dict[bytes, bytes]] = {}
TOO_MANY: Final = replies.refusal(503, "There are too many connections.", "too_many_connections", close=True)


class ClientConnection(asyncio.Protocol):
    """The server's side of one connection, with the callbacks of ``httptools.HttpRequestParser``.

    Headers and body pieces are collected by C functions instead of methods, as in ``upstreams.connection``.
    """

    __slots__ = (
        "_blocked", "_early", "_fed_bytes", "_keep_alive", "_known", "_label_names", "_lessons", "_names", "_parser",
        "_passes", "_pieces", "_raw_headers", "_refusal", "_spelled", "_upgrading", "_url", "_version",
        "announced_bytes", "authorization", "desk", "dialect", "exchange", "key", "labels", "on_body", "on_header",
        "on_message_begin", "passed", "phase", "received_s", "shared", "since_s", "transport",
    )  # fmt: skip

    def __init__(self, desk: Reception[ClientConnection], shared: Shared) -> None:
        self.desk = desk
        self.shared = shared
        self.transport: asyncio.Transport | None = None
        self.phase = IDLE
        self.since_s = 0.0
        """When this phase began, or when the last bytes of a body came."""

        self.key: KeyState | None = None
        self.received_s = 0.0
        """Unix seconds at which the head was complete."""

        self.dialect = CHAT_COMPLETIONS
        """The protocol in which it is asked and answered."""

        self.authorization = b""
        self.passed = b""
        """Header lines that its target is to see."""

        self.announced_bytes = 0
        """Of the body, where the head says so."""

        self.labels: dict[bytes, bytes] = _NO_LABELS
        """Its ``x-breakeven-`` headers by lower-case name, and ``traceparent`` where that names its episode."""

        self.exchange: Carried | None = None
        """What is being done for it; None while nothing is."""

        self._refusal: replies.Reply | None = None
        self._raw_headers = heads.RawHeaders()
        self._url = b""
        self._version = "1.1"
        self._names: tuple[bytes, ...] = ()
        self._spelled: dict[bytes, bytes] = {}
        self._label_names: list[bytes] = []
        self._pieces: list[bytes] = []
        self._fed_bytes = 0
        self._early = b""  # of a head, before the packet that ends it
        self._keep_alive = True
        self._upgrading = self._passes = False
        self._blocked = False
        """Whether the client has not read what was sent to it."""

        self._known: heads.KnownHead | None = None
        self._lessons = MAX_LESSONS
        self.on_message_begin = self._raw_headers.clear
        self.on_header = self._raw_headers.take
        self.on_body = self._pieces.append
        self._parser = httptools.HttpRequestParser(self)

    # What the event loop tells it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or turn the client away when there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self.since_s = self.shared.now_s
        if not self.desk.admit(self):
            self.write(TOO_MANY.rendered(replies.error_body, close=True))
            self.close()
            return
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop whatever was done for this client."""
        del exc, self._pieces[:]
        self.transport = None
        self._parser = _ENDED
        self.desk.gone(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left()

    def eof_received(self) -> None:
        """Take the end of what a client sends as its leaving; the transport closes itself."""

    def pause_writing(self) -> None:
        """Let the target wait: the client does not read."""
        self._blocked = True
        if self.exchange is not None:
            self.exchange.pause()

    def resume_writing(self) -> None:
        """Read from the target again, or the client's next request."""
        self._blocked = False
        if self.exchange is not None:
            self.exchange.resume()
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse what came, within bounds."""
        if self.phase >= ANSWERING:
            # A second request before the first is answered: it is not read, and the connection ends after
            # the first.  Reading goes on, because that is how a client's leaving is seen.
            self._keep_alive = False
            return
        first = self.phase == IDLE
        if first:
            known = self._known
            if known is not None and (body_at := known.head.body_at(data)) > 0:
                self._begin_known(known, data[body_at:])
                return
            self.phase = HEAD
            self.since_s = self.shared.now_s
            self._fed_bytes = 0
            self._early = b""
            self._pieces.clear()
        self._fed_bytes += len(data)
        self._feed(data)
        if self.phase == BODY:
            self._check_body()
        elif self.phase == HEAD:
            self._await_head(data)
        elif self.phase == HANDED:
            self._hand_over(data)
        elif self.phase == IDLE:
            if not self._keep_alive:  # it was answered at once, and another had come behind it
                self.close()
        elif first and self._lessons and self.exchange is not None:
            self._remember(data)

    # What the parser tells it

    def on_url(self, url: bytes) -> None:
        """Collect the path, which may come in pieces; note a request that comes before its turn."""
        if self.phase == HEAD:
            self._url += url
        else:
            self._keep_alive = False

    def on_headers_complete(self) -> None:
        """Check everything that can be checked before the body."""
        if self.phase != HEAD:
            return
        self.phase = BODY
        parser, shared, raw = self._parser, self.shared, self._raw_headers
        names = tuple(raw)
        if names != self._names:
            self._learn(names)
        self._version = parser.get_http_version()
        self._upgrading = b"upgrade" in self._spelled and parser.should_upgrade()
        spelled = self._spelled
        self.received_s = shared.clock.now()
        self.authorization = raw[spelled[b"authorization"]] if b"authorization" in spelled else b""
        if b"x-api-key" in spelled and not self.authorization:  # as Anthropic's clients send it
            self.authorization = b"Bearer " + raw[spelled[b"x-api-key"]]
        self.passed = heads.passed_lines(spelled, raw) if self._passes else b""
        self.announced_bytes = int(raw[spelled[b"content-length"]]) if b"content-length" in spelled else 0
        self.labels = {name.lower(): raw[name] for name in self._label_names} if self._label_names else _NO_LABELS
        self._keep_alive = parser.should_keep_alive() and parser.get_method() != b"HEAD"  # its answer has no body
        url, limit = self._url, shared.limits.header_bytes
        self._url = url.partition(b"?")[0]
        if self._fed_bytes > limit and len(url) + heads.head_bytes(raw) > limit:
            self._refusal = heads.head_too_large(self.shared.limits)
        else:
            self._refusal = self.desk.check_head(self, parser.get_method(), self._url)
        if self._refusal is not None and (self._refusal.close or b"expect" in spelled):
            self._refuse_now(self._refusal)
        elif b"expect" in spelled and self.phase == BODY:
            self.write(replies.CONTINUE)

    def on_message_complete(self) -> None:
        """Act on the whole request."""
        if self.phase != BODY or self._upgrading:
            return
        self.phase = ANSWERING
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        path, self._url = self._url, b""
        if self._refusal is None:
            self.desk.act(self, path, body)
        else:
            refusal, self._refusal = self._refusal, None
            self.reply(refusal)

    # What the desk and the exchange ask of it

    def write(self, data: bytes) -> None:
        """Send bytes; nothing when the client has gone."""
        if self.transport is not None:
            self.transport.write(data)

    def reply(self, reply: replies.Reply) -> None:
        """Send an answer of the gateway's own, and be ready for the next request."""
        self.write(reply.rendered(self.dialect.error_body, close=not self.keeps_alive))
        self.done(close=reply.close)

    def done(self, *, close: bool = False) -> None:
        """Be ready for the next request, or close where that was asked for."""
        self.exchange = None
        if close or not self._keep_alive or self.shared.draining:
            self.close()
            return
        self.phase = IDLE
        self.since_s = self.shared.now_s
        if self._blocked and self.transport is not None:
            self.transport.pause_reading()  # no next request before this answer is read

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection outlives the answer, as far as is known now."""
        return self._keep_alive and not self.shared.draining

    @property
    def takes_chunks(self) -> bool:
        """Whether the client understands chunked answers; if not, a stream ends with the connection."""
        self._keep_alive &= self._version != "1.0"
        return self._version != "1.0"

    def close(self) -> None:
        """Send what is buffered, then close; a client that does not read it is given up by ``sweep``."""
        self.phase = CLOSING
        self.since_s = self.shared.now_s
        if self.transport is not None:
            self.transport.close()

    @property
    def busy(self) -> bool:
        """Whether a request is on its way in, or its answer on its way out."""
        if self.phase == CLOSING:
            return self.transport is not None and self.transport.get_write_buffer_size() > 0
        return self.phase in (BODY, ANSWERING)

    def drain(self) -> None:
        """Close now if nothing is under way; otherwise after the answer."""
        if self.phase == IDLE:
            self.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def sweep(self, now_s: float) -> None:
        """Close what has been silent for too long: between requests, within a head, within a body."""
        limits = self.shared.limits
        quiet_s = now_s - self.since_s
        if self.phase == IDLE and quiet_s > limits.idle_s:
            self.close()
        elif self.phase == HEAD and quiet_s > limits.header_s:
            self._refuse_now(replies.refusal(408, f"The head took more than {limits.header_s:g} s.", "head_timeout"))
        elif self.phase == BODY and quiet_s > limits.body_s:
            self._refuse_now(replies.refusal(408, f"The body paused for {limits.body_s:g} s.", "body_timeout"))
        elif self.phase == CLOSING and quiet_s > limits.body_s and self.transport is not None:
            self.transport.abort()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._ignore_upgrade(data[wish.args[0] :])
        except httptools.HttpParserCallbackError:
            _log.exception("a request could not be handled")
            exchange, self.exchange = self.exchange, None
            if exchange is not None:
                exchange.client_left()
            self._refuse_now(replies.refusal(500, "The gateway failed to handle this request.", "internal_error"))
        except httptools.HttpParserError as error:
            if self.phase in (IDLE, ANSWERING):
                self._keep_alive = False  # the request was whole and is acted on; what follows it is not one
            else:
                self._refuse_now(replies.refusal(400, f"This is not an HTTP request: {error}.", "bad_http"))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request again without its wish for another protocol, as RFC 9110 allows.

        The JDK's client, for one, brings such a wish by default.
        """
        head = heads.without_upgrade(self._parser.get_method(), self._url, self._raw_headers)
        self._parser = httptools.HttpRequestParser(self)
        if self.phase == BODY:
            self.phase = HEAD
            self._url = b""
            self._refusal = None
            self._upgrading = False
            self._feed(head + rest)

    def _learn(self, names: tuple[bytes, ...]) -> None:
        """Learn how this client writes the names of its headers: it seldom changes from request to request."""
        self._names = names
        self._spelled = {name.lower(): name for name in names}
        self._passes = not self._spelled.keys().isdisjoint(heads.PASSED)
        self._label_names = heads.label_names(self._spelled)

    def _remember(self, data: bytes) -> None:
        """Keep the head of a request that came whole in one packet."""
        self._lessons -= 1
        head = repeated_head(data, self.announced_bytes)
        if head is not None and self._keep_alive:
            self._known = heads.KnownHead(head, self.dialect, self.authorization, self.labels, self.passed)

    def _begin_known(self, known: heads.KnownHead, body: bytes) -> None:
        """Act on a request whose head is the remembered one: only what may have changed is checked again."""
        _, self.dialect, self.authorization, self.labels, self.passed = known
        self._lessons = MAX_LESSONS
        self.received_s = self.shared.clock.now()
        self.phase = ANSWERING
        refusal = self.desk.check_now(self)
        if refusal is None:
            too_large = len(body) > self.shared.limits.body_bytes
            refusal = heads.body_too_large(self.shared.limits) if too_large else self.desk.carry(self, body)
        if refusal is not None:
            self.reply(refusal)

    def _await_head(self, data: bytes) -> None:
        self._early += data
        if self._fed_bytes > self.shared.limits.header_bytes:
            self._refuse_now(heads.head_too_large(self.shared.limits))

    def _hand_over(self, data: bytes) -> None:
        """Let another process serve this request, and forget the connection."""
        refused = self.desk.hand_over(self, self._early + data)
        if refused is not None:
            self._refuse_now(refused)

    def _check_body(self) -> None:
        self.since_s = self.shared.now_s
        limits = self.shared.limits
        if self._refusal is not None:
            self._pieces.clear()
            if self._fed_bytes > heads.MAX_REFUSED_BYTES:
                self._refuse_now(self._refusal)
        elif (
            sum(map(len, self._pieces)) > limits.body_bytes
            or self._fed_bytes > 2 * limits.body_bytes + heads.MAX_FRAMING_BYTES
        ):
            self._refuse_now(heads.body_too_large(self.shared.limits))
        if (
            self.phase == BODY
            and len(self._raw_headers) > len(self._names)
            and heads.head_bytes(self._raw_headers) > limits.header_bytes
        ):
            self._refuse_now(heads.head_too_large(self.shared.limits))  # trailers count as well

    def _refuse_now(self, reply: replies.Reply) -> None:
        """Answer before the request is whole; what still comes of it is thrown away until the client closes."""
        if self.phase == CLOSING:
            return
        self._refusal = None
        self._pieces.clear()
        self._keep_alive = False
        self.phase = CLOSING
        self.since_s = self.shared.now_s
        self.write(reply.rendered(self.dialect.error_body, close=True))
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.close()
