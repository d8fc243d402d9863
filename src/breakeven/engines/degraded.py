"""Nodes that are asked a golden prompt: which are degraded, out of service, to be started afresh; no clock, no network.

A node is degraded after ``BAD_ANSWERS`` bad answers in a row.  It is then out of service, unless nothing else in its
pool is in service and answers: bad answers are better than none.  It is well again after ``GOOD_ANSWERS`` good ones in
a row, and after the first one where it has been started afresh.  No answer counts for nothing: whether a node answers
at all is what health checks are for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from breakeven.engines.canary import BAD_ANSWERS, beginning, is_good
from breakeven.engines.following import Progress, after

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from breakeven.engines.canary import Golden

GOOD_ANSWERS: Final = 3
"""Good answers in a row after which a degraded node that was not started afresh counts as well."""

TOLD_S: Final = 2.0
"""How long a node is out of service before it is started afresh: the gateway has to be told first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of a node by its answers."""

    begins: str | None = None
    """How its first answer began; None: it has given none yet."""

    has_answered: bool = True
    """Whether it did when it was asked last; so taken before it is asked."""

    bad_count: int = 0
    """Bad answers in a row."""

    good_count: int = 0
    """Good answers in a row, while it is degraded."""

    is_degraded: bool = False
    is_out: bool = False
    """Whether it is out of service for that."""

    is_restarting: bool = False
    """Whether the command that starts it afresh is under way."""

    is_fresh: bool = False
    """Whether it was started afresh, and has not given many bad answers since."""

    restarts: Progress = field(default_factory=Progress)
    """Restarts in a row that failed or were in vain, and when the next may be, by the clock of the caller."""


def answered(node: Watched, golden: Golden, answer: str | None, at_s: float) -> Watched:
    """Return what is known once it has answered, or has not (None)."""
    if answer is None:
        return replace(node, has_answered=False)
    begins = beginning(answer) if node.begins is None else node.begins
    known = replace(node, has_answered=True, begins=begins)
    return _after_good(known) if is_good(golden, begins, answer) else _after_bad(known, at_s)


def restarting(node: Watched) -> Watched:
    """Return what is known once the command that starts it afresh has begun."""
    return replace(node, is_restarting=True)


def restarted(node: Watched, *, succeeded: bool, at_s: float) -> Watched:
    """Return what is known once the command that starts it afresh has ended; after a failure it waits, ever longer."""
    ended = replace(node, is_restarting=False)
    if not node.is_degraded:  # its hours were over meanwhile
        return ended
    if succeeded:
        return replace(ended, is_fresh=True, bad_count=0, good_count=0)
    return replace(ended, restarts=after(node.restarts, up=True, succeeded=False, at_s=at_s))


def rested(node: Watched) -> Watched:
    """Return what is known of it when its hours are over: what comes up after them is another engine."""
    return Watched(begins=node.begins, is_restarting=node.is_restarting)


def taken_over(node: Watched) -> Watched:
    """Return what still counts of what was known before whoever asks was started anew.

    It has to give as many bad answers again before it is started afresh: much may have happened meanwhile.
    """
    return Watched(begins=node.begins, is_degraded=node.is_degraded, is_out=node.is_out)


def settled(nodes: Mapping[str, Watched], serving: Collection[str], at_s: float) -> dict[str, Watched]:
    """Return the nodes of a pool with those out of service that should be, in their order.

    ``serving`` are those that nobody else keeps from serving: no person and no timetable.  One of them stays in service
    whatever it answers, but for one that is being started afresh.
    """
    kept = _kept(nodes, serving)
    return {name: _placed(node, at_s, out=node.is_degraded and name != kept) for name, node in nodes.items()}


def next_restart(nodes: Mapping[str, Watched], serving: Collection[str], at_s: float) -> str | None:
    """Return the node of a pool that is to be started afresh now; None for none, and while another one is."""
    if any(node.is_restarting for node in nodes.values()):
        return None
    due = [
        name
        for name, node in nodes.items()
        if name in serving and node.is_out and node.bad_count >= BAD_ANSWERS and at_s >= node.restarts.not_before_s
    ]
    return min(due, key=lambda name: nodes[name].restarts.not_before_s, default=None)


def _placed(node: Watched, at_s: float, *, out: bool) -> Watched:
    if not out or node.is_out:
        return replace(node, is_out=out)
    not_before_s = max(node.restarts.not_before_s, at_s + TOLD_S)
    return replace(node, is_out=True, restarts=replace(node.restarts, not_before_s=not_before_s))


def _after_good(node: Watched) -> Watched:
    good_count = node.good_count + 1
    if not node.is_degraded or node.is_fresh or good_count >= GOOD_ANSWERS:
        return Watched(begins=node.begins, is_restarting=node.is_restarting)
    return replace(node, bad_count=0, good_count=good_count)


def _after_bad(node: Watched, at_s: float) -> Watched:
    bad = replace(node, bad_count=node.bad_count + 1, good_count=0)
    if bad.bad_count < BAD_ANSWERS:
        return bad
    if not bad.is_fresh:
        return replace(bad, is_degraded=True)
    in_vain = after(node.restarts, up=True, succeeded=False, at_s=at_s)
    return replace(bad, is_fresh=False, restarts=in_vain)


def _kept(nodes: Mapping[str, Watched], serving: Collection[str]) -> str | None:
    """Return the degraded node that has to go on serving; None where another one is there, or none may serve."""
    able = {name: node for name, node in nodes.items() if name in serving and not node.is_restarting}
    if any(node.has_answered and not node.is_degraded for node in able.values()):
        return None
    degraded = [name for name, node in able.items() if node.is_degraded]
    return max(degraded, key=lambda name: (able[name].has_answered, not able[name].is_out), default=None)
