"""What is known of a team and its traffic, as far as rules of thumb ask for it.

Whoever fills it in says where each fact comes from; what is not known stays None.  Nothing here
knows how a verdict is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.quantities import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A measured or computed figure with its interval, in the unit of the field that holds it.

    ``likely`` None: only the interval is known, such as "at least 1.5"; an infinite end is no end.
    """

    low: float
    likely: float | None
    high: float
    source: str

    def __post_init__(self) -> None:
        if not self.low <= (self.low if self.likely is None else self.likely) <= self.high:
            raise ValueError(f"an amount needs low <= likely <= high, got {self.low}, {self.likely}, {self.high}")

    @classmethod
    def exact(cls, value: float, source: str) -> Amount:
        """Return a figure that is not in doubt."""
        return cls(low=value, likely=value, high=value, source=source)

    @classmethod
    def of(cls, interval: Interval, source: str) -> Amount:
        """Return a figure with the ends of an interval."""
        return cls(low=interval.low, likely=interval.likely, high=interval.high, source=source)

    @classmethod
    def at_least(cls, value: float, source: str) -> Amount:
        """Return a figure of which only a lower end is known."""
        return cls(low=value, likely=None, high=inf, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A fact that somebody states: it holds or not."""

    holds: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One field a measure of ``sources.rules.Measure``; None is unknown, which is no answer and no "no"."""

    volume_mtok_per_month: Amount | None = None
    volume_requests_per_month: Amount | None = None
    hour_peak_to_mean_ratio: Amount | None = None
    """The busiest hour of the week over the mean hour."""

    pool_utilisation_fraction: Amount | None = None
    """Expected utilisation of the cheapest pool of one's own."""

    batch_fraction: Amount | None = None
    """Share of the traffic that can wait."""

    open_model_quality_ratio: Amount | None = None
    """Success of the best open model over that of today's model."""

    today_engineering_usd_per_mtok: Amount | None = None
    """Engineering in today's fully loaded cost of a million tokens."""

    data_must_stay: Said | None = None
    compliance_needed: Said | None = None
    residency_needed: Said | None = None
    fine_tuning_needed: Said | None = None
    team_exists: Said | None = None
    product_is_mature: Said | None = None
    tail_latency_matters: Said | None = None
    gateway_in_path: Said | None = None
