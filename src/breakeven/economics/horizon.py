"""Money over time: prices that fall, present values, and when an outlay is earned back.

Arrays have months along their last axis; the first entry is the first month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from breakeven.quantities import MONTHS_PER_YEAR

if TYPE_CHECKING:
    from breakeven.quantities import Array, Number


def growth_ratios(growth_per_month: Number, *, month_count: int) -> Array:
    """Return what grows by a rate a month, over its first month: (1 + g)^m for m = 0, 1, ..."""
    return (1 + np.asarray(growth_per_month)[..., None]) ** np.arange(month_count)


def decline_ratios(decline_per_year: Number, *, month_count: int) -> Array:
    """Return what falls by a rate a year, over its first month: (1 - d)^(m / 12)."""
    return np.asarray((1 - np.asarray(decline_per_year)[..., None]) ** (np.arange(month_count) / MONTHS_PER_YEAR))


def present_values(discount_rate_per_year: Number, *, month_count: int) -> Array:
    """Return what a dollar at each month's middle is worth today: (1 + r)^-((m + 1/2) / 12)."""
    years = (np.arange(month_count) + 0.5) / MONTHS_PER_YEAR
    return np.asarray((1 + np.asarray(discount_rate_per_year)[..., None]) ** -years)


def npv_usd(saved_usd_per_month: Array, *, outlay_usd: Number, discount_rate_per_year: Number) -> Array:
    """Return the net present value of monthly savings after an outlay today."""
    worth = present_values(discount_rate_per_year, month_count=saved_usd_per_month.shape[-1])
    return np.asarray((saved_usd_per_month * worth).sum(axis=-1) - outlay_usd)


def payback_months(saved_usd_per_month: Array, *, outlay_usd: Number) -> Array:
    """Return after how many months savings have earned an outlay back for good; infinite where they never do.

    Undiscounted, as the term is used.  The month is interpolated within the one that crosses.
    """
    balance = np.cumsum(saved_usd_per_month, axis=-1) - np.asarray(outlay_usd)[..., None]
    behind = balance < 0
    count = balance.shape[-1]
    last_behind = np.where(behind.any(axis=-1), count - 1 - behind[..., ::-1].argmax(axis=-1), -1)
    crossing = np.minimum(last_behind + 1, count - 1)[..., None]
    after = np.take_along_axis(balance, crossing, axis=-1)[..., 0]
    gained = np.take_along_axis(saved_usd_per_month, crossing, axis=-1)[..., 0]
    within = 1 - np.divide(after, gained, out=np.zeros_like(after), where=gained > 0)
    months = np.where(last_behind < 0, 0.0, last_behind + 1) + np.clip(within, 0.0, 1.0)
    return np.where(last_behind == count - 1, np.inf, months)
