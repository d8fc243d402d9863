"""The formulas of the cost model: properties, limit cases, and figures that can be checked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.compute import (
    annuity_per_year,
    compute_usd_per_mtok,
    owned_capital_usd_per_month,
    power_usd_per_month,
    rented_node_usd_per_month,
)
from breakeven.economics.outcomes import paying_quality_loss_fraction, routed_saving_fraction, usd_per_success
from breakeven.economics.overheads import engineering_usd_per_month, incidents_usd_per_month, pool_engineering_fte
from breakeven.economics.sensitivity import swings
from breakeven.economics.tokens import blended_usd_per_mtok, capacity_mtok, total_tokens_per_s
from breakeven.quantities import Interval

price = st.floats(0, 1000)
rate = st.floats(0, 0.5)


@given(rate=rate, years=st.integers(1, 30))
def test_the_payments_of_an_annuity_repay_the_capital(rate: float, years: int) -> None:
    debt = 1.0
    for _ in range(years):
        debt = debt * (1 + rate) - float(annuity_per_year(rate, years))
    assert debt == pytest.approx(0, abs=1e-6 * (1 + rate) ** years)


@given(capital=st.floats(1, 1e6), residual=st.floats(0, 1), rate=rate, years=st.floats(1, 10))
def test_the_present_value_of_owning_is_price_minus_resale(
    capital: float, residual: float, rate: float, years: float
) -> None:
    monthly = owned_capital_usd_per_month(capital, residual_fraction=residual, discount_rate=rate, lifetime_years=years)
    present_value = monthly * 12 / annuity_per_year(rate, years)
    assert present_value == pytest.approx(capital - capital * residual / (1 + rate) ** years, abs=1e-6 * capital)


def test_straight_line_depreciation_without_interest() -> None:
    """310,000 USD over four years, sold for a tenth: 279,000 / 48 months."""
    monthly = owned_capital_usd_per_month(310_000, residual_fraction=0.1, discount_rate=0, lifetime_years=4)
    assert monthly == pytest.approx(5812.5)


@given(cheap=price, dear=price, ratio=st.floats(0, 100))
def test_a_blend_lies_between_its_prices(cheap: float, dear: float, ratio: float) -> None:
    blend = blended_usd_per_mtok(cheap, dear, input_output_ratio=ratio)
    assert min(cheap, dear) - 1e-9 <= blend <= max(cheap, dear) + 1e-9


@given(usd=st.floats(0.01, 100), speed=st.floats(1, 1e5), used=st.floats(0.01, 1))
def test_the_cost_of_a_token_is_inverse_in_utilisation(usd: float, speed: float, used: float) -> None:
    full = compute_usd_per_mtok(usd, speed)
    assert compute_usd_per_mtok(usd, speed, utilisation_fraction=used) == pytest.approx(full / used)


@pytest.mark.parametrize("used", [0, -0.1, 1.01])
def test_a_utilisation_outside_nought_to_one_is_refused(used: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        capacity_mtok(1000, hours=1, utilisation_fraction=used)


def test_hours_and_seconds_agree() -> None:
    """A thousand tokens/s are 3.6 million an hour, and 2,628 million in a month of 730 hours."""
    assert capacity_mtok(1000, hours=1) == pytest.approx(3.6)
    assert capacity_mtok(1000, hours=730) == pytest.approx(2628)
    assert total_tokens_per_s(250, input_output_ratio=3) == pytest.approx(1000)


def test_an_interrupted_node_takes_more_nodes() -> None:
    plain = rented_node_usd_per_month(2.0, gpus=4, hours_per_month=730)
    assert plain == pytest.approx(5840)
    assert rented_node_usd_per_month(2.0, gpus=4, hours_per_month=730, interruption_fraction=0.2) == plain / 0.8


def test_a_server_of_ten_kilowatts_at_twelve_cents() -> None:
    """10 kW x 1.5 x 730 h x 0.12 USD."""
    usd = power_usd_per_month(10_000, pue_ratio=1.5, electricity_usd_per_kwh=0.12, hours_per_month=730)
    assert usd == pytest.approx(1314)


def test_engineers_are_paid_by_the_month_and_called_by_the_hour() -> None:
    assert engineering_usd_per_month(0.75, engineer_usd_per_year=150_000) == pytest.approx(9375)
    assert pool_engineering_fte(0.5, fte_per_node=0.02, nodes=1) == 0.5
    assert pool_engineering_fte(0.5, fte_per_node=0.02, nodes=6) == pytest.approx(0.6)
    usd = incidents_usd_per_month(2, hours_per_incident=4, engineer_usd_per_year=208_000)
    assert usd == pytest.approx(800)


@given(cost=st.floats(0.01, 100), success=st.floats(0.05, 1), handling=st.floats(0, 100))
def test_a_success_costs_at_least_an_attempt(cost: float, success: float, handling: float) -> None:
    assert usd_per_success(cost, success_fraction=success, correction_usd_per_failure=handling) >= cost


@given(cheap=st.floats(0.01, 10), today=st.floats(0.01, 10))
def test_at_the_paying_loss_a_success_costs_the_same(cheap: float, today: float) -> None:
    loss = paying_quality_loss_fraction(cheap, today_usd=today)
    if cheap >= today:
        assert loss == 0
    else:
        assert usd_per_success(cheap, success_fraction=1 - loss) == pytest.approx(today)


def test_routing_saves_by_share_and_price_ratio() -> None:
    assert routed_saving_fraction(0.8, price_ratio=0.1) == pytest.approx(0.72)


def test_a_swing_moves_one_assumption_to_both_ends() -> None:
    """cost = price / speed + fixed, likely 2 / 10 + 3."""
    doubts = {
        "price": Interval(low=1, likely=2, high=4),
        "speed": Interval(low=5, likely=10, high=20),
        "unused": Interval(low=0, likely=1, high=2),
        "fixed": Interval.exact(3),
    }
    moved = {item.key: item for item in swings(lambda v: v["price"] / v["speed"] + v["fixed"], doubts)}
    assert set(moved) == {"price", "speed"}
    assert (moved["price"].low_usd_per_month, moved["price"].high_usd_per_month) == pytest.approx((3.1, 3.4))
    assert (moved["speed"].low_usd_per_month, moved["speed"].high_usd_per_month) == pytest.approx((3.4, 3.1))
    assert {item.likely_usd_per_month for item in moved.values()} == {3.2}


def test_a_wider_swing_comes_first() -> None:
    doubts = {"small": Interval(low=1, likely=2, high=3), "large": Interval(low=0, likely=2, high=10)}
    assert [s.key for s in swings(lambda v: v["small"] + v["large"], doubts)] == ["large", "small"]
