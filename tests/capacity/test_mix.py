"""The integer programme: against every combination on small cases, and the marginal rule for one kind of node."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from breakeven.capacity.mix import Choice, Fixed, Kind, Limit, best_mix, kinds_of
from breakeven.capacity.schedule import Terms, best_schedule
from breakeven.capacity.sizing import Work, staircase

KINDS = [
    Kind(model="a", index=0, weight_fraction=0.5, busy_nodes=(2.2, 1.4, 2.2), overflow_usd_per_hour=22.0),
    Kind(model="a", index=0, weight_fraction=0.2, busy_nodes=(3.7, 2.3, 3.7), overflow_usd_per_hour=37.0),
    Kind(model="a", index=1, weight_fraction=0.3, busy_nodes=(0.6, 0.4, 0.6), overflow_usd_per_hour=6.0),
]
CHOICES = [
    Choice(name="small", model="a", node_usd_per_hour=4.0, most_nodes=3),
    Choice(name="large", model="a", node_usd_per_hour=7.1, most_nodes=2),
    Choice(name="spot", model="a", node_usd_per_hour=3.8, by_the_hour=True, interruption_fraction=0.1, most_nodes=3),
]


def _any(usd_per_hour: float, *choices: int) -> Fixed:
    return Fixed(name="any", usd_per_hour=usd_per_hour, choices=choices)


def _bill(small: int, large: int, spot: tuple[int, int], fixed: float) -> float:
    """Return the bill of given nodes, the work divided at best by a linear programme of its own."""
    usd = 4.0 * small + 7.1 * large + 3.8 * (0.7 * spot[0] + 0.3 * spot[1])
    usd += fixed if small or large or any(spot) else 0.0
    for kind in KINDS:
        held = (small, large, 0.9 * spot[kind.index])
        solved = linprog(
            [-1.0] * 3,
            A_ub=[[1.0] * 3, *np.diag(kind.busy_nodes).tolist()],
            b_ub=[1.0, *held],
            bounds=(0, None),
        )
        usd += kind.weight_fraction * kind.overflow_usd_per_hour * (1 + solved.fun)
    return float(usd)


@pytest.mark.parametrize("fixed", [0.0, 4.0, 13.0])
def test_it_finds_what_trying_everything_finds(fixed: float) -> None:
    found = best_mix(KINDS, CHOICES, fixed=[_any(fixed, 0, 1, 2)], gap_fraction=0.0)
    tried = {
        (small, large, (first, second)): _bill(small, large, (first, second), fixed)
        for small, large in product(range(4), range(3))
        for first, second in product(range(4), repeat=2)
    }
    assert found.proven
    assert found.usd_per_hour == pytest.approx(min(tried.values()), abs=1e-6)
    nodes = found.nodes
    assert tried[int(nodes[0, 0]), int(nodes[1, 0]), (int(nodes[2, 0]), int(nodes[2, 1]))] == pytest.approx(
        found.usd_per_hour, abs=1e-6
    )


def test_fixed_lines_turn_it_to_the_overflow_alone() -> None:
    found = best_mix(KINDS, CHOICES, fixed=[_any(30.0, 0, 1, 2)])
    assert not found.nodes.any()
    assert found.usd_per_hour == pytest.approx(0.5 * 22 + 0.2 * 37 + 0.3 * 6)


def test_for_one_kind_of_node_it_is_the_marginal_rule() -> None:
    chance = np.random.default_rng(5)
    busy = chance.gamma(2.0, 2.0, 200)
    work = Work(busy_nodes=busy, node_hour_usd=np.full(200, 10.0), hour_of_week=np.zeros(200, dtype=np.int64))
    kinds = kinds_of("m", busy[:, None], busy * 10, np.zeros(200, dtype=np.int64), level_count=200)
    for usd, fixed in ((2.0, 0.0), (5.0, 3.0), (9.0, 20.0)):
        choice = Choice(name="one", model="m", node_usd_per_hour=usd)
        found = best_mix(kinds, [choice], fixed=[_any(fixed, 0)], gap_fraction=0.0)
        stairs = staircase(work, node_usd_per_hour=usd, fixed_usd_per_hour=fixed)
        assert found.nodes[0, 0] == stairs.best
        assert found.usd_per_hour == pytest.approx(stairs.usd_per_hour[stairs.best])


def test_reserved_and_by_the_hour_are_as_the_schedule_has_them() -> None:
    slots = np.repeat(np.arange(168) % 2, 4)
    busy = np.where(slots == 0, 5.0, 2.0)
    work = Work(busy_nodes=busy, node_hour_usd=np.full(len(busy), 10.0), hour_of_week=np.repeat(np.arange(168), 4))
    terms = (
        Terms(name="r", node_usd_per_hour=4.0, by_the_hour=False),
        Terms(name="d", node_usd_per_hour=6.0, by_the_hour=True),
    )
    choices = [
        Choice(name=item.name, model="m", node_usd_per_hour=item.node_usd_per_hour, by_the_hour=item.by_the_hour)
        for item in terms
    ]
    kinds = kinds_of("m", np.stack([busy, busy], axis=1), busy * 10, slots, level_count=3)
    found = best_mix(kinds, choices, gap_fraction=0.0)
    assert found.nodes.tolist() == [[2, 2], [3, 0]]
    assert found.usd_per_hour == pytest.approx(best_schedule(work, terms).usd_per_hour)


def test_two_models_are_held_each_for_itself() -> None:
    kinds = [
        Kind(model="a", index=0, weight_fraction=1.0, busy_nodes=(2.0, 0.0), overflow_usd_per_hour=20.0),
        Kind(model="b", index=0, weight_fraction=1.0, busy_nodes=(0.0, 1.0), overflow_usd_per_hour=5.0),
    ]
    choices = [
        Choice(name="a", model="a", node_usd_per_hour=4.0),
        Choice(name="b", model="b", node_usd_per_hour=4.0),
    ]
    found = best_mix(kinds, choices, fixed=[_any(2.0, 0), _any(2.0, 1)])
    assert found.nodes[:, 0].tolist() == [2, 0]
    assert found.usd_per_hour == pytest.approx(8 + 2 + 5)
    assert found.served_fraction.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("most_count", [0, 2, 3, 5, 7, 40])
def test_within_a_limit_it_finds_what_trying_everything_finds(most_count: int) -> None:
    limit = Limit(name="gpus", most_count=most_count, each_count=(1, 2, 1))
    found = best_mix(KINDS, CHOICES, fixed=[_any(4.0, 0, 1, 2)], limits=[limit], gap_fraction=0.0)
    tried = [
        _bill(small, large, (first, second), 4.0)
        for small, large in product(range(4), range(3))
        for first, second in product(range(4), repeat=2)
        if small + 2 * large + max(first, second) <= most_count
    ]
    assert found.usd_per_hour == pytest.approx(min(tried), abs=1e-6)
    assert limit.used_count(found.nodes) <= most_count
    assert found.gap_usd_per_hour == pytest.approx(0, abs=1e-6)


def test_two_models_share_a_limit_and_what_is_paid_once() -> None:
    kinds = [
        Kind(model="a", index=0, weight_fraction=1.0, busy_nodes=(2.0, 0.0), overflow_usd_per_hour=20.0),
        Kind(model="b", index=0, weight_fraction=1.0, busy_nodes=(0.0, 2.0), overflow_usd_per_hour=14.0),
    ]
    choices = [
        Choice(name="a", model="a", node_usd_per_hour=4.0),
        Choice(name="b", model="b", node_usd_per_hour=4.0),
    ]
    for most, nodes in ((1, [1, 0]), (3, [2, 1]), (9, [2, 2])):
        limit = Limit(name="gpus", most_count=most, each_count=(1, 1))
        found = best_mix(kinds, choices, fixed=[_any(2.0, 0, 1)], limits=[limit])
        assert found.nodes[:, 0].tolist() == nodes
        assert found.fixed_usd_per_hour == pytest.approx(2)


def test_what_nodes_spare_is_spared_only_with_nodes() -> None:
    kinds = [Kind(model="a", index=0, weight_fraction=1.0, busy_nodes=(1.0,), overflow_usd_per_hour=1.0)]
    choice = Choice(name="a", model="a", node_usd_per_hour=4.0)
    assert best_mix(kinds, [choice], fixed=[_any(-2.0, 0)]).usd_per_hour == pytest.approx(1)
    assert best_mix(kinds, [choice], fixed=[_any(-3.5, 0)]).usd_per_hour == pytest.approx(0.5)


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="counts of 0 or more"):
        Limit(name="gpus", most_count=-1, each_count=(1,))


def test_a_tail_is_cut_finer_so_that_little_of_its_bill_is_lost() -> None:
    busy = np.sort(np.random.default_rng(4).lognormal(1.0, 1.0, 5000))
    slot = np.zeros(len(busy), dtype=np.int64)
    kinds = kinds_of("m", busy[:, None], busy * 10, slot, level_count=12)
    assert len(kinds) == 12
    for nodes in range(30):
        true = float(np.maximum(busy - nodes, 0).mean())
        seen = sum(kind.weight_fraction * max(kind.busy_nodes[0] - nodes, 0) for kind in kinds)
        assert true - 0.04 * busy.mean() <= seen <= true + 1e-9


def test_windows_are_put_together_by_level_and_slot() -> None:
    busy = np.array([1.0, 9.0, 2.0, 8.0, 5.0])
    kinds = kinds_of("m", busy[:, None], busy * 10, np.array([0, 0, 0, 0, 1]), level_count=2)
    assert [(kind.index, kind.busy_nodes, kind.weight_fraction) for kind in kinds] == [
        (0, (1.5,), 0.4),
        (0, (8.5,), 0.4),
        (1, (5.0,), 0.2),
    ]


def test_nothing_to_place_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        best_mix([], CHOICES)
