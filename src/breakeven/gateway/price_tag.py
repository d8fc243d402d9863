"""What an answer cost, exactly and in whole numbers: for the header that tells a client.

Each price is a number of units so small that none needs a fraction, so a cost is four products and their sum
(0.5 µs, where ``Decimal`` takes 5).  The ledger does not use it: there cost is derived from tokens and cards.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.limits.rules import NANO

if TYPE_CHECKING:
    from breakeven.ledger.cards import CardSchedule, KnownCard
    from breakeven.metering.reading import Reading

_PER_MTOK_DIGITS: Final = 6
_ANY_SIZE_TOKENS: Final = 1 << 62


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
    """The prices of one name (``provider:model``), as they are in force when asked.

    What was asked last is kept with the time, the processing and the sizes for which it holds, since it
    holds for nearly every request.
    """

    __slots__ = ("_begins_us", "_ends_us", "_from_tokens", "_name", "_processing", "_rates", "_schedule", "_to_tokens")

    def __init__(self, name: str, schedule: CardSchedule) -> None:
        self._name = name
        self._schedule = schedule
        self._begins_us = self._ends_us = 0
        self._from_tokens = self._to_tokens = self._processing = 0
        self._rates: Rates | None = None

    def known(self, at_us: int) -> bool:
        """Whether input and output have a price at that moment (Unix microseconds)."""
        card = self._schedule.window(self._name, 0, at_us).known
        return card is not None and card.prices(1, 1)

    def line(self, reading: Reading, at_us: int) -> bytes:
        """Return the header line with the cost of an answer; nothing when a price is missing."""
        input_tokens, output_tokens, cached_tokens, write_tokens, processing, _ = reading
        if (
            not self._begins_us <= at_us < self._ends_us
            or processing != self._processing
            or not self._from_tokens < input_tokens <= self._to_tokens
        ):
            self._look(input_tokens, processing, at_us)
        rates = self._rates
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

    def nano_usd(self, reading: Reading, at_us: int) -> int:
        """Return the cost in billionths of a dollar, rounded up; 0 when a price is missing."""
        line = self.line(reading, at_us)
        if not line:
            return 0
        _, _, amount = line.partition(b" ")
        return int((Decimal(amount.decode()) * NANO).to_integral_value(ROUND_CEILING))

    def _look(self, input_tokens: int, processing: int, at_us: int) -> None:
        known, self._begins_us, self._ends_us = self._schedule.window(self._name, processing, at_us)
        self._processing = processing
        self._from_tokens, self._to_tokens = -1, _ANY_SIZE_TOKENS
        self._rates = None
        if known is not None:
            over_tokens = known.over_tokens(input_tokens)
            self._from_tokens = over_tokens or -1
            self._to_tokens = min((n for n in known.thresholds_tokens if n > over_tokens), default=_ANY_SIZE_TOKENS)
            self._rates = _rates(known, over_tokens)


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
    per_input, per_cached, per_write, per_output = (int(price * unit / 10**_PER_MTOK_DIGITS) for price in per_mtok)
    return Rates(digits, unit, per_input, per_cached, per_write, per_output, int(prices.request_usd * unit))


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
