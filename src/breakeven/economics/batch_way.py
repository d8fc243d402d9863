"""Whether what is left of a batch at its deadline goes to a provider's batch API, or as ordinary calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from breakeven.catalog.rate_card import RateCard
    from breakeven.usage import TokenUsage

Way = Literal["batch", "call"]


def cheaper_way(batch_usd: Decimal | None, call_usd: Decimal | None) -> Way:
    """Return the cheaper of the two, for prices of the same request; None: not known.

    Prices that are equal speak for calls, which are answered sooner; so does a batch price that is not known, because
    a missing price is never taken as low.
    """
    if batch_usd is None:
        return "call"
    return "batch" if call_usd is None or batch_usd < call_usd else "call"


def cheapest_call_usd(cards: Iterable[RateCard], usage: TokenUsage) -> Decimal | None:
    """Return what a request costs where it costs least; None where nobody's price is known."""
    prices = [price for card in cards if (price := card.price_usd(usage)) is not None]
    return min(prices, default=None)
