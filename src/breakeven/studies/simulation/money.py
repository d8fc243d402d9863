"""What nodes cost an hour, and requests at an API."""

from __future__ import annotations

from datetime import UTC, datetime, time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from breakeven.errors import InputError
from breakeven.quantities import Interval
from breakeven.studies.verdict.candidates import current_offers
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from breakeven.catalog.hardware import Rental
    from breakeven.catalog.rate_card import PriceList, RateCard
    from breakeven.quantities import Array
    from breakeven.studies.simulation.question import Question
    from breakeven.traffic.arrivals import Arrivals


def node_usd_per_hour(question: Question, rentals: Sequence[Rental]) -> Interval:
    """Return what was stated, or the median of current offers between the cheapest and the dearest.

    Raises ``InputError`` where there is neither.
    """
    stated = question.usd_per_gpu_hour
    current = current_offers(rentals, "on-demand", question.on)
    offers = [stated] if stated is not None else [float(offer.usd_per_gpu_hour) for offer in current]
    if not offers:
        gpu = question.deployment.gpu.id if question.deployment else "this hardware"
        raise InputError(
            f"No current on-demand price of {gpu} is in the catalogue, and a missing price is never zero. "
            "Give --usd-per-gpu-hour."
        )
    each = Interval(low=min(offers), likely=median(offers), high=max(offers))
    return each.map(lambda usd: usd * question.gpus)


def request_usd(prices: PriceList, on: date) -> Callable[[Arrivals], Array]:
    """Return what gives the price of each request at an API, each in its own tier.

    Raises ``InputError`` where a price is missing.
    """
    card = prices.card_at(datetime.combine(on, time(12), UTC))
    if card.missing:
        raise InputError(f"{prices.target} has no price for {' and '.join(card.missing)}, and none is never zero.")
    edges = sorted(prices.thresholds_tokens())
    by_tier = np.array([_per_token(card, edge) for edge in (0, *edges)])

    def priced(batch: Arrivals) -> Array:
        tier = by_tier[np.searchsorted(edges, batch.input_tokens, side="left")]
        plain = batch.input_tokens - batch.cached_input_tokens
        tokens = np.stack([plain, batch.cached_input_tokens, batch.output_tokens, np.ones_like(plain)], axis=1)
        usd: Array = np.sum(tokens * tier, axis=1)
        return usd

    return priced


def _per_token(card: RateCard, over_tokens: int) -> list[float]:
    """Return dollars for one token of input, of cached input and of output, and for a request, in one tier."""
    million = 1_000_000
    kinds = (
        TokenUsage(input_tokens=million, output_tokens=0),
        TokenUsage(input_tokens=million, output_tokens=0, cached_input_tokens=million),
        TokenUsage(input_tokens=0, output_tokens=million),
    )
    found = [card.price_usd(usage, requests=0, input_over_tokens=over_tokens) for usage in kinds]
    return [*(float(usd or 0) / million for usd in found), float(card.prices.request_usd)]
