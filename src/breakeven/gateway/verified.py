"""A request whose answer is checked before its client gets any of it, and asked of another target if it fails.

The answer is held until it is whole and checked, then passed on as it came.  The one behind which there is no other
target is passed on unchecked, unless the settings want the last one checked too: then a failure is told instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.gateway.answer import StreamedAnswer, given
from breakeven.gateway.exchange import Exchange
from breakeven.gateway.failures import UNVERIFIED, Failure, ended
from breakeven.gateway.held import Held
from breakeven.gateway.relay import FLOWING
from breakeven.gateway.verification import Question
from breakeven.ledger.ids import request_text
from breakeven.ledger.rows import OK
from breakeven.protocols.texts import answer_texts
from breakeven.routing.retries import FAILED as TRIED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from breakeven.gateway.answer import WholeAnswer
    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.client import Client, Receiver
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared
    from breakeven.gateway.verification import AskedCheck, Verification
    from breakeven.metering.reading import Reading

_VERIFIED: Final = b"x-breakeven-verified: %b\r\n"
"""``yes``: checked; ``unchecked``: it could not be; ``no``: it was not, being the last."""


class VerifiedExchange(Exchange):
    """A request and its attempts, each but the last checked."""

    __slots__ = ("asking", "checks", "held", "said", "used_whole")

    checks: Verification | None
    """None: they do not concern it."""

    held: Held | None
    """What has come of an answer that is to be checked; None: there is none, or it is passed on as it comes."""

    asking: asyncio.Task[None] | None
    """The question to a user's check."""

    used_whole: Reading
    """By the answer that is asked about."""

    said: bytes
    """The header line that says whether the answer was checked, where that is known before it comes."""

    def __init__(self, shared: Shared, client: Client, route: RouteState, request: ClientRequest, body: bytes) -> None:
        super().__init__(shared, client, route, request, body)
        self.checks = self.held = self.asking = None
        self.said = b""

    def task(self) -> str:
        """Return the task of the request; empty: it has none that is known."""
        return self.labels.task_text if self.labels is not None else ""

    # What is different of an exchange

    def tenant(self) -> bytes:
        """Return whose answers it may be given again: those alone that were checked."""
        return super().tenant() + b"\0verified" if self.checks is not None else super().tenant()

    def own_lines(self) -> bytes:
        """Return the header lines that say what the gateway did."""
        return super().own_lines() + self.said

    def used(self) -> Reading:
        """Return what an attempt has used that did not end well."""
        return self.used_whole if self.asking is not None else super().used()

    def client_left(self) -> None:
        """Stop the target's work, and the check."""
        super().client_left()
        self._stop_asking()

    def tick(self, now_s: float) -> None:
        """Give up on a target that takes too long, or says too much; a check has a time of its own."""
        if self.asking is not None:
            return
        if self.held is not None and self.held.too_long and self.phase == FLOWING:
            reading = self.used()
            self.stop_upstream()
            self._fails(self.held.why_too_long, reading)
            return
        super().tick(now_s)

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came in one piece as one that comes in several."""
        if self.checks is None:
            super().whole(status, headers, body)
            return
        self.upstream = None
        self._prepare(status, headers)
        self._first_bytes(body)
        self.complete()

    def complete(self) -> None:
        """Check the answer that has come, or go on without it."""
        held, answer = self.held, self.answer
        if held is None or answer is None or self.checks is None:
            super().complete()
            return
        self.upstream = None
        if held.too_long:
            self._fails(held.why_too_long, answer.reading(len(self.payload), complete=True))
            return
        broken = answer.end()
        if broken:
            self.broken(answer, broken)
            return
        reading = answer.reading(len(self.payload), complete=True)
        self._check(self.checks, answer, held.body(answer.finish(close=False)), reading)

    def broken(self, answer: WholeAnswer | StreamedAnswer, why: str) -> None:
        """Go on elsewhere with an answer that has no end, of which the client has seen nothing."""
        if self.held is None:
            super().broken(answer, why)
            return
        event = answer.so_far() if isinstance(answer, StreamedAnswer) else b""
        self.failed(ended(self.offer.target.name, why, event), self.used())

    def failed(self, failure: Failure, reading: Reading) -> None:
        """Go on with another target where that is possible; the client has seen nothing of what is held."""
        if self.held is not None and self.answer is not None:
            self.answer.started = False
        self.held = None
        super().failed(failure, reading)

    def _prepare(self, status: int, headers: Mapping[bytes, bytes], to: Receiver | None = None) -> None:
        """Hold what comes, if it is to be checked."""
        del to  # that is decided here
        self.held, self.said, checks = None, b"", self.checks
        if checks is None or not 200 <= status < 300:
            super()._prepare(status, headers)
        elif self.begun is None and (checks.verifies_last or self._has_another()):
            held = self.held = Held(self.client, checks.most_bytes, self._too_long)
            super()._prepare(status, headers, held)
        else:
            self.cache_key = None  # what nobody has checked is not given again
            self.said = _VERIFIED % b"no"
            super()._prepare(status, headers)

    # Checking

    def _has_another(self) -> bool:
        """Whether another target may be asked if this answer fails."""
        others = list(self.tried)
        others[self.index] = TRIED
        left_s = self.offer.target.timeouts.total_s - (self.shared.clock.monotonic() - self.ready_s)
        return self.route.may_go_on(self.attempts, others, left_s) and self.choose(self.asked(), others)[0] >= 0

    def _too_long(self) -> None:
        """Pass on an answer that is too long to be held, where the settings say so."""
        held, answer = self.held, self.answer
        if held is None or answer is None or self.checks is None or not self.checks.passes_unverifiable:
            return
        self.cache_key = None
        held.open(answer, _VERIFIED % b"unchecked")
        self.held = None

    def _check(self, checks: Verification, answer: WholeAnswer | StreamedAnswer, body: bytes, reading: Reading) -> None:
        if len(body) > checks.most_bytes:
            self._unverifiable(body, reading, f"is longer than {checks.most_bytes:,} bytes")
            return
        texts = answer_texts(body, streamed=isinstance(answer, StreamedAnswer))
        if texts is None:
            self._unverifiable(body, reading, "is no text that can be checked")
            return
        schema = checks.own_schema(self.payload)
        found = [checks.checker.why_not(text, schema) for text in texts]
        if why := next(filter(None, found), ""):
            self._fails(why, reading)
        elif None in found:
            self._unverifiable(body, reading, "cannot be checked by the schema of its request")
        elif checks.http is None:
            self._give(body, reading, b"yes")
        elif len(texts) > 1 or not checks.http.may_see(self.asked().sensitivities):
            self._unverifiable(body, reading, "may not be shown to the check")
        else:
            self._ask(checks.http, texts[0], body, reading)

    def _ask(self, check: AskedCheck, text: str, body: bytes, reading: Reading) -> None:
        """Ask the user's check."""

        def answered(ok: bool | None) -> None:  # noqa: FBT001 - what is told, or nothing
            if self.asking is None:
                return  # the client has left
            self.asking = None
            if ok is None:
                self._unverifiable(body, reading, "could not be checked: its check is away")
            elif ok:
                self._give(body, reading, b"yes")
            else:
                self._fails("was refused by its check", reading)

        self.used_whole = reading
        request_id, model = request_text(self.request_id), self.request.model
        question = Question(request_id=request_id, model=model, task=self.task(), answer=text)
        self.asking = check.ask(question, answered)

    def _stop_asking(self) -> None:
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()

    def _unverifiable(self, body: bytes, reading: Reading, why: str) -> None:
        if self.checks is not None and self.checks.passes_unverifiable:
            self.cache_key = None
            self._give(body, reading, b"unchecked")
        else:
            self._fails(why, reading)

    def _fails(self, why: str, reading: Reading) -> None:
        self.failed(Failure(UNVERIFIED, f"the answer of {self.offer.target.name} {why}"), reading)

    def _give(self, body: bytes, reading: Reading, verified: bytes) -> None:
        """Pass an answer on as it came."""
        answer: Any = self.answer
        streamed = isinstance(answer, StreamedAnswer)
        if self.cache_key is not None and self.crossing is None:
            kept = answer.kept()
            if kept is not None:
                self.remember(self.content_type, kept, reading, streamed=streamed)
        line = self.offer.price.line(reading, self.received_us) + _VERIFIED % verified
        self.tail = given(self.client, answer, body, line)
        self.held = None
        self.keep(OK, "", reading, status=answer.status)
