"""The policies: plain functions from what is known to the index of a target and the code of a reason.

They are written in the subset of Python that numba compiles (so each stands by itself), and are called again after
each failed attempt.  Chance comes in as ``uniform``, a number in [0, 1); nothing is remembered between calls, and who
may be chosen at all is decided before, by ``eligible``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.routing.view import Request, Targets

NONE_ELIGIBLE, FIRST_CHOICE, NEXT_IN_ORDER, FALLBACK, WEIGHTED_DRAW, ONLY_ONE_LEFT = range(6)
REASONS: Final = (
    "none_eligible",
    "first_choice",
    "next_in_order",
    "fallback",
    "weighted_draw",
    "only_one_left",
)
"""By code: nothing may be tried; the first of the order; a later one, since those before it may not serve; what comes
after a failed attempt; a draw by weight; the only one with weight that may serve."""


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


def weighted(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Draw by weight among the targets that serve and were not tried.

    A target without a positive weight is taken only when none with one is left, and then in the configured order.
    """
    serves = targets.serves
    weight = targets.weight
    failed = 0
    candidates = 0
    last = -1
    total = 0.0
    for index in range(len(serves)):
        failed += 1 if tried[index] else 0
        if serves[index] and not tried[index] and weight[index] > 0.0:
            candidates += 1
            last = index
            total += weight[index]
    if candidates == 1:
        return last, (FALLBACK if failed else ONLY_ONE_LEFT)
    point = uniform * total
    for index in range(last):
        if serves[index] and not tried[index] and weight[index] > 0.0:
            point -= weight[index]
            if point < 0.0:
                return index, (FALLBACK if failed else WEIGHTED_DRAW)
    if candidates:
        return last, (FALLBACK if failed else WEIGHTED_DRAW)
    for index in range(len(serves)):
        if serves[index] and not tried[index]:
            return index, (FALLBACK if failed else NEXT_IN_ORDER)
    return -1, NONE_ELIGIBLE


POLICIES: Final[dict[str, Callable[[Targets, Request, Sequence[int], float], tuple[int, int]]]] = {
    "ordered": ordered,
    "weighted": weighted,
}
"""By the name under which a route asks for them."""
