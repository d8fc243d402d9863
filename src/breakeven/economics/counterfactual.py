"""What requests would have cost elsewhere, to the last digit: token counts at a card's prices, perhaps used better.

All of it is ``Decimal``: these figures are compared with invoices.  Counts may be rescaled by measured ratios first,
since another model counts the same text otherwise and answers at another length.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from breakeven.quantities import TOKENS_PER_MTOK

if TYPE_CHECKING:
    from breakeven.catalog.rate_card import TokenPrice, TokenPrices

ChargeKind = Literal["input", "cached input", "cache write", "output", "requests"]
"""What a provider charges for, as its invoices name it."""

ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRatios:
    """By how much another model's counts differ: its tokens over those that were counted, of input and of output."""

    input_ratio: Decimal = ONE
    output_ratio: Decimal = ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterUse:
    """How far today's API could be used better (seed 002 says to do this first); shares between 0 and 1."""

    cacheable_input_fraction: Decimal = ZERO
    """Of the input, where no cache was in use."""

    cache_reads_per_write_ratio: Decimal = ONE
    history_trim_fraction: Decimal = ZERO
    output_trim_fraction: Decimal = ZERO
    batchable_fraction: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens by what they are charged as; they do not overlap, and may be fractions after rescaling."""

    plain_tokens: Decimal
    cached_tokens: Decimal
    written_tokens: Decimal
    output_tokens: Decimal

    @classmethod
    def of(cls, given: int, cached: int, written: int, output: int, ratios: TokenRatios) -> TokenCounts:
        """Return counts as a row has them, rescaled.  Cached and written tokens are parts of the input given."""
        into = ratios.input_ratio
        return cls(
            plain_tokens=max(given - cached - written, 0) * into,
            cached_tokens=cached * into,
            written_tokens=written * into,
            output_tokens=output * ratios.output_ratio,
        )


def token_bill_usd(prices: TokenPrices, counts: TokenCounts, *, requests: int, over_tokens: int) -> Decimal | None:
    """Return sum of tokens of a type x its price / 10^6 + requests x fee; None where a type with tokens has no price.

    ``over_tokens`` is the threshold that each request's input exceeds, 0 for none.  Cached input and cache writes
    without a price of their own are charged as input, as ``RateCard.price_usd`` does.
    """
    lines = bill_lines_usd(prices, counts, requests=requests, over_tokens=over_tokens)
    return None if lines is None else sum(lines.values(), ZERO)


def bill_lines_usd(
    prices: TokenPrices, counts: TokenCounts, *, requests: int, over_tokens: int
) -> dict[ChargeKind, Decimal] | None:
    """Return that bill by what is charged, lines without a charge left out; None as there."""
    lines: dict[ChargeKind, Decimal] = {}
    charged: tuple[tuple[ChargeKind, Decimal, TokenPrice | None], ...] = (
        ("input", counts.plain_tokens, prices.input),
        ("cached input", counts.cached_tokens, prices.cached_input or prices.input),
        ("cache write", counts.written_tokens, prices.cache_write or prices.input),
        ("output", counts.output_tokens, prices.output),
    )
    for kind, tokens, price in charged:
        if not tokens:
            continue
        if price is None:
            return None
        lines[kind] = _at(price, over_tokens) * tokens / TOKENS_PER_MTOK
    if prices.request_usd and requests:
        lines["requests"] = prices.request_usd * requests
    return lines


def better_bill_usd(
    prices: TokenPrices, counts: TokenCounts, use: BetterUse, *, requests: int, over_tokens: int, caches: bool
) -> Decimal | None:
    """Return the bill of the same requests with less history, cached prefixes and shorter answers; batch left out.

    In this order, each off what the ones before leave, as ``studies/verdict/savings.py`` does in float: plain input x
    (1 - history_trim), of which cacheable is read at max(0, input - cached - (write - input) / reads per write) less,
    and output x (1 - output_trim).  ``caches``: a cache is in use already, so that nothing more is cached.
    """
    kept = TokenCounts(
        plain_tokens=counts.plain_tokens * (1 - use.history_trim_fraction),
        cached_tokens=counts.cached_tokens,
        written_tokens=counts.written_tokens,
        output_tokens=counts.output_tokens * (1 - use.output_trim_fraction),
    )
    bill_usd = token_bill_usd(prices, kept, requests=requests, over_tokens=over_tokens)
    if bill_usd is None or caches or prices.input is None:
        return bill_usd
    plain = _at(prices.input, over_tokens)
    read = _at(prices.cached_input or prices.input, over_tokens)
    write = _at(prices.cache_write or prices.input, over_tokens)
    each = max(ZERO, plain - read - max(ZERO, write - plain) / use.cache_reads_per_write_ratio)
    return bill_usd - each * kept.plain_tokens * use.cacheable_input_fraction / TOKENS_PER_MTOK


def waiting_bill_usd(usual_usd: Decimal, patient_usd: Decimal | None, use: BetterUse) -> Decimal:
    """Return a bill of which the share that can wait is paid at batch prices, where these are lower."""
    if patient_usd is None:
        return usual_usd
    return usual_usd - max(ZERO, usual_usd - patient_usd) * use.batchable_fraction


def _at(price: TokenPrice, over_tokens: int) -> Decimal:
    """Return the price for requests whose input exceeds a threshold; 0 stands for below every one."""
    return price.at(over_tokens + 1) if over_tokens else price.at(0)
