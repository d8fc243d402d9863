"""How well the intervals would have held: forecasts from earlier days of a trace, judged by the days after."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.forecast import volume_ratios

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator

    from breakeven.economics.forecast import DailyPrior
    from breakeven.quantities import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One forecast of the mean of some days, and what came; ends of intervals and the outcome over the median.

    The ends are the model's own, before any widening.
    """

    observed_days: int
    horizon_days: int
    low_80_ratio: float
    high_80_ratio: float
    low_95_ratio: float
    high_95_ratio: float
    outcome_ratio: float

    @property
    def stretch_80_ratio(self) -> float:
        """The widening at which the 80 % interval would just have held: at most 1 where it held as it is."""
        return log(self.outcome_ratio) / log(self.low_80_ratio if self.outcome_ratio < 1 else self.high_80_ratio)

    @property
    def stretch_95_ratio(self) -> float:
        """The widening at which the 95 % interval would just have held."""
        return log(self.outcome_ratio) / log(self.low_95_ratio if self.outcome_ratio < 1 else self.high_95_ratio)

    def spread_80_ratio(self, widening_ratio: float) -> float:
        """Return half the width of the 80 % interval over the median."""
        return float(self.high_80_ratio**widening_ratio - self.low_80_ratio**widening_ratio) / 2

    def spread_95_ratio(self, widening_ratio: float) -> float:
        """Return half the width of the 95 % interval over the median."""
        return float(self.high_95_ratio**widening_ratio - self.low_95_ratio**widening_ratio) / 2


def backtest(
    volumes: Array,
    *,
    windows_per_day: int,
    horizons_days: Sequence[int],
    prior: DailyPrior,
    generator: Generator,
    count: int = 2000,
) -> tuple[Trial, ...]:
    """Forecast the days after each window from 3 days on, from all whole days before it.

    ``volumes`` holds equal windows, oldest first.  Forecasts overlap, so their outcomes are far from independent.
    """
    return tuple(
        _trial(daily, outcome, prior=prior, count=count, generator=generator)
        for daily, outcome in _splits(volumes, windows_per_day, horizons_days)
    )


FEWEST_DAYS = 3


def _splits(volumes: Array, windows_per_day: int, horizons_days: Sequence[int]) -> Iterator[tuple[Array, Array]]:
    """Yield days before each origin, and the days after it."""
    last = len(volumes) - max(horizons_days) * windows_per_day
    for origin in range(FEWEST_DAYS * windows_per_day, last + 1):
        before = volumes[origin % windows_per_day : origin].reshape(-1, windows_per_day).sum(axis=1)
        for days in horizons_days:
            yield before, volumes[origin : origin + days * windows_per_day].reshape(days, -1).sum(axis=1)


def _trial(daily: Array, outcome: Array, *, prior: DailyPrior, count: int, generator: Generator) -> Trial:
    drawn = volume_ratios(
        daily, prior=prior, horizon_days=len(outcome), count=count, generator=generator, widening_ratio=1.0
    )
    low_95, low_80, median, high_80, high_95 = np.quantile(drawn, (0.025, 0.1, 0.5, 0.9, 0.975)).tolist()
    return Trial(
        observed_days=len(daily),
        horizon_days=len(outcome),
        low_80_ratio=low_80 / median,
        high_80_ratio=high_80 / median,
        low_95_ratio=low_95 / median,
        high_95_ratio=high_95 / median,
        outcome_ratio=float(outcome.mean() / daily.mean() / median),
    )
