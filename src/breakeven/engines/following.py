"""Nodes that follow a timetable: what is to be done about each now, by what was done; no clock and no process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.routing.timetable import Timetable

_FIRST_RETRY_S: Final = 10.0
_LONGEST_RETRY_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A node, its timetable and the commands that start and stop it."""

    pool: str
    node: str
    timetable: Timetable
    start: tuple[str, ...]
    stop: tuple[str, ...]
    timeout_s: float

    @property
    def name(self) -> str:
        """Return ``POOL/NODE``, as the ledger calls it."""
        return f"{self.pool}/{self.node}"

    def command(self, *, up: bool) -> tuple[str, ...]:
        """Return the command that brings it up or down; ``{pool}`` and ``{node}`` stand for its names."""
        return filled(self.start if up else self.stop, self.pool, self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What has been done about a node."""

    is_up: bool | None = None
    """As the last command that succeeded left it; None: nobody knows yet."""

    failure_count: int = 0
    """Commands in a row that failed."""

    not_before_s: float = 0.0
    """When the next try may be, in Unix seconds."""


def filled(command: tuple[str, ...], pool: str, node: str) -> tuple[str, ...]:
    """Return a command for a node; ``{pool}`` and ``{node}`` in it stand for the names."""
    return tuple(part.replace("{pool}", pool).replace("{node}", node) for part in command)


def wanted_up(followers: tuple[Follower, ...], at_s: float) -> dict[str, bool]:
    """Return whether each node should be up at that moment, by its name."""
    return {item.name: item.timetable.is_open(at_s) for item in followers}


def is_due(progress: Progress, *, up: bool, at_s: float) -> bool:
    """Whether a command has to be run now: the node is not as it should be, and not waiting after a failure.

    A node of which nothing is known gets the command for what it should be: commands had better not mind that it is.
    """
    return progress.is_up is not up and at_s >= progress.not_before_s


def after(progress: Progress, *, up: bool, succeeded: bool, at_s: float) -> Progress:
    """Return what is known once a command has ended; the pause after failures doubles, from 10 s up to 10 min."""
    if succeeded:
        return Progress(is_up=up)
    failures = progress.failure_count + 1
    pause_s = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 16))
    return replace(progress, is_up=None, failure_count=failures, not_before_s=at_s + pause_s)
