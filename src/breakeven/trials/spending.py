"""What candidates and judges have cost today, and whether another request fits into the day's budget.

Days are those of UTC.  At start, and when another day begins, the ledger says what was spent; from then on each answer
adds what it cost.  What is under way holds what it is expected to cost, so that many at once do not go over together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.ledger.query import Question, ask
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

OURS: Final = ("shadow", "judge")
"""Decisions of requests whose cost is counted."""

_DAY_S: Final = 86_400


def spent_since(store: Path, since: datetime, free: Collection[str] = ()) -> Decimal:
    """Return what such requests have cost since a full hour, as far as prices are known, but for ``free`` targets.

    Raises ``InputError`` for a store that cannot be read.
    """
    try:
        totals = ask(store, Question(by=("decision", "target"), since=since))
    except StoreMissingError:
        return Decimal(0)
    ours = [total for total in totals if total.labels[0] in OURS and total.labels[1] not in free]
    return sum((total.cost_usd or Decimal(0) for total in ours), Decimal(0))


def day_of(now_s: float) -> int:
    """Return the number of a day since 1970."""
    return int(now_s // _DAY_S)


class Spending:
    """The budget of a day."""

    def __init__(self, store: Path, budget_usd: Decimal, now_s: float, free: Collection[str] = ()) -> None:
        """Read what was spent today, but for ``free`` targets.  Raises ``InputError`` where that cannot be read."""
        self.budget_usd = budget_usd
        self._day = day_of(now_s)
        self.spent_usd = spent_since(store, datetime.fromtimestamp(self._day * _DAY_S, UTC), free)
        self._held_usd = Decimal(0)

    def fits(self, expected_usd: Decimal, now_s: float) -> bool:
        """Whether a request fits that is expected to cost so much; what costs nothing always does."""
        if day_of(now_s) != self._day:
            self._day, self.spent_usd = day_of(now_s), Decimal(0)
        return not expected_usd or self.spent_usd + self._held_usd + expected_usd <= self.budget_usd

    def hold(self, expected_usd: Decimal) -> None:
        """Hold what a request is expected to cost that is under way."""
        self._held_usd += expected_usd

    def settle(self, expected_usd: Decimal, cost_usd: Decimal) -> None:
        """Put what it cost in place of what was held."""
        self._held_usd -= expected_usd
        self.spent_usd += cost_usd
