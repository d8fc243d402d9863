"""What is ahead of a ledger: when a volume is reached, and what the month will have cost at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

    from breakeven.quantities import Array

WEEK_DAYS: Final = 7


def reached_days(seen: Array, paths: Array, needed: Array) -> Array:
    """Return for each draw the day, from 1, on which the mean of the last seven days first reaches what is needed.

    ``seen`` holds days that are over, oldest first, ``paths`` (draws, days) those to come and ``needed`` (draws) the
    volume a day, all in one unit.  Infinite where a path does not reach it; 0 where the last days seen did.
    """
    tail = np.broadcast_to(seen[-WEEK_DAYS:], (len(paths), min(len(seen), WEEK_DAYS)))
    days = np.concatenate([tail, paths], axis=1)
    before = tail.shape[1]
    sums = np.concatenate([np.zeros((len(days), 1)), np.cumsum(days, axis=1)], axis=1)
    ends = np.arange(before, days.shape[1] + 1)
    begins = np.maximum(ends - WEEK_DAYS, 0)
    means = (sums[:, ends] - sums[:, begins]) / np.maximum(ends - begins, 1)
    reached = means >= needed[:, None]
    return np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)


def month_end_usd(
    so_far_usd: float, scheduled_usd: float, mean_day_usd: float, ratios: Array, *, left_days: int
) -> Array:
    """Return draws of a month's bill: so far + what is scheduled + mean day x days left x ratio.

    ``ratios`` are the days left over the mean day (``volume_ratios``).  What is scheduled, a pool's hours, follows no
    traffic.
    """
    return np.asarray(so_far_usd + scheduled_usd + mean_day_usd * left_days * ratios)


def resampled_means(days: Array, *, count: int, generator: Generator) -> Array:
    """Return the means of ``count`` bootstrap samples of whole days: (count, columns) from (days, columns).

    Efron & Tibshirani 1993, chapter 6; days are taken for independent, so weeks that differ make it too narrow.
    """
    chosen = generator.integers(0, len(days), size=(count, len(days)))
    return np.asarray(days[chosen].mean(axis=1))


def monthly_trend_fraction(daily: Array) -> float | None:
    """Return the growth a month that the days show, by least squares on their logarithms; None under a week.

    e^(slope x 365/12) - 1; a day under a hundredth of the mean counts as that.
    """
    if len(daily) < WEEK_DAYS or daily.mean() <= 0:
        return None
    logs = np.log(np.maximum(daily, daily.mean() / 100))
    slope = np.polyfit(np.arange(len(daily)), logs, 1)[0]
    return float(np.expm1(slope * 365 / 12))
