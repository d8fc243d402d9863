"""Present values and payback, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.horizon import decline_ratios, growth_ratios, npv_usd, payback_months


def test_growth_of_a_tenth_a_month_is_a_fifth_and_a_bit_after_two() -> None:
    assert growth_ratios(np.array([0.1]), month_count=3).tolist() == [[1.0, pytest.approx(1.1), pytest.approx(1.21)]]


def test_a_price_that_falls_by_half_a_year_has_halved_after_twelve_months() -> None:
    assert decline_ratios(0.5, month_count=13)[-1] == pytest.approx(0.5)


def test_without_interest_the_present_value_is_the_sum() -> None:
    saved = np.array([[100.0, 200.0, 300.0]])
    assert npv_usd(saved, outlay_usd=150.0, discount_rate_per_year=0.0).tolist() == [450.0]


def test_interest_lowers_later_savings_more() -> None:
    first, last = np.array([[120.0, 0.0]]), np.array([[0.0, 120.0]])
    early, late = (npv_usd(item, outlay_usd=0.0, discount_rate_per_year=0.1)[0] for item in (first, last))
    assert early == pytest.approx(120 * 1.1 ** (-0.5 / 12))
    assert late == pytest.approx(120 * 1.1 ** (-1.5 / 12))


@pytest.mark.parametrize(
    ("saved", "outlay", "months"),
    [
        ([100, 100, 100], 150, 1.5),
        ([100, 100, 100], 300, 3.0),
        ([100, 100, 100], 301, np.inf),
        ([100, 100, 100], 0, 0.0),
        ([-50, 100, 100], 40, 1.9),
        ([200, -150, 100], 100, 2.5),
    ],
)
def test_an_outlay_is_paid_back_when_the_balance_stays_above_nothing(
    saved: list[float], outlay: float, months: float
) -> None:
    assert payback_months(np.array([saved], dtype=float), outlay_usd=outlay)[0] == pytest.approx(months)


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=24), st.floats(1, 5000))
def test_even_savings_pay_back_after_outlay_over_saving(saved: list[float], outlay: float) -> None:
    even = np.full((1, len(saved)), saved[0])
    found = payback_months(even, outlay_usd=outlay)[0]
    expected = outlay / saved[0]
    assert found == pytest.approx(expected if expected <= len(saved) else np.inf)
