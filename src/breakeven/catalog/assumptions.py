"""Assumptions: numbers nobody measured for this user, with their unit, doubt, date and source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from breakeven.quantities import Interval

SHARE_UNITS: Final = ("fraction", "1/year")
"""Units of which none can exceed 1: shares, and yearly rates of interest, upkeep and chance."""

AT_LEAST_ONE: Final = ("pue_ratio", "hourly_peak_to_mean_ratio")
"""Quotients of a whole over its part, and of a peak over its mean."""

RATES_OF_GROWTH: Final = ("traffic_growth_per_month",)
"""What may be negative: a loss of all is -1."""

Basis = Literal["measured", "published", "judgement", "user"]
Distribution = Literal["fixed", "triangular", "lognormal", "beta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One assumption.  low and high are the 10th and 90th percentile of the named distribution."""

    key: str
    meaning: str
    unit: str
    low: float
    likely: float
    high: float
    distribution: Distribution
    basis: Basis
    as_of: date
    source: str

    @property
    def interval(self) -> Interval:
        """The three values together."""
        return Interval(low=self.low, likely=self.likely, high=self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Two assumptions that err together: Spearman's rank correlation between them, and why."""

    first: str
    second: str
    rank_correlation: float
    basis: Basis
    reason: str


def natural_range(key: str, unit: str) -> tuple[float, float]:
    """Return the least and the greatest value that a number of this unit can have.

    A rate of growth can be negative, no other assumption is; a share does not exceed 1, and a few ratios start at 1.
    """
    least = -1.0 if key in RATES_OF_GROWTH else 1.0 if key in AT_LEAST_ONE else 0.0
    return least, (1.0 if unit in SHARE_UNITS else float("inf"))
