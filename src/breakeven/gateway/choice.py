"""Which target a request goes to: the one filter, then the route's policy, again after each failure.

A thin shell around ``routing``: it shows a policy the numbers that it may look at, and reads the labels that
a client puts on a request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from breakeven.gateway import replies
from breakeven.gateway.columns import ALIKE, Columns, Moment
from breakeven.gateway.verification import Verification
from breakeven.gateway.waiting_room import WaitingRoom
from breakeven.routing.eligible import COUNT_TOKENS, Asked, Candidates, eligible, why_excluded
from breakeven.routing.hedge import Hedges
from breakeven.routing.latency import Latency
from breakeven.routing.policies import POLICIES, READS, ordered
from breakeven.routing.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from breakeven.clock import Clock
    from breakeven.gateway.copies import Copying
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.shifting import Shifting
    from breakeven.gateway.snapshot import Route
    from breakeven.gateway.targets import Offer
    from breakeven.gateway.task_desk import TaskDesk
    from breakeven.routing.view import Request, Targets

_MOST_SETTLED: Final = 1000
MAX_ATTEMPTS: Final = 15
"""The attempt's number has four bits in its id."""


_NOBODY: Final = (None, None)


class RouteState:
    """A logical model, what can serve it, and the policy that chooses."""

    def __init__(
        self,
        route: Route,
        model: str,
        offers: tuple[Offer, ...],
        clock: Clock,
        tasks: TaskDesk | None = None,
        *,
        guest_count: int = 0,
    ) -> None:
        """Take what serves a model; the last ``guest_count`` offers are there for shifts alone."""
        count = len(offers)
        self._own_count = count - guest_count
        self.model = model
        self.offers = offers
        self.retries = Retries(max_attempts=min(route.max_attempts, MAX_ATTEMPTS))
        self.policy = POLICIES[route.policy]
        self.candidates = _candidates(route, model, offers, self._own_count)
        self._unguarded = replace(self.candidates, guard=())
        self._read_tasks(route, tasks)
        self.healths = tuple(offer.target.health for offer in offers)
        self.healthy = (1,) * count
        self.refuse_unpriced = route.refuse_unpriced
        self.cache_s = route.cache_s
        self.named_by_client = route.model == "*"
        """Whether it stands for any name that a client may think of."""

        self.continues = route.continues_streams and any(offer.target.prefill for offer in offers)
        """Whether a stream that breaks may go on at another target."""

        self.hedges = Hedges(route.hedging) if route.hedging is not None else None
        """When a second target is asked beside a slow one; None: never."""

        _remember_latencies(route, offers)
        self.verification = Verification(route.verify) if route.verify is not None else None
        """How answers are checked before a client gets them; None: they are not."""

        self.settles = self.policy is ordered
        self._forget()
        self._withdrawn: Collection[str] = ()
        self._in_service: tuple[bool, ...] | None = None
        """By target, whether it may be asked at all; None: all may."""

        self._begin_plain()
        self.untried = (0,) * count
        self.columns = Columns(route, offers, guest_count)
        self.withdraw(())
        self.room = WaitingRoom(route.waiting, self._has_room, clock) if route.waiting is not None else None
        """Where requests wait while all nodes are full; None: nowhere."""

    def _read_tasks(self, route: Route, tasks: TaskDesk | None) -> None:
        guarded = any(allowed is not None for allowed in route.guards)
        self.tasks = tasks if tasks is not None and (guarded or tasks.has_alias(self.model)) else None
        """What tells the tasks of its requests; None: they are what clients declare."""

        self._desk, self._told, self._guarded = tasks, self.tasks, guarded
        self.reads_tasks = guarded
        """Whether a request's body is read for its task, where it declares none."""

    def _begin_plain(self) -> None:
        self.shifting: Shifting | None = None
        """Shifts of its traffic that are under way; None: there is none."""

        self.copying: Copying | None = None
        """Which of its requests are copied to the process of trials; None: none, but for those that shifts want."""

        self.is_plain = self.verification is None
        """Whether its answers are passed on as they come, and no copy is made of any."""

    def _forget(self) -> None:
        """Begin anew with what was chosen so far."""
        self.settled: dict[Asked, tuple[int, int]] = {}
        """First choices that cannot come out otherwise as long as their target is well: of a policy that looks at
        nothing but who may serve."""

        self._calm: dict[Asked, Targets] = {}
        """What a policy that looks at load alone is shown as long as all targets are well."""

        self._last: tuple[Asked | None, Targets | None] = _NOBODY
        """Of these, that of the last request: most of a key's are the same object."""

    def withdraw(self, names: Collection[str]) -> None:
        """Ask the targets of these names no more, and those of other names again."""
        self._withdrawn = names
        own_count = self._own_count
        column = tuple(place < own_count and name not in names for place, name in enumerate(self.candidates.names))
        self._in_service = None if all(column) else column
        self._forget()

    def shift(self, shifting: Shifting | None) -> None:
        """Carry out these shifts from the next request on; None: none.

        While there are some, each request is looked at for itself: what was chosen before decides nothing.
        """
        self.shifting = shifting
        self.is_plain = self.verification is None and not self.is_copied
        self.settles = self.policy is ordered and shifting is None
        self.columns.by_load = self.columns.could_go_by_load and shifting is None
        self.tasks = self._told if shifting is None else self._desk
        self.reads_tasks = self._guarded or (shifting is not None and self._desk is not None)
        self._forget()

    def copy(self, copying: Copying | None) -> None:
        """Have these of its requests copied from now on."""
        self.copying = copying
        self.is_plain = self.verification is None and not self.is_copied

    @property
    def is_copied(self) -> bool:
        """Whether some of its requests may be copied."""
        return self.copying is not None or self.shifting is not None

    def first_free(self, indexes: Sequence[int], asked: Asked, tried: Sequence[int], now: tuple[float, int]) -> int:
        """Return the first of a shift's targets that may have a request, is well and is not full; -1: none.

        A request that one of them has failed goes to none of the others: they run the same, and those before the shift
        are known to serve.  ``now``: the stopwatch in seconds, and Unix microseconds.
        """
        if tried is not self.untried and any(tried[index] for index in indexes):
            return -1
        serves = eligible(self.candidates, self._healthy(now[0]), asked)
        for index in indexes:
            offer = self.offers[index]
            target = offer.target
            if not serves[index] or target.name in self._withdrawn:
                continue
            if target.load and target.load.look(target.in_flight):
                continue
            if not self.refuse_unpriced or offer.price.known(now[1]):
                return index
        return -1

    def may_go_on(self, attempts: int, tried: Sequence[int], left_s: float) -> bool:
        """Whether a request that has failed may be tried elsewhere at once; ``left_s`` is the rest of its time.

        What a guest has failed may be asked of the route's own targets as often as if there were no shift.
        """
        return self.retries.may_go_on(attempts - any(tried[self._own_count :]), left_s)

    def choose(self, asked: Asked, request: Request, tried: Sequence[int], now: Moment) -> tuple[int, int]:
        """Return the index of an offer and the code of the reason; -1 when nobody may take the request.

        Where all that may serve are down, they are asked all the same: one of them may be well again, and a refusal
        never is an answer.  For the same reason a target that should not have the task has it when nobody else is left.
        """
        healthy = self._healthy(now.monotonic_s)
        serves = self._serving(asked, healthy)
        if healthy is not self.healthy and not any(map(_left, serves, tried)):
            serves = self._serving(asked, self.healthy)
        if self.reads_tasks and not any(map(_left, serves, tried)):
            serves = self._serving(asked, healthy, self._unguarded)
        targets = self.columns.targets(serves, request, now)
        chosen = self.policy(targets, request, tried, now.uniform)
        calm = healthy is self.healthy and tried is self.untried
        if calm and self.settles and len(self.settled) < _MOST_SETTLED:
            self.settled[asked] = chosen
        elif calm and self.columns.by_load and len(self._calm) < _MOST_SETTLED:
            self._calm[asked] = targets
            self._last = _NOBODY
        return chosen

    def choose_by_load(self, asked: Asked, uniform: float) -> tuple[int, int] | None:
        """Return the first choice of a policy that looks at load alone, where all targets are well; else None.

        What ``choose`` would return, in half the time.
        """
        if asked is not self._last[0]:
            self._last = asked, self._calm.get(asked)
        targets = self._last[1]
        if targets is None:
            return None
        in_flight, queues, full = self.columns.written
        for place, target, load in self.columns.places:  # as ``Columns.look`` does, without a call for each
            if target.health.troubled:
                return None
            in_flight[place] = count = target.in_flight
            if load is not None:
                if count <= load.room_until:
                    full[place] = queues[place] = 0
                else:
                    full[place] = load.look(count)
                    queues[place] = load.queue
        return self.policy(targets, ALIKE, self.untried, uniform)

    def small(self, index: int) -> tuple[bool, ...]:
        """Return for each target whether it is not known to take longer prompts than that one."""
        size_tokens = self.offers[index].target.context_tokens
        return tuple(offer.target.context_tokens <= size_tokens for offer in self.offers)

    def unpriced(self, at_us: int) -> Reply | None:
        """Return the refusal of a request that some target could serve without a known price."""
        unknown = [offer.target.name for offer in self.offers[: self._own_count] if not offer.price.known(at_us)]
        if not unknown:
            return None
        message = f"{self.model!r} has no known price at {', '.join(unknown)}, and this gateway refuses such requests."
        return replies.refusal(503, message, "unknown_price")

    def refusal(self, asked: Asked) -> Reply:
        """Return what a client is told whose request may go nowhere."""
        if asked.allowed_models and self.model not in asked.allowed_models:
            return replies.unknown_model(self.model)
        if asked.protocol == COUNT_TOKENS and not any(self.candidates.speaking[COUNT_TOKENS]):
            return replies.counts_no_tokens(self.model)
        why = "; ".join(filter(None, why_excluded(self.candidates, self.healthy, asked)[: self._own_count]))
        if any(eligible(self.candidates, self.healthy, asked)[: self._own_count]):  # so all who may are out of service
            message = f"Every target of {self.model!r} that may take this request is out of service."
            return replies.refusal(503, message, "out_of_service", extra=replies.RETRY_LATER)
        return replies.refusal(403, f"No target of {self.model!r} may take this request: {why}.", "no_eligible_target")

    def _serving(self, asked: Asked, healthy: Sequence[int], candidates: Candidates | None = None) -> tuple[bool, ...]:
        serves = eligible(candidates or self.candidates, healthy, asked)
        if self._in_service is None:
            return serves
        return tuple(may and there for may, there in zip(serves, self._in_service, strict=True))

    def _has_room(self, now_s: float) -> bool:
        """Whether some node that is well and in service is not full."""
        there = self._healthy(now_s)
        if self._in_service is not None:
            there = tuple(may and well for may, well in zip(self._in_service, there, strict=True))
        return self.columns.has_room(there)

    def _healthy(self, now_s: float) -> tuple[int, ...]:
        for health in self.healths:
            if health.troubled:
                return tuple(health.may_try(now_s) for health in self.healths)
        return self.healthy


def _remember_latencies(route: Route, offers: tuple[Offer, ...]) -> None:
    """Have targets remember how long they take to begin, where the policy looks at that."""
    if "predicted_ttft_s" in READS[route.policy]:
        for offer in offers:
            offer.target.latency = offer.target.latency or Latency()


def _candidates(route: Route, model: str, offers: tuple[Offer, ...], own_count: int) -> Candidates:
    paid = tuple(offer.target.load is not None for offer in offers)
    return Candidates(
        model=model,
        names=tuple(offer.target.name for offer in offers),
        protocols=tuple(offer.target.protocols for offer in offers),
        sensitivities=tuple(frozenset(offer.target.sensitivities) for offer in offers),
        paid=paid if any(paid[:own_count]) else (),  # a guest is no capacity of the route
        guard=tuple(None if allowed is None else frozenset(allowed) for allowed in route.guards),
    )


def _left(serves: bool, tried: int) -> bool:  # noqa: FBT001 - two columns side by side
    return serves and not tried
