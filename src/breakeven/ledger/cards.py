"""Which rate card holds for a row: price lists in, the card in force at a moment out.

A card holds for a while, so what was found is kept with the time until which it holds, and a row costs one
comparison.  Cards are identified by a hash of their content: the same prices are the same card, in every
process and for ever.  It looks prices up only through the callable that it is given.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.catalog.rate_card import PROCESSINGS, PriceList, RateCard
from breakeven.economics.pool_hours import is_pool_price
from breakeven.errors import NoPriceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from breakeven.usage import TokenUsage

_FOR_EVER_US: Final = (1 << 63) - 1
_DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_DIGITS: Final = 16
_MOST_NAMES: Final = 10_000
_WINDOWS_KEPT: Final = 8
"""Of one name: rows around a change of prices come in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCard:
    """A rate card with its id and what is written down of it."""

    id: str
    card: RateCard
    content: str
    """JSON; prices are strings, exact to the last digit."""

    thresholds_tokens: tuple[int, ...]
    """Input sizes above which some price changes, ascending."""

    def over_tokens(self, input_tokens: int) -> int:
        """Return the largest threshold that an input exceeds; 0 when it exceeds none."""
        index = bisect_right(self.thresholds_tokens, input_tokens - 1)
        return self.thresholds_tokens[index - 1] if index else 0

    def prices(self, input_tokens: int, output_tokens: int) -> bool:
        """Whether every type of token that a request used has a price."""
        prices = self.card.prices
        return bool((prices.input or not input_tokens) and (prices.output or not output_tokens))


class Window(NamedTuple):
    """The card of a name, from a moment until just before another, in Unix microseconds."""

    known: KnownCard | None
    begins_us: int
    ends_us: int

    def known_for(self, input_tokens: int, output_tokens: int) -> KnownCard | None:
        """Return the card, unless it has no price for a type of token that a request used."""
        known = self.known
        if known is None or (known.card.missing and not known.prices(input_tokens, output_tokens)):
            return None
        return known


def known_card(card: RateCard) -> KnownCard:
    """Give a card its id."""
    content = msgspec.json.encode(card, order="deterministic").decode()
    prices = (card.prices.input, card.prices.output, card.prices.cached_input, card.prices.cache_write)
    return KnownCard(
        id=hashlib.sha256(content.encode()).hexdigest()[:_ID_DIGITS],
        card=card,
        content=content,
        thresholds_tokens=tuple(sorted({tier.over_tokens for price in prices if price for tier in price.tiers})),
    )


def read_card(content: str) -> RateCard:
    """Read a card back from what was written down of it."""
    return msgspec.json.decode(content, type=RateCard)


def read_list(content: str) -> PriceList:
    """Read a price list back from what was written down of it."""
    return msgspec.json.decode(content, type=PriceList)


def cost_usd(card: RateCard, usage: TokenUsage, *, attempts: int, failed: bool, over_tokens: int) -> Decimal | None:
    """Price attempts of one tier, exactly; None where a type with tokens has no price.

    A failed attempt pays for the tokens that it used, and not the fee that a provider takes for each request.
    """
    requests = 0 if failed else attempts
    # -1 stands for "below every threshold"; 0 would be just above a threshold of 0.
    return card.price_usd(usage, requests=requests, input_over_tokens=over_tokens or -1)


class CardSchedule:
    """The cards of all names, each name resolved once."""

    __slots__ = ("_lists", "_resolve", "_told", "_warnings", "_windows")

    def __init__(
        self, lists: Iterable[PriceList] = (), resolve: Callable[[str], PriceList | None] | None = None
    ) -> None:
        """Take the lists known from the start, and how to look up a name that comes later."""
        self._lists: dict[str, PriceList | None] = {item.target: item for item in lists}
        self._resolve = resolve
        self._windows: dict[tuple[str, int], list[Window]] = {}
        self._warnings: list[str] = []
        self._told: set[str] = set()

    def window(self, priced_as: str, processing: int, at_us: int) -> Window:
        """Return the card of a name and kind of processing (``rows.PROCESSINGS``) at a moment, and while it holds."""
        if len(self._windows) > _MOST_NAMES:  # clients name models where a route takes any
            self._windows.clear()
        known = self._windows.setdefault((priced_as, processing), [])
        for window in known:
            if window.begins_us <= at_us < window.ends_us:
                return window
        found = self._find(priced_as, processing, at_us)
        known.insert(0, found)
        del known[_WINDOWS_KEPT:]
        return found

    def written_lists(self) -> list[tuple[str, str]]:
        """Return target and content of every list that is known, as the store keeps them."""
        return [
            (target, msgspec.json.encode(prices).decode())
            for target, prices in self._lists.items()
            if prices is not None
        ]

    def take_warnings(self) -> list[str]:
        """Return what was found missing since the last call; each name is told once."""
        told, self._warnings = self._warnings, []
        return told

    def _find(self, priced_as: str, processing: int, at_us: int) -> Window:
        prices = self._list(priced_as)
        if prices is None:
            return Window(None, 0, _FOR_EVER_US)
        kind = PROCESSINGS[processing] if processing < len(PROCESSINGS) else "standard"
        known = None
        try:
            card = prices.card_at(_EPOCH + timedelta(microseconds=at_us), kind)
        except NoPriceError as error:
            self._warn(priced_as, f"{error} Its attempts are kept without a price.")
        else:
            known = known_card(card)
            if card.missing:
                missing = " and ".join(card.missing)
                self._warn(
                    priced_as, f"{priced_as} quotes no price for {missing} tokens: attempts with such have none."
                )
        return Window(known, *holds_between(prices, at_us))

    def _list(self, priced_as: str) -> PriceList | None:
        if not priced_as:
            return None
        if priced_as not in self._lists:
            own = is_pool_price(priced_as)  # that is not here: the pool's hours alone say what it cost
            found = self._resolve(priced_as) if self._resolve is not None and not own else None
            self._lists[priced_as] = found
            if found is None and not own:
                self._warn(priced_as, f"No price is known for {priced_as}: its attempts are kept without one.")
        return self._lists[priced_as]

    def _warn(self, name: str, text: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._warnings.append(text)


def holds_between(prices: PriceList, at_us: int) -> tuple[int, int]:
    """Return the longest time around a moment in which no entry of a list begins or ends, in Unix microseconds."""
    bounds = [_midnight_us(day) for entry in prices.entries for day in (entry.starts_on, entry.ends_on) if day]
    daily = {0, *(_of_day_us(m) for entry in prices.entries for m in (entry.daily_from, entry.daily_until) if m)}
    if len(daily) > 1 or any(entry.daily_from is not None for entry in prices.entries):
        midnight = at_us // _DAY_US * _DAY_US
        bounds += [midnight + moment for moment in (*daily, _DAY_US)]
    before: Sequence[int] = [moment for moment in bounds if moment <= at_us]
    after: Sequence[int] = [moment for moment in bounds if moment > at_us]
    return max(before, default=0), min(after, default=_FOR_EVER_US)


def _midnight_us(day: date) -> int:
    return (day - _EPOCH.date()).days * _DAY_US


def _of_day_us(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
