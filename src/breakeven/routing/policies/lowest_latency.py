"""The targets that begin soonest share the traffic."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.routing.policies.reasons import FALLBACK, LATENCY_UNKNOWN, LOWEST_LATENCY, NONE_ELIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets

LATENCY_BAND: Final = 0.25
"""Targets up to so much slower than the fastest share its traffic, the less the slower they are.

Shares that change little by little are what keeps noise from moving all traffic at once, without a memory.
"""

SHORTEST_S: Final = 1e-6
"""Nothing is faster, so that there is always a band."""

EXPLORED_SHARE: Final = 0.05
"""Share of requests that goes to targets whose latency is not known, as long as that of others is."""


def lowest_latency(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Draw among the targets that are expected to begin soonest; see ``LATENCY_BAND``.

    Those of which nothing is known share ``EXPLORED_SHARE`` of the requests, or all when nothing is known of any; after
    a failed attempt it is no time for trying out, so they come last.
    """
    serves = targets.serves
    expected_s = targets.predicted_ttft_s
    failed = known = unknown = 0
    soonest_s = inf
    for index in range(len(serves)):
        failed += 1 if tried[index] else 0
        if serves[index] and not tried[index]:
            is_known = expected_s[index] < inf  # which NaN is not
            known += 1 if is_known else 0
            unknown += 0 if is_known else 1
            soonest_s = min(soonest_s, expected_s[index]) if is_known else soonest_s
    soonest_s = max(soonest_s, SHORTEST_S)
    shares = [0.0] * len(serves)
    total = 0.0
    for index in range(len(serves)):
        if serves[index] and not tried[index] and expected_s[index] < inf:
            slower_s = max(0.0, expected_s[index] - soonest_s)
            shares[index] = max(0.0, 1.0 - slower_s / (LATENCY_BAND * soonest_s))
            total += shares[index]
    explored = 1.0
    if known:
        explored = 0.0 if failed or not unknown else EXPLORED_SHARE / (1.0 - EXPLORED_SHARE) * total / unknown
    point = uniform * (total + explored * unknown)
    chosen = -1
    for index in range(len(serves)):
        share = shares[index] if expected_s[index] < inf else explored
        if serves[index] and not tried[index] and share > 0.0 and point >= 0.0:
            chosen = index
            point -= share
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if failed:
        return chosen, FALLBACK
    return chosen, (LOWEST_LATENCY if expected_s[chosen] < inf else LATENCY_UNKNOWN)
