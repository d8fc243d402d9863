"""Assumptions: numbers nobody measured for this user, with their unit, doubt, date and source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from breakeven.quantities import Interval

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
