"""What a provider charges for tokens: dated, tiered, by time of day and by kind of processing.

A ``PriceList`` holds everything that one target ever charged; ``price_list.card_at(...)`` is the one
``RateCard`` in force at a moment, and ``card.price_usd(...)`` prices one request exactly.  A price
that is not known is ``None``, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

from breakeven.errors import NoPriceError
from breakeven.quantities import TOKENS_PER_MTOK

if TYPE_CHECKING:
    from breakeven.usage import TokenUsage

Processing = Literal["standard", "batch", "flex", "priority"]
PROCESSINGS: tuple[Processing, ...] = get_args(Processing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A price that holds for *all* tokens of a request whose input exceeds ``over_tokens``."""

    over_tokens: int
    usd_per_mtok: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """The price of one token type, quoted per million tokens, with its tiers in ascending order."""

    usd_per_mtok: Decimal
    tiers: tuple[Tier, ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """Return the price that applies to a request with that much input."""
        price = self.usd_per_mtok
        for tier in self.tiers:
            if input_tokens > tier.over_tokens:
                price = tier.usd_per_mtok
        return price


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Prices by token type.  None: not quoted.

    Cached input and cache writes without a price of their own are charged as input, which is what
    providers do that quote none; input or output without a price makes a result partial.
    """

    input: TokenPrice | None = None
    output: TokenPrice | None = None
    cached_input: TokenPrice | None = None
    cache_write: TokenPrice | None = None
    request_usd: Decimal = Decimal(0)

    def override(self, other: TokenPrices) -> TokenPrices:
        """Return these prices with every quoted price of ``other`` in their place."""
        return TokenPrices(
            input=other.input or self.input,
            output=other.output or self.output,
            cached_input=other.cached_input or self.cached_input,
            cache_write=other.cache_write or self.cache_write,
            request_usd=other.request_usd or self.request_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEntry:
    """Prices with the time in which they hold: days [starts_on, ends_on) and a part of the day, UTC."""

    prices: TokenPrices
    processing: Processing = "standard"
    starts_on: date | None = None
    ends_on: date | None = None
    daily_from: time | None = None
    daily_until: time | None = None

    def holds(self, at: datetime) -> bool:
        """Whether these prices hold at an aware moment."""
        moment = at.astimezone(UTC)
        if self.starts_on and moment.date() < self.starts_on:
            return False
        if self.ends_on and moment.date() >= self.ends_on:
            return False
        if self.daily_from is None or self.daily_until is None:
            return True
        now = moment.time()
        if self.daily_until < self.daily_from:
            return now >= self.daily_from or now < self.daily_until
        return self.daily_from <= now < self.daily_until


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """The prices in force for one target at one moment."""

    target: str
    processing: Processing
    prices: TokenPrices

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the token types that this card cannot price."""
        return tuple(name for name in ("input", "output") if getattr(self.prices, name) is None)

    def price_usd(
        self, usage: TokenUsage, *, requests: int = 1, input_over_tokens: int | None = None
    ) -> Decimal | None:
        """Price one request, or many that lie in the same tier, to the last digit.

        For a sum over many requests ``input_over_tokens`` names their tier (the threshold they
        exceed); for one request its own input decides.  None where a type with tokens has no price.
        """
        size = usage.input_tokens if input_over_tokens is None else input_over_tokens + 1
        prices = self.prices
        plain_input = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        parts = (
            (plain_input, prices.input),
            (usage.cached_input_tokens, prices.cached_input or prices.input),
            (usage.cache_write_tokens, prices.cache_write or prices.input),
            (usage.output_tokens, prices.output),
        )
        total = prices.request_usd * requests
        for tokens, price in parts:
            if not tokens:
                continue
            if price is None:
                return None
            total += price.at(size) * tokens / TOKENS_PER_MTOK
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """Throughput bought by the unit and hour: paid whether it is used or not, like a node."""

    usd_per_unit_hour: Decimal
    unit_output_tokens_per_s: float
    min_units: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Everything known of what one target charges, with where it comes from and its age."""

    provider: str
    model: str
    entries: tuple[PriceEntry, ...]
    source: str
    checked_on: date | None = None
    context_tokens: int | None = None
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    open_model: str | None = None
    """Canonical id of the open-weight model that is sold here, if it is one."""

    committed_usd_per_month: Decimal = Decimal(0)
    """The least that is paid each month: a commitment against which usage is credited."""

    provisioned: Provisioned | None = None
    """Sold as reserved throughput instead of by the token; then the entries price the overflow."""

    note: str = ""

    @property
    def target(self) -> str:
        """Return ``provider:model``, the name under which this target is asked for."""
        return f"{self.provider}:{self.model}"

    def card_at(self, at: datetime, processing: Processing = "standard") -> RateCard:
        """Return the card in force at that moment; later entries take precedence.

        A kind of processing is a set of overrides on the standard prices.  Raises ``NoPriceError``
        when no entry holds, or when that processing is not sold at that moment.
        """
        prices = self._latest(at, "standard")
        if prices is None:
            raise NoPriceError(self._no_price(at))
        if processing != "standard":
            overrides = self._latest(at, processing)
            if overrides is None:
                raise NoPriceError(f"{self.target} quotes no {processing} price on {at.date()}.")
            prices = prices.override(overrides)
        return RateCard(target=self.target, processing=processing, prices=prices)

    def sells(self, processing: Processing, at: datetime) -> bool:
        """Whether that kind of processing has a price at that moment."""
        return self._latest(at, processing) is not None

    def thresholds_tokens(self) -> frozenset[int]:
        """Return every input size at which some price of this list changes."""
        return frozenset(
            tier.over_tokens
            for entry in self.entries
            for price in (entry.prices.input, entry.prices.output, entry.prices.cached_input, entry.prices.cache_write)
            if price
            for tier in price.tiers
        )

    def day_boundaries_s(self) -> frozenset[int]:
        """Return every second of the UTC day at which some price of this list changes."""
        moments = [m for entry in self.entries for m in (entry.daily_from, entry.daily_until) if m]
        return frozenset(m.hour * 3600 + m.minute * 60 + m.second for m in moments)

    def _latest(self, at: datetime, processing: Processing) -> TokenPrices | None:
        for entry in reversed(self.entries):
            if entry.processing == processing and entry.holds(at):
                return entry.prices
        return None

    def _no_price(self, at: datetime) -> str:
        standard = [entry for entry in self.entries if entry.processing == "standard"]
        starts = sorted(e.starts_on for e in standard if e.starts_on)
        ends = sorted(e.ends_on for e in standard if e.ends_on)
        known = f"prices are known from {starts[0]}" if starts else "its prices carry no start"
        until = f" until {ends[-1]}" if ends else ""
        return (
            f"{self.target} has no price on {at.date()}: {known}{until} ({self.source}). "
            "A missing price is never taken as zero; "
            "choose another date with --as-of, or add a rate card that covers it."
        )
