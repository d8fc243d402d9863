"""A second attempt at a request whose first is slow to begin: it serves if it begins first, and is dropped otherwise.

When hedges are sent, ``routing.hedge`` says.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.gateway.failures import LEFT, OVERTAKEN, Failure, answered
from breakeven.gateway.relay import CONNECTING, ENDED, NOTHING, SENT, Relay
from breakeven.gateway.sending import outgoing
from breakeven.ledger.rows import CLIENT_LEFT, FAILED, OK
from breakeven.routing.retries import FAILED as TRIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.gateway.quota import Holding
    from breakeven.gateway.sending import Outgoing
    from breakeven.gateway.targets import Offer
    from breakeven.metering.reading import Reading
    from breakeven.routing.eligible import Asked
    from breakeven.routing.hedge import Hedges

FALLBACK: Final = "slow_to_begin"
"""Why a hedge was sent, in its row."""


class Hedge(Relay):
    """The second attempt, as the ``Answering`` of its connection until its answer begins."""

    __slots__ = ("of", "outgoing")

    def __init__(self, of: Race, offer: Offer, index: int, sent: Outgoing) -> None:
        """Prepare to send ``sent``, which is what the request ``of`` is to an offer."""
        self.of = of
        self.shared, self.client, self.dialect, self.route = of.shared, of.client, of.dialect, of.route
        self.key, self.labels, self.request, self.payload = of.key, of.labels, of.request, of.payload
        self.request_id, self.received_us, self.ready_s = of.request_id, of.received_us, of.ready_s
        self.offer, self.index = offer, index
        self.outgoing = sent
        self.spoken, self.sent, self.hides_usage, self.crossing = sent
        self.fallback = FALLBACK
        self.sent_s = self.first_byte_s = 0.0
        self.phase = CONNECTING
        self.paused = self.retried_stale = self.probe = False
        self.answer = self.begun = self.upstream = self.hedge = self.cache_key = self.recall = None

    def send(self, number: int, decision: tuple[bytes, int]) -> None:
        """Begin, as the attempt of that number."""
        self.number, self.decision = number, decision
        target = self.offer.target
        target.in_flight += 1
        connection = target.pool.idle()
        if connection is None:
            target.pool.connect(self)
        else:
            self.connected(connection)

    # From its connection

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Serve with an answer; one that is none ends the hedge."""
        self.upstream = None
        if 200 <= status < 300:
            self.of.overtaken(self)
            self.of.whole(status, headers, body)
        else:
            self._refused(status, headers, body)

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Serve with an answer that begins; of one that is none the head says enough."""
        if 200 <= status < 300:
            self.of.overtaken(self)
            self.of.head(status, headers)
        else:
            self.stop_upstream()
            self._refused(status, headers, b"")

    def complete(self) -> None:
        """Pass on the end of an answer that came together with its head."""
        self.of.complete()

    def failed(self, failure: Failure, reading: Reading) -> None:
        """End the hedge; the first attempt goes on."""
        self.of.note_failure(failure, self)
        self._leave(failure.reason, reading, FAILED)

    # From its request

    def drop(self, *, left: bool = False) -> None:
        """Let the target stop: the first attempt has begun or failed for good, or the client has ``left``."""
        reading = self.used()
        self.stop_upstream()
        self._leave(LEFT if left else OVERTAKEN, reading, CLIENT_LEFT if left else FAILED)

    def _refused(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        failure = answered(self.offer.target.name, status, headers, body, self.shared.clock.now())
        self.of.note_failure(failure, self)
        self._leave(failure.reason, NOTHING, FAILED, status)

    def _leave(self, reason: str, reading: Reading, outcome: int, status: int = 0) -> None:
        """Leave the row, and what was used to be settled with the request."""
        self.of.hedge = None
        self.phase = ENDED
        self.offer.target.in_flight -= 1
        if self.of.holding is not None:
            self.of.holding.count(self.offer, reading)
        self.shared.recorder.keep(self.row(outcome, reason, reading, status), None)


class Race(Relay):
    """A request whose attempt in hand may have a second one beside it."""

    __slots__ = ("attempts", "holding", "tried")

    attempts: int
    """Begun so far, hedges included."""

    hedge: Hedge | None
    """The second attempt, as long as neither has begun."""

    holding: Holding | None
    """What it holds of its limits, if it has any."""

    tried: Sequence[int]
    """By offer, what became of it in this request."""

    def asked(self) -> Asked:
        """Return what the filter goes by."""
        raise NotImplementedError

    def choose(self, asked: Asked, tried: Sequence[int]) -> tuple[int, int]:
        """Return the index of the next offer and the code of the reason; -1 when there is none."""
        raise NotImplementedError

    def tick(self, now_s: float) -> None:
        """Give up on a target that takes too long; ask another one too where this one takes longer than it does."""
        Relay.tick(self, now_s)
        hedges = self.route.hedges
        if hedges is None or self.phase != SENT or self.answer is not None or self.begun is not None:
            return
        if self.hedge is not None:
            self.hedge.tick(now_s)
        elif hedges.due(self.index, now_s - self.sent_s, now_s, streamed=bool(self.request.stream)):
            self._hedge(hedges)

    def overtaken(self, hedge: Hedge) -> None:
        """Let the attempt in hand go: its hedge has begun."""
        reading, now_s = self.used(), self.shared.clock.monotonic()
        self.stop_upstream()
        self.offer.target.health.abandoned(probe=self.probe)
        if self.route.hedges is not None:
            self.route.hedges.observe(self.index, now_s - self.sent_s, now_s, streamed=bool(self.request.stream))
        self.keep(FAILED, OVERTAKEN, reading, status=0, last=False)
        self._take(hedge)

    def left_to_hedge(self, hedge: Hedge, failure: Failure, reading: Reading, status: int) -> bool:
        """Leave the request to its hedge, the attempt in hand having failed; otherwise drop it and return False."""
        if not failure.retried or hedge.phase != SENT:
            hedge.drop()
            return False
        self.keep(FAILED, failure.reason, reading, status=status, last=False)
        self._take(hedge)
        return True

    def raced(self, hedges: Hedges, outcome: int) -> None:
        """Note what the answer took to begin; drop a hedge that came too late."""
        if self.hedge is not None:
            self.hedge.drop()
        if outcome == OK:
            took_s = self.first_byte_s - self.sent_s
            hedges.served(self.index, took_s, self.shared.clock.monotonic(), streamed=bool(self.request.stream))

    def _hedge(self, hedges: Hedges) -> None:
        """Send the request to one more target that is well and has no limits of its own, if there is one."""
        route = self.route
        if not route.retries.may_go_on(self.attempts, inf):
            return
        others = list(self.tried)
        others[self.index] = TRIED
        index, reason = self.choose(self.asked(), others)
        if index < 0 or route.healths[index].troubled or route.offers[index].target.limited:
            return
        offer = route.offers[index]
        found = outgoing(self.dialect, offer, self.request, self.payload)
        if isinstance(found, Failure):
            return
        hedges.spend()
        self.hedge = Hedge(self, offer, index, found)
        self.attempts += 1
        self.hedge.send(self.attempts - 1, self.shared.state.decisions[reason])

    def _take(self, hedge: Hedge) -> None:
        """Put the hedge in the place of the attempt in hand, which has left its row."""
        self.hedge = None
        self.offer, self.index, self.probe = hedge.offer, hedge.index, hedge.probe
        self.number, self.decision, self.fallback = hedge.number, hedge.decision, hedge.fallback
        self.spoken, self.sent, self.hides_usage, self.crossing = hedge.outgoing
        self.phase, self.sent_s, self.retried_stale = hedge.phase, hedge.sent_s, hedge.retried_stale
        self.first_byte_s = 0.0
        self.answer = None
        self.upstream = hedge.upstream
        if self.upstream is not None:
            self.upstream.answering = self
