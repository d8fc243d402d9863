"""The first target that is not too dear."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from breakeven.routing.policies.reasons import CHEAPEST, FALLBACK, NONE_ELIGIBLE, WITHIN_PRICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets


def cost_threshold(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the first in order at which this request costs no more than ``most_usd``, else the cheapest.

    A price that is not known is within no limit but that of infinity, and comes last of all.
    """
    serves, price_usd, most_usd = targets.serves, targets.price_usd, request.most_usd
    within = chosen = -1
    failed = 0
    for index in range(len(serves)):
        if tried[index]:
            failed = 1
        elif serves[index]:
            if within < 0 and (price_usd[index] <= most_usd or most_usd == inf):
                within = index
            if (
                chosen < 0
                or price_usd[index] < price_usd[chosen]
                or (isnan(price_usd[chosen]) and not isnan(price_usd[index]))
            ):
                chosen = index
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if within >= 0:
        return within, (FALLBACK if failed else WITHIN_PRICE)
    return chosen, (FALLBACK if failed else CHEAPEST)
