"""Which target a request goes to: the one filter, then the route's policy, again after each failure.

A thin shell around ``routing``: it shows a policy the numbers that it may look at, and reads the labels that
a client puts on a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Final, overload

from breakeven.gateway import replies
from breakeven.ledger import rows
from breakeven.routing.eligible import CHAT, Asked, Candidates, eligible, why_excluded
from breakeven.routing.policies import POLICIES, ordered
from breakeven.routing.view import Targets

if TYPE_CHECKING:
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.snapshot import Route
    from breakeven.gateway.targets import Offer, TargetState
    from breakeven.ledger.spool import Spool
    from breakeven.routing.view import Request

MAX_LABEL_BYTES: Final = 128
"""Labels are cut to this length."""

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


class Labels:
    """What a client says about a request: coded for the ledger, and the kind of data for the filter."""

    __slots__ = ("episode", "sensitivity", "tags", "task")

    def __init__(self, headers: dict[bytes, bytes], key: KeyState, spool: Spool) -> None:
        self.task = spool.code(rows.TASK, _text(headers.get(b"x-breakeven-task", b"")))
        tags = headers.get(b"x-breakeven-tags")
        self.tags = key.tags if tags is None else spool.code(rows.TAGS, _text(tags))
        self.episode = _text(headers.get(b"x-breakeven-episode", b""))
        self.sensitivity = _text(headers.get(b"x-breakeven-sensitivity", b""))


class RouteState:
    """A logical model, what can serve it, and the policy that chooses."""

    def __init__(self, route: Route, model: str, offers: tuple[Offer, ...]) -> None:
        count = len(offers)
        self.model = model
        self.offers = offers
        self.max_attempts = min(route.max_attempts, MAX_ATTEMPTS)
        self.policy = POLICIES[route.policy]
        self.candidates = Candidates(
            model=model,
            names=tuple(offer.target.name for offer in offers),
            protocols=(CHAT,) * count,
            sensitivities=tuple(frozenset(offer.target.sensitivities) for offer in offers),
        )
        self.healthy = (1,) * count
        self.refuse_unpriced = route.refuse_unpriced
        self.settled: dict[Asked, tuple[int, int]] = {}
        """First choices that cannot come out otherwise: of a policy that looks at nothing but who may serve."""

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

    def choose(self, asked: Asked, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:
        """Return the index of an offer and the code of the reason; -1 when nobody may take the request."""
        serves = eligible(self.candidates, self.healthy, asked)
        targets = self._everyone
        if serves is not targets.serves:
            targets = targets._replace(serves=serves)
        chosen = self.policy(targets, request, tried, uniform)
        if self.policy is ordered and tried is self.untried and len(self.settled) < _MOST_SETTLED:
            self.settled[asked] = chosen
        return chosen

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
        why = "; ".join(filter(None, why_excluded(self.candidates, self.healthy, asked)))
        return replies.refusal(403, f"No target of {self.model!r} may take this request: {why}.", "no_eligible_target")


def _text(value: bytes) -> str:
    return value[:MAX_LABEL_BYTES].decode("utf-8", "replace")
