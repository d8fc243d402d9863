"""Why a policy chose what it chose: codes, so that a compiled policy can give them, and their names."""

from __future__ import annotations

from typing import Final

(
    NONE_ELIGIBLE, FIRST_CHOICE, NEXT_IN_ORDER, FALLBACK, WEIGHTED_DRAW, ONLY_ONE_LEFT,
    LEAST_BUSY, LOWEST_LATENCY, LATENCY_UNKNOWN, CHEAPEST,
    LESS_BUSY_OF_TWO, PAID_CAPACITY, OVERFLOW, FULL_ANYWAY,
    SAME_PREFIX, PREFIX_SPILLED, WITHIN_PRICE, IN_HOURS, OUT_OF_HOURS, BUDGET_AMPLE,
    SHIFTED, SHADOW, JUDGE,
) = range(23)  # fmt: skip
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
    "less_busy_of_two",
    "paid_capacity",
    "overflow",
    "full_anyway",
    "same_prefix",
    "prefix_spilled",
    "within_price",
    "in_hours",
    "out_of_hours",
    "budget_ample",
    "shifted",
    "shadow",
    "judge",
)
"""By code: nothing may be tried; the first of the order; a later one, since those before it may not serve; what comes
after a failed attempt; a draw by weight; the only one with weight that may serve; the one with the fewest requests;
one of those that begin soonest; one of which that is not known, so that it becomes known; the one that costs least.

The less busy of two that were drawn; a node that is paid whether used or not; an API, since no node has room; a node
that has none, since no API may take it; where requests that begin alike go; where they go when that one has more than
its share; the first whose price is within the route's limit; the first that is open now; the first in order, since none
is open; the first whose price is small beside what is left of the budget; the target of a shift that is under way.

A candidate that is asked what a client asked another target; a model that compares the two answers.  Both are requests
of the gateway's own."""
