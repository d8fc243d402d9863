"""Attempts put together to subjects: an episode of a key, or a request that belongs to none.

What an episode's attempts cost is its cost, wherever they went; charged is the target that gave the final answer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.ids import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from breakeven.ledger.outcome_costs import Said, Spent

_NONE: Final = Decimal(0)

Key = tuple[str | None, str]
"""Name of a virtual key, and an episode."""


class Part(NamedTuple):
    """What attempts at one target cost."""

    attempt_count: int
    loaded_usd: Decimal
    idle_usd: Decimal


NO_PART: Final = Part(0, _NONE, _NONE)


class Subject(NamedTuple):
    """An episode or a request, whole."""

    key: str | None
    episode: str
    """Empty: it is one request."""

    request_ids: tuple[int, ...]
    began_us: int
    ended_us: int
    final: Said
    """Of the attempt that gave the final answer; of the last one where none did."""

    is_answered: bool
    parts: Mapping[str | None, Part]
    """By target."""


class Evaluated(NamedTuple):
    """An attempt that we made to learn something: it answers nobody, and no target is charged for it."""

    spent: Spent


class _Open:
    """A subject of which more attempts may come."""

    __slots__ = ("began_us", "ended_us", "episode", "final", "final_id", "key", "parts", "request_ids")

    def __init__(self, spent: Spent) -> None:
        self.key = spent.said.key
        self.episode = spent.episode
        self.began_us = spent.received_us
        self.ended_us = 0
        self.final = spent.said
        self.final_id = (-1, False, -1)
        self.request_ids: list[int] = []
        self.parts: dict[str | None, Part] = {}

    def add(self, spent: Spent, idle_ratio: Decimal) -> None:
        request_id, number = spent.attempt_id & -ATTEMPTS, spent.attempt_id % ATTEMPTS
        if not self.request_ids or self.request_ids[-1] != request_id:
            self.request_ids.append(request_id)
        self.began_us = min(self.began_us, spent.received_us)
        self.ended_us = max(self.ended_us, spent.ended_us)
        is_answer = spent.said.outcome in ANSWERED or spent.said.outcome == rows.CACHED
        place = (request_id, is_answer, number)
        if place > self.final_id:
            self.final_id, self.final = place, spent.said
        target = target_of(spent.said)
        before = self.parts.get(target, NO_PART)
        self.parts[target] = Part(
            before.attempt_count + (spent.said.outcome != rows.CACHED),
            before.loaded_usd + spent.loaded_usd,
            before.idle_usd + idle_ratio * spent.pool_usd,
        )

    def closed(self) -> Subject:
        return Subject(
            self.key, self.episode, tuple(self.request_ids), self.began_us, self.ended_us, self.final,
            self.final_id[1], self.parts,
        )  # fmt: skip


def target_of(said: Said) -> str | None:
    """Return the place that served: a pool, whichever of its nodes it was, or a provider's target."""
    return said.pool or said.target


def subjects(attempts: Iterable[Spent], idle_ratios: Mapping[str, Decimal]) -> Iterator[Subject | Evaluated]:
    """Yield subjects as they are whole, and evaluations as they come; attempts of one request follow each other.

    ``idle_ratios`` say by pool what was idle over what was used.  A request without an episode is given back as soon as
    the next one begins, so memory grows with episodes alone.
    """
    episodes: dict[Key, _Open] = {}
    single: _Open | None = None
    for spent in attempts:
        if spent.said.decision in EVALUATION:
            yield Evaluated(spent)
            continue
        if spent.episode:
            found = episodes.get((spent.said.key, spent.episode))
            if found is None:
                found = episodes[spent.said.key, spent.episode] = _Open(spent)
        else:
            if single is not None and single.request_ids[-1] != spent.attempt_id & -ATTEMPTS:
                yield single.closed()
                single = None
            found = single = single or _Open(spent)
        found.add(spent, idle_ratios.get(spent.said.pool or "", _NONE))
    if single is not None:
        yield single.closed()
    for found in episodes.values():
        yield found.closed()
