"""A draw by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import FALLBACK, NEXT_IN_ORDER, NONE_ELIGIBLE, ONLY_ONE_LEFT, WEIGHTED_DRAW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


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
