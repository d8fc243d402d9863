"""Profiles of totals by time bucket: what they show, and what they must not pretend to show."""

from __future__ import annotations

import pytest
from made_traces import DAY_S, HOUR_S, requests_of, windows_of

from breakeven.traffic.profile import profile
from breakeven.usage import TokenUsage

HOURS = [
    {"at_s": 0, "window_s": HOUR_S, "model": "a", "requests": 10, "input_tokens": 100, "output_tokens": 40},
    {"at_s": 0, "window_s": HOUR_S, "model": "b", "requests": 30, "input_tokens": 600, "output_tokens": 30},
    {"at_s": 2 * HOUR_S, "window_s": HOUR_S, "model": "b", "requests": 20, "input_tokens": 40, "output_tokens": 20},
]


def test_totals_add_up_by_window_model_and_processing() -> None:
    rows = [HOURS[0] | {"processing": "batch"}, *HOURS[1:]]
    found = profile(windows_of(rows))
    assert found.kind == "windows"
    assert found.usage == TokenUsage(input_tokens=740, output_tokens=90)
    assert found.moments.requests == 60
    assert [(share.model, share.requests) for share in found.models] == [("b", 50), ("a", 10)]
    assert [(cell.processing, cell.requests) for cell in found.cells] == [("batch", 10), ("standard", 50)]
    assert found.batch_fraction == 140 / 830
    assert not any((found.input_lengths, found.output_lengths, found.reuse, found.destinations))


def test_second_moments_are_those_of_requests_of_mean_length_and_a_note_says_so() -> None:
    found = profile(windows_of(HOURS))
    assert found.moments.input_output_tokens2 == 100 * 40 / 10 + 600 * 30 / 30 + 40 * 20 / 20
    assert found.moments.output_output_tokens2 == 40**2 / 10 + 30**2 / 30 + 20**2 / 20
    assert "lengths are known as means of a bucket" in found.notes[0]


def test_windows_are_the_buckets_and_empty_ones_count() -> None:
    times = profile(windows_of(HOURS)).times
    assert times is not None
    assert (times.span_s, times.window_s, times.window_count) == (3 * HOUR_S, HOUR_S, 3)
    assert [(window.index, window.moments.requests) for window in times.windows] == [(0, 40), (2, 20)]
    assert times.hour_of_week_requests_per_s[:4] == (40 / HOUR_S, 0.0, 20 / HOUR_S, None)
    assert times.peak_to_mean_ratio == pytest.approx((20 + 0.98 * 20) / 20)  # rank 0.99 x 2 of 0, 20, 40
    assert times.burstiness_ratio == pytest.approx((20**2 + 0 + 20**2) / 3 / 20)
    assert times.gap_cv_ratio is None


@pytest.mark.parametrize("said", [None, 0], ids=["no count", "tokens of no request"])
def test_buckets_that_count_no_requests_show_tokens_only(said: int | None) -> None:
    found = profile(windows_of([HOURS[0] | {"requests": said}, *HOURS[1:]]))
    assert found.moments.requests == 0
    assert found.moments.input_output_tokens2 == 0
    assert found.usage.input_tokens == 740
    assert found.times is not None
    assert found.times.hour_of_week_requests_per_s == ()
    assert found.times.burstiness_ratio is None
    assert found.times.peak_to_mean_ratio == pytest.approx((60 + 0.98 * (770 - 60)) / (830 / 3))
    assert "lengths and rates of requests are unknown" in found.notes[0]


def test_days_show_growth_and_no_hour_of_the_day() -> None:
    rows = [
        {"at_s": day * DAY_S, "window_s": DAY_S, "requests": 100, "input_tokens": round(1e9 * 1.01**day)}
        for day in range(21)
    ]
    found = profile(windows_of(rows), day_boundaries_s=(30_000,))
    assert found.times is not None
    assert (found.times.window_s, found.times.hour_of_week_requests_per_s) == (DAY_S, ())
    assert found.growth is not None
    assert found.growth.fitted_days == 21
    assert found.growth.per_month_fraction.likely == pytest.approx(1.01 ** (730 / 24) - 1, rel=1e-4)
    assert "do not show the time of day" in found.notes[-1]
    assert [cell.day_segment for cell in found.cells] == [0]


def test_hours_are_priced_by_the_part_of_the_day_in_which_they_begin() -> None:
    found = profile(windows_of(HOURS), day_boundaries_s=(2 * HOUR_S,))
    assert [(cell.day_segment, cell.requests) for cell in found.cells] == [(0, 40), (1, 20)]


def test_windows_of_requests_of_one_length_have_the_profile_of_the_requests() -> None:
    minute = 60
    requests = [{"at_s": i * 6, "input_tokens": 70, "output_tokens": 7} for i in range(3000)]
    buckets = [
        {"at_s": i * minute, "window_s": minute, "requests": 10, "input_tokens": 700, "output_tokens": 70}
        for i in range(300)
    ]
    single, totals = profile(requests_of(requests)), profile(windows_of(buckets))
    assert totals.moments == single.moments
    assert totals.cells == single.cells
    assert single.times is not None
    assert totals.times is not None
    assert totals.times.windows == single.times.windows
    assert totals.times.hour_of_week_requests_per_s == single.times.hour_of_week_requests_per_s
    assert totals.times.span_s == single.times.span_s
