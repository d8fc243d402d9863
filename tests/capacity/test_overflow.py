"""What nodes carry and what overflows, against sums over the windows one by one."""

from __future__ import annotations

import numpy as np
import pytest

from breakeven.capacity.load import Windows, load
from breakeven.capacity.overflow import PART_WEIGHTS, OverflowTables, Shape, parts_of_day, shape_of, split_by_hour
from breakeven.capacity.service import Service

SERVICE = Service(input_node_seconds=2e-5, output_node_seconds=4e-4, kv_node_seconds=1e-8, basis="made up")
GENERATOR = np.random.default_rng(11)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Two weeks of ten minutes with a night and bursts; every fortieth window is empty."""
    count = 2016
    rate = 1.5 + np.sin(np.arange(count) / 144 * 2 * np.pi) + GENERATOR.gamma(2, 0.2, count)
    requests = GENERATOR.poisson(rate * 600)
    isl, osl = GENERATOR.lognormal(6.5, 0.4, count), GENERATOR.lognormal(5.0, 0.5, count)
    sums = np.stack([requests * isl, requests * osl, requests * isl * osl, requests * osl**2], axis=1)
    index = np.flatnonzero(np.arange(count) % 40)
    return Windows(sums=sums[index], index=index, window_count=count, window_s=600.0, span_s=count * 600.0)


@pytest.fixture(scope="module")
def tables(windows: Windows) -> OverflowTables:
    return OverflowTables(windows)


def _loads(windows: Windows, mean_nodes: float) -> np.ndarray:
    busy = np.zeros(windows.window_count)
    busy[windows.index] = load(windows, SERVICE).busy_nodes
    return np.asarray(busy * (mean_nodes / busy.mean()))


@pytest.mark.parametrize("nodes", [0, 1, 3, 7, 12, 30])
def test_nodes_carry_the_mean_of_what_they_can_of_each_window(
    windows: Windows, tables: OverflowTables, nodes: int
) -> None:
    loads = _loads(windows, 6.3)
    found = tables.carried_fraction(SERVICE, nodes=nodes, mean_nodes=6.3)
    assert found == pytest.approx(np.minimum(loads, nodes).mean() / 6.3, rel=1e-12)


def test_no_nodes_carry_nothing_and_as_many_as_the_peak_carry_all(windows: Windows, tables: OverflowTables) -> None:
    peak = float(np.ceil(_loads(windows, 6.3).max()))
    assert tables.carried_fraction(SERVICE, nodes=0, mean_nodes=6.3) == 0
    assert tables.carried_fraction(SERVICE, nodes=peak, mean_nodes=6.3) == pytest.approx(1, rel=1e-12)
    assert tables.carried_fraction(SERVICE, nodes=0, mean_nodes=0.0) == 1


@pytest.mark.parametrize("paying", [0.02, 0.1, 0.33, 0.6, 0.9, 0.98, 1.5])
@pytest.mark.parametrize("spread", [1.0, 1.85])
def test_the_marginal_rule_finds_the_cheapest_number_of_nodes(
    tables: OverflowTables, paying: float, spread: float
) -> None:
    """A node costs the share ``paying`` of what its capacity is worth: nodes x paying + what overflows is least."""
    mean = 8.4
    counts = np.arange(60.0)
    carried = np.array(
        [tables.carried_fraction(SERVICE, nodes=k, mean_nodes=mean, spread_ratio=spread) for k in counts]
    )
    cost = counts * paying + mean * (1 - carried)
    found = tables.paying_nodes(SERVICE, mean_nodes=mean, paying_fraction=paying, spread_ratio=spread)
    assert cost[int(found)] == pytest.approx(cost.min(), rel=1e-9)


def test_a_dearer_node_is_never_held_more_often(tables: OverflowTables) -> None:
    paying = np.linspace(0, 1.2, 100)
    found = np.asarray(tables.paying_nodes(SERVICE, mean_nodes=np.full(100, 8.4), paying_fraction=paying))
    assert np.all(np.diff(found) <= 0)
    assert found[-1] == 0


def test_thousands_of_draws_are_those_of_single_values(tables: OverflowTables) -> None:
    mean, paying = GENERATOR.lognormal(1.5, 0.8, 5000), GENERATOR.uniform(0.05, 0.95, 5000)
    spread = GENERATOR.uniform(0.8, 2.1, 5000)
    nodes = np.asarray(tables.paying_nodes(SERVICE, mean_nodes=mean, paying_fraction=paying, spread_ratio=spread))
    carried = np.asarray(tables.carried_fraction(SERVICE, nodes=nodes, mean_nodes=mean, spread_ratio=spread))
    for i in range(0, 5000, 61):
        m, u, g = float(mean[i]), float(paying[i]), float(spread[i])
        alone = tables.paying_nodes(SERVICE, mean_nodes=m, paying_fraction=u, spread_ratio=g)
        one = tables.carried_fraction(SERVICE, nodes=float(nodes[i]), mean_nodes=m, spread_ratio=g)
        assert nodes[i] == pytest.approx(alone, abs=1)
        assert carried[i] == pytest.approx(one, abs=1e-3)


def test_parts_of_a_day_have_its_mean_and_rise_with_its_spread() -> None:
    spreads = np.array([0.7, 1.0, 1.3, 1.85, 3.0])
    found = parts_of_day(spreads)
    assert found.shape == (5, len(PART_WEIGHTS))
    assert found @ PART_WEIGHTS == pytest.approx(1)
    assert found[:2] == pytest.approx(1)
    assert np.all(np.diff(found[2:], axis=1) > 0)
    # The 99th percentile lies in the part from 98.5 to 99.5 percent.
    assert found[2:, -2] == pytest.approx(spreads[2:], rel=0.02)


def test_parts_of_a_day_carry_what_the_hours_of_a_real_fortnight_do() -> None:
    """ServeGen's two by the hour: as many nodes as the mean load carry 85.7 and 88.0 %, 99th percentiles 1.82, 1.89."""
    flat = Shape(
        ratios=np.ones(1), sums=np.array([0.0, 1.0]), in_time=np.ones(1), index=np.zeros(1, np.int64), window_count=1
    )
    for spread, carried in ((1.82, 0.857), (1.89, 0.880)):
        assert float(flat.carried_fraction(np.asarray(1.0), spread)) == pytest.approx(carried, abs=0.04)


def test_hours_of_the_week_add_up_to_the_load(windows: Windows) -> None:
    hours = split_by_hour(shape_of(windows, SERVICE), 6.3, 5.0, window_s=600.0, first_hour=13.0)
    loads = _loads(windows, 6.3)
    assert hours.shape == (168, 2)
    assert hours.sum(axis=1).mean() == pytest.approx(6.3)
    assert hours[13].sum() == pytest.approx(loads.reshape(2, 168, 6).mean(axis=(0, 2))[0])
    assert hours[:, 0].mean() == pytest.approx(np.minimum(loads, 5.0).mean())


def test_hours_that_nobody_saw_are_no_numbers(windows: Windows) -> None:
    shape = shape_of(windows, SERVICE)
    day = Shape(
        ratios=shape.ratios[:100],
        sums=shape.sums[:101],
        in_time=shape.in_time[:100],
        index=np.arange(100),
        window_count=144,
    )
    hours = split_by_hour(day, 2.0, 1.0, window_s=600.0, first_hour=0.0)
    assert np.isnan(hours[24:]).all()
    assert not np.isnan(hours[:24]).any()
