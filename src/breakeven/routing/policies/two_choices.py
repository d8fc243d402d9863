"""The less busy of two targets that are drawn.

Two instead of one bring the longest queue from log n / log log n down to log log n, and a third brings little more
(Mitzenmacher 2001, https://doi.org/10.1109/71.963420).  Two instead of all are better where many processes see each
other's requests with a delay: all who look at the same old numbers would send to the same target until the next look.
Where loads are fresh, the least busy of all is better (``tests/routing/test_routing_stale.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import FALLBACK, LESS_BUSY_OF_TWO, NONE_ELIGIBLE, ONLY_ONE_LEFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


def two_choices(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001, C901 - all policies are called alike, and none calls another function
    """Draw two different targets, and choose the one with fewer requests, of equals the first that was drawn."""
    serves = targets.serves
    failed = count = 0
    for index in range(len(serves)):
        if tried[index]:
            failed = 1
        elif serves[index]:
            count += 1
    if not count:
        return -1, NONE_ELIGIBLE
    place = int(uniform * count)
    other_place = int((uniform * count - place) * (count - 1))
    other_place += other_place >= place
    chosen = other = -1
    for index in range(len(serves)):
        if serves[index] and not tried[index]:
            if place == 0:
                chosen = index
            if other_place == 0:
                other = index
            place -= 1
            other_place -= 1
    if other >= 0:
        load = targets.in_flight[chosen] + targets.queue_length[chosen]
        chosen = other if targets.in_flight[other] + targets.queue_length[other] < load else chosen
    if failed:
        return chosen, FALLBACK
    return chosen, (LESS_BUSY_OF_TWO if other >= 0 else ONLY_ONE_LEFT)
