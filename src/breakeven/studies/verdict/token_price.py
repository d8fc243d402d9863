"""What the observed traffic costs on a rate card: exact sums by token type, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from breakeven.errors import NoPriceError
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from breakeven.catalog.rate_card import PriceList, Processing, RateCard
    from breakeven.records import PriceCell


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPrice:
    """What the observed traffic costs on one card, by token type; exact sums, crossed to float once.

    ``plain_as_cached_usd`` is what the uncached input would cost if it were read from the cache.
    """

    plain_input_usd: float
    cached_input_usd: float
    cache_write_usd: float
    output_usd: float
    requests_usd: float
    plain_as_cached_usd: float
    partial: tuple[str, ...] = ()


def price_traffic(
    cells: Sequence[PriceCell],
    price_list: PriceList,
    day_boundaries_s: Sequence[int],
    *,
    on: date,
    processing: Processing = "standard",
) -> TrafficPrice:
    """Price the observed traffic on the card in force on a day, cell by cell, exactly.

    Each part of the day is priced at its own card.  Raises ``NoPriceError`` when none is in force.
    """
    sums = {name: Decimal(0) for name in ("plain", "cached", "write", "output", "requests", "as_cached")}
    partial: set[str] = set()
    for cell in cells:
        card = price_list.card_at(_moment(on, cell.day_segment, day_boundaries_s), processing)
        usage = cell.usage
        plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        parts = {
            "plain": _usage(input_tokens=plain),
            "cached": _usage(input_tokens=usage.cached_input_tokens, cached_input_tokens=usage.cached_input_tokens),
            "write": _usage(input_tokens=usage.cache_write_tokens, cache_write_tokens=usage.cache_write_tokens),
            "output": _usage(output_tokens=usage.output_tokens),
            "as_cached": _usage(input_tokens=plain, cached_input_tokens=plain),
        }
        for name, part in parts.items():
            price = _without_fee(card, part, cell.input_over_tokens)
            if price is None:
                partial.add("output price" if name == "output" else "input price")
            else:
                sums[name] += price
        sums["requests"] += card.prices.request_usd * cell.requests
    return TrafficPrice(
        plain_input_usd=float(sums["plain"]),
        cached_input_usd=float(sums["cached"]),
        cache_write_usd=float(sums["write"]),
        output_usd=float(sums["output"]),
        requests_usd=float(sums["requests"]),
        plain_as_cached_usd=float(sums["as_cached"]),
        partial=tuple(sorted(partial)),
    )


def batch_price(
    cells: Sequence[PriceCell], price_list: PriceList, day_boundaries_s: Sequence[int], *, on: date
) -> TrafficPrice | None:
    """Return what the traffic costs at batch prices; None where none are sold."""
    try:
        return price_traffic(cells, price_list, day_boundaries_s, on=on, processing="batch")
    except NoPriceError:
        return None


def transfer_ratios(values: Mapping[str, float], *, same_model: bool) -> tuple[float, float]:
    """Return what input and output counts become on another model: counts do not transfer."""
    return (1.0, 1.0) if same_model else (values["tokeniser_ratio"], values["verbosity_ratio"])


def _usage(**counts: int) -> TokenUsage:
    return TokenUsage(**{"input_tokens": 0, "output_tokens": 0, **counts})


def _without_fee(card: RateCard, usage: TokenUsage, input_over_tokens: int) -> Decimal | None:
    return card.price_usd(usage, requests=0, input_over_tokens=input_over_tokens)


def _moment(on: date, segment: int, boundaries_s: Sequence[int]) -> datetime:
    """Return a moment of that day inside the segment: the boundary at which it begins."""
    start = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return start + timedelta(seconds=boundaries_s[segment - 1] if segment else 0)
