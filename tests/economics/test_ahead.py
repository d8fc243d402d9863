"""When a volume is reached, and what a month comes to: by hand, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.ahead import month_end_usd, monthly_trend_fraction, reached_days, resampled_means


def test_a_volume_is_reached_when_a_weeks_mean_reaches_it() -> None:
    seen = np.full(7, 10.0)
    paths = np.array([[17.0] * 7, [10.0] * 7, [80.0] + [10.0] * 6])
    found = reached_days(seen, paths, np.array([14.0, 14.0, 20.0]))
    # 4 of 7 days at 17: the mean is 14; never; one day of 80 lifts the week to 20 at once.
    assert found.tolist() == [4.0, np.inf, 1.0]


def test_what_is_reached_already_is_reached_on_day_nought() -> None:
    assert reached_days(np.full(3, 5.0), np.zeros((2, 4)), np.array([5.0, 5.1])).tolist() == [0.0, np.inf]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(1, 50), st.floats(1, 2))
def test_needing_more_is_never_reached_sooner(seen: list[float], needed: float, more: float) -> None:
    paths = np.random.default_rng(1).uniform(0, 60, (5, 30))
    first = reached_days(np.array(seen), paths, np.full(5, needed))
    later = reached_days(np.array(seen), paths, np.full(5, needed * more))
    assert (first <= later).all()


def test_a_month_is_what_was_paid_what_is_scheduled_and_what_days_bring() -> None:
    found = month_end_usd(100.0, 50.0, 3.0, np.array([1.0, 2.0]), left_days=10)
    assert found.tolist() == [180.0, 210.0]
    assert month_end_usd(100.0, 50.0, 3.0, np.array([9.0]), left_days=0).tolist() == [150.0]


def test_the_trend_of_steady_growth_is_that_growth() -> None:
    daily = 5.0 * 1.1 ** (np.arange(28) * 12 / 365)
    assert monthly_trend_fraction(daily) == pytest.approx(0.1)
    assert monthly_trend_fraction(daily[:6]) is None
    assert monthly_trend_fraction(np.zeros(9)) is None


def test_bootstrap_means_have_the_standard_error_of_a_mean() -> None:
    days = np.random.default_rng(2).normal(10, 3, (40, 2))
    means = resampled_means(days, count=4000, generator=np.random.default_rng(3))
    assert means.shape == (4000, 2)
    assert means.mean(axis=0) == pytest.approx(days.mean(axis=0), abs=0.05)
    assert means.std(axis=0) == pytest.approx(days.std(axis=0) / np.sqrt(40), rel=0.06)
