"""Nodes by hour of the week: what is reserved, what is bought by the hour, and what an interruption leaves over."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from breakeven.capacity.schedule import Schedule, Terms, best_schedule, schedule_usd_per_hour
from breakeven.capacity.sizing import Work, staircase

RESERVED = Terms(name="reserved", node_usd_per_hour=4.0, by_the_hour=False)
ON_DEMAND = Terms(name="on-demand", node_usd_per_hour=6.0, by_the_hour=True)
SPOT = Terms(name="spot", node_usd_per_hour=4.5, by_the_hour=True, interruption_fraction=0.1)


def _week(day: int, night: int, usd: float = 10.0) -> Work:
    hours = np.arange(168)
    awake = (hours % 24 >= 8) & (hours % 24 < 20)
    return Work(
        busy_nodes=np.where(awake, float(day), float(night)), node_hour_usd=np.full(168, usd), hour_of_week=hours
    )


def test_the_base_is_reserved_and_the_day_bought_by_the_hour() -> None:
    found = best_schedule(_week(5, 2), [RESERVED, ON_DEMAND])
    assert found.nodes[0].tolist() == [2] * 168
    assert set(found.nodes[1].tolist()) == {0, 3}
    assert found.nodes[1][[7, 8, 19, 20]].tolist() == [0, 3, 3, 0]
    assert found.nodes_usd_per_hour == pytest.approx(2 * 4 + 3 * 6 / 2)
    assert found.overflow_usd_per_hour == pytest.approx(0)
    assert found.week_starts_count == 3 * 7


def test_nothing_is_up_at_night_where_there_is_nothing_to_do() -> None:
    found = best_schedule(_week(1, 0), [Terms(name="r", node_usd_per_hour=9.0, by_the_hour=False), ON_DEMAND])
    assert found.up_nodes.min() == 0
    assert found.up_nodes.max() == 1
    assert found.usd_per_hour == pytest.approx(3)


def test_a_start_that_costs_more_than_the_stretch_gains_is_not_made() -> None:
    slow = Terms(name="slow", node_usd_per_hour=9.5, by_the_hour=True, start_hours=1.0)
    quick = Terms(name="quick", node_usd_per_hour=9.5, by_the_hour=True, start_hours=0.5)
    assert best_schedule(_week(1, 0), [slow]).up_nodes.max() == 0
    kept = best_schedule(_week(1, 0), [quick])
    assert kept.up_nodes.max() == 1
    assert kept.nodes_usd_per_hour == pytest.approx((84 * 9.5 + 7 * 0.5 * 9.5) / 168)


def test_what_interrupted_nodes_would_have_served_overflows() -> None:
    found = best_schedule(_week(5, 5), [SPOT])
    assert found.up_nodes.tolist() == [5] * 168
    assert found.overflow_usd_per_hour == pytest.approx(0.1 * 5 * 10)
    dear = Terms(name="spot", node_usd_per_hour=9.1, by_the_hour=True, interruption_fraction=0.1)
    assert best_schedule(_week(5, 5), [dear]).up_nodes.max() == 0


def test_with_one_way_to_buy_it_is_the_marginal_rule() -> None:
    chance = np.random.default_rng(3)
    work = Work(
        busy_nodes=chance.gamma(2.0, 2.0, 1008), node_hour_usd=np.full(1008, 10.0), hour_of_week=np.arange(1008) // 6
    )
    for usd in (2.0, 5.0, 8.0):
        fixed = best_schedule(work, [Terms(name="r", node_usd_per_hour=usd, by_the_hour=False)])
        stairs = staircase(work, node_usd_per_hour=usd)
        assert fixed.up_nodes.tolist() == [stairs.best] * 168
        assert fixed.usd_per_hour == pytest.approx(stairs.usd_per_hour[stairs.best])


def test_no_other_schedule_is_cheaper() -> None:
    work = _week(3, 1)
    found = best_schedule(work, [RESERVED, ON_DEMAND])
    bills = []
    for base, day, night in product(range(4), repeat=3):
        hours = np.arange(168) % 24
        awake = (hours >= 8) & (hours < 20)
        plan = Schedule(
            terms=(RESERVED, ON_DEMAND),
            nodes=np.stack([np.full(168, base), np.where(awake, day, night)]),
            nodes_usd_per_hour=0.0,
            overflow_usd_per_hour=0.0,
            week_starts_count=0.0,
        )
        bills.append(sum(schedule_usd_per_hour(plan, work)))
    assert found.usd_per_hour == pytest.approx(min(bills))


def test_a_schedule_is_billed_alike_on_the_demand_it_was_made_for() -> None:
    work = _week(5, 2)
    found = best_schedule(work, [RESERVED, ON_DEMAND, SPOT])
    nodes_usd, overflow_usd = schedule_usd_per_hour(found, work)
    assert nodes_usd == pytest.approx(found.nodes_usd_per_hour)
    assert overflow_usd == pytest.approx(found.overflow_usd_per_hour)
    _, more = schedule_usd_per_hour(found, work.scaled(2))
    assert more > overflow_usd + 10


def test_hours_that_were_not_seen_get_nothing_bought_by_the_hour() -> None:
    work = Work(busy_nodes=np.full(10, 2.0), node_hour_usd=np.full(10, 10.0), hour_of_week=np.arange(10))
    found = best_schedule(work, [ON_DEMAND])
    assert found.up_nodes.tolist() == [2] * 10 + [0] * 158


def test_terms_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="interrupted share"):
        Terms(name="x", node_usd_per_hour=1.0, by_the_hour=True, interruption_fraction=1.0)
