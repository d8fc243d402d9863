"""What answered requests would have cost elsewhere: their token counts as they are, at dated prices of other lists.

A price that depends on the size of a request's input is looked up row by row, any other from the roll-ups.  Prices are
those at the beginning of the hour in which a request came.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.ledger import rows
from breakeven.ledger.batch import HOUR_US
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.query import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.catalog.rate_card import PriceList, RateCard
    from breakeven.ledger.cards import CardSchedule
    from breakeven.ledger.labels import Labels

ANSWERED: Final = (rows.OK, rows.CUT, rows.CLIENT_LEFT)
"""Outcomes after which no other target was tried: at most one attempt of a request has one."""


class Against:
    """Price lists that served requests are set against, and what they add up to."""

    __slots__ = ("_expected", "_parts", "_schedule", "_unpriced", "plain", "thresholds_tokens", "tiered")

    def __init__(self, lists: Mapping[str, PriceList], schedule: CardSchedule) -> None:
        """Take the lists by the names under which they are asked for; ``schedule`` knows their cards."""
        self._schedule = schedule
        self.tiered = tuple(name for name, prices in lists.items() if prices.thresholds_tokens())
        self.plain = tuple(name for name in lists if name not in self.tiered)
        self.thresholds_tokens = sorted({over for prices in lists.values() for over in prices.thresholds_tokens()})
        self._parts: dict[tuple[Labels, str], dict[tuple[RateCard, int], list[int]]] = {}
        self._unpriced: set[tuple[Labels, str]] = set()
        self._expected: dict[Labels, int] = {}

    def expect(self, labels: Labels, attempts: int) -> None:
        """Take down how many answered requests there are, whether or not their rows are still there."""
        self._expected[labels] = self._expected.get(labels, 0) + attempts

    def add(self, names: Iterable[str], labels: Labels, hour: int, processing: int, part: Sequence[int]) -> None:
        """Add answered requests of one hour: the size that their input exceeds, how many, and four token counts."""
        over, *sums = part
        for name in names:
            window = self._schedule.window(name, processing, hour * HOUR_US)
            if window.known is None and processing:
                window = self._schedule.window(name, 0, hour * HOUR_US)
            known = window.known_for(sums[1], sums[4])
            if known is None:
                self._unpriced.add((labels, name))
                continue
            cards = self._parts.setdefault((labels, name), {})
            found = cards.setdefault((known.card, known.over_tokens(over + 1) if over else 0), [0] * 5)
            for place, count in enumerate(sums):
                found[place] += count

    def priced(self, labels: Labels) -> dict[str, Decimal | None]:
        """Return what a group would have cost by each list; None where some request has no price, or no row."""
        return {name: self._priced(labels, name) for name in (*self.plain, *self.tiered)}

    def _priced(self, labels: Labels, name: str) -> Decimal | None:
        if (labels, name) in self._unpriced:
            return None
        parts = self._parts.get((labels, name), {})
        if sum(sums[0] for sums in parts.values()) < self._expected.get(labels, 0):
            return None
        total_usd = Decimal(0)
        for (card, over), (attempts, *counts) in parts.items():
            usage = usage_of(counts[0], counts[1], counts[2], counts[3])
            part_usd = cost_usd(card, usage, attempts=attempts, failed=False, over_tokens=over)
            if part_usd is None:
                return None
            total_usd += part_usd
        return total_usd
