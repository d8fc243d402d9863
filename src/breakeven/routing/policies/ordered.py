"""The first target that can, the others when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import FALLBACK, FIRST_CHOICE, NEXT_IN_ORDER, NONE_ELIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


def ordered(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the first target in the configured order that serves and was not tried."""
    serves = targets.serves
    chosen = -1
    failed = 0
    for index in range(len(serves)):
        if tried[index]:
            failed += 1
        elif chosen < 0 and serves[index]:
            chosen = index
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if failed:
        return chosen, FALLBACK
    return chosen, (NEXT_IN_ORDER if chosen else FIRST_CHOICE)
