"""Which target a request goes to: the one filter, then the route's policy, again after each failure.

A thin shell around ``routing``: it shows a policy the numbers that it may look at, and reads the labels that
a client puts on a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from breakeven.gateway import replies
from breakeven.gateway.heads import episode_of
from breakeven.ledger import rows
from breakeven.limits.rules import NANO
from breakeven.metering.reading import Reading
from breakeven.routing.eligible import COUNT_TOKENS, Asked, Candidates, eligible, why_excluded
from breakeven.routing.hedge import Hedges
from breakeven.routing.latency import Latency
from breakeven.routing.policies import POLICIES, cheapest, lowest_latency, ordered
from breakeven.routing.retries import Retries
from breakeven.routing.view import Targets

if TYPE_CHECKING:
    from collections.abc import Collection

    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.snapshot import Route
    from breakeven.gateway.targets import Offer, TargetState
    from breakeven.ledger.spool import Spool
    from breakeven.routing.view import Request

MAX_LABEL_BYTES: Final = 128
"""Labels are cut to this length."""

TASK: Final = b"x-breakeven-task"
"""The header in which a client names the kind of work."""

EXPECTED_OUTPUT_TOKENS: Final = 256
"""Of a request that does not say: for the comparison of prices alone."""

_MOST_SETTLED: Final = 1000
MAX_ATTEMPTS: Final = 15
"""The attempt's number has four bits in its id."""


class InFlight(Sequence[int]):
    """The column of requests under way, read from the targets when a policy asks for it."""

    def __init__(self, targets: tuple[TargetState, ...]) -> None:
        self._targets = targets

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [target.in_flight for target in self._targets[index]]
        return self._targets[index].in_flight

    def __len__(self) -> int:
        return len(self._targets)


class Moment(NamedTuple):
    """When a choice is made: the stopwatch, the time of day, and a number drawn for it in [0, 1)."""

    monotonic_s: float
    unix_s: float
    uniform: float


class Labels:
    """What a client says about a request: coded for the ledger, and the kind of data for the filter."""

    __slots__ = ("episode", "sensitivity", "tag_text", "tags", "task")

    def __init__(self, headers: dict[bytes, bytes], key: KeyState, spool: Spool) -> None:
        self.task = spool.code(rows.TASK, _text(headers.get(TASK, b"")))
        tags = headers.get(b"x-breakeven-tags")
        self.tag_text = key.tag_text if tags is None else _text(tags)
        self.tags = key.tags if tags is None else spool.code(rows.TAGS, self.tag_text)
        self.episode = _text(episode_of(headers))
        self.sensitivity = _text(headers.get(b"x-breakeven-sensitivity", b""))


class RouteState:
    """A logical model, what can serve it, and the policy that chooses."""

    def __init__(self, route: Route, model: str, offers: tuple[Offer, ...]) -> None:
        count = len(offers)
        self.model = model
        self.offers = offers
        self.retries = Retries(max_attempts=min(route.max_attempts, MAX_ATTEMPTS))
        self.policy = POLICIES[route.policy]
        self.candidates = Candidates(
            model=model,
            names=tuple(offer.target.name for offer in offers),
            protocols=tuple(offer.target.protocols for offer in offers),
            sensitivities=tuple(frozenset(offer.target.sensitivities) for offer in offers),
        )
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

        if self.policy is lowest_latency:
            for offer in offers:
                offer.target.latency = offer.target.latency or Latency()
        self.settled: dict[Asked, tuple[int, int]] = {}
        """First choices that cannot come out otherwise as long as their target is well: of a policy that looks at
        nothing but who may serve."""

        self._in_service: tuple[bool, ...] | None = None
        """By target, whether it may be asked at all; None: all may."""

        self.untried = (0,) * count
        self._everyone = Targets(
            serves=self.candidates.all,
            healthy=self.healthy,
            in_flight=InFlight(tuple(offer.target for offer in offers)),
            queue_length=(0,) * count,
            kv_use_fraction=(0.0,) * count,
            predicted_ttft_s=(nan,) * count,
            price_usd=(nan,) * count,
            weight=route.weights,
        )

    def withdraw(self, names: Collection[str]) -> None:
        """Ask the targets of these names no more, and those of other names again."""
        column = tuple(name not in names for name in self.candidates.names)
        self._in_service = None if all(column) else column
        self.settled.clear()

    def choose(self, asked: Asked, request: Request, tried: Sequence[int], now: Moment) -> tuple[int, int]:
        """Return the index of an offer and the code of the reason; -1 when nobody may take the request.

        Where all that may serve are down, they are asked all the same: one of them may be well again, and a refusal
        never is an answer.
        """
        healthy = self._healthy(now.monotonic_s)
        serves = self._serving(asked, healthy)
        if healthy is not self.healthy and not any(map(_left, serves, tried)):
            serves = self._serving(asked, self.healthy)
        targets = self._everyone
        if serves is not targets.serves:
            targets = targets._replace(serves=serves)
        if self.policy is cheapest:
            targets = targets._replace(price_usd=self._prices_usd(request, now))
        elif self.policy is lowest_latency:
            targets = targets._replace(predicted_ttft_s=self._predicted_s(now))
        chosen = self.policy(targets, request, tried, now.uniform)
        calm = healthy is self.healthy and tried is self.untried
        if self.policy is ordered and calm and len(self.settled) < _MOST_SETTLED:
            self.settled[asked] = chosen
        return chosen

    def small(self, index: int) -> tuple[bool, ...]:
        """Return for each target whether it is not known to take longer prompts than that one."""
        size_tokens = self.offers[index].target.context_tokens
        return tuple(offer.target.context_tokens <= size_tokens for offer in self.offers)

    def unpriced(self, at_us: int) -> Reply | None:
        """Return the refusal of a request that some target could serve without a known price."""
        unknown = [offer.target.name for offer in self.offers if not offer.price.known(at_us)]
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
        why = "; ".join(filter(None, why_excluded(self.candidates, self.healthy, asked)))
        if any(eligible(self.candidates, self.healthy, asked)):  # so all who may are out of service
            message = f"Every target of {self.model!r} that may take this request is out of service."
            return replies.refusal(503, message, "out_of_service", extra=replies.RETRY_LATER)
        return replies.refusal(403, f"No target of {self.model!r} may take this request: {why}.", "no_eligible_target")

    def _serving(self, asked: Asked, healthy: Sequence[int]) -> tuple[bool, ...]:
        serves = eligible(self.candidates, healthy, asked)
        if self._in_service is None:
            return serves
        return tuple(may and there for may, there in zip(serves, self._in_service, strict=True))

    def _healthy(self, now_s: float) -> tuple[int, ...]:
        for health in self.healths:
            if health.troubled:
                return tuple(health.may_try(now_s) for health in self.healths)
        return self.healthy

    def _prices_usd(self, request: Request, now: Moment) -> tuple[float, ...]:
        at_us = int(now.unix_s * 1_000_000)
        expected = Reading(request.input_tokens, request.output_tokens or EXPECTED_OUTPUT_TOKENS, 0, 0, 0, True)  # noqa: FBT003 - estimated
        return tuple(
            offer.price.nano_usd(expected, at_us) / NANO if offer.price.known(at_us) else nan for offer in self.offers
        )

    def _predicted_s(self, now: Moment) -> tuple[float, ...]:
        latencies = (offer.target.latency for offer in self.offers)
        return tuple(latency.predicted_s(now.monotonic_s) if latency else nan for latency in latencies)


def _left(serves: bool, tried: int) -> bool:  # noqa: FBT001 - two columns side by side
    return serves and not tried


def _text(value: bytes) -> str:
    return value[:MAX_LABEL_BYTES].decode("utf-8", "replace")
