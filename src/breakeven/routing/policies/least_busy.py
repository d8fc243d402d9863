"""The target with the fewest requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import FALLBACK, LEAST_BUSY, NONE_ELIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


def least_busy(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the target with the fewest requests, under way and waiting inside it; of equals the one with more weight.

    What is under way is what this process has sent, so several processes spread each their own requests.
    """
    serves = targets.serves
    chosen = -1
    failed = 0
    fewest = 0
    for index in range(len(serves)):
        failed += 1 if tried[index] else 0
        if serves[index] and not tried[index]:
            load = targets.in_flight[index] + targets.queue_length[index]
            if chosen < 0 or load < fewest or (load == fewest and targets.weight[index] > targets.weight[chosen]):
                chosen = index
                fewest = load
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    return chosen, (FALLBACK if failed else LEAST_BUSY)
