"""Requests that begin alike go to one node, whose cache has their beginning, unless it has more than its share to do.

Each beginning has its own order of nodes, drawn by hash, and a request goes to the first of them that has room: nodes
take at most ``MOST_RATIO`` times the mean (Mirrokni, Thorup, Zadimoghaddam 2018, consistent hashing with bounded loads,
https://arxiv.org/abs/1608.01350).  Its next node is drawn anew instead of being everybody's next on a ring, so that the
spill of a busy node does not fall on one neighbour (Chen, Coleman, Shrivastava 2021, https://arxiv.org/abs/1908.08762).
A node that fails moves its own beginnings and no others; a route with another number of targets moves all.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from breakeven.routing.policies.reasons import (
    FALLBACK,
    FULL_ANYWAY,
    LESS_BUSY_OF_TWO,
    NONE_ELIGIBLE,
    OVERFLOW,
    PREFIX_SPILLED,
    SAME_PREFIX,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets

MOST_RATIO: Final = 1.25
"""A node's load over the mean, rounded up, above which it takes no more: what those who use the method settled on
(https://pkg.go.dev/github.com/lafikl/liblb/bounded, and bRPC).  Less scatters beginnings, more lets a node queue."""

_MULTIPLIER: Final = 0x45D9F3B
_INCREMENT: Final = 0x9E3779B9
_MASK: Final = 0xFFFFFFFF
_DRAWS: Final = 1 << 52
"""Of the walk: whole numbers that stay below 2**63, so that they are the same plain and compiled."""

_MOST_STEPS: Final = 4
"""Times the number of targets; after as many the least busy node, which always is within its share, takes it."""

_BEHIND_ALL: Final = 1 << 40
"""Added to the load of a full node."""


def prefix_affinity(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: C901, PLR0912 - a policy calls no other function
    """Choose the first node in the prefix's order that has room, where none has the first API, else the least busy one.

    A request without a ``prefix_hash`` goes to the less busy of two drawn nodes.  Where nothing is paid for, all
    targets count as nodes.
    """
    serves, paid, full, size = targets.serves, targets.paid, targets.full, len(targets.serves)
    kind = failed = count = total = least_load = 0
    api = least = home = -1
    for index in range(size):
        kind = 1 if paid[index] else kind
    for index in range(size):
        failed = 1 if tried[index] else failed
        if not serves[index] or tried[index]:
            continue
        if paid[index] != kind:
            api = index if api < 0 else api
            continue
        load = targets.in_flight[index] + targets.queue_length[index]
        count += 0 if full[index] else 1
        total += 0 if full[index] else load
        load += _BEHIND_ALL if full[index] else 0
        if least < 0 or load < least_load:
            least, least_load = index, load
    if not count:
        chosen, reason = (api, OVERFLOW) if api >= 0 else (least, FULL_ANYWAY)
        return (chosen, FALLBACK if failed else reason) if chosen >= 0 else (-1, NONE_ELIGIBLE)
    hashed, most = request.prefix_hash, ceil(MOST_RATIO * (total + 1) / count)
    walk = hashed or int(uniform * _DRAWS)
    walk = (walk ^ (walk >> 32)) & _MASK
    wanted, found, chosen = (1 if hashed or count == 1 else 2), 0, least
    for _ in range(_MOST_STEPS * size):
        walk = ((walk ^ (walk >> 16)) * _MULTIPLIER + _INCREMENT) & _MASK
        index = (walk >> 8) % size
        home = index if home < 0 and paid[index] == kind else home
        if paid[index] != kind or full[index] or tried[index] or not serves[index]:
            continue
        load = targets.in_flight[index] + targets.queue_length[index]
        if (hashed and load >= most) or (found and index == chosen):
            continue
        if not found or load < targets.in_flight[chosen] + targets.queue_length[chosen]:
            chosen = index
        found += 1
        if found == wanted:
            break
    if failed:
        return chosen, FALLBACK
    if not hashed:
        return chosen, LESS_BUSY_OF_TWO
    return chosen, (SAME_PREFIX if chosen == home else PREFIX_SPILLED)
