"""The policies: plain functions from what is known to the index of a target and the code of a reason.

They are written in the subset of Python that numba compiles (so each stands by itself), and are called again after
each failed attempt.  Chance comes in as ``uniform``, a number in [0, 1); nothing is remembered between calls, and who
may be chosen at all is decided before, by ``eligible``.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.routing.view import Request, Targets

(
    NONE_ELIGIBLE, FIRST_CHOICE, NEXT_IN_ORDER, FALLBACK, WEIGHTED_DRAW, ONLY_ONE_LEFT,
    LEAST_BUSY, LOWEST_LATENCY, LATENCY_UNKNOWN, CHEAPEST,
) = range(10)  # fmt: skip
REASONS: Final = (
    "none_eligible",
    "first_choice",
    "next_in_order",
    "fallback",
    "weighted_draw",
    "only_one_left",
    "least_busy",
    "lowest_latency",
    "latency_unknown",
    "cheapest",
)
"""By code: nothing may be tried; the first of the order; a later one, since those before it may not serve; what comes
after a failed attempt; a draw by weight; the only one with weight that may serve; the one with the fewest requests;
one of those that begin soonest; one of which that is not known, so that it becomes known; the one that costs least."""

LATENCY_BAND: Final = 0.25
"""Targets up to so much slower than the fastest share its traffic, the less the slower they are.

Shares that change little by little are what keeps noise from moving all traffic at once, without a memory.
"""

SHORTEST_S: Final = 1e-6
"""Nothing is faster, so that there is always a band."""

EXPLORED_SHARE: Final = 0.05
"""Share of requests that goes to targets whose latency is not known, as long as that of others is."""


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


def cheapest(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the target with the lowest expected price, of equals the first; those without a known price come last."""
    serves = targets.serves
    price_usd = targets.price_usd
    chosen = -1
    failed = 0
    for index in range(len(serves)):
        failed += 1 if tried[index] else 0
        if not serves[index] or tried[index]:
            continue
        is_first_known = chosen >= 0 and isnan(price_usd[chosen]) and not isnan(price_usd[index])
        if chosen < 0 or is_first_known or price_usd[index] < price_usd[chosen]:
            chosen = index
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if failed:
        return chosen, FALLBACK
    if isnan(price_usd[chosen]):
        return chosen, (NEXT_IN_ORDER if chosen else FIRST_CHOICE)
    return chosen, CHEAPEST


POLICIES: Final[dict[str, Callable[[Targets, Request, Sequence[int], float], tuple[int, int]]]] = {
    "ordered": ordered,
    "weighted": weighted,
    "least_busy": least_busy,
    "lowest_latency": lowest_latency,
    "cheapest": cheapest,
}
"""By the name under which a route asks for them."""
