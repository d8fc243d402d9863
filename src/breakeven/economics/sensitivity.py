"""How a result answers its assumptions, one at a time: each moves to its 10th and its 90th percentile.

All moves are computed at once: the result is a function of arrays, in which each entry moves one assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.quantities import Array, Interval, Number


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


def moved_values(assumptions: Mapping[str, Interval], keys: tuple[str, ...]) -> dict[str, Array]:
    """Return every assumption as an array of 1 + 2 x len(keys) values.

    The first entry has all at their likely value; then each key in turn is at its low and at its high end.
    """
    values = {key: np.full(1 + 2 * len(keys), item.likely) for key, item in assumptions.items()}
    for index, key in enumerate(keys):
        values[key][1 + 2 * index : 3 + 2 * index] = assumptions[key].low, assumptions[key].high
    return values


def swings(
    result_usd_per_month: Callable[[Mapping[str, Array]], Number], assumptions: Mapping[str, Interval]
) -> tuple[Swing, ...]:
    """Move one assumption at a time to its two ends; the widest swing comes first.

    Assumptions that do not move the result are left out.
    """
    keys = tuple(key for key, item in assumptions.items() if not item.is_exact)
    moved = result_usd_per_month(moved_values(assumptions, keys))
    usd = np.broadcast_to(moved, 1 + 2 * len(keys)).tolist()
    found = [
        Swing(key=key, low_usd_per_month=low, likely_usd_per_month=usd[0], high_usd_per_month=high)
        for key, low, high in zip(keys, usd[1::2], usd[2::2], strict=True)
        if (low, high) != (usd[0], usd[0])
    ]
    return tuple(sorted(found, key=lambda swing: (-swing.width_usd_per_month, swing.key)))
