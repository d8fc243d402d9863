"""Which targets a request may still go to, after each failure.

Pure: what became of each target stands in a column, as ``routing.retries`` and the policies read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.retries import FAILED, FAILED_FOR_GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.failures import Failure


def after(route: RouteState, tried: Sequence[int], index: int, failure: Failure) -> Sequence[int]:
    """Return the column once the target at ``index`` has failed so.

    A prompt that was too long for it may go to those alone that are known to take longer ones.
    """
    column = list(tried)
    column[index] = FAILED if failure.kind.again else FAILED_FOR_GOOD
    if failure.needs_larger:
        column = [max(state, FAILED_FOR_GOOD * small) for state, small in zip(column, route.small(index), strict=True)]
    return tuple(column)


def able_to_continue(route: RouteState, tried: Sequence[int]) -> Sequence[int]:
    """Return the column without the targets that cannot go on where a stream broke off."""
    unable = (not offer.target.prefill for offer in route.offers)
    return tuple(max(state, FAILED_FOR_GOOD * no) for state, no in zip(tried, unable, strict=True))


def without_provider(route: RouteState, tried: Sequence[int], provider: str) -> Sequence[int]:
    """Return the column without the targets of a provider whose own limit is reached: they have no other."""
    there = (offer.target.provider == provider for offer in route.offers)
    return tuple(max(state, FAILED_FOR_GOOD * same) for state, same in zip(tried, there, strict=True))
