"""Next month's bills: an API's follows the volume, a pool's its nodes; and how intervals held on real traces."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from breakeven.economics.forecast import WIDENING_RATIO, DailyPrior
from breakeven.quantities import Interval
from breakeven.records import Moments, TrafficProfile, TrafficTimes, Window
from breakeven.sources.catalogue import load_book
from breakeven.studies.forecast import Forecast, Payer, Trial, backtest, forecast_bills
from breakeven.studies.forecast.daily import Days
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from breakeven.quantities import Array

FIXTURES = Path(__file__).parent / "fixtures"
ASSUMPTIONS = load_book().assumptions
START = datetime(2026, 3, 2, tzinfo=UTC)
SIX_HOURS_S = 21_600


def _dollars(moments: Moments) -> float:
    return moments.input_tokens * 2.5e-6 + moments.output_tokens * 10e-6


def _tokens(moments: Moments) -> float:
    return moments.input_tokens + moments.output_tokens


def _times(volumes: list[float] | Array, *, window_s: float, missing_s: float = 0.0) -> TrafficTimes:
    """Return windows of that many input tokens each; the trace ends ``missing_s`` before its last window does."""
    span_s = len(volumes) * window_s - missing_s
    windows = tuple(
        Window(
            index=index,
            moments=Moments(
                requests=int(volume), input_tokens=int(volume), output_tokens=int(volume) // 10,
                input_output_tokens2=0.0, output_output_tokens2=0.0,
            ),
        )
        for index, volume in enumerate(volumes)
        if volume
    )  # fmt: skip
    return TrafficTimes(
        first_at=START,
        last_at=START + timedelta(seconds=span_s),
        span_s=span_s,
        window_s=window_s,
        window_count=len(volumes),
        windows=windows,
        hour_of_week_requests_per_s=(None,) * 168,
        peak_to_mean_ratio=1.0,
        burstiness_ratio=1.0,
        gap_cv_ratio=1.0,
    )


def _profile(times: TrafficTimes | None, *, months: float = 0.0) -> TrafficProfile:
    usage = TokenUsage(input_tokens=1_000_000, output_tokens=100_000)
    sums = Moments(
        requests=1000, input_tokens=1_000_000, output_tokens=100_000, input_output_tokens2=0, output_output_tokens2=0
    )
    return TrafficProfile(
        source="test", kind="trace" if times else "bill", rows_read=1, rows_lost=0, usage=usage, moments=sums,
        months=months, input_lengths=None, output_lengths=None, cells=(), models=(), times=times,
    )  # fmt: skip


def _api(ratio: Array) -> Array:
    return 10_000 * ratio


def _pool(ratio: Array) -> Array:
    """Ten nodes' worth of load at the observed volume on nodes of 1,000 USD, half a node of room."""
    return np.asarray(5_000 + 1_000 * np.ceil(9.5 * ratio))


API = Payer(id="api", title="an API", volume_of=_dollars, usd_per_month=_api)
POOL = Payer(id="pool", title="a pool", volume_of=_tokens, usd_per_month=_pool)
STEADY_DAYS = [1e6 * (1 + 0.02 * (-1) ** day) for day in range(21)]


def _forecast(times: TrafficTimes | None, *, months: float = 0.0) -> Forecast:
    return forecast_bills(_profile(times, months=months), (API, POOL), ASSUMPTIONS, count=4000)


def test_the_bills_come_in_the_order_of_the_options_and_their_intervals_are_ordered() -> None:
    forecast = _forecast(_times(STEADY_DAYS, window_s=86_400))
    assert [item.id for item in forecast.bills] == ["api", "pool"]
    for item in forecast.bills:
        bill = item.bill
        assert bill.low_95_usd <= bill.low_80_usd <= bill.likely_usd <= bill.high_80_usd <= bill.high_95_usd


def test_an_api_bill_varies_with_the_volume_and_a_pool_that_has_room_hardly_does() -> None:
    forecast = _forecast(_times(STEADY_DAYS, window_s=86_400))
    api, pool = forecast.bills
    assert pool.bill.spread_80_ratio < api.bill.spread_80_ratio
    assert api.same_fraction == pytest.approx(0, abs=0.001)
    assert 0 < pool.same_fraction < 1
    assert forecast.basis == "days"
    assert "21 whole days" in forecast.note


def test_a_pool_that_volume_cannot_fill_costs_the_same_whatever_comes() -> None:
    fixed = replace(POOL, usd_per_month=lambda ratio: np.full_like(ratio, 7000.0))
    forecast = forecast_bills(_profile(_times(STEADY_DAYS, window_s=86_400)), (fixed,), ASSUMPTIONS, count=100)
    assert forecast.bills[0].same_fraction == 1
    assert forecast.bills[0].bill.spread_95_ratio == 0


def test_a_free_target_has_a_certain_bill() -> None:
    free = replace(API, volume_of=lambda _: 0.0, usd_per_month=lambda ratio: 0 * ratio)
    forecast = forecast_bills(_profile(_times(STEADY_DAYS, window_s=86_400)), (free,), ASSUMPTIONS, count=100)
    assert forecast.bills[0].bill.high_95_usd == forecast.bills[0].bill.spread_80_ratio == 0


def test_all_options_meet_the_same_future() -> None:
    """The same bill under two names, weighed alike, has the same interval; twice the price, twice the interval."""
    twice = replace(API, id="twice", usd_per_month=lambda ratio: 2 * _api(ratio))
    profile = _profile(_times(STEADY_DAYS, window_s=86_400))
    first, second = forecast_bills(profile, (API, twice), ASSUMPTIONS, count=500).bills
    assert second.bill.low_80_usd == pytest.approx(2 * first.bill.low_80_usd)
    assert second.bill.high_95_usd == pytest.approx(2 * first.bill.high_95_usd)


def test_the_less_was_seen_the_wider_the_interval() -> None:
    """Three weeks, three days, one day, and six hours of the same steady traffic."""
    spreads = [_forecast(_times([1e6] * days, window_s=86_400)).bills[0].bill.spread_80_ratio for days in (21, 3, 1)]
    hours = _forecast(_times([1e6] * 6, window_s=3600))
    assert hours.basis == "hours"
    assert "mean_to_observed_hour_ratio" in hours.note
    assert spreads == sorted(spreads)
    assert hours.bills[0].bill.spread_80_ratio > spreads[-1] * 0.9


def test_hours_of_a_day_are_as_doubtful_as_their_assumption() -> None:
    """The hour's own 80 % interval is 0.66 to 1.7: what comes after adds to it."""
    bill = _forecast(_times([1e6] * 6, window_s=3600)).bills[0].bill
    assert log(bill.high_80_usd / bill.low_80_usd) > log(1.7 / 0.66)
    assert bill.likely_usd == pytest.approx(10_000, rel=0.05)


def test_a_bill_of_a_month_is_forecast_from_assumptions_and_says_so() -> None:
    forecast = _forecast(None, months=2.0)
    assert forecast.basis == "total"
    assert forecast.observed_days == pytest.approx(60.8, abs=0.1)
    assert "traffic_growth_per_month" in forecast.note
    assert forecast.bills[0].bill.likely_usd == pytest.approx(10_000, rel=0.05)
    assert 0.1 < forecast.bills[0].bill.spread_80_ratio < 1


def test_weekly_totals_give_no_days() -> None:
    assert _forecast(_times([7e6, 7e6, 7e6], window_s=7 * 86_400)).basis == "total"


def test_windows_add_up_to_days_from_the_first_request() -> None:
    days = Days.of(_times([10, 20, 30, 40, 50, 60, 70, 80, 90], window_s=SIX_HOURS_S))
    assert days.volumes(lambda m: m.input_tokens).tolist() == [100, 260], "the third day has six hours"
    assert days.mean_volume(lambda m: m.input_tokens) == 450 / 2.25


def test_a_day_with_a_quiet_end_is_whole_and_scaled_by_the_little_it_lacks() -> None:
    days = Days.of(_times([100] * 24, window_s=3600, missing_s=0.6 * 3600))
    assert days.volumes(lambda m: m.input_tokens) == pytest.approx([2400 / (1 - 0.6 / 24)])
    assert Days.of(_times([100] * 24, window_s=3600, missing_s=2 * 3600)).whole == ()


def test_a_day_left_out_at_the_end_still_counts_in_what_the_bill_is_scaled_by() -> None:
    """Two days of 100 and half a day of 150: the observed mean is 140 a day, and the next month looks like 100."""
    times = _times([100e3, 100e3, 150e3], window_s=86_400, missing_s=43_200)
    bill = _forecast(times).bills[0].bill
    assert bill.likely_usd == pytest.approx(10_000 * 100 / 140, rel=0.05)


def _trials(trace: str) -> tuple[Trial, ...]:
    with (FIXTURES / f"servegen_{trace}_6h.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    volumes = np.array([float(row["input_tokens"]) * 2.5e-6 + float(row["output_tokens"]) * 10e-6 for row in rows])
    prior = DailyPrior.of(
        ASSUMPTIONS["mean_to_observed_days_ratio"].interval, ASSUMPTIONS["traffic_growth_per_month"].interval
    )
    return backtest(
        volumes, windows_per_day=4, horizons_days=(1, 2, 3), prior=prior, generator=np.random.default_rng(1)
    )


@pytest.mark.parametrize(
    ("trace", "held_80", "held_95"), [("m-large", 0.76, 0.89), ("m-mid", 0.86, 0.96), ("m-small", 0.94, 0.97)]
)
def test_intervals_of_bills_held_on_public_traces_as_often_as_the_model_chapter_says(
    trace: str, held_80: float, held_95: float
) -> None:
    """Forecasts of the next 1 to 3 days from days 3 to 11 on, of which neighbours share most days."""
    trials = _trials(trace)
    assert len(trials) == 99
    assert {item.observed_days for item in trials} == set(range(3, 12))
    assert np.mean([item.stretch_80_ratio <= WIDENING_RATIO for item in trials]) == pytest.approx(held_80, abs=0.04)
    assert np.mean([item.stretch_95_ratio <= WIDENING_RATIO for item in trials]) == pytest.approx(held_95, abs=0.04)


def test_the_stretch_of_a_trial_is_the_widening_at_which_its_interval_just_holds() -> None:
    """The outcome lies at 1.21, the end at 1.1: twice its logarithm away."""
    trial = Trial(
        observed_days=7, horizon_days=3, low_80_ratio=0.9, high_80_ratio=1.1, low_95_ratio=0.8, high_95_ratio=1.21,
        outcome_ratio=1.21,
    )  # fmt: skip
    assert trial.stretch_80_ratio == pytest.approx(2)
    assert trial.stretch_95_ratio == pytest.approx(1)
    assert trial.spread_80_ratio(2) == pytest.approx((1.21 - 0.81) / 2)
    assert trial.spread_95_ratio(1) == pytest.approx((1.21 - 0.8) / 2)


def test_a_backtest_forecasts_only_from_days_before() -> None:
    """A steady trace that doubles on its last day: every forecast made before it is the same as without it."""
    prior = DailyPrior.of(Interval(low=0.8, likely=1.0, high=1.3), Interval.exact(0.0))
    steady = np.full(10, 100.0)
    doubled = np.append(steady[:-1], 200.0)
    found = [
        backtest(volumes, windows_per_day=1, horizons_days=(1,), prior=prior, generator=np.random.default_rng(1))
        for volumes in (steady, doubled)
    ]
    assert found[0][:-1] == found[1][:-1]
    assert found[1][-1].outcome_ratio == pytest.approx(2 * found[0][-1].outcome_ratio)
