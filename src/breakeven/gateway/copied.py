"""A request of which a copy may go to the process of trials, once its answer has been passed on.

What is copied is what the target said, seen on its way: in the protocol of the target, and of the one attempt that
served.  An answer that was continued by another target, given again, or cut off leaves no copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.cache import Collector
from breakeven.gateway.copies import MAX_BODY_BYTES, SHIFT, Copy, Wanted, marks_of, wanted_of
from breakeven.gateway.exchange import Exchange
from breakeven.gateway.verified import VerifiedExchange
from breakeven.ledger.rows import OK
from breakeven.routing.eligible import COUNT_TOKENS, EMBEDDINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.client import Client, Receiver
    from breakeven.gateway.copy_plan import CopyRule
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared
    from breakeven.gateway.shifting import Course, Shifting
    from breakeven.metering.reading import Reading


def carried(shared: Shared, client: Client, route: RouteState, request: ClientRequest, body: bytes) -> Exchange:
    """Return the exchange that carries a request, with the checks of its route and copies where they concern it."""
    if client.dialect.protocol in (EMBEDDINGS, COUNT_TOKENS):
        return Exchange(shared, client, route, request, body)
    copied = shared.copies is not None and route.is_copied and len(body) <= MAX_BODY_BYTES
    checks = route.verification
    if checks is None:
        return (CopiedExchange if copied else Exchange)(shared, client, route, request, body)
    exchange = (CopiedVerifiedExchange if copied else VerifiedExchange)(shared, client, route, request, body)
    if checks.concerns(exchange.task(), body):
        exchange.checks = checks
    return exchange


class Taken:
    """What is known so far of a request that is to be copied."""

    __slots__ = ("answer", "reading", "rules", "sink", "took_us")

    def __init__(self, rules: tuple[CopyRule, ...]) -> None:
        self.rules = rules
        self.answer: Collector | None = None
        self.reading: Reading | None = None
        self.took_us = 0


class _Copied(Exchange):
    """What is different of an exchange that may be copied; ``taken`` is None where this one is not.

    It has no slot, or no class could inherit from this one and from ``VerifiedExchange``.
    """

    __slots__ = ()

    taken: Taken | None

    def __init__(self, shared: Shared, client: Client, route: RouteState, request: ClientRequest, body: bytes) -> None:
        super().__init__(shared, client, route, request, body)
        labels, key = self.labels, self.key
        rules: tuple[CopyRule, ...] = ()
        if route.copying is not None:
            task = labels.task_text if labels is not None else ""
            tags = labels.tag_text if labels is not None else key.tag_text
            rules = route.copying.rules_for(self.request_id, key.name, task, tags)
        shifting = route.shifting
        paired = shifting is not None and shifting.paired(labels, self.request_id) is not None
        self.taken = Taken(rules) if rules or paired else None  # type: ignore[misc] # a slot of each heir

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came in one piece."""
        if self.taken is not None:
            self._begin(status)
            self._collect(body)
        super().whole(status, headers, body)

    def chunk(self, data: bytes, chunk: bytes) -> None:
        """See a chunk of an answer on its way."""
        self._collect(data)
        assert self.answer is not None  # it has begun
        self.answer.chunk(data, chunk)

    def last(self, data: bytes) -> None:
        """See the last bytes."""
        self._collect(data)
        assert self.answer is not None  # as above
        self.answer.last(data)

    def keep(self, outcome: int, failure: str, reading: Reading, *, status: int, last: bool = True) -> None:
        """Keep the row of the attempt, and note of the last one what the copy says of it."""
        taken = self.taken
        if taken is not None and last and outcome == OK and self.begun is None:
            taken.reading = reading
            taken.took_us = int((self.shared.clock.monotonic() - self.ready_s) * 1e6)
        super().keep(outcome, failure, reading, status=status, last=last)

    def release(self) -> None:
        """Send the last bytes, then the copy."""
        super().release()
        taken, copies = self.taken, self.shared.copies
        if taken is None or taken.reading is None or taken.answer is None or copies is None:
            return
        self.taken = None  # type: ignore[misc] # as above
        answer = taken.answer.body()
        wanted = self._wanted(taken.rules)
        signals = any(not rule.candidate for rule in taken.rules)
        if answer is None or not (wanted or signals):
            return
        labels, key = self.labels, self.key
        copies.send(
            Copy(
                request_id=self.request_id,
                key=key.name,
                model=self.request.model,
                task=labels.task_text if labels is not None else "",
                tags=labels.tag_text if labels is not None else key.tag_text,
                episode=labels.episode if labels is not None else "",
                sensitivities=marks_of(labels, key.sensitivities),
                path=self.dialect.path.decode(),
                passed=self.client.passed,
                target=self.offer.target.name,
                received_us=self.received_us,
                first_byte_us=int((self.first_byte_s - self.ready_s) * 1e6),
                ended_us=taken.took_us,
                input_tokens=taken.reading.input_tokens,
                output_tokens=taken.reading.output_tokens,
                body=self.payload,
                answer=answer,
                wanted=wanted,
                signals=signals,
                dropped_count=copies.untold(),
            )
        )

    def _wanted(self, rules: tuple[CopyRule, ...]) -> tuple[Wanted, ...]:
        """Return the pairs that are to be made: that of a shift of this traffic, and those of shadows."""
        shadows, shifting = wanted_of(rules, self.offer.target.name), self.route.shifting
        course = shifting.paired(self.labels, self.request_id) if shifting is not None else None
        shifted = self._shifted(shifting, course) if shifting is not None and course is not None else None
        if shifted is None or course is None:
            return shadows
        once = course.names | {shifted.asked}  # a shadow of the shift's own target would be the same pair
        return (shifted, *(one for one in shadows if one.asked not in once))

    def _shifted(self, shifting: Shifting, course: Course) -> Wanted | None:
        """Return the pair that a shift wants: the incumbent is asked too, or that one of its targets which is free."""
        served_by = self.offer.target.name
        if served_by in course.names:
            other = shifting.incumbent_for(course)
            return Wanted(other, course.target, other, SHIFT) if other else None
        indexes, route = course.order(self.as_shifts_see()), self.route
        now = self.shared.clock.monotonic(), self.received_us
        index = route.first_free(indexes, self.asked(), route.untried, now)
        other = route.offers[index if index >= 0 else indexes[0]].target.name
        return Wanted(other, course.target, served_by, SHIFT)

    def _prepare(self, status: int, headers: Mapping[bytes, bytes], to: Receiver | None = None) -> None:
        if self.taken is not None:
            self._begin(status)
        super()._prepare(status, headers, to)

    def _first_bytes(self, data: bytes) -> None:
        if self.taken is None:
            super()._first_bytes(data)
            return
        self._collect(data)
        super()._first_bytes(data)
        if self.upstream is not None:
            self.upstream.pass_to(self._see, self)

    def _begin(self, status: int) -> None:
        """Collect anew: another attempt has begun to answer."""
        assert self.taken is not None  # asked before
        self.taken.answer = Collector(MAX_BODY_BYTES) if 200 <= status < 300 else None

    def _collect(self, data: bytes) -> None:
        if self.taken is not None and self.taken.answer is not None:
            self.taken.answer.add(data)

    def _see(self, data: bytes) -> None:
        """See the next bytes of an answer on their way."""
        self._collect(data)
        assert self.answer is not None  # it has begun
        self.answer.body(data)


class CopiedExchange(_Copied):
    """A request that may be copied."""

    __slots__ = ("taken",)


class CopiedVerifiedExchange(_Copied, VerifiedExchange):
    """One whose answer is checked as well before its client gets it."""

    __slots__ = ("taken",)
