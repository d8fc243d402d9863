"""How a result answers its assumptions: one at a time, and all at their good or bad end at once.

The ends are the assumptions' 10th and 90th percentiles; all at once is an *envelope*, wider than
an 80 % interval, because independent assumptions seldom err together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.quantities import Interval

Values = "Mapping[str, float]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """What a result (in USD a month) becomes when one assumption moves to each end."""

    key: str
    low_usd_per_month: float
    likely_usd_per_month: float
    high_usd_per_month: float

    @property
    def width_usd_per_month(self) -> float:
        """How far the result moves between the two ends."""
        return abs(self.high_usd_per_month - self.low_usd_per_month)


def likely_values(assumptions: Mapping[str, Interval]) -> dict[str, float]:
    """Return every assumption at its likely value."""
    return {key: item.likely for key, item in assumptions.items()}


def swings(
    result_usd_per_month: Callable[[Mapping[str, float]], float], assumptions: Mapping[str, Interval]
) -> tuple[Swing, ...]:
    """Move one assumption at a time to its two ends; the widest swing comes first.

    Assumptions that do not move the result are left out.
    """
    base = likely_values(assumptions)
    likely = result_usd_per_month(base)
    found: list[Swing] = []
    for key, item in assumptions.items():
        if item.is_exact:
            continue
        low = result_usd_per_month({**base, key: item.low})
        high = result_usd_per_month({**base, key: item.high})
        if low != likely or high != likely:
            found.append(Swing(key=key, low_usd_per_month=low, likely_usd_per_month=likely, high_usd_per_month=high))
    return tuple(sorted(found, key=lambda swing: (-swing.width_usd_per_month, swing.key)))


def corner(assumptions: Mapping[str, Interval], moved: tuple[Swing, ...], *, lowest: bool) -> dict[str, float]:
    """Return all assumptions at the ends that make the result lowest (or highest)."""
    values = likely_values(assumptions)
    for swing in moved:
        item = assumptions[swing.key]
        ends = {
            item.low: swing.low_usd_per_month,
            item.likely: swing.likely_usd_per_month,
            item.high: swing.high_usd_per_month,
        }
        values[swing.key] = (min if lowest else max)(ends, key=lambda value: ends[value])
    return values
