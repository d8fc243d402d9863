"""What a replay is made of: the two that are compared, what bounds it, what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.ledger.pairs import Pair
    from breakeven.sources.recorded import Recorded
    from breakeven.trials.answered import Heard, Score
    from breakeven.trials.endpoint import ChatEndpoint
    from breakeven.usage import TokenUsage

_ID_BITS: Final = 58


class Judge(Protocol):
    """Who is asked what two answers are worth: a model, or a check of the user's own."""

    async def __call__(
        self, item: Recorded, pair: Pair, incumbent: Heard, candidate: Heard
    ) -> tuple[Sequence[Score], Decimal]:
        """Return what it said, empty where it said nothing that counts, and what that cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One of the two that are compared."""

    name: str
    """Under which it is kept: by it its price is looked up, and pairs are found again."""

    model: str
    """As it is asked for."""

    endpoint: ChatEndpoint | None
    """None: its answers are those that were recorded."""

    price: Callable[[TokenUsage], Decimal | None]
    """What a request costs in dollars; None where no price is known."""

    labelled: bool = False
    """Whether task, episode and tags are sent along, as a gateway of Breakeven takes them."""

    streams: bool = False
    """Whether it is asked for streams, which tell when the first byte came; one that has none to give is asked again,
    for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is never gone beyond."""

    at_once_count: int
    most_pairs_count: int
    budget_usd: Decimal | None
    """None: what it costs is counted, and not bounded."""

    answer_s: float
    """Longest time for an answer."""


class Tally:
    """What a replay did, counted as it goes."""

    def __init__(self) -> None:
        self.compared_count = 0
        self.known_count = 0
        """Compared in an earlier run."""

        self.put_off_count = 0
        """Not answered for reasons that may pass: resumed, they are asked again."""

        self.unanswered_count = 0
        """Without a recorded answer, where recorded answers are compared with."""

        self.withheld_count = 0
        """Of a sensitivity that may not go there."""

        self.unpriced_count = 0
        """Requests without a known price, whose cost is not in ``spent_usd``."""

        self.spent_usd = Decimal(0)
        self.dearest_pair_usd = Decimal(0)
        self.stopped_by = ""
        """What ended it before its end, in words."""

        self.unstreamed: dict[str, str] = {}
        """Why somebody who was to stream is asked for whole answers, by name."""

        self.reasons: dict[str, int] = {}
        """Why requests were put off or failed, and how often."""


class Outcome(NamedTuple):
    """A pair with what was said of it, and its texts for whoever keeps them."""

    pair: Pair
    scores: tuple[Score, ...]
    asked: Mapping[str, Any]
    incumbent: Heard | None
    candidate: Heard | None


class StoppedError(Exception):
    """The replay cannot go on."""


def replay_id(item: Recorded, incumbent: str, candidate: str) -> int:
    """Return the id of a pair of a replay: below 0, so that it is none of a gateway's, and the same in every run."""
    said = msgspec.json.encode([item.id, item.body, item.answer], order="deterministic")
    digest = hashlib.sha256(b"\0".join([said, incumbent.encode(), candidate.encode()])).digest()
    return -((int.from_bytes(digest[:8]) >> (64 - _ID_BITS)) + 1 << 4)
