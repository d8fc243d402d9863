"""The target at which the request costs least."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import CHEAPEST, FALLBACK, FIRST_CHOICE, NEXT_IN_ORDER, NONE_ELIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


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
