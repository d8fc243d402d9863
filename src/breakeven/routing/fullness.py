"""Whether a node has room for more: one limit for each thing that runs out, with a way back that is longer than there.

A node that went over a limit takes no more until it is clearly below it again.  Without that, requests would swing
between the node and an API at each one that ends.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class Limits(NamedTuple):
    """What a node may have to do before it counts as full; a limit of infinity is none."""

    most_waiting: float = inf
    """With so many requests waiting inside it takes no more."""

    most_kv_fraction: float = 1.0
    """Nor with more of its KV cache in use: at 1 never, since none has more than all of it."""

    most_ttft_s: float = inf
    """Nor where the first token is expected later."""

    back_ratio: float = 0.8
    """Of each limit: what is full has room again once it is within all of them times this.  Stated, not measured: a
    fifth is more than one request adds to a queue of five and longer."""


def is_full(was_full: int, queue_length: int, kv_use_fraction: float, ttft_s: float, limits: Limits) -> bool:
    """Return whether a node counts as full now, when it did or did not as of the last look.

    ``ttft_s`` is the expected time to the first token; NaN, where it is not known, is over no limit.
    """
    ratio = limits.back_ratio if was_full else 1.0
    return (
        queue_length >= ratio * limits.most_waiting
        or kv_use_fraction > ratio * limits.most_kv_fraction
        or ttft_s > ratio * limits.most_ttft_s
    )
