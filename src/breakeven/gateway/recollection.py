"""Answers to similar questions, as an exchange knows them; ``gateway.similar`` has them where a task asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.gateway.cache import Stored
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.labels import Labels
    from breakeven.similar.evidence import Hits


class Wanted(NamedTuple):
    """A request for which a similar one is looked for."""

    task: bytes
    key: KeyState
    labels: Labels
    path: bytes
    body: bytes
    passed: bytes
    """Header lines that its target is to see."""

    cache_key: bytes
    """Under which its own answer will be kept."""


class Recall(Protocol):
    """What was found out about one request before it is sent."""

    def answered(self, stored: Stored) -> None:
        """Take the answer that was made for it, to be compared with what was found, and found itself later."""


class Recollection(Protocol):
    """The answers of one worker that may be given to similar questions."""

    def ttl_s(self, task: bytes) -> float:
        """Return how long answers of a task are given again; 0: it is none of those that are looked up."""

    def look_up(self, wanted: Wanted, then: Callable[[Stored | None], None]) -> Recall | None:
        """Begin to look for a similar request; None: there is nothing to look for.

        ``then`` is told once, never from within this call, of the answer to give again; None: send the request, and
        tell the recall of its answer.
        """

    def tick(self, now_s: float) -> None:
        """Look at the clock."""

    def hits(self) -> dict[str, Hits]:
        """Return what became of the would-be hits, by task."""

    def close(self) -> None:
        """Give up what is under way: whoever waits is told that there is nothing."""
