"""Break-even of many draws against the solver of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.breakeven import FlatCost, StairCost, break_even
from breakeven.economics.crossing import FlatDraws, StairDraws, first_crossing_mtok

USD = st.floats(0, 1e5)
Case = tuple[float, float, float, int, int, float, float]

CASES = st.lists(
    st.tuples(
        USD,
        st.floats(1, 1e5),
        st.floats(1, 1e5),
        st.integers(0, 2),
        st.just(1),
        USD,
        st.one_of(st.just(0.0), st.floats(0.001, 20)),
    ),
    min_size=1,
    max_size=20,
)


def _arrays(cases: list[Case]) -> tuple[StairDraws, FlatDraws]:
    fixed, node, mtok, standby, _, api_fixed, price = (
        np.array(column, dtype=float) for column in zip(*cases, strict=True)
    )
    pool = StairDraws(
        fixed_usd_per_month=fixed, node_usd_per_month=node, node_mtok_per_month=mtok, standby_nodes=standby
    )
    return pool, FlatDraws(fixed_usd_per_month=api_fixed, usd_per_mtok=price)


@given(CASES)
def test_every_draw_crosses_where_the_solver_of_one_says(cases: list[Case]) -> None:
    found = first_crossing_mtok(*_arrays(cases))
    for index, (fixed, node, mtok, standby, min_nodes, api_fixed, price) in enumerate(cases):
        alone = break_even(
            StairCost(
                fixed_usd_per_month=fixed,
                node_usd_per_month=node,
                node_mtok_per_month=mtok,
                standby_nodes=standby,
                min_nodes=min_nodes,
            ),
            FlatCost(fixed_usd_per_month=api_fixed, usd_per_mtok=price),
        )
        first = np.inf if alone.first_mtok is None else alone.first_mtok
        assert found[index] == pytest.approx(first)


@given(CASES, st.floats(0.01, 1e6))
def test_bills_are_those_of_the_solver_of_one(cases: list[Case], volume_mtok: float) -> None:
    pool, api = _arrays(cases)
    at = np.array(volume_mtok)
    for index, (fixed, node, mtok, standby, min_nodes, api_fixed, price) in enumerate(cases):
        alone = StairCost(
            fixed_usd_per_month=fixed,
            node_usd_per_month=node,
            node_mtok_per_month=mtok,
            standby_nodes=standby,
            min_nodes=min_nodes,
        )
        assert pool.usd_per_month(at)[index] == pytest.approx(alone.usd_per_month(volume_mtok))
        assert api.usd_per_month(at)[index] == pytest.approx(api_fixed + price * volume_mtok)


def test_a_commitment_is_paid_until_the_tokens_cost_more() -> None:
    api = FlatDraws(fixed_usd_per_month=np.array([10.0]), usd_per_mtok=np.array([2.0]), committed_usd_per_month=100.0)
    assert api.usd_per_month(np.array([20.0, 50.0, 80.0])).tolist() == [110.0, 110.0, 170.0]
