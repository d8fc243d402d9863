"""What is paid for first, what is paid by use for the peak.

A pool's nodes take requests as long as one of them is not full (``fullness.is_full``: its queue, its KV cache or the
expected first token passed a limit); then the APIs do, in the configured order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.routing.policies.reasons import (
    FALLBACK,
    FIRST_CHOICE,
    FULL_ANYWAY,
    NEXT_IN_ORDER,
    NONE_ELIGIBLE,
    OVERFLOW,
    PAID_CAPACITY,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets

_BEHIND_ALL: Final = 1 << 40
"""Added to the load of a full node."""


def overflow(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the least busy node that is not full, of equals one by chance, else the first API, else the least busy.

    The least busy of all, since loads are fresh enough for that: what this process sent is counted at once.  By chance,
    so that several processes do not all choose the first.  Where nothing is paid for it is ``ordered``.
    """
    serves, paid, full, size = targets.serves, targets.paid, targets.full, len(targets.serves)
    start = int(uniform * size)
    failed = nodes = least = 0
    api = chosen = -1
    for index in range(size):
        nodes = 1 if paid[index] else nodes
        if tried[index]:
            failed = 1
        if tried[index] or not serves[index]:
            continue
        if not paid[index]:
            api = index if api < 0 else api
            continue
        load = targets.in_flight[index] + targets.queue_length[index] + (_BEHIND_ALL if full[index] else 0)
        rank = load * size + (index - start) % size
        if chosen < 0 or rank < least:
            chosen, least = index, rank
    reason = PAID_CAPACITY
    if api >= 0 and (chosen < 0 or full[chosen]):
        chosen, reason = api, (OVERFLOW if nodes else NEXT_IN_ORDER if api else FIRST_CHOICE)
    elif chosen < 0:
        return -1, NONE_ELIGIBLE
    elif full[chosen]:
        reason = FULL_ANYWAY
    return chosen, (FALLBACK if failed else reason)
