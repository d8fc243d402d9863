"""One request, from the moment it is whole until its answer is: choose, send, relay, keep, release.

It has no task of its own: the event loop calls it when something comes from the target, when the client
leaves, and ten times a second to look at the clock.  Each attempt leaves one row, whatever happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.gateway import replies
from breakeven.gateway.answer import StreamedAnswer, WholeAnswer
from breakeven.gateway.choosing import Choosing
from breakeven.gateway.course import able_to_continue, after, without_provider
from breakeven.gateway.failures import ERROR_EVENT, LEFT, OVER_BUDGET, Failure, ended
from breakeven.gateway.labels import Labels
from breakeven.gateway.quota import Holding, expected_of, over_limit
from breakeven.gateway.relay import CONNECTING, ENDED, NOTHING, WAITING
from breakeven.gateway.requests import named_once
from breakeven.gateway.sending import going_on, outgoing
from breakeven.ledger.rows import CLIENT_LEFT, CUT, FAILED, OK
from breakeven.routing.eligible import COUNT_TOKENS
from breakeven.routing.kinds import MODEL_MISSING
from breakeven.routing.policies import FULL_ANYWAY
from breakeven.routing.retries import next_round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.clock import Timer
    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.client import Client
    from breakeven.gateway.relay import Relay
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared
    from breakeven.gateway.targets import Offer
    from breakeven.gateway.waiting_room import Place
    from breakeven.limits.reserve import Refused
    from breakeven.metering.reading import Reading


_NO_IDLE: Final = replies.refusal(503, "No node is idle.", "no_idle_capacity", extra=replies.RETRY_LATER)


class Exchange(Choosing):
    """A request and the attempts made for it; the ``Answering`` of the attempt in hand."""

    __slots__ = ("closes", "text", "timer")

    text: str
    """What the client has read of a stream that is being continued."""

    timer: Timer | Place | None

    def __init__(self, shared: Shared, client: Client, route: RouteState, request: ClientRequest, body: bytes) -> None:
        received_s = client.received_s
        self.shared = shared
        self.client = client
        self.dialect = client.dialect
        assert client.key is not None  # checked before the body was read
        self.key = client.key
        self.route = route
        self.request = request
        self.payload = body
        self.received_us = int(received_s * 1_000_000)
        self.ready_s = self.quiet_since_s = shared.clock.monotonic()
        self.request_id = shared.ids.next(int(received_s * 1000))
        desk, spool = route.tasks, shared.state.spool
        self.labels = Labels(client.labels, self.key, spool) if client.labels or desk is not None else None
        if desk is not None and self.labels is not None:
            self.labels.tell(desk, route.model, self.key.name, body if route.reads_tasks else None, spool)
        self.tried: Sequence[int] = route.untried
        self.number = self.attempts = 0
        self.fallback = ""
        self.paused = self.closes = False
        self.tail = b""
        self.text = ""
        self.answer = self.upstream = self.begun = self.holding = self.timer = None
        self.cache_key = self.hedge = self.recall = None

    # From the desk and the client's connection

    def begin(self) -> Reply | None:
        """Send the request to a target; return why it is refused when there is none that may take it."""
        route = self.route
        if route.refuse_unpriced and (refused := route.unpriced(self.received_us)):
            return refused
        asked = self.asked() if self.labels is not None else self.key.asked[self.dialect.place]
        if route.settles:
            chosen = route.settled.get(asked)
            if chosen is None or route.healths[chosen[0]].troubled:
                chosen = self.choose(asked, self.tried)
        else:
            by_load = route.columns.by_load
            chosen = (by_load and route.choose_by_load(asked, self.shared.uniform())) or self.choose(asked, self.tried)
        room = route.room
        if room is not None and len(room):
            room.turn()  # who waits goes first, also where room has come since the last look
            chosen = self.choose(asked, self.tried)
        index, reason = chosen
        if index < 0:
            return route.refusal(asked)
        if (route.cache_s or self.client.labels) and self.recalls():
            return None
        if reason == FULL_ANYWAY and (room is not None or asked.paid_only):
            return _NO_IDLE if asked.paid_only or room is None else room.admit(self)
        self.client.exchange = self  # from here on as ``send``, written out: a call for every request
        if self.key.limited:
            return self._admit(index, reason)
        self._attempt(index, reason)
        return None

    def client_left(self) -> None:
        """Stop the target's work and keep the row of what has passed."""
        if self.phase == WAITING:
            self.phase = ENDED  # between two attempts, or before the first
            if self.timer is not None:
                self.timer.cancel()
            if self.holding is not None:
                self.holding.end()
        elif self.phase != ENDED:
            if self.hedge is not None:
                self.hedge.drop(left=True)
            reading = self.used()
            self.stop_upstream()
            self.offer.target.health.abandoned(probe=self.probe)
            self.keep(CLIENT_LEFT, LEFT, reading, status=self.answer.status if self.answer is not None else 0)

    def release(self) -> None:
        """Send the last bytes: the row is kept."""
        client = self.client
        if client.exchange is self:
            client.write(self.tail)
            client.done(close=self.closes)

    # The waiting room

    def wait(self, place: Place) -> None:
        """Wait for a node, at a place that is given up when the client leaves."""
        self.client.exchange = self
        self.phase = WAITING
        self.timer = place

    def admitted(self) -> None:
        """Go to the node that has room now."""
        self.timer = None
        self.go_on()

    # Limits

    def send(self, index: int, reason: int) -> Reply | None:
        """Send the request to a target, as soon as its limits allow it; return why it is refused."""
        self.client.exchange = self
        if not self.key.limited:
            self._attempt(index, reason)
            return None
        return self._admit(index, reason)

    def _admit(self, index: int, reason: int) -> Reply | None:
        """Reserve what the request may take, then send it; return why it is refused, if that is certain now."""
        subject = self.subject()
        if subject is None:
            self._attempt(index, reason)
            return None
        self.phase = WAITING
        refusals: list[Reply] = []
        at_once = True

        def answered(refused: Refused | None) -> None:
            if refused is None:
                if self.phase == WAITING:
                    self._attempt(index, reason)
            elif at_once:
                refusals.append(over_limit(refused))
            elif self.phase == WAITING:
                self.phase = ENDED
                self.client.reply(over_limit(refused))

        self._hold().reserve(subject, self.route.offers[index], self.client.received_s, answered)
        at_once = False
        if refusals:
            self.client.exchange = None
        return refusals[0] if refusals else None

    def _hold(self) -> Holding:
        if self.holding is None:
            shared = self.shared
            expected = expected_of(self.payload, shared.reserved_output_tokens)
            self.holding = Holding(shared.quotas, expected, self.received_us)
        return self.holding

    def _reserve_there(self, offer: Offer, index: int, reason: int) -> None:
        """Reserve of the limits of an offer's target and its provider, then go on with the attempt."""
        self.phase = WAITING

        def answered(refused: Refused | None) -> None:
            if self.phase == WAITING:  # else the client has left
                self._attempt(index, reason, refused, told=True)

        self._hold().reserve_there(offer, self.shared.clock.now(), answered)

    # Its own steps

    def _attempt(self, index: int, reason: int, refused: Refused | None = None, *, told: bool = False) -> None:
        """Send the request to an offer's target.

        One with limits of its own, or of its provider, is asked first; ``told``: it was, and this is what refused it.
        """
        offer = self.route.offers[index]
        target = offer.target
        if target.limited and not told:
            self._reserve_there(offer, index, reason)
            return
        self.offer = offer
        self.decision = self.shared.state.decisions[reason]
        self.index = index
        self.number = self.attempts
        self.attempts += 1
        target.in_flight += 1
        self.answer = None
        self.upstream = None
        self.phase = CONNECTING
        self.sent_s = self.first_byte_s = 0.0
        self.retried_stale = False
        self.probe = target.health.troubled and target.health.started(self.shared.clock.monotonic())
        if refused is not None:
            if refused.rule.scope == "provider":
                self.tried = without_provider(self.route, self.tried, target.provider)
            self.failed(Failure(OVER_BUDGET, refused.message), NOTHING)
            return
        dialect = self.dialect
        spoken = target.spoken[dialect.place]
        plain = spoken is dialect and self.begun is None and not self.request.stream and not offer.renamed
        if plain and named_once(self.payload):
            self.sent = self.payload
            self.spoken = dialect
            self.crossing = None
            self.hides_usage = False
        elif (failure := self._write()) is not None:
            self.failed(failure, NOTHING)
            return
        connection = target.pool.idle()
        if connection is None:
            target.pool.connect(self)
        else:
            self.connected(connection)

    def _write(self) -> Failure | None:
        """Write what the target gets in place of the body as it came; return why it cannot be asked."""
        if self.begun is None:
            found = outgoing(self.dialect, self.offer, self.request, self.payload)
        else:
            found = going_on(self.dialect, self.offer, self.request, self.payload, self.text)
        if isinstance(found, Failure):
            return found
        self.spoken, self.sent, self.hides_usage, self.crossing = found
        return None

    def failed(self, failure: Failure, reading: Reading) -> None:
        """Go on with another target where that is possible; otherwise tell the client."""
        answer = self.answer
        status = answer.status if answer is not None else 0
        self.note_failure(failure, self)
        if self.hedge is not None and self.left_to_hedge(self.hedge, failure, reading, status):
            return
        if answer is not None and answer.started:
            self.begun = answer
        if self._goes_on(failure, reading, status):
            return
        close = not self.client.keeps_alive
        if self.begun is not None:
            self.tail = self.begun.cut(f"The stream broke: {failure.detail}.", failure.reason)
            self.closes = True
            self.keep(CUT, failure.reason, reading, status=status)
            return
        if failure.passed_on and answer is not None:
            self.tail = answer.finish(close=close)
        else:
            self.tail = failure.reply(self.own_lines()).rendered(self.dialect.error_body, close=close)
        self.keep(FAILED, failure.reason, reading, status=status)

    def broken(self, answer: WholeAnswer | StreamedAnswer, why: str) -> None:
        """Go on elsewhere with what ended, but not as an answer ends, if it can be continued; otherwise pass it on."""
        failure = ended(self.offer.target.name, why, answer.so_far() if why == ERROR_EVENT else b"")
        self.note_failure(failure, self)
        self.begun = answer if answer.started else self.begun
        if not self._goes_on(failure, self.used(), answer.status):
            self.tail = answer.finish(close=not self.client.keeps_alive)
            self.keep(CUT, why, self.used(), status=answer.status)

    def note_failure(self, failure: Failure, of: Relay) -> None:
        """Remember what the failure of an attempt says of its target, for this request and for all."""
        self.tried = after(self.route, self.tried, of.index, failure)
        shared, health = self.shared, of.offer.target.health
        if failure.kind is MODEL_MISSING and (self.route.named_by_client or self.dialect.protocol == COUNT_TOKENS):
            # or one client's slip of the pen, or a path that is not known there, would close the target for all
            health.abandoned(probe=of.probe)
            return
        health.failed(
            shared.clock.monotonic(), failure.kind, failure.retry_after_s, uniform=shared.uniform(), probe=of.probe
        )

    def _goes_on(self, failure: Failure, reading: Reading, status: int) -> bool:
        """Try another target, or the same ones again a little later, if that may help; return whether it is tried."""
        left_s = self.offer.target.timeouts.total_s - (self.shared.clock.monotonic() - self.ready_s)
        begun = self.begun
        if begun is not None and not self._continues(begun):
            return False
        if not (failure.retried or failure.needs_larger):
            return False
        if not self.route.may_go_on(self.attempts, self.tried, left_s):
            return False
        index, reason = self.choose(self.asked(), self.tried)
        if index < 0:
            return begun is None and self._tries_again_later(failure, reading, status, left_s)
        self.keep(FAILED if begun is None else CUT, failure.reason, reading, status=status, last=False)
        self.fallback = failure.reason
        self._attempt(index, reason)
        return True

    def _tries_again_later(self, failure: Failure, reading: Reading, status: int, left_s: float) -> bool:
        """Ask those again, after a pause, that may do better then; return whether there are any."""
        again = next_round(self.tried)
        uniform = self.shared.uniform()
        delay_s = self.route.retries.delay_s(self.attempts, uniform, failure.retry_after_s, left_s)
        if again == self.tried or delay_s is None:
            return False
        self.tried = again
        self.keep(FAILED, failure.reason, reading, status=status, last=False)
        self.fallback = failure.reason
        self.phase = WAITING
        self.timer = self.shared.clock.call_later(delay_s, self._again)
        return True

    def _continues(self, begun: WholeAnswer | StreamedAnswer) -> bool:
        """Whether a stream of which the client has seen a part may go on elsewhere; note what it has read."""
        if not isinstance(begun, StreamedAnswer) or self.crossing is not None:
            return False
        if begun.unsaid and not self.text:
            return True  # any target may begin: the client has read comments alone
        if not begun.continuable:
            return False
        if begun is self.answer:
            self.text += begun.text()
        self.tried = able_to_continue(self.route, self.tried)
        return True

    def _again(self) -> None:
        """Send the request again after a pause; nobody may take it any more if those that could are out of service."""
        asked = self.asked()
        index, reason = self.choose(asked, self.tried)
        if index >= 0:
            self._attempt(index, reason)
            return
        if self.holding is not None:
            self.holding.end()
        self.turned_away(self.route.refusal(asked))

    def keep(self, outcome: int, failure: str, reading: Reading, *, status: int, last: bool = True) -> None:
        """Hand the row of this attempt to the recorder; with the last one the answer is released."""
        if last and self.route.hedges is not None:
            self.raced(self.route.hedges, outcome)  # first, so that what a late hedge used is settled with the rest
        target = self.offer.target
        target.in_flight -= 1
        if target.load is not None and target.latency is not None and outcome == OK:
            target.load.ended(self.shared.clock.monotonic() - self.sent_s)
        if outcome == OK and target.health.troubled:
            target.health.succeeded(self.shared.clock.monotonic(), probe=self.probe)
        if self.answer is not None:
            self.shared.skipped_events += self.answer.skipped_events
        if self.holding is not None:
            self.holding.settle(self.offer, reading, last=last)
        row = self.row(outcome, failure, reading, status)
        if last:
            self.phase = ENDED
        self.shared.recorder.keep(row, self if last else None)
        if self.route.room is not None:
            self.route.room.turn()
