"""Sized on days seen, judged on days that follow: what hindsight knows, what a forecast can, what fixed lines do."""

from __future__ import annotations

import numpy as np
import pytest

from breakeven.capacity.sizing import Work
from breakeven.economics.forecast import DailyPrior
from breakeven.quantities import Interval
from breakeven.studies.hybrid.backtest import Costs, judge
from breakeven.studies.hybrid.demand import shape_to_come, with_the_seen_again

PRIOR = DailyPrior(day_spread_ratio=0.2, growth_per_month_fraction=Interval(low=-0.05, likely=0.0, high=0.05))
DAY = 24
WEEK = 7 * DAY


def _work(daily: list[float]) -> Work:
    hours = np.arange(len(daily) * DAY)
    shape = 1 + 0.8 * np.sin(2 * np.pi * hours / DAY)
    busy = np.repeat(daily, DAY) * shape
    return Work(busy_nodes=busy, node_hour_usd=np.ones(len(busy)), hour_of_week=hours % 168)


def test_of_weeks_alike_all_rules_do_as_well_as_hindsight() -> None:
    found = judge(_work([10.0] * 14), WEEK, DAY, Costs(node_usd_per_hour=0.4), PRIOR)
    assert found.plain_nodes == found.hindsight_nodes
    assert found.regret_fraction(found.plain_usd_per_hour) == pytest.approx(0)
    assert found.regret_fraction(found.held_usd_per_hour) < 0.03
    assert found.regret_fraction(found.revised_usd_per_hour) < 0.03
    assert found.all_api_usd_per_hour == pytest.approx(10)
    assert found.peak_nodes == 18
    assert found.hybrid_can_win
    assert found.held_usd_per_hour < found.pure_usd_per_hour


def test_nodes_revised_each_night_follow_a_step_that_those_held_do_not() -> None:
    found = judge(_work([10.0] * 7 + [16.0] * 7), WEEK, DAY, Costs(node_usd_per_hour=0.4), PRIOR)
    assert found.plain_nodes < found.hindsight_nodes
    assert found.revised_nodes[0] < found.revised_nodes[-1]
    assert found.revised_usd_per_hour < found.held_usd_per_hour
    assert found.regret_fraction(found.plain_usd_per_hour) > 0.05


def test_no_rule_beats_hindsight_but_one_that_may_change_its_nodes() -> None:
    chance = np.random.default_rng(4)
    for _ in range(5):
        work = _work((10 * chance.lognormal(0, 0.3, 14)).tolist())
        found = judge(work, WEEK, DAY, Costs(node_usd_per_hour=0.5), PRIOR)
        assert min(found.plain_usd_per_hour, found.held_usd_per_hour) >= found.hindsight_usd_per_hour - 1e-9


def test_a_week_ahead_resembles_the_last_seven_days_at_the_level_of_all() -> None:
    seen = _work([10.0] * 7 + [20.0] * 7)
    near, far = (shape_to_come(seen, DAY, horizon_days=days) for days in (7, 8))
    assert far is seen
    assert near.busy_nodes == pytest.approx(seen.busy_nodes[-WEEK:] * 0.75)
    assert near.mean_nodes == pytest.approx(15)
    assert near.hour_of_week.tolist() == seen.hour_of_week[-WEEK:].tolist()
    assert shape_to_come(seen.at_windows(slice(0, WEEK)), DAY, horizon_days=1).busy_nodes.size == WEEK


def test_fixed_lines_leave_no_nodes_and_no_regret() -> None:
    costs = Costs(node_usd_per_hour=0.4, pool_fixed_usd_per_hour=8.0, api_fixed_usd_per_hour=0.5)
    found = judge(_work([10.0] * 14), WEEK, DAY, costs, PRIOR)
    assert (found.plain_nodes, found.held_nodes, found.hindsight_nodes) == (0, 0, 0)
    assert found.held_usd_per_hour == pytest.approx(10.5)
    assert not found.hybrid_can_win
    assert found.all_pool_usd_per_hour == pytest.approx(18 * 0.4 + 8)


def test_the_days_seen_count_as_much_as_the_forecast() -> None:
    forecast = np.array([1.5, 2.0, 2.5])
    both = with_the_seen_again(forecast)
    assert sorted(both.tolist()) == [1.0, 1.0, 1.0, 1.5, 2.0, 2.5]
    assert both.mean() == pytest.approx((1.0 + forecast.mean()) / 2)
