"""Where a request adds least to the bill.

A node that is paid for costs nothing more as long as it keeps the time in which it should answer.  When it would not,
it is weighed what the request would cost elsewhere.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import (
    CHEAPEST,
    FALLBACK,
    FULL_ANYWAY,
    NONE_ELIGIBLE,
    PAID_CAPACITY,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets

_FREE, _WORTH_IT, _LATE, _TOO_DEAR = range(4)
"""Better ones first: a node that answers in time; an API that costs no more than that is worth (``most_usd``); a node
that does not answer in time; an API that costs more."""


def marginal_cost(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: C901 - a policy calls no other function
    """Choose the node in time that begins soonest, else the cheapest API within the limit, else a late node.

    A node is in time if it is not full and its expected first token, where known, comes before the deadline.  Where one
    of two nodes has no expectation, or both the same, they are compared by their requests, of equals by chance.

    Unknown prices come last, and are not within a limit.
    """
    serves, paid, full = targets.serves, targets.paid, targets.full
    expected_s, price_usd = targets.predicted_ttft_s, targets.price_usd
    size, start = len(serves), int(uniform * len(serves))
    chosen, best, failed, load, least = -1, 4, 0, 0, 0
    for index in range(size):
        if tried[index]:
            failed = 1
        if tried[index] or not serves[index]:
            continue
        if paid[index]:
            rank = _LATE if full[index] or expected_s[index] > request.deadline_s else _FREE
            load = (targets.in_flight[index] + targets.queue_length[index]) * size + (index - start) % size
        else:
            rank = _WORTH_IT if request.most_usd == inf or price_usd[index] <= request.most_usd else _TOO_DEAR
        if rank > best:
            continue
        if rank < best:
            is_better = True
        elif paid[index]:
            is_sooner, is_later = expected_s[index] < expected_s[chosen], expected_s[index] > expected_s[chosen]
            is_better = is_sooner or (load < least and not is_later)
        else:
            is_first_known = isnan(price_usd[chosen]) and not isnan(price_usd[index])
            is_better = is_first_known or price_usd[index] < price_usd[chosen]
        if is_better:
            chosen, best, least = index, rank, load
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if failed:
        return chosen, FALLBACK
    return chosen, (PAID_CAPACITY if best == _FREE else FULL_ANYWAY if best == _LATE else CHEAPEST)
