"""Break-even on the staircase, against a brute-force scan and the published worked example."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.economics.breakeven import FlatCost, StairCost, break_even, break_even_utilisation

usd = st.floats(0, 50_000, allow_nan=False)


@st.composite
def pools(draw: st.DrawFn) -> StairCost:
    return StairCost(
        fixed_usd_per_month=draw(usd),
        node_usd_per_month=draw(st.floats(10, 20_000)),
        node_mtok_per_month=draw(st.floats(10, 10_000)),
        standby_nodes=draw(st.integers(0, 2)),
        min_nodes=draw(st.integers(1, 3)),
    )


@st.composite
def apis(draw: st.DrawFn) -> FlatCost:
    return FlatCost(
        fixed_usd_per_month=draw(usd),
        usd_per_mtok=draw(st.floats(0.01, 50)),
    )


@settings(max_examples=400, deadline=None)
@given(pool=pools(), api=apis())
def test_the_solution_agrees_with_a_scan_of_the_middle_of_every_cheaper_and_dearer_stretch(
    pool: StairCost, api: FlatCost
) -> None:
    result = break_even(pool, api)
    last = result.stable_nodes or (result.islands[-1].nodes if result.islands else pool.min_nodes)
    for nodes in range(pool.min_nodes, min(last + 4, 60)):
        start = 0.0 if nodes == pool.min_nodes else (nodes - 1) * pool.node_mtok_per_month
        for share in (0.01, 0.25, 0.5, 0.75, 0.99):
            volume = start + share * (nodes * pool.node_mtok_per_month - start)
            difference = pool.usd_per_month(volume) - api.usd_per_month(volume)
            if abs(difference) < 1e-6 * max(1.0, api.usd_per_month(volume)):
                continue
            stable = result.stable_mtok is not None and volume >= result.stable_mtok
            listed = any(r.from_mtok <= volume <= (r.to_mtok or volume) for r in result.islands)
            if result.island_count > len(result.islands) and nodes > result.islands[-1].nodes:
                continue  # only the first islands are listed
            assert (difference < 0) == (stable or listed), (volume, difference, result)


@settings(max_examples=200, deadline=None)
@given(pool=pools(), api=apis())
def test_the_two_bills_are_equal_at_a_crossing_inside_a_step(pool: StairCost, api: FlatCost) -> None:
    result = break_even(pool, api)
    volume = result.first_mtok
    if volume is None or volume == 0 or volume % pool.node_mtok_per_month < 1e-6 * pool.node_mtok_per_month:
        return
    assert pool.usd_per_month(volume) == pytest.approx(api.usd_per_month(volume), rel=1e-6)


@settings(max_examples=200, deadline=None)
@given(pool=pools(), api=apis(), factor=st.floats(0.1, 10))
def test_changing_the_currency_moves_no_break_even(pool: StairCost, api: FlatCost, factor: float) -> None:
    other = break_even(
        StairCost(
            fixed_usd_per_month=pool.fixed_usd_per_month * factor,
            node_usd_per_month=pool.node_usd_per_month * factor,
            node_mtok_per_month=pool.node_mtok_per_month,
            standby_nodes=pool.standby_nodes,
            min_nodes=pool.min_nodes,
        ),
        FlatCost(
            fixed_usd_per_month=api.fixed_usd_per_month * factor,
            usd_per_mtok=api.usd_per_mtok * factor,
        ),
    )
    here = break_even(pool, api)
    if abs(api.usd_per_mtok * pool.node_mtok_per_month / pool.node_usd_per_month - 1) < 1e-6:
        return  # ill-conditioned where the prices meet
    assert (other.first_mtok is None) == (here.first_mtok is None)
    if here.first_mtok:
        assert other.first_mtok == pytest.approx(here.first_mtok, rel=1e-5)


@pytest.mark.parametrize(
    ("node_usd", "fixed_usd", "tokens_per_s", "first", "first_nodes", "stable"),
    [
        (3600, 9625, 800, 7.14, 6, 8.78),
        (3600, 9625, 1000, 5.49, 4, 6.31),
        (3600, 9625, 1200, 4.67, 3, 4.67),
        (5040, 13500, 800, 42.3, 34, 56.1),
        (5040, 13500, 1000, 12.3, 8, 15.8),
        (5040, 13500, 1200, 8.85, 5, 10.0),
    ],
)
def test_the_70b_example_of_002_with_whole_nodes(
    node_usd: float, fixed_usd: float, tokens_per_s: float, first: float, first_nodes: int, stable: float
) -> None:
    """2xA100 at 60 % utilisation against GPT-4o at 4.375 USD per Mtok; volumes in billions."""
    pool = StairCost(
        fixed_usd_per_month=fixed_usd,
        node_usd_per_month=node_usd,
        node_mtok_per_month=tokens_per_s * 0.6 * 720 * 3600 / 1e6,
    )
    result = break_even(pool, FlatCost(fixed_usd_per_month=0, usd_per_mtok=4.375))
    assert result.first_mtok is not None
    assert result.stable_mtok is not None
    assert float(f"{result.first_mtok / 1000:.3g}") == first
    assert result.first_nodes == first_nodes
    assert float(f"{result.stable_mtok / 1000:.3g}") == stable


def test_never_when_a_node_displaces_less_than_it_costs() -> None:
    pool = StairCost(fixed_usd_per_month=9625, node_usd_per_month=1080, node_mtok_per_month=3110.4)
    result = break_even(pool, FlatCost(fixed_usd_per_month=0, usd_per_mtok=0.2625))
    assert result.never
    assert "1,080" in result.never_because


def test_a_head_start_melts_where_further_nodes_do_not_pay() -> None:
    """The API needs 5,000 USD of people, the pool none; each node loses 500 USD."""
    pool = StairCost(fixed_usd_per_month=0, node_usd_per_month=1500, node_mtok_per_month=1000)
    result = break_even(pool, FlatCost(fixed_usd_per_month=5000, usd_per_mtok=1.0))
    assert result.first_mtok == 0
    assert result.stable_mtok is None
    assert [r.to_mtok for r in result.islands] == [8000.0, 9000.0, 10000.0]


def test_break_even_utilisation_of_003_with_and_without_a_standby_gpu() -> None:
    """1,440 USD a month against 2 requests/s of 1,500 tokens at 0.8333 USD per Mtok."""
    capacity = 2 * 1500 * 3600 * 720 / 1e6
    for gpus, expected in ((1, 0.2222), (2, 0.4444)):
        share = break_even_utilisation(
            pool_usd_per_month=1440 * gpus,
            full_capacity_mtok_per_month=capacity,
            api_usd_per_mtok=1250 / 1500,
        )
        assert share == pytest.approx(expected, abs=1e-4)
