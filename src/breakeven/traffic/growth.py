"""The trend of daily volume, with an interval that allows for weekdays and for days that resemble the day before.

Model: log tokens of day t = weekday effect + slope t + error, errors an AR(1) process with 0 <= rho < 1.  With few
days the estimate of rho is poor, and an interval that takes it for known is too narrow; so rho is averaged over:
for each rho on a grid the slope has a Student t distribution (generalised least squares), and these are mixed
by their restricted likelihood (Harville 1974) with a flat prior on log sigma and (1 - rho)^-1/2 on rho.  On synthetic
series the 80 % interval held the true growth in 78 to 97 % of cases, for 14 to 42 days and rho 0 to 0.8: too wide
for few independent days, about right else.  (With rho flat it fell to 65 %.)  It predicts nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.quantities import HOURS_PER_MONTH, Interval
from breakeven.records import Growth

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

FEWEST_DAYS: Final = 14
DAYS_PER_MONTH: Final = HOURS_PER_MONTH / 24
RHO_GRID: Final = np.linspace(0.0, 0.98, 50)
CLOSEST: Final = 1e-9
"""A standard error by day below this is rounding: the days lie on the line."""

_POINTS: Final = 4001


def growth_of(days: Mapping[int, int]) -> Growth | None:
    """Return the growth a month of tokens by day (day number since 1970 → tokens), None below two weeks.

    Days without any tokens have no logarithm and are left out, as holidays or weekends of a business are.
    """
    used = sorted(day for day, tokens in days.items() if tokens > 0)
    if len(used) < FEWEST_DAYS:
        return None
    numbers = np.array(used, dtype=float)
    slope = _slope(numbers, np.log([float(days[day]) for day in used]))
    return Growth(
        per_month_fraction=slope.map(lambda by_day: math.expm1(by_day * DAYS_PER_MONTH)), fitted_days=len(used)
    )


def _slope(days: Array, logs: Array) -> Interval:
    """Return the median and the 10th and 90th percentile of the slope by day."""
    weekdays = [(days % 7 == weekday).astype(float) for weekday in sorted(set(days % 7))]
    design = np.column_stack([*weekdays, days - days.mean()])
    fits = [_fit(design, logs, days, rho) for rho in RHO_GRID]
    centres, scales, weights = (np.array(values) for values in zip(*fits, strict=True))
    if scales.max() < CLOSEST:
        return Interval.exact(float(centres[0]))
    weights = np.exp(weights - weights.max())
    return _mixture(centres, scales, weights / weights.sum(), len(logs) - design.shape[1])


def _fit(design: Array, logs: Array, days: Array, rho: float) -> tuple[float, float, float]:
    """Return slope, its standard error, and the log of restricted likelihood times prior, for a known rho."""
    likeness = rho ** np.abs(days[:, None] - days[None, :]) if rho else np.eye(len(days))
    root = np.linalg.cholesky(likeness)
    x, y = np.linalg.solve(root, design), np.linalg.solve(root, logs)
    information = x.T @ x
    inverse = np.linalg.inv(information)
    found = inverse @ (x.T @ y)
    freedom = len(logs) - design.shape[1]
    squares = max(float(np.sum((y - x @ found) ** 2)), CLOSEST**4)  # its logarithm is taken
    likelihood = (
        -np.log(np.diag(root)).sum() - 0.5 * np.linalg.slogdet(information)[1] - 0.5 * freedom * np.log(squares)
    )
    prior = -0.5 * math.log(1 - rho)
    return float(found[-1]), math.sqrt(squares / freedom * inverse[-1, -1]), float(likelihood + prior)


def _mixture(centres: Array, scales: Array, weights: Array, freedom: int) -> Interval:
    """Return the 10th, 50th and 90th percentile of a mixture of shifted and scaled Student t distributions."""
    reach = 12 * scales.max()
    grid = np.linspace(centres.min() - reach, centres.max() + reach, _POINTS)
    z = (grid[:, None] - centres) / scales
    density = ((1 + z**2 / freedom) ** (-(freedom + 1) / 2) / scales) @ weights
    risen = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    low, likely, high = np.interp([0.1, 0.5, 0.9], risen / risen[-1], grid)
    return Interval(low=float(low), likely=float(likely), high=float(high))
