"""Next month's bill of each option: volumes that may come, through each option's own bill.

Prices, nodes and engineers stay what the caller's bills say; only the volume is forecast, so that an API and a pool
differ in how far their bills follow it.  All options meet the same future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.draws import draw
from breakeven.economics.forecast import (
    MOST_DAYS,
    DailyPrior,
    PredictedBill,
    unseen_ratios,
    volume_ratios,
)
from breakeven.quantities import DAYS_PER_MONTH, Interval
from breakeven.studies.forecast.daily import Days
from breakeven.studies.forecast.result import Basis, BillForecast, Forecast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.catalog.assumptions import Assumption
    from breakeven.quantities import Array
    from breakeven.records import Moments, TrafficProfile
    from breakeven.studies.forecast.daily import VolumeOf

HORIZON_DAYS: Final = round(DAYS_PER_MONTH)
HOUR_RATIO: Final = "mean_to_observed_hour_ratio"
DAYS_RATIO: Final = "mean_to_observed_days_ratio"
GROWTH: Final = "traffic_growth_per_month"
RATIO_DAYS: Final = 14
"""Days over which ``mean_to_observed_hour_ratio`` was measured: their mean is what the hour is brought to."""

LONG_ENOUGH_DAYS: Final = 28
"""From here on every weekday was seen four times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """An option to forecast.

    ``volume_of`` weighs requests as its bill does; ``usd_per_month`` gives the bill for next month's volume over that
    of a month of average observed days, for an array of such ratios.
    """

    id: str
    title: str
    volume_of: VolumeOf
    usd_per_month: Callable[[Array], Array]


def forecast_bills(
    profile: TrafficProfile,
    payers: Sequence[Payer],
    assumptions: Mapping[str, Assumption],
    *,
    count: int = 10_000,
    seed: int = 1,
) -> Forecast:
    """Return next month's bill of each option as intervals of 80 and 95 %.

    Reads three assumptions: how far a day (or an hour) lies from the average one, and growth.  They are all there is
    for a trace under a day and for a bill; days that were seen overrule them by and by.
    """
    future = _future(profile, assumptions, count=count, seed=seed)
    return Forecast(
        basis=future.basis,
        observed_days=future.observed_days,
        bills=tuple(_bill(payer, future.ratios(payer.volume_of)) for payer in payers),
        note=future.note,
    )


def month_to_observed(
    profile: TrafficProfile, assumptions: Mapping[str, Assumption], *, count: int = 10_000, seed: int = 1
) -> Interval:
    """Return next month's tokens over those of a month of average observed time: 10th percentile, median, 90th."""
    ratios = _future(profile, assumptions, count=count, seed=seed).ratios(_tokens)
    low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9)).tolist()
    return Interval(low=low, likely=middle, high=high)


def _tokens(seen: Moments) -> float:
    return float(seen.input_tokens + seen.output_tokens)


def _future(profile: TrafficProfile, assumptions: Mapping[str, Assumption], *, count: int, seed: int) -> _Future:
    days = Days.of(profile.times) if profile.times else None
    observed_days = days.span_days if days else profile.months * DAYS_PER_MONTH
    said = assumptions[HOUR_RATIO if observed_days < 1 else DAYS_RATIO]
    return _Future(
        days=days,
        observed_days=observed_days,
        stated=said if said.basis == "user" and days else None,
        prior=DailyPrior.of(assumptions[DAYS_RATIO].interval, assumptions[GROWTH].interval),
        hour=assumptions[HOUR_RATIO],
        count=count,
        seed=seed,
    )


def _bill(payer: Payer, ratios: Array) -> BillForecast:
    usd = payer.usd_per_month(ratios)
    bill = PredictedBill.of(usd)
    same = np.isclose(usd, bill.likely_usd, rtol=1e-9, atol=0.0)
    return BillForecast(id=payer.id, title=payer.title, bill=bill, same_fraction=float(same.mean()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Future:
    """The volumes that may come, the same future for whatever is asked of it."""

    days: Days | None
    observed_days: float
    prior: DailyPrior
    hour: Assumption
    stated: Assumption | None
    """What the user says of the month to come; it wins over anything that could be inferred."""

    count: int
    seed: int

    @property
    def basis(self) -> Basis:
        if self.days is None:
            return "total"
        if self.days.whole:
            return "days"
        return "hours" if self.observed_days < 1 else "total"

    def ratios(self, volume_of: VolumeOf) -> Array:
        """Draw the next month's mean day over the mean day observed, of some volume."""
        generator = np.random.default_rng(self.seed)
        if self.days is not None and not self.days.mean_volume(volume_of):
            return np.ones(self.count)  # a free target: nothing of its bill follows the traffic
        if self.stated is not None:
            return draw({self.stated.key: self.stated}, count=self.count, generator=generator)[self.stated.key]
        if self.days is not None and self.days.whole:
            daily = self.days.volumes(volume_of)
            later = volume_ratios(
                daily, prior=self.prior, horizon_days=HORIZON_DAYS, count=self.count, generator=generator
            )
            return np.asarray(later * (daily.mean() / self.days.mean_volume(volume_of)))
        hours_only = self.basis == "hours"
        later = unseen_ratios(
            observed_days=RATIO_DAYS if hours_only else min(MOST_DAYS, max(1, round(self.observed_days))),
            prior=self.prior,
            horizon_days=HORIZON_DAYS,
            count=self.count,
            generator=generator,
        )
        if not hours_only:
            return later
        return later * draw({HOUR_RATIO: self.hour}, count=self.count, generator=generator)[HOUR_RATIO]

    @property
    def note(self) -> str:
        """Say what the intervals rest on."""
        return f"{self._rests_on} Prices, nodes and people are at their likely values."

    @property
    def _rests_on(self) -> str:
        if self.stated is not None:
            return f"From your own {self.stated.key}."
        if self.days is not None and self.days.whole:
            count = len(self.days.whole)
            shows = "" if count >= LONG_ENOUGH_DAYS else "; so few show no month, and the assumptions weigh in"
            return f"From {count} whole day{'s' if count > 1 else ''} of traffic{shows}."
        if self.basis == "hours":
            return f"From hours of a single day: how far they lie from an average hour is assumed ({HOUR_RATIO})."
        return f"From a total without days: how far months lie apart is assumed ({DAYS_RATIO}, {GROWTH})."
