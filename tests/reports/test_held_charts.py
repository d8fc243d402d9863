"""Charts of simulations: what they say in words is what was put in, and every size renders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.quantities import Interval
from breakeven.reports.charts.drawing import NARROW, WIDE
from breakeven.reports.charts.held import (
    Held,
    HourUsed,
    cost_against_nodes,
    cost_slo_frontier,
    frontier,
    ttft_against_nodes,
    use_over_time,
)


def held(nodes: int, p99_s: float, usd: float) -> Held:
    total = Interval(low=usd * 0.9, likely=usd, high=usd * 1.2)
    return Held(nodes, (p99_s / 4, p99_s / 2, p99_s), usd * 0.7, usd * 0.3, total)


SWEEP = [held(1, 40.0, 9_000), held(2, 2.0, 7_000), held(3, 0.6, 8_000), held(4, 0.6, 9_500)]


def test_the_frontier_holds_what_no_other_beats() -> None:
    assert [item.nodes for item in frontier(SWEEP)] == [3, 2]


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(1, 1e6)), min_size=1, max_size=30))
def test_nothing_on_the_frontier_is_beaten_and_all_else_is(points: list[tuple[float, float]]) -> None:
    every = [held(index, p99_s, usd) for index, (p99_s, usd) in enumerate(points)]
    best = frontier(every)
    for item in every:
        beaten = any(
            other.ttft_s[2] <= item.ttft_s[2] and other.total_usd.likely <= item.total_usd.likely and other is not item
            for other in best
        )
        assert beaten or item in best


def test_labels_say_what_is_drawn() -> None:
    assert "cheapest with 2 nodes" in cost_against_nodes(SWEEP).label
    assert "best with 3, 2 nodes" in cost_slo_frontier(SWEEP).label
    assert "1 nodes: p99 40 s; 4 nodes: p99 0.6 s, bound 1 s" in ttft_against_nodes(SWEEP, 1.0).label
    hours = [HourUsed(3.0, 1.0, 3.0), HourUsed(2.0, 0.0, 3.0)]
    assert "16.7% overflowed" in use_over_time(hours).label
    assert "0.0% overflowed" in use_over_time([HourUsed(0.0, 0.0, 1.0)]).label


def test_a_long_simulation_says_that_a_part_is_drawn() -> None:
    label = use_over_time([HourUsed(1.0, 0.0, 2.0)] * 1000).label
    assert "The first 672 of 1,000 hours are drawn." in label


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_every_chart_renders_at_every_size(size: object) -> None:
    hours = [HourUsed(3.0, 1.0, 4.0)] * 200
    charts = (use_over_time(hours), ttft_against_nodes(SWEEP, 1.0), cost_against_nodes(SWEEP), cost_slo_frontier(SWEEP))
    for chart in charts:
        drawing = chart.drawing()
        assert "<svg" in (drawing.wide if size is WIDE else drawing.narrow)
        assert "<path" in drawing.wide


def test_a_single_count_of_nodes_is_drawn_too() -> None:
    for chart in (ttft_against_nodes(SWEEP[:1]), cost_against_nodes(SWEEP[:1]), cost_slo_frontier(SWEEP[:1], 0.5)):
        assert "<svg" in chart.svg()
