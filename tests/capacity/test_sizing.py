"""Nodes in front of an overflow: closed forms, the marginal rule against all bills, and what must not turn around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.capacity.sizing import (
    Work,
    breakeven_utilisation_fraction,
    curve,
    daily_shape,
    enough_nodes,
    marginal_nodes,
    node_savings_usd_per_hour,
    node_utilisations,
    representative_ratios,
    staircase,
)

if TYPE_CHECKING:
    from breakeven.quantities import Array

LOADS = st.lists(st.floats(0, 12), min_size=1, max_size=30)


def work_of(busy: Array | list[float], usd: Array | list[float] | float = 10.0) -> Work:
    """Return windows of such work; one price for all, or one for each."""
    nodes = np.asarray(busy, dtype=float)
    prices = np.broadcast_to(np.asarray(usd, dtype=float), nodes.shape)
    return Work(busy_nodes=nodes, node_hour_usd=prices, hour_of_week=np.arange(len(nodes)) % 168)


def test_of_a_uniform_demand_the_share_above_each_level_is_linear() -> None:
    top = 10
    work = work_of((np.arange(100_000) + 0.5) / 100_000 * top)
    # u_k = P(d > k - 1/2) for a uniform demand on [0, top]
    expected = 1 - (np.arange(1, top + 1) - 0.5) / top
    assert node_utilisations(work, top) == pytest.approx(expected, abs=1e-6)
    for u_star, nodes in ((0.04, 10), (0.31, 7), (0.5, 5), (0.96, 0)):
        assert marginal_nodes(node_savings_usd_per_hour(work, top), 10.0 * u_star) == nodes
        assert staircase(work, node_usd_per_hour=10.0 * u_star).best == nodes


def test_of_two_levels_the_upper_is_held_if_it_lasts_long_enough() -> None:
    work = work_of([2.0] * 60 + [5.0] * 40)
    assert node_utilisations(work, 6) == pytest.approx([1, 1, 0.4, 0.4, 0.4, 0])
    assert staircase(work, node_usd_per_hour=3.9).best == 5
    assert staircase(work, node_usd_per_hour=4.1).best == 2
    assert staircase(work, node_usd_per_hour=10.1).best == 0
    bill = staircase(work, node_usd_per_hour=3.9).usd_per_hour
    assert bill == pytest.approx([32, 25.9, 19.8, 19.7, 19.6, 19.5])


def test_a_node_pays_by_the_price_of_just_what_it_displaces() -> None:
    # The second node serves only the windows that are dear.
    work = work_of([1.0, 1.0, 1.0, 2.0], [2.0, 2.0, 2.0, 40.0])
    assert node_savings_usd_per_hour(work, 2) == pytest.approx([(3 * 2 + 40) / 4, 40 / 4])
    assert staircase(work, node_usd_per_hour=9.0).best == 2
    assert work.mean_node_hour_usd == pytest.approx((3 * 2 + 2 * 40) / 5)


def test_the_break_even_utilisation_is_cost_over_price() -> None:
    assert breakeven_utilisation_fraction(5.0, overflow_usd_per_node_hour=20.0) == pytest.approx(0.25)
    assert float(np.asarray(breakeven_utilisation_fraction(5.0, overflow_usd_per_node_hour=0.0))) > 1e9


def test_fixed_lines_turn_nodes_into_none() -> None:
    work = work_of([2.0] * 60 + [5.0] * 40)
    saved = 32 - 19.5
    assert staircase(work, node_usd_per_hour=3.9, fixed_usd_per_hour=saved - 0.1).best == 5
    flipped = staircase(work, node_usd_per_hour=3.9, fixed_usd_per_hour=saved + 0.1)
    assert flipped.best == 0
    assert flipped.best_with_a_pool == 5
    assert flipped.usd_per_hour[0] == pytest.approx(32)


@given(LOADS, st.floats(0.01, 20), st.floats(0.5, 3))
def test_the_rule_finds_the_cheapest_of_all_bills(busy: list[float], node_usd: float, ratio: float) -> None:
    work, ratios = work_of(busy), np.array([ratio, 1.0])
    stairs = staircase(work, node_usd_per_hour=node_usd, ratios=ratios)
    counts = np.arange(len(stairs.usd_per_hour))
    bills = [
        node_usd * count
        + np.mean([10 * np.mean(np.maximum(0, np.array(busy) * each - count)) for each in ratios.tolist()])
        for count in counts
    ]
    assert stairs.usd_per_hour == pytest.approx(bills, abs=1e-9)
    rule = marginal_nodes(node_savings_usd_per_hour(work, len(counts) - 1, ratios), node_usd)
    assert bills[rule] == pytest.approx(min(bills), abs=1e-6)


@given(LOADS, st.floats(0.1, 15), st.floats(0, 50), st.floats(1, 4))
def test_a_dearer_overflow_never_holds_fewer_nodes(
    busy: list[float], node_usd: float, fixed: float, dearer: float
) -> None:
    cheap = staircase(work_of(busy, 10.0), node_usd_per_hour=node_usd, fixed_usd_per_hour=fixed)
    dear = staircase(work_of(busy, 10.0 * dearer), node_usd_per_hour=node_usd, fixed_usd_per_hour=fixed)
    assert dear.best >= cheap.best


@given(LOADS)
def test_utilisations_fall_and_add_up_to_the_mean_load(busy: list[float]) -> None:
    work = work_of(busy)
    each = node_utilisations(work, enough_nodes(work))
    assert (np.diff(each) <= 1e-9).all()
    assert each.sum() == pytest.approx(work.mean_nodes, abs=1e-9)


def test_doubt_holds_more_of_cheap_nodes_and_fewer_of_dear_ones() -> None:
    work = work_of([10.0] * 100)
    doubt = np.array([0.5, 1.0, 1.5])
    assert staircase(work, node_usd_per_hour=2.0, ratios=doubt).best == 15
    assert staircase(work, node_usd_per_hour=8.0, ratios=doubt).best == 5
    assert staircase(work, node_usd_per_hour=5.0, ratios=doubt).best == 10


def test_a_curve_is_the_mean_of_what_is_carried() -> None:
    found = curve(np.array([3.0, 1.0]), np.array([2.0, 4.0]))
    assert found.at(np.array([0.0, 1.0, 2.0, 3.0, 9.0])) == pytest.approx([0, 3, 4, 5, 5])


def test_a_peak_is_over_windows_and_demands() -> None:
    work = work_of([1.0] * 99 + [4.0])
    assert work.peak_nodes(1.0) == 4
    assert work.peak_nodes(0.99) == 1
    assert work.peak_nodes(0.75, np.array([1.0, 2.0])) == 2
    many = work_of(np.linspace(0, 10, 30_001))
    assert many.peak_nodes(0.9) == pytest.approx(9, abs=0.01)


def test_few_draws_stand_for_many_and_keep_their_mean() -> None:
    drawn = np.random.default_rng(1).lognormal(0, 0.5, 10_000)
    few = representative_ratios(drawn, 20)
    assert len(few) == 20
    assert few.mean() == pytest.approx(drawn.mean())
    assert representative_ratios(few, 20) is few


def test_a_day_of_which_an_hour_was_seen_has_the_stated_peak() -> None:
    shape = daily_shape(1.85)
    assert shape.mean() == pytest.approx(1)
    assert shape.max() == pytest.approx(1.85)
    assert daily_shape(3.0).min() == pytest.approx(0, abs=1e-9)


def test_work_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="one value of each kind"):
        work_of([])
