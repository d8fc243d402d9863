"""Forecasts of a month: intervals hold as often as they say in worlds whose law is known, and follow the data."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.economics.forecast import DailyPrior, PredictedBill, unseen_ratios, volume_ratios
from breakeven.quantities import Interval

if TYPE_CHECKING:
    from numpy.random import Generator

    from breakeven.quantities import Array

PRIOR = DailyPrior.of(Interval(low=0.82, likely=1.0, high=1.35), Interval(low=-0.03, likely=0.0, high=0.08))
STEADY = Interval.exact(0.0)
WEEKEND = (0.1, 0.1, 0.1, 0.1, 0.0, -0.3, -0.35)


def _ratios(daily: Array, *, horizon_days: int = 30, prior: DailyPrior = PRIOR, widening: float = 1.0) -> Array:
    return volume_ratios(
        daily, prior=prior, horizon_days=horizon_days, count=4000, generator=np.random.default_rng(3),
        widening_ratio=widening,
    )  # fmt: skip


def _spread(daily: Array, horizon_days: int = 30) -> float:
    low, high = np.log(np.quantile(_ratios(daily, horizon_days=horizon_days), [0.1, 0.9]))
    return float(high - low)


def _world(
    generator: Generator,
    days: int,
    *,
    noise: float,
    persistence: float,
    growth_per_month: float,
    week: tuple[float, ...],
) -> Array:
    """Return daily volumes with a known trend, week, and residuals of a known size and persistence."""
    residuals = np.empty(days)
    residuals[0] = generator.normal(0, noise)
    for day in range(1, days):
        shock = generator.normal(0, noise * (1 - persistence**2) ** 0.5)
        residuals[day] = persistence * residuals[day - 1] + shock
    at = np.arange(days)
    shape = np.array([week[day % 7] for day in at])
    return np.asarray(1e9 * np.exp(residuals + shape + log(1 + growth_per_month) / 30.4 * at))


WORLDS = {
    "calm and steady": (0.1, 0.6, 0.0, (0.0,) * 7),
    "restless": (0.35, 0.75, 0.0, (0.0,) * 7),
    "with weekends": (0.1, 0.6, 0.0, WEEKEND),
    "growing by 8 % a month": (0.15, 0.75, 0.08, (0.0,) * 7),
    "growing by 20 % a month, with weekends": (0.15, 0.6, 0.2, WEEKEND),
}
SAMPLES = 60


@pytest.mark.parametrize("observed_days", [5, 28])
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_at_least_as_often_as_they_say(name: str, observed_days: int) -> None:
    """Counted over independent worlds; 3 standard deviations of a binomial count are left to chance."""
    noise, persistence, growth, week = WORLDS[name]
    generator = np.random.default_rng(11)
    held = np.zeros(2)
    for _ in range(SAMPLES):
        path = _world(
            generator, observed_days + 30, noise=noise, persistence=persistence, growth_per_month=growth, week=week
        )
        seen, later = path[:observed_days], path[observed_days:]
        drawn = volume_ratios(seen, prior=PRIOR, horizon_days=30, count=500, generator=generator)
        low_95, low_80, high_80, high_95 = np.quantile(drawn, (0.025, 0.1, 0.9, 0.975))
        came = later.mean() / seen.mean()
        held += [low_80 <= came <= high_80, low_95 <= came <= high_95]
    for count, share in zip(held, (0.8, 0.95), strict=True):
        assert count >= SAMPLES * share - 3 * (SAMPLES * share * (1 - share)) ** 0.5


def test_without_widening_the_model_is_neither_too_sure_nor_too_shy_in_its_own_worlds() -> None:
    """Worlds drawn from the prior itself: the intervals hold as often as they say, on both sides."""
    generator = np.random.default_rng(5)
    samples, held = 300, np.zeros(2)
    for _ in range(samples):
        noise = PRIOR.day_spread_ratio * exp(generator.normal())
        week = tuple(generator.normal(0, generator.choice((0.03, 0.1)), 7))
        growth = exp(generator.normal(log(1.0), 0.043)) - 1
        persistence = generator.choice((0.4, 0.6, 0.75, 0.88, 0.95))
        path = _world(generator, 40, noise=noise, persistence=persistence, growth_per_month=growth, week=week)
        drawn = volume_ratios(
            path[:10], prior=PRIOR, horizon_days=30, count=1000, generator=generator, widening_ratio=1.0
        )
        low_95, low_80, high_80, high_95 = np.quantile(drawn, (0.025, 0.1, 0.9, 0.975))
        came = path[10:].mean() / path[:10].mean()
        held += [low_80 <= came <= high_80, low_95 <= came <= high_95]
    for count, share in zip(held, (0.8, 0.95), strict=True):
        assert abs(count - samples * share) <= 3 * (samples * share * (1 - share)) ** 0.5


@given(scale=st.floats(1e-6, 1e12))
@settings(max_examples=10, deadline=None)
def test_the_unit_of_the_volume_does_not_matter(scale: float) -> None:
    daily = np.array([3.0, 4.0, 5.0, 4.0])
    assert _ratios(daily * scale) == pytest.approx(_ratios(daily), rel=1e-6)


def test_more_days_narrow_the_interval_and_restless_days_widen_it() -> None:
    generator = np.random.default_rng(2)
    calm = _world(generator, 60, noise=0.05, persistence=0.4, growth_per_month=0.0, week=(0.0,) * 7)
    restless = _world(generator, 60, noise=0.4, persistence=0.4, growth_per_month=0.0, week=(0.0,) * 7)
    assert _spread(calm) < _spread(calm[:7]) < _spread(calm[:1])
    assert _spread(restless) > 2 * _spread(calm)


def test_a_month_is_surer_than_a_day() -> None:
    daily = _world(np.random.default_rng(2), 28, noise=0.2, persistence=0.4, growth_per_month=0.0, week=(0.0,) * 7)
    assert _spread(daily, horizon_days=30) < 0.8 * _spread(daily, horizon_days=1)


def test_known_growth_is_carried_on() -> None:
    """A year at 10 % a month: the next month's mean lies (1.1)^(60/30.4) above the mean of the last 91 days."""
    daily = 1e6 * np.exp(np.arange(91) * log(1.1) / 30.4)
    expected = np.exp(np.arange(91, 121) * log(1.1) / 30.4).mean() / np.exp(np.arange(91) * log(1.1) / 30.4).mean()
    assert np.median(_ratios(daily)) == pytest.approx(expected, rel=0.02)


def test_growth_that_is_assumed_moves_a_forecast_from_few_days() -> None:
    """10 % a month, mid-month against the last day: 1.1^(15.5/30.4), as one day shows no growth of its own."""
    growing = DailyPrior.of(Interval(low=0.82, likely=1.0, high=1.35), Interval.exact(0.1))
    steady = DailyPrior.of(Interval(low=0.82, likely=1.0, high=1.35), STEADY)
    day = np.array([5.0])
    assert np.median(_ratios(day, prior=growing) / _ratios(day, prior=steady)) == pytest.approx(
        1.1 ** (15.5 / 30.4), rel=0.005
    )


def test_weekends_are_foreseen_where_two_weeks_were_seen() -> None:
    """After four whole weeks the next five days are working days, and the two after them a weekend."""
    daily = _world(np.random.default_rng(4), 28, noise=0.02, persistence=0.4, growth_per_month=0.0, week=WEEKEND)
    mean = np.exp(np.array(WEEKEND)).mean()
    assert np.median(_ratios(daily, horizon_days=4)) == pytest.approx(exp(0.1) / mean, rel=0.05)
    assert np.median(_ratios(daily, horizon_days=7)) == pytest.approx(1.0, rel=0.05)


def test_the_days_assumption_sets_how_sure_one_day_is() -> None:
    wide = DailyPrior.of(Interval(low=0.5, likely=1.0, high=2.0), STEADY)
    narrow = DailyPrior.of(Interval(low=0.95, likely=1.0, high=1.05), STEADY)
    assert wide.day_spread_ratio == pytest.approx(log(4) / 2 / 1.2815515655446004)
    day = np.array([1.0])
    assert np.ptp(np.quantile(_ratios(day, prior=narrow), [0.1, 0.9])) < 0.5
    assert np.ptp(np.quantile(_ratios(day, prior=wide), [0.1, 0.9])) > 1.0


def test_certainty_of_the_mean_is_not_taken_for_days_without_noise() -> None:
    certain = DailyPrior.of(Interval.exact(1.0), STEADY)
    assert certain.day_spread_ratio == 0.1
    daily = np.array([3.0, 4.0, 5.0, 4.0, 3.5, 4.5, 4.0])
    assert np.median(_ratios(daily, prior=certain)) == pytest.approx(1.0, abs=0.25)


def test_widening_stretches_the_logarithm_around_the_median() -> None:
    daily = np.array([3.0, 4.0, 5.0, 4.0])
    plain, wide = (
        np.quantile(_ratios(daily), [0.1, 0.5, 0.9]),
        np.quantile(_ratios(daily, widening=2.0), [0.1, 0.5, 0.9]),
    )
    assert wide == pytest.approx(plain[1] * (plain / plain[1]) ** 2, rel=1e-6)


def test_a_day_without_traffic_counts_as_a_hundredth() -> None:
    """The mean day is 0.75, a hundredth of it 0.0075, which lifts the mean itself a little."""
    little = np.array([1.0, 1.0, 0.0075, 1.0])
    nothing = np.array([1.0, 1.0, 0.0, 1.0])
    assert _ratios(nothing) * nothing.mean() == pytest.approx(_ratios(little) * little.mean(), rel=1e-3)


@pytest.mark.parametrize("daily", [[], [0.0, 0.0], [1.0, -1.0, 2.0]])
def test_days_that_tell_nothing_are_refused(daily: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one day"):
        _ratios(np.array(daily))


def test_an_impossible_prior_is_refused() -> None:
    with pytest.raises(ValueError, match="above -1"):
        DailyPrior(day_spread_ratio=0.2, growth_per_month_fraction=Interval.exact(-1.0))
    with pytest.raises(ValueError, match="above 0"):
        DailyPrior(day_spread_ratio=0.0, growth_per_month_fraction=STEADY)


def test_a_month_after_an_unseen_month_is_centred_on_growth() -> None:
    """Means of months lie 30 days apart: 10 % growth a month of 30.4 days."""
    growing = DailyPrior.of(Interval(low=0.82, likely=1.0, high=1.35), Interval.exact(0.1))
    drawn = unseen_ratios(
        observed_days=30, prior=growing, horizon_days=30, count=5000, generator=np.random.default_rng(1)
    )
    assert np.median(drawn) == pytest.approx(1.1 ** (30 / 30.4), rel=0.01)


def test_the_bill_of_equal_draws_is_certain() -> None:
    bill = PredictedBill.of(np.full(10, 4200.0))
    assert (bill.low_95_usd, bill.low_80_usd, bill.likely_usd) == (4200, 4200, 4200)
    assert bill.spread_80_ratio == bill.spread_95_ratio == 0


def test_the_intervals_of_a_bill_are_its_quantiles() -> None:
    bill = PredictedBill.of(np.arange(1001.0))
    assert (bill.low_95_usd, bill.low_80_usd, bill.likely_usd, bill.high_80_usd, bill.high_95_usd) == pytest.approx(
        (25, 100, 500, 900, 975)
    )
    assert bill.spread_80_ratio == pytest.approx(0.8)
    assert bill.spread_95_ratio == pytest.approx(0.95)
