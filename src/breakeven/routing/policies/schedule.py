"""The first target whose hours it is: the night's batch on one, the office's day on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import FALLBACK, IN_HOURS, NONE_ELIGIBLE, OUT_OF_HOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


def schedule(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the first in order that is open now; if none is, the first that serves.

    A timetable says where requests had better go, not where they may: what is switched off does not serve, and a
    request that would be refused for the hour alone is better answered.
    """
    serves, in_hours = targets.serves, targets.in_hours
    chosen = closed = -1
    failed = 0
    for index in range(len(serves)):
        if tried[index]:
            failed = 1
        elif serves[index]:
            if in_hours[index]:
                chosen = index if chosen < 0 else chosen
            elif closed < 0:
                closed = index
    if chosen < 0:
        if closed < 0:
            return -1, NONE_ELIGIBLE
        return closed, (FALLBACK if failed else OUT_OF_HOURS)
    return chosen, (FALLBACK if failed else IN_HOURS)
