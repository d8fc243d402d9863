"""Next month's bill as an interval: from daily volumes, or from what stands in for days that nobody saw.

The logarithm of a day's volume is a Gaussian process: a level, a trend, a shape of the week, and residuals that
resemble those of the day before.  How large and how persistent residuals are, and how strong the week is, is not
estimated but weighed: every combination on a grid counts by how well it explains the days seen and by how usual
it is, so a short trace gives wide intervals without further rules.  Nothing here knows a season, a launch or a price.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import log, log1p
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import ndtri

from breakeven.quantities import DAYS_PER_MONTH

if TYPE_CHECKING:
    from numpy.random import Generator

    from breakeven.quantities import Array, Interval

DAYS_PER_WEEK: Final = 7
TWO_WEEKS_DAYS: Final = 14
"""From here on days speak for their week and their growth; below, assumptions do."""

MOST_DAYS: Final = 91
"""Thirteen weeks: older days say little of next month that these do not."""

WIDENING_RATIO: Final = 1.3
"""By which the logarithm's distance from the median is stretched.

Ours: the model's own 80 % intervals held too seldom on one of two public traces (``make bench-forecast``).
"""

_Z80: Final = float(ndtri(0.9))
_PERSISTENCE: Final = (0.4, 0.6, 0.75, 0.88, 0.95)
"""Correlation of a day's residual with the day before: never none, since what lifts a day seldom ends at midnight."""

_SPREAD_STEPS: Final = tuple(np.linspace(-2, 2, 9))
_SPREAD_DOUBT: Final = 1.0
"""Standard deviation of the logarithm of the residuals' size, before any data: 80 % within a factor of 3.6."""

_WEEK_SPREADS: Final = (0.03, 0.1)
_SHOWN_WEEK_SPREADS: Final = (*_WEEK_SPREADS, 0.3)
"""Standard deviation of a weekday's logarithm.  A strong week is believed only where two of them were seen: in one, a
chance rise would be forecast to return every week (on the public traces that misled)."""

_SHOWN_DRIFT_SPREAD: Final = 0.15 / DAYS_PER_MONTH
"""Standard deviation of the trend before it was seen, where it can be seen: a sixth up or down in a month is usual."""

_LEVEL_VARIANCE: Final = 25.0
"""So large that the level comes from the days alone."""

_FLOOR: Final = 0.01
"""A day below this share of the mean day counts as this share: a day without traffic has no logarithm."""

_ROUNDING: Final = 1e-8
_LEAST_DAY_SPREAD: Final = 0.1
"""However sure somebody is of the mean, single days differ: without this a trend would have to explain them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyPrior:
    """What is taken for usual before a day is seen.

    ``day_spread_ratio`` is the standard deviation of the logarithm of a day's volume over the average day's;
    ``growth_per_month_fraction`` is the growth a month, 10th percentile, median and 90th percentile (0.05 for 5 %).
    """

    day_spread_ratio: float
    growth_per_month_fraction: Interval

    def __post_init__(self) -> None:
        if self.day_spread_ratio <= 0 or self.growth_per_month_fraction.low <= -1:
            growth = self.growth_per_month_fraction.low
            raise ValueError(f"need a spread above 0 and growth above -1, got {self.day_spread_ratio} and {growth}")

    @classmethod
    def of(cls, mean_to_observed_days_ratio: Interval, growth_per_month_fraction: Interval) -> DailyPrior:
        """Return the prior that two assumptions give: 80 % of days lie within the first one's interval."""
        ratio = mean_to_observed_days_ratio
        spread = max(log(ratio.high / ratio.low) / (2 * _Z80), _LEAST_DAY_SPREAD)
        return cls(day_spread_ratio=spread, growth_per_month_fraction=growth_per_month_fraction)

    def trend_per_day(self) -> tuple[float, float]:
        """Return the mean and the standard deviation of the trend of a day's logarithm."""
        growth = self.growth_per_month_fraction
        width = log1p(growth.high) - log1p(growth.low)
        return log1p(growth.likely) / DAYS_PER_MONTH, width / (2 * _Z80) / DAYS_PER_MONTH


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedBill:
    """A month's bill before the month: its median, and the ends of the intervals that hold it with 80 and 95 %."""

    likely_usd: float
    low_80_usd: float
    high_80_usd: float
    low_95_usd: float
    high_95_usd: float

    @classmethod
    def of(cls, usd: Array) -> PredictedBill:
        """Return the quantiles of draws of the bill."""
        low_95, low_80, likely, high_80, high_95 = np.quantile(usd, (0.025, 0.1, 0.5, 0.9, 0.975)).tolist()
        return cls(likely_usd=likely, low_80_usd=low_80, high_80_usd=high_80, low_95_usd=low_95, high_95_usd=high_95)

    @property
    def spread_80_ratio(self) -> float:
        """Half the width of the 80 % interval over the median: 0.2 says that the bill may vary by 20 %."""
        return (self.high_80_usd - self.low_80_usd) / 2 / self.likely_usd if self.likely_usd else 0.0

    @property
    def spread_95_ratio(self) -> float:
        """Half the width of the 95 % interval over the median."""
        return (self.high_95_usd - self.low_95_usd) / 2 / self.likely_usd if self.likely_usd else 0.0


class _Grid(NamedTuple):
    """Combinations of persistence, size of the residuals and strength of the week, of shape (m, 1).

    ``log_weight``, of shape (m,), says how usual each is before any day was seen.
    """

    persistence: Array
    spread: Array
    week: Array
    log_weight: Array


def volume_ratios(
    daily: Array,
    *,
    prior: DailyPrior,
    horizon_days: int,
    count: int,
    generator: Generator,
    widening_ratio: float = WIDENING_RATIO,
) -> Array:
    """Draw the mean day of the next ``horizon_days`` over the mean of the days observed.

    ``daily`` holds consecutive whole days' volumes, oldest first, in any unit: tokens of a type, dollars, node-seconds.
    One day is enough; the last ``MOST_DAYS`` count.  Raises ``ValueError`` for no day, or none with traffic.

    Log of a day = level + trend x day + shape of the week + residual, the residual with correlation phi^n
    between days n apart.  All are Gaussian for one (phi, residual size, strength of the week), so the days
    to come given the days seen are the Gaussian conditional (Rasmussen & Williams 2006, eq. 2.19, and 2.30
    for the weight).
    """
    paths = _paths(daily, prior=prior, horizon_days=horizon_days, count=count, generator=generator)
    return _widened(paths.mean(axis=1), widening_ratio)


def volume_paths(
    daily: Array,
    *,
    prior: DailyPrior,
    horizon_days: int,
    count: int,
    generator: Generator,
    widening_ratio: float = WIDENING_RATIO,
) -> Array:
    """Draw each of the next ``horizon_days`` over the mean of the days observed: shape (count, days).

    The same process as ``volume_ratios``, day by day, for when something is reached; each day is widened about its own
    median.  Memory grows with the square of all days: half a year ahead of thirteen weeks takes some 100 MB.
    """
    paths = _paths(daily, prior=prior, horizon_days=horizon_days, count=count, generator=generator)
    median = np.median(paths, axis=0)
    return np.asarray(median * (paths / median) ** widening_ratio)


def _paths(daily: Array, *, prior: DailyPrior, horizon_days: int, count: int, generator: Generator) -> Array:
    """Draw the days to come over the mean of the days observed, not widened."""
    if not len(daily) or daily.sum() <= 0 or daily.min() < 0:
        raise ValueError(f"a forecast needs at least one day, and traffic on some of them, got {len(daily)} days")
    mean = daily.mean()
    seen = np.log(np.maximum(daily[-MOST_DAYS:], _FLOOR * mean) / mean)
    days = np.arange(len(seen) + horizon_days) - (len(seen) - 1.0)
    drift, drift_spread = prior.trend_per_day()
    shown = len(seen) >= TWO_WEEKS_DAYS
    drift_spread = max(drift_spread, _SHOWN_DRIFT_SPREAD) if shown else drift_spread
    grid = _grid(prior, _SHOWN_WEEK_SPREADS if shown else _WEEK_SPREADS)
    drawn = _given(seen - drift * days[: len(seen)], _covariances(days, grid, drift_spread), grid, count, generator)
    return np.asarray(np.exp(drawn + drift * days[len(seen) :]))


def unseen_ratios(
    *, observed_days: int, prior: DailyPrior, horizon_days: int, count: int, generator: Generator
) -> Array:
    """Draw the mean day of the next ``horizon_days`` over the mean day of the days before, known only as a total.

    Both are means of one path of the process of ``volume_ratios``, with no day of it seen.
    """
    days = np.arange(observed_days + horizon_days) - (observed_days - 1.0)
    drift, drift_spread = prior.trend_per_day()
    grid = _grid(prior, _SHOWN_WEEK_SPREADS)
    level_free = _covariances(days, grid, drift_spread) - _LEVEL_VARIANCE
    paths = np.exp(_given(np.zeros(0), level_free, grid, count, generator) + drift * days)
    return _widened(paths[:, observed_days:].mean(axis=1) / paths[:, :observed_days].mean(axis=1), WIDENING_RATIO)


def _widened(ratios: Array, widening_ratio: float) -> Array:
    median = np.median(ratios)
    return np.asarray(median * (ratios / median) ** widening_ratio)


def _grid(prior: DailyPrior, week_spreads: tuple[float, ...]) -> _Grid:
    cells = np.array(list(product(_PERSISTENCE, _SPREAD_STEPS, week_spreads)))
    persistence, steps, week = cells[:, [0]], cells[:, [1]], cells[:, [2]]
    spread = prior.day_spread_ratio * np.exp(steps * _SPREAD_DOUBT)
    return _Grid(persistence, spread, week, -(steps[:, 0] ** 2) / 2)


def _covariances(days: Array, grid: _Grid, drift_spread: float) -> Array:
    """Return the covariance of the logarithms of all days, for each cell of the grid: shape (m, days, days)."""
    lags = np.arange(len(days))
    by_lag = grid.spread**2 * grid.persistence**lags + grid.week**2 * (lags % DAYS_PER_WEEK == 0)
    apart = np.abs(lags[:, None] - lags[None, :])
    trend = drift_spread**2 * days[:, None] * days[None, :]
    return np.asarray(by_lag[:, apart] + (_LEVEL_VARIANCE + trend))


def _given(seen: Array, covariances: Array, grid: _Grid, count: int, generator: Generator) -> Array:
    """Draw the days after those seen, each draw from one cell chosen by its weight: shape (count, days to come)."""
    known = len(seen)
    edge = np.eye(covariances.shape[1]) * _ROUNDING
    roots = np.linalg.cholesky(covariances + edge)
    # The first rows of a triangular root are the root of the days seen; the last rows condition on them.
    whitened = np.linalg.solve(roots[:, :known, :known], np.broadcast_to(seen[:, None], (len(roots), known, 1)))
    fit = -0.5 * np.square(whitened).sum(axis=(1, 2))
    volume = np.log(np.diagonal(roots[:, :known, :known], axis1=1, axis2=2)).sum(axis=1)
    log_weight = grid.log_weight + fit - volume
    weight = np.exp(log_weight - log_weight.max())
    expected = (roots[:, known:, :known] @ whitened)[:, :, 0]
    shares = generator.multinomial(count, weight / weight.sum())
    noise = np.split(generator.standard_normal((count, covariances.shape[1] - known)), np.cumsum(shares)[:-1])
    return np.concatenate(
        [expected[cell] + part @ roots[cell, known:, known:].T for cell, part in enumerate(noise) if len(part)]
    )
