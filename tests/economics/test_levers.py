"""The bill that a reader can re-weigh."""

from __future__ import annotations

import pytest

from breakeven.economics.levers import LeverBill, Levers

POOL = LeverBill(
    node_usd_per_month=1000,
    node_engineering_usd_per_month=100,
    needed_nodes=1.5,
    min_nodes=1,
    standby_nodes=1,
    engineering_usd_per_month=5000,
    other_usd_per_month=300,
)
API = LeverBill(tokens_usd_per_month=8000, engineering_usd_per_month=2000, other_usd_per_month=50)


def test_at_rest_it_is_the_bill() -> None:
    assert POOL.usd_per_month(Levers()) == pytest.approx(3 * 1100 + 5000 + 300)
    assert API.usd_per_month(Levers()) == pytest.approx(10_050)


def test_volume_moves_tokens_smoothly_and_nodes_in_steps() -> None:
    assert API.usd_per_month(Levers(volume_ratio=1.5)) == pytest.approx(12_000 + 2050)
    assert [POOL.nodes(Levers(volume_ratio=ratio)) for ratio in (0.1, 1.33, 1.34, 2)] == [1, 2, 3, 3]


def test_a_commitment_is_paid_whatever_the_volume() -> None:
    committed = LeverBill(tokens_usd_per_month=8000, committed_usd_per_month=10_000)
    assert [committed.usd_per_month(Levers(volume_ratio=ratio)) for ratio in (0.5, 1, 2)] == [10_000, 10_000, 16_000]


def test_busier_nodes_are_fewer() -> None:
    assert POOL.nodes(Levers(utilisation_ratio=1.5)) == 1
    assert POOL.nodes(Levers(utilisation_ratio=0.5)) == 3


def test_prices_and_engineers_move_their_own_lines_only() -> None:
    assert POOL.usd_per_month(Levers(gpu_price_ratio=2)) == pytest.approx(POOL.usd_per_month(Levers()) + 3000)
    assert POOL.usd_per_month(Levers(engineers_ratio=0)) == pytest.approx(3 * 1000 + 300)
    assert API.usd_per_month(Levers(api_price_ratio=0.5)) == pytest.approx(4000 + 2050)
    assert POOL.usd_per_month(Levers(api_price_ratio=9)) == POOL.usd_per_month(Levers())
