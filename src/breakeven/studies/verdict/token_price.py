"""What the observed traffic costs on a rate card: exact sums by token type, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.errors import NoPriceError
from breakeven.quantities import SECONDS_PER_DAY
from breakeven.studies.verdict.shadowed import TOKENISER, VERBOSITY, model_ratio
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from breakeven.catalog.rate_card import PriceList, Processing, RateCard
    from breakeven.quantities import Number, Values
    from breakeven.records import PriceCell


PATIENT: Final[tuple[Processing, ...]] = ("batch", "flex")
"""Kinds of processing for requests that can wait: within a day, and until there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPrice:
    """What the observed traffic costs on one card, by token type; exact sums, crossed to float once.

    ``plain_as_cached_usd`` and ``plain_as_write_usd`` are what the uncached input would cost if it
    were read from the cache, or written to it.
    """

    plain_input_usd: float
    cached_input_usd: float
    cache_write_usd: float
    output_usd: float
    requests_usd: float
    plain_as_cached_usd: float
    plain_as_write_usd: float
    partial: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingDay:
    """The day on which traffic is priced, cut where prices change within it.

    ``boundaries_s`` are the seconds of the day at which a price of some target changes; a bill has
    no times (``timed`` false), so its tokens are spread evenly over the day.
    """

    on: date
    boundaries_s: tuple[int, ...]
    timed: bool

    def moments(self, segment: int) -> tuple[tuple[datetime, Decimal], ...]:
        """Return the moments at which tokens of a day segment are priced, with their shares."""
        starts = (0, *self.boundaries_s)
        midnight = datetime(self.on.year, self.on.month, self.on.day, tzinfo=UTC)
        if self.timed:
            return ((midnight + timedelta(seconds=starts[segment]), Decimal(1)),)
        ends = (*self.boundaries_s, int(SECONDS_PER_DAY))
        return tuple(
            (midnight + timedelta(seconds=start), Decimal(end - start) / int(SECONDS_PER_DAY))
            for start, end in zip(starts, ends, strict=True)
        )


def price_traffic(
    cells: Sequence[PriceCell], price_list: PriceList, day: PricingDay, processing: Processing | None = None
) -> TrafficPrice:
    """Price the observed traffic on the cards in force on a day, cell by cell, exactly.

    Without ``processing`` each cell is priced as it was processed, at standard prices where that kind is not
    sold.  Raises ``NoPriceError`` when no card is in force.
    """
    sums = {name: Decimal(0) for name in ("plain", "cached", "write", "output", "requests", "as_cached", "as_write")}
    partial: set[str] = set()
    priced = (
        (name, price, share)
        for cell in cells
        for moment, share in day.moments(cell.day_segment)
        for name, price in _cell_prices(cell, _card(cell, price_list, moment, processing)).items()
    )
    for name, price, share in priced:
        if price is None:
            partial.add("output price" if name == "output" else "input price")
        else:
            sums[name] += price * share
    return TrafficPrice(
        plain_input_usd=float(sums["plain"]),
        cached_input_usd=float(sums["cached"]),
        cache_write_usd=float(sums["write"]),
        output_usd=float(sums["output"]),
        requests_usd=float(sums["requests"]),
        plain_as_cached_usd=float(sums["as_cached"]),
        plain_as_write_usd=float(sums["as_write"]),
        partial=tuple(sorted(partial)),
    )


def patient_price(cells: Sequence[PriceCell], price_list: PriceList, day: PricingDay) -> TrafficPrice | None:
    """Return what the traffic costs at the cheaper of batch and flex prices; None where neither is sold."""
    found = []
    for processing in PATIENT:
        try:
            found.append(price_traffic(cells, price_list, day, processing))
        except NoPriceError:
            continue
    return min(found, key=lambda price: price.plain_input_usd + price.output_usd, default=None)


def _card(cell: PriceCell, price_list: PriceList, moment: datetime, processing: Processing | None) -> RateCard:
    if processing is not None:
        return price_list.card_at(moment, processing)
    logged: Processing = next((kind for kind in PROCESSINGS if kind == cell.processing), "standard")
    return price_list.card_at(moment, logged if price_list.sells(logged, moment) else "standard")


def _cell_prices(cell: PriceCell, card: RateCard) -> dict[str, Decimal | None]:
    """Return a cell's cost by token type; None where that type has no price."""
    usage = cell.usage
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    parts = {
        "plain": _usage(input_tokens=plain),
        "cached": _usage(input_tokens=usage.cached_input_tokens, cached_input_tokens=usage.cached_input_tokens),
        "write": _usage(input_tokens=usage.cache_write_tokens, cache_write_tokens=usage.cache_write_tokens),
        "output": _usage(output_tokens=usage.output_tokens),
        "as_cached": _usage(input_tokens=plain, cached_input_tokens=plain),
        "as_write": _usage(input_tokens=plain, cache_write_tokens=plain),
    }
    prices = {
        name: card.price_usd(part, requests=0, input_over_tokens=cell.input_over_tokens) for name, part in parts.items()
    }
    return prices | {"requests": card.prices.request_usd * cell.requests}


def transfer_ratios(values: Values, *, same_model: bool, model: str = "") -> tuple[Number, Number]:
    """Return what input and output counts become on another model: counts do not transfer.

    Those that were measured for ``model`` go before those that are assumed for any.
    """
    if same_model:
        return 1.0, 1.0
    return model_ratio(values, TOKENISER, model), model_ratio(values, VERBOSITY, model)


def _usage(**counts: int) -> TokenUsage:
    return TokenUsage(**{"input_tokens": 0, "output_tokens": 0, **counts})
