"""What an answer cost, exactly and in whole numbers: for the header that tells a client.

Each price is a number of units so small that none needs a fraction, so a cost is four products and their sum
(0.5 µs, where ``Decimal`` takes 5).  The ledger does not use it: there cost is derived from tokens and cards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

    from breakeven.ledger.cards import CardSchedule, KnownCard
    from breakeven.metering.reading import Reading

_PER_MTOK_DIGITS = 6


class Rates(NamedTuple):
    """Prices of one token each, and of a request, in units of 10^-digits USD."""

    digits: int
    unit: int
    """10^digits: units in a dollar."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    request: int


class PriceTag:
    """The prices of one name (``provider:model``), as they are in force when asked."""

    __slots__ = ("_name", "_rates", "_schedule")

    def __init__(self, name: str, schedule: CardSchedule) -> None:
        self._name = name
        self._schedule = schedule
        self._rates: dict[tuple[str, int], Rates | None] = {}

    def known(self, at_us: int) -> bool:
        """Whether input and output have a price at that moment (Unix microseconds)."""
        card = self._schedule.window(self._name, 0, at_us).known
        return card is not None and card.prices(1, 1)

    def line(self, reading: Reading, at_us: int) -> bytes:
        """Return the header line with the cost of an answer; nothing when a price is missing."""
        input_tokens, output_tokens, cached_tokens, write_tokens, processing, _ = reading
        known = self._schedule.window(self._name, processing, at_us).known
        if known is None:
            return b""
        over_tokens = known.over_tokens(input_tokens) if known.thresholds_tokens else 0
        key = (known.id, over_tokens)
        if key not in self._rates:
            self._rates[key] = _rates(known, over_tokens)
        rates = self._rates[key]
        if rates is None:
            return b""
        digits, unit, per_input, per_cached, per_write, per_output, per_request = rates
        cost = (
            (input_tokens - cached_tokens - write_tokens) * per_input
            + cached_tokens * per_cached
            + write_tokens * per_write
            + output_tokens * per_output
            + per_request
        )
        return b"x-breakeven-cost-usd: %d.%0*d\r\n" % (cost // unit, digits, cost % unit)


def _rates(known: KnownCard, over_tokens: int) -> Rates | None:
    """Return the prices of a tier; None when input or output has none."""
    prices = known.card.prices
    if prices.input is None or prices.output is None:
        return None
    size_tokens = over_tokens + 1 if over_tokens else 0
    per_mtok = [
        price.at(size_tokens)
        for price in (
            prices.input,
            prices.cached_input or prices.input,
            prices.cache_write or prices.input,
            prices.output,
        )
    ]
    digits = max(_PER_MTOK_DIGITS + max(map(_decimals, per_mtok)), _decimals(prices.request_usd))
    unit = 10**digits
    return Rates(
        digits, unit, *(int(price * unit / 10**_PER_MTOK_DIGITS) for price in per_mtok), int(prices.request_usd * unit)
    )


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
