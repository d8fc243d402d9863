"""One attempt on the wire: sent to its target, and what comes back relayed, until it is whole, broken or out of time.

What becomes of a request that fails here is decided in ``exchange``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from breakeven.gateway.account import WHOLE, Account
from breakeven.gateway.answer import CLOSE, StreamedAnswer, WholeAnswer, is_event_stream, passed_headers
from breakeven.gateway.cache import CollectingMeter, Stored, content_type_of, is_answer
from breakeven.gateway.dialects import CHAT_COMPLETIONS
from breakeven.gateway.failures import (
    BETWEEN_TOKENS_TIMEOUT,
    FIRST_TOKEN_TIMEOUT,
    NOT_CONTINUED,
    TOTAL_TIMEOUT,
    Failure,
    answered,
)
from breakeven.ledger.rows import FAILED, OK
from breakeven.metering.reading import Reading, tokens_of_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.client import Client, Receiver
    from breakeven.gateway.crossing import Crossing
    from breakeven.gateway.dialects import Dialect
    from breakeven.gateway.recollection import Recall
    from breakeven.upstreams.connection import UpstreamConnection

WAITING, CONNECTING, SENT, FLOWING, ENDED = range(5)
"""No attempt is in hand; waiting for a connection; for the first byte of the body; for the rest; all is said."""

NOTHING: Final = Reading(0, 0, 0, 0, 0, estimated=False)
"""Used by an attempt that did not get as far as to be read by a target."""

SPLIT_BYTES: Final = 32 * 1024
"""Larger bodies are written after their head instead of being copied behind it."""


END_S: Final = 1.0
"""How long the end of an answer's body is waited for once its stream has said that it is over."""


class Rival(Protocol):
    """Another attempt at the same request."""

    def drop(self) -> None:
        """Let its target stop."""


class Relay(Account):
    """The attempt in hand, as an ``Answering`` of its upstream connection."""

    __slots__ = (
        "answer", "begun", "cache_key", "client", "content_type", "crossing", "dialect", "hedge", "hides_usage",
        "index", "paused", "payload", "phase", "probe", "quiet_since_s", "recall", "retried_stale", "route", "sent",
        "spoken", "tail", "upstream",
    )  # fmt: skip

    client: Client
    dialect: Dialect
    """That of the client."""

    route: RouteState
    index: int
    """Of the offer, among those of the route."""

    probe: bool
    """Whether the attempt finds out for all whether its target is well again."""

    hedge: Rival | None
    """A second attempt, as long as neither has begun."""

    payload: bytes
    """The request's body as it came."""

    cache_key: bytes | None
    """Under which its answer is kept, to be given again; None: it is not."""

    recall: Recall | None
    """What was looked up for it among similar requests."""

    content_type: bytes | None
    """Of an answer that is to be kept and did not come in one piece."""

    phase: int
    sent: bytes
    """The body as the target gets it."""

    spoken: Dialect
    """What the target is spoken to in."""

    crossing: Crossing | None
    """Where that is not the client's."""

    hides_usage: bool
    """We asked for the usage that ends a stream, and the client did not."""

    answer: WholeAnswer | StreamedAnswer | None
    begun: WholeAnswer | StreamedAnswer | None
    """An answer of which the client has seen a part; what comes now can only continue it."""

    upstream: UpstreamConnection | None
    retried_stale: bool
    paused: bool
    quiet_since_s: float
    tail: bytes
    """The last bytes of the answer, which wait for the row."""

    def failed(self, failure: Failure, reading: Reading) -> None:
        """Decide what becomes of the request; its attempt has failed."""
        raise NotImplementedError

    def broken(self, answer: WholeAnswer | StreamedAnswer, why: str) -> None:
        """Decide what becomes of an answer that ended, but not as one."""
        raise NotImplementedError

    def remember(self, content_type: bytes | None, body: bytes, reading: Reading, *, streamed: bool) -> None:
        """Keep a whole answer, to be given again."""
        if self.cache_key is not None and content_type is not None:
            now_s = self.shared.clock.monotonic()
            stored = Stored(content_type, body, streamed, *reading[:5], self.offer.target.code, now_s)
            self.shared.cache.put(self.cache_key, stored)
            if self.recall is not None:
                self.recall.answered(stored)

    def note_failure(self, failure: Failure, of: Relay) -> None:
        """Remember what the failure of an attempt says of its target."""
        raise NotImplementedError

    def keep(self, outcome: int, failure: str, reading: Reading, *, status: int, last: bool = True) -> None:
        """Keep the row of the attempt."""
        raise NotImplementedError

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

    # From the upstream connection

    def connected(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        body = self.sent
        self.upstream = connection
        self.phase = SENT
        self.sent_s = self.shared.clock.monotonic()
        head = self.offer.target.request_heads[self.spoken.place]
        passed = self.client.passed
        if len(body) < SPLIT_BYTES:
            connection.send(self, b"%b%d\r\n%b\r\n%b" % (head, len(body), passed, body))
        else:
            connection.send(self, b"%b%d\r\n%b\r\n" % (head, len(body), passed))
            connection.send_more(body)
        if self.paused:  # the client has not read yet what came of the answer that this one continues
            connection.pause()

    def not_connected(self, reason: str, detail: str) -> None:
        """Go on with another target."""
        if self.phase == CONNECTING:
            self.failed(Failure(reason, detail), NOTHING)

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came in one piece."""
        self.upstream = None
        plain = status == 200 and self.crossing is None and self.begun is None
        if not plain or (self.request.stream and is_event_stream(headers)):
            self._prepare(status, headers)
            self._first_bytes(body)
            self.complete()
            return
        offer = self.offer
        target = offer.target
        now_s = self.first_byte_s = self.shared.clock.monotonic()
        target.first_bytes.add(now_s - self.ready_s)
        if target.latency is not None:
            target.latency.observe(now_s - self.sent_s, now_s)
        reading = self.dialect.read_answer(body, len(self.payload))
        if self.cache_key is not None and is_answer(body):
            self.remember(content_type_of(headers), body, reading, streamed=False)
        # Written out, because a call and a named tuple for each of its parts would cost a microsecond.
        self.tail = WHOLE % (
            passed_headers(headers),
            target.reply_header,
            self.request_id >> 4,
            self.decision[0],
            int((self.sent_s - self.ready_s) * 1e6),
            self.fallback_lines() if self.number else b"",
            offer.price.line(reading, self.received_us),
            b"" if self.client.keeps_alive else CLOSE,
            len(body),
            body,
        )
        self.keep(OK, "", reading, status=200)

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Prepare for what comes."""
        self._prepare(status, headers)
        assert self.upstream is not None  # it is what speaks
        self.upstream.pass_to(self._first_bytes)

    def complete(self) -> None:
        """Keep the row, then let the last bytes go; or go on with another target when this one failed."""
        answer = self.answer
        assert answer is not None
        self.upstream = None
        close = not self.client.keeps_alive
        name = self.offer.target.name
        if not 200 <= answer.status < 300:
            failure = answered(name, answer.status, answer.headers, answer.so_far(), self.shared.clock.now())
            if answer.started:  # too large to be held back for another target
                self.note_failure(failure, self)
                self.tail = answer.finish(close=close)
                self.keep(FAILED, failure.reason, NOTHING, status=answer.status)
            else:
                self.failed(failure, NOTHING)
            return
        if self.begun is not None and not answer.started:
            self.failed(Failure(NOT_CONTINUED, f"{name} did not continue the stream"), self.used())
            return
        broken = answer.end()
        if broken:
            self.broken(answer, broken)
        else:
            reading = answer.reading(len(self.payload), complete=True)
            if self.cache_key is not None and self.begun is None and self.crossing is None:
                streamed = isinstance(answer, StreamedAnswer)
                body = answer.kept()
                if body is not None and (streamed or is_answer(body)):
                    self.remember(self.content_type, body, reading, streamed=streamed)
            self.tail = answer.finish(close=close, line=self.offer.price.line(reading, self.received_us))
            self.keep(OK, "", reading, status=answer.status)

    def lost(self, reason: str, *, stale: bool) -> None:
        """Send again over a new connection when a kept one had gone stale; otherwise this attempt has failed."""
        self.upstream = None
        if stale and not self.retried_stale:
            self.retried_stale = True
            self.phase = CONNECTING
            self.offer.target.pool.connect(self)
        elif self.answer is not None and self.answer.says_all:
            self.complete()  # all that is missing is HTTP's own end
        else:
            self.failed(Failure(reason, f"{self.offer.target.name} broke off its answer"), self.used())

    # From the clock

    def tick(self, now_s: float) -> None:
        """Give up on a target that takes too long."""
        if self.phase in (WAITING, ENDED):
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
        elif self.phase == FLOWING:
            self._look_at_silence(now_s - self.quiet_since_s, limits.between_tokens_s)

    def _look_at_silence(self, quiet_s: float, limit_s: float) -> None:
        """Give up on a stream that has paused for too long; one that has come to its own end waits a moment only."""
        says_all = self.answer is not None and self.answer.says_all
        if says_all and quiet_s > min(END_S, limit_s):
            self.stop_upstream()
            self.complete()
        elif quiet_s > limit_s:
            self._timed_out(BETWEEN_TOKENS_TIMEOUT, limit_s)

    def _prepare(self, status: int, headers: Mapping[bytes, bytes], to: Receiver | None = None) -> None:
        """Be ready for an answer that goes to the client, or for now somewhere else."""
        client, crossing = to or self.client, self.crossing
        if self.hedge is not None and 200 <= status < 300:
            self.hedge.drop()
        if self.cache_key is not None:
            self.content_type = content_type_of(headers)
        streamed = status == 200 and bool(self.request.stream) and is_event_stream(headers)
        if self.begun is not None:
            lines = b""
        elif crossing is not None:
            self.answer = crossing.answering(client, status, self.own_lines(), self, streamed=streamed)
            return
        else:
            lines = passed_headers(headers) + self.own_lines()
        if streamed:
            keeps_text = self.route.continues and self.dialect is CHAT_COMPLETIONS
            meter = self.dialect.meter(hide_usage=self.hides_usage, keeps_text=keeps_text)
            collected = CollectingMeter(meter, self.shared.cache.max_body_bytes) if self.cache_key else meter
            self.answer = StreamedAnswer(client, lines, collected, started=self.begun is not None)
        else:
            self.answer = WholeAnswer(client, status, lines, headers)

    def _first_bytes(self, data: bytes) -> None:
        """Note when the body began; what follows goes straight to the answer."""
        assert self.answer is not None  # the head has come
        self.phase = FLOWING
        self._note_first_byte()
        upstream, answer = self.upstream, self.answer
        if upstream is not None:
            upstream.pass_to(answer.body, answer)
        answer.body(data)

    def _note_first_byte(self) -> None:
        """Learn how long the target takes to begin, unless it refuses, or the fastest to refuse would get most."""
        now_s = self.first_byte_s = self.quiet_since_s = self.shared.clock.monotonic()
        target, answer = self.offer.target, self.answer
        if answer is not None and answer.status >= 300:
            return
        target.first_bytes.add(now_s - self.ready_s)
        latency = target.latency
        if latency is not None:
            latency.observe(now_s - self.sent_s, now_s)

    # What has been used, and how it is stopped

    def used(self) -> Reading:
        """Return what an attempt that did not end well has used: what was sent, and what has passed."""
        if self.answer is not None and self.answer.status < 300:
            return self.answer.reading(len(self.payload), complete=False)
        if self.phase != SENT:
            return NOTHING
        return Reading(tokens_of_bytes(len(self.payload)), 0, 0, 0, 0, estimated=True)

    def stop_upstream(self) -> None:
        """Let the target stop its work."""
        if self.upstream is not None:
            self.upstream.drop()
            self.upstream = None
        elif self.phase == CONNECTING:
            self.offer.target.pool.forget(self)

    def _timed_out(self, reason: str, limit_s: float) -> None:
        reading = self.used()
        self.stop_upstream()
        self.failed(Failure(reason, f"{self.offer.target.name} took more than {limit_s:g} s"), reading)
