"""The preferred target while there is money, cheaper ones as it runs out."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, Final

from breakeven.routing.policies.reasons import BUDGET_AMPLE, CHEAPEST, FALLBACK, NONE_ELIGIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.routing.view import Request, Targets

AMPLE_FRACTION: Final = 0.01
"""Of what is left of the budget: what costs no more than this is affordable.

So the last hundred requests' worth of a target is left to cheaper ones, of which it buys a hundred times the ratio of
the prices.  Stated, not measured.
"""


def budget_downgrade(targets: Targets, request: Request, tried: Sequence[int], uniform: float) -> tuple[int, int]:  # noqa: ARG001 - all policies are called alike
    """Choose the first in order that costs little beside what is left of the key's budget, else the cheapest.

    Without a budget that is the first in order.  With one a price that is not known is never little, and comes last.
    """
    serves, price_usd = targets.serves, targets.price_usd
    most_usd = AMPLE_FRACTION * request.budget_usd
    ample = chosen = -1
    failed = 0
    for index in range(len(serves)):
        if tried[index]:
            failed = 1
        elif serves[index]:
            if ample < 0 and (price_usd[index] <= most_usd or most_usd == inf):
                ample = index
            if (
                chosen < 0
                or price_usd[index] < price_usd[chosen]
                or (isnan(price_usd[chosen]) and not isnan(price_usd[index]))
            ):
                chosen = index
    if chosen < 0:
        return -1, NONE_ELIGIBLE
    if ample >= 0:
        return ample, (FALLBACK if failed else BUDGET_AMPLE)
    return chosen, (FALLBACK if failed else CHEAPEST)
