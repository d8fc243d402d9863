"""One request, from the moment it is whole until its answer is: choose, send, relay, keep, release.

It has no task of its own: the event loop calls it when something comes from the target, when the client
leaves, and ten times a second to look at the clock.  Each attempt leaves one row, whatever happens.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.gateway.answer import CLOSE, StreamedAnswer, WholeAnswer, is_event_stream, passed_headers
from breakeven.gateway.choice import Labels
from breakeven.gateway.failures import (
    BETWEEN_TOKENS_TIMEOUT,
    FIRST_TOKEN_TIMEOUT,
    LEFT,
    TOTAL_TIMEOUT,
    Failure,
    answered,
)
from breakeven.gateway.requests import named_once, rewritten
from breakeven.ledger.rows import CLIENT_LEFT, CUT, ESTIMATED, FAILED, OK, STREAMED, UNKNOWN_US, Attempt
from breakeven.metering.completion import read_completion
from breakeven.metering.reading import Reading, tokens_of_bytes
from breakeven.routing.view import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.connection import ClientConnection
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.requests import ChatRequest
    from breakeven.gateway.shared import Shared
    from breakeven.routing.eligible import Asked
    from breakeven.upstreams.connection import UpstreamConnection

CONNECTING, SENT, FLOWING, ENDED = range(4)
"""Waiting for a connection; for the first byte of the body; for the rest; the last row is written."""

NOTHING: Final = Reading(0, 0, 0, 0, 0, estimated=False)
"""Used by an attempt that did not get as far as to be read by a target."""

_OWN_LINES: Final = b"%bx-breakeven-request-id: %015x\r\nx-breakeven-decision: %b\r\nx-breakeven-overhead-us: %d\r\n"
_WHOLE: Final = b"HTTP/1.1 200 OK\r\n%b" + _OWN_LINES + b"%b%bcontent-length: %d\r\n\r\n%b"

_new: Final = tuple.__new__
"""Makes a named tuple of its values; the class itself takes 0.3 µs longer, having to pass through Python."""

SPLIT_BYTES: Final = 32 * 1024
"""Larger bodies are written after their head instead of being copied behind it."""


class Exchange:
    """A request and the attempts made for it; the ``Answering`` of the attempt in hand."""

    __slots__ = (
        "answer", "client", "closes", "decision", "fallback", "first_byte_s", "hides_usage", "index", "key", "labels",
        "number", "offer", "paused", "payload", "phase", "quiet_since_s", "ready_s", "received_us", "request",
        "request_id", "retried_stale", "route", "sent_s", "shared", "tail", "tried", "upstream",
    )  # fmt: skip

    def __init__(
        self, shared: Shared, client: ClientConnection, route: RouteState, request: ChatRequest, body: bytes
    ) -> None:
        received_s = client.received_s
        self.shared = shared
        self.client = client
        assert client.key is not None  # checked before the body was read
        self.key = client.key
        self.route = route
        self.request = request
        self.payload = body
        self.received_us = int(received_s * 1_000_000)
        self.ready_s = self.quiet_since_s = shared.clock.monotonic()
        self.request_id = shared.ids.next(int(received_s * 1000))
        self.labels = Labels(client.labels, self.key, shared.state.spool) if client.labels else None
        self.tried: Sequence[int] = route.untried
        self.number = 0
        self.fallback = ""
        self.hides_usage = self.paused = self.closes = False
        self.tail = b""
        self.answer: WholeAnswer | StreamedAnswer | None = None
        self.upstream: UpstreamConnection | None = None
        self.retried_stale = False

    # From the desk and the client's connection

    def begin(self) -> Reply | None:
        """Send the request to a target; return why it is refused when there is none that may take it."""
        route = self.route
        if route.refuse_unpriced and (refused := route.unpriced(self.received_us)):
            return refused
        asked = self._asked() if self.labels is not None else self.key.asked
        index, reason = route.settled.get(asked) or self._choose(asked, 0)
        if index < 0:
            return route.refusal(asked)
        self.client.exchange = self
        self._attempt(index, reason)
        return None

    def client_left(self) -> None:
        """Stop the target's work and keep the row of what has passed."""
        if self.phase != ENDED:
            reading = self._used()
            self._stop_upstream()
            self._keep(CLIENT_LEFT, LEFT, reading, status=self.answer.status if self.answer is not None else 0)

    def pause(self) -> None:
        """Let the target wait for the client."""
        self.paused = True
        if self.upstream is not None:
            self.upstream.pause()

    def resume(self) -> None:
        """Read on from the target."""
        self.paused = False
        if self.upstream is not None:
            self.upstream.resume()

    def release(self) -> None:
        """Send the last bytes: the row is kept."""
        client = self.client
        if client.transport is not None:
            client.write(self.tail)
            client.done(close=self.closes)

    # From the upstream connection

    def connected(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        offer, request = self.offer, self.request
        body = self.payload
        if request.stream:
            options = request.stream_options
            self.hides_usage = offer.target.stream_usage and (options is None or not options.include_usage)
        if self.hides_usage or offer.renamed or not named_once(body):
            body = rewritten(body, request, model=offer.model, ask_for_usage=self.hides_usage)
        self.upstream = connection
        self.phase = SENT
        self.sent_s = self.shared.clock.monotonic()
        if len(body) < SPLIT_BYTES:
            connection.send(self, b"%b%d\r\n\r\n%b" % (offer.target.request_head, len(body), body))
        else:
            connection.send(self, b"%b%d\r\n\r\n" % (offer.target.request_head, len(body)))
            connection.send_more(body)

    def not_connected(self, reason: str, detail: str) -> None:
        """Go on with another target."""
        if self.phase == CONNECTING:
            self._failed(Failure(reason, detail), NOTHING)

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came in one piece."""
        self.upstream = None
        if status != 200 or (self.request.stream and is_event_stream(headers)):
            self._prepare(status, headers)
            self._first_bytes(body)
            self.complete()
            return
        self.first_byte_s = self.shared.clock.monotonic()
        reading = read_completion(body, len(self.payload))
        cost = self.offer.price.line(reading, self.received_us)
        self.tail = _WHOLE % (
            passed_headers(headers),
            *self._own_values(),
            cost,
            b"" if self.client.keeps_alive else CLOSE,
            len(body),
            body,
        )
        self._keep(OK, "", reading, status=200)

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Prepare for what comes."""
        self._prepare(status, headers)
        assert self.upstream is not None  # it is what speaks
        self.upstream.sink = self._first_bytes

    def complete(self) -> None:
        """Keep the row, then let the last bytes go; or go on with another target when this one failed."""
        answer = self.answer
        assert answer is not None
        self.upstream = None
        close = not self.client.keeps_alive
        if not 200 <= answer.status < 300:
            failure = answered(self.offer.target.name, answer.status)
            if answer.started:  # too large to be held back for another target
                self.tail = answer.finish(close=close)
                self._keep(FAILED, failure.reason, NOTHING, status=answer.status)
            else:
                self._failed(failure, NOTHING)
            return
        broken = answer.end()
        if broken:
            self.tail = answer.finish(close=close)
            self._keep(CUT, broken, self._used(), status=answer.status)
        else:
            reading = answer.reading(len(self.payload), complete=True)
            self.tail = answer.finish(close=close, line=self.offer.price.line(reading, self.received_us))
            self._keep(OK, "", reading, status=answer.status)

    def lost(self, reason: str, *, stale: bool) -> None:
        """Send again over a new connection when a kept one had gone stale; otherwise this attempt has failed."""
        self.upstream = None
        if stale and not self.retried_stale:
            self.retried_stale = True
            self.phase = CONNECTING
            self.offer.target.pool.connect(self)
            return
        self._failed(Failure(reason, f"{self.offer.target.name} broke off its answer"), self._used())

    # From the clock

    def tick(self, now_s: float) -> None:
        """Give up on a target that takes too long."""
        if self.phase == ENDED:
            return
        upstream = self.upstream
        if self.paused or (upstream is not None and upstream.arrived):
            self.quiet_since_s = now_s
            if upstream is not None:
                upstream.arrived = False
        limits = self.offer.target.timeouts
        if now_s - self.ready_s > limits.total_s:
            self._timed_out(TOTAL_TIMEOUT, limits.total_s)
        elif self.phase == SENT and now_s - self.sent_s > limits.first_token_s:
            self._timed_out(FIRST_TOKEN_TIMEOUT, limits.first_token_s)
        elif self.phase == FLOWING and now_s - self.quiet_since_s > limits.between_tokens_s:
            self._timed_out(BETWEEN_TOKENS_TIMEOUT, limits.between_tokens_s)

    # Its own steps

    def _prepare(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        lines = self._own_lines()
        if status == 200 and self.request.stream and is_event_stream(headers):
            self.answer = StreamedAnswer(self.client, headers, lines, hide_usage=self.hides_usage)
        else:
            self.answer = WholeAnswer(self.client, status, headers, lines)

    def _first_bytes(self, data: bytes) -> None:
        """Note when the body began; what follows goes straight to the answer."""
        assert self.answer is not None  # the head has come
        self.phase = FLOWING
        self.first_byte_s = self.quiet_since_s = self.shared.clock.monotonic()
        if self.upstream is not None:
            self.upstream.sink = self.answer.body
        self.answer.body(data)

    def _asked(self) -> Asked:
        asked = self.key.asked
        if self.labels is not None and self.labels.sensitivity:
            asked = asked._replace(sensitivity=self.labels.sensitivity)
        return asked

    def _choose(self, asked: Asked, attempts: int) -> tuple[int, int]:
        """Return the index of the next offer and the code of the reason; -1 when there is none."""
        task = self.labels.task if self.labels is not None else 0
        request = Request(len(self.payload) >> 2, 0, task, 0, 0, inf, inf, attempts)
        return self.route.choose(asked, request, self.tried, self.shared.uniform())

    def _attempt(self, index: int, reason: int) -> None:
        offer = self.offer = self.route.offers[index]
        self.decision = self.shared.state.decisions[reason]
        self.index = index
        offer.target.in_flight += 1
        self.answer = None
        self.upstream = None
        self.phase = CONNECTING
        self.sent_s = self.first_byte_s = 0.0
        self.retried_stale = False
        connection = offer.target.pool.idle()
        if connection is None:
            offer.target.pool.connect(self)
        else:
            self.connected(connection)

    def _timed_out(self, reason: str, limit_s: float) -> None:
        reading = self._used()
        self._stop_upstream()
        self._failed(Failure(reason, f"{self.offer.target.name} took more than {limit_s:g} s"), reading)

    def _failed(self, failure: Failure, reading: Reading) -> None:
        """Go on with another target where that is possible; otherwise tell the client."""
        answer = self.answer
        status = answer.status if answer is not None else 0
        if answer is not None and answer.started:
            self.tail = answer.cut(f"The stream broke: {failure.detail}.", failure.reason)
            self.closes = True
            self._keep(CUT, failure.reason, reading, status=status)
            return
        index = reason = -1
        if failure.retried and self.number + 1 < self.route.max_attempts:
            self.tried = *self.tried[: self.index], 1, *self.tried[self.index + 1 :]
            index, reason = self._choose(self._asked(), self.number + 1)
        if index >= 0:
            self._keep(FAILED, failure.reason, reading, status=status, last=False)
            self.fallback = failure.reason
            self.number += 1
            self._attempt(index, reason)
        else:
            close = not self.client.keeps_alive
            if failure.passed_on and answer is not None:
                self.tail = answer.finish(close=close)
            else:
                self.tail = failure.reply(self._own_lines()).rendered(close=close)
            self._keep(FAILED, failure.reason, reading, status=status)

    def _keep(self, outcome: int, failure: str, reading: Reading, *, status: int, last: bool = True) -> None:
        """Hand the row of this attempt to the recorder; with the last one the answer is released."""
        shared, offer, labels, key = self.shared, self.offer, self.labels, self.key
        ready_s = self.ready_s
        offer.target.in_flight -= 1
        input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, processing, estimated = reading
        reason = shared.state.reason
        row = _new(
            Attempt,
            (
                self.request_id | self.number,
                self.received_us,
                int((self.sent_s - ready_s) * 1e6) if self.sent_s else UNKNOWN_US,
                int((self.first_byte_s - ready_s) * 1e6) if self.first_byte_s else UNKNOWN_US,
                int((shared.clock.monotonic() - ready_s) * 1e6),
                key.code,
                labels.task if labels is not None else 0,
                labels.tags if labels is not None else key.tags,
                offer.model_code,
                offer.target.code,
                offer.priced_code,
                self.decision[1],
                reason(self.fallback) if self.fallback else 0,
                reason(failure) if failure else 0,
                status,
                outcome,
                processing,
                (ESTIMATED if estimated else 0) | (STREAMED if self.request.stream else 0),
                input_tokens,
                cached_input_tokens,
                cache_write_tokens,
                output_tokens,
                labels.episode if labels is not None else "",
            ),
        )
        if last:
            self.phase = ENDED
        shared.recorder.keep(row, self if last else None)

    def _used(self) -> Reading:
        """Return what an attempt that did not end well has used: what was sent, and what has passed."""
        if self.answer is not None and self.answer.status < 300:
            return self.answer.reading(len(self.payload), complete=False)
        if self.phase != SENT:
            return NOTHING
        return Reading(tokens_of_bytes(len(self.payload)), 0, 0, 0, 0, estimated=True)

    def _own_lines(self) -> bytes:
        """Return the header lines that say what the gateway did."""
        return _OWN_LINES % self._own_values()

    def _own_values(self) -> tuple[bytes, int, bytes, int]:
        return (
            self.offer.target.reply_header,
            self.request_id >> 4,  # as ledger.ids.request_text writes it
            self.decision[0],
            int((self.sent_s - self.ready_s) * 1e6) if self.sent_s else 0,
        )

    def _stop_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.drop()
            self.upstream = None
        elif self.phase == CONNECTING:
            self.offer.target.pool.forget(self)
