"""What is remembered of the time to first byte."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.latency import FORGET_S, HALF_LIFE_S, Latency


def seen(*observations: tuple[float, float]) -> Latency:
    latency = Latency()
    for now_s, seconds in observations:
        latency.observe(seconds, now_s)
    return latency


def test_of_a_new_target_nothing_is_known() -> None:
    latency = Latency()
    assert isnan(latency.predicted_s(0))
    assert isnan(latency.quantile_s(0.95, 0))


def test_the_prediction_is_the_mean_of_what_was_seen() -> None:
    assert seen((5, 0.1), (5, 0.2), (5, 0.6)).predicted_s(5) == pytest.approx(0.3)


def test_what_is_older_counts_for_less() -> None:
    latency = seen((0, 1.0), (HALF_LIFE_S, 4.0))
    assert latency.predicted_s(HALF_LIFE_S) == pytest.approx((0.5 * 1 + 4) / 1.5)


def test_what_is_too_old_is_not_known_any_more() -> None:
    latency = seen((10, 1.0))
    assert latency.predicted_s(10 + FORGET_S - 1) == 1
    assert isnan(latency.predicted_s(10 + FORGET_S))
    assert isnan(latency.quantile_s(0.5, 10 + FORGET_S))
    latency.observe(2.0, 1e6)
    assert latency.predicted_s(1e6) == pytest.approx(2)


def test_weights_do_not_outgrow_a_float() -> None:
    latency = Latency()
    for step in range(2000):
        latency.observe(1.0 if step < 1900 else 3.0, step * HALF_LIFE_S)
    assert latency.predicted_s(2000 * HALF_LIFE_S) == pytest.approx(3)
    assert latency.quantile_s(0.5, 2000 * HALF_LIFE_S) == pytest.approx(3, rel=0.1)


def test_times_beyond_the_ends_are_counted_at_the_ends() -> None:
    latency = seen((0, 0.0), (0, 1e-9), (0, 1e9))
    assert latency.quantile_s(0.1, 0) < 0.0013
    assert 800 < latency.quantile_s(1.0, 0) < 1024


@given(
    st.lists(st.floats(0.001, 1000), min_size=1, max_size=200),
    st.sampled_from([0.05, 0.5, 0.95, 1.0]),
    st.floats(0, 99),
)
def test_a_quantile_is_right_within_half_a_bucket(times_s: list[float], share: float, now_s: float) -> None:
    latency = seen(*((now_s, seconds) for seconds in times_s))
    expected_s = next(
        time_s for number, time_s in enumerate(sorted(times_s), 1) if number >= share * len(times_s) - 1e-9
    )
    assert latency.quantile_s(share, now_s) == pytest.approx(expected_s, rel=0.1)
