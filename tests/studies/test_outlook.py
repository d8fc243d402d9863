"""The simulation against the same figures computed one world at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from worlds_by_hand import ON, Open, opened

import breakeven
from breakeven.economics.distributions import quantile
from breakeven.studies.verdict.course import course_of, moved_fraction
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.pool_option import PoolOption
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.result import Verdict


@pytest.fixture(scope="module")
def plan() -> Open:
    return opened()


@pytest.fixture(scope="module")
def azure() -> Verdict:
    return breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON)


def _world(case: Case, index: int) -> dict[str, float]:
    return {key: float(values[index]) for key, values in case.drawn.items()}


def test_every_draw_of_a_bill_is_the_bill_of_that_world(plan: Open) -> None:
    """Peaks of draws are interpolated, so that a node more or less is possible in a world at the edge of a step."""
    for case in plan.cases:
        drawn = np.broadcast_to(case.drawn_bill.usd_per_month, 200)
        for index in range(0, 200, 9):
            world = _world(case, index)
            step = float(case.option.node_usd_per_month(world)) if isinstance(case.option, PoolOption) else 0.0
            assert drawn[index] == pytest.approx(
                float(case.option.bill(world).usd_per_month), rel=0.01, abs=1.01 * step
            ), case.option.id


def test_lines_of_every_draw_add_up_to_its_bill(plan: Open) -> None:
    for case in plan.cases:
        total = sum(np.asarray(row.usd_per_month) for row in case.drawn_bill.lines)
        assert np.asarray(case.drawn_bill.usd_per_month) == pytest.approx(np.asarray(total))


def test_the_first_month_of_the_course_is_the_bill_without_migration(plan: Open) -> None:
    course = course_of(plan.cases[0].drawn, plan.context.workload, month_count=36)
    for case in plan.cases:
        first = course.usd_per_month(case)[:, 0]
        one_off = sum(np.asarray(row.usd_per_month) for row in case.drawn_bill.lines if row.layer == "one-off")
        # Up-times of serverless nodes climb in steps, and two tables may place a draw on either side of one.
        close = np.isclose(first, np.asarray(case.drawn_bill.usd_per_month) - one_off, rtol=0.01)
        assert close.mean() >= (0.97 if isinstance(case.option, ServerlessOption) else 1.0), case.option.id


def test_later_months_follow_volume_and_prices(plan: Open) -> None:
    """A month's bill by hand: nodes for the grown volume, tokens at fallen prices, people as before."""
    course = course_of(plan.cases[0].drawn, plan.context.workload, month_count=24)
    month = 23
    for case in plan.cases[:1] + plan.cases[-4:]:
        if isinstance(case.option, ServerlessOption):
            continue
        for index in (3, 77, 150):
            world = _world(case, index)
            growth = (1 + world["traffic_growth_per_month"]) ** month
            bill = case.option.bill(world)
            fixed = sum(float(row.usd_per_month) for row in bill.lines if row.layer not in ("tokens", "one-off"))
            if isinstance(case.option, PoolOption):
                size = case.option.sizing(world)
                fall = (1 - world["gpu_price_decline_per_year"]) ** (month / 12) if case.option.price_moves else 1.0
                node = float(case.option.node_usd_per_month(world))
                people = float(case.option.node_engineering_usd(world))
                before = float(size.serving_nodes + size.standby_nodes)
                volume = float(case.option.workload.month(world).volume_mtok) * growth
                after = max(case.option.min_nodes, np.ceil(volume / float(size.node_mtok_per_month) * (1 - 1e-12)))
                after += float(size.standby_nodes)
                expected = fixed - node * before + ((node - people) * fall + people) * after
            else:
                tokens = sum(float(row.usd_per_month) for row in bill.lines if row.layer == "tokens")
                fall = (1 - world["api_price_decline_per_year"]) ** (month / 12)
                expected = fixed + tokens * growth * fall
            assert course.usd_per_month(case)[index, month] == pytest.approx(expected, rel=0.02), case.option.id


def test_until_the_move_is_done_today_is_paid() -> None:
    case = next(item for item in opened(draws=3).cases if isinstance(item.option, PoolOption))
    share = moved_fraction(case, month_count=12)
    weeks = case.drawn["migration_weeks"]
    assert share.sum(axis=1) == pytest.approx(12 - weeks / (52 / 12))
    assert (np.diff(share, axis=1) >= 0).all()


def test_intervals_cover_the_worlds_they_speak_of() -> None:
    """Worlds drawn another way (independent uniforms through the quantile function): 80 % fall inside, not 100 %."""
    generator = np.random.default_rng(20261121)
    many = opened(draws=2000)
    case, assumptions = many.cases[-1], many.assumptions[-1]
    low, high = np.quantile(case.drawn_bill.usd_per_month, (0.1, 0.9))
    inside = 0
    for _ in range(400):
        world = {key: float(quantile(item, generator.random(1))[0]) for key, item in assumptions.items()}
        inside += low <= float(case.option.bill(world).usd_per_month) <= high
    assert 0.74 <= inside / 400 <= 0.86


def test_shares_of_wins_add_up_and_name_the_cheapest(azure: Verdict) -> None:
    wins = dict(azure.outlook.win_fractions)
    assert sum(wins.values()) == pytest.approx(1)
    assert azure.answer.recommended == max(wins, key=wins.__getitem__)
    pools = {item.id for item in azure.options if item.kind in ("self-hosted", "owned", "serverless")}
    running = sum(share for name, share in wins.items() if name in pools)
    assert azure.outlook.self_hosting_wins_fraction == pytest.approx(running)


def test_a_hundred_times_the_volume_makes_self_hosting_likelier(azure: Verdict, tmp_path: Path) -> None:
    text = "today: gpt-4o\ntraffic: {total_tokens_per_month: 4_000_000_000_000}\n"
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    large = breakeven.plan(sample_trace(), scenario=path, as_of=ON)
    assert large.outlook.self_hosting_wins_fraction > azure.outlook.self_hosting_wins_fraction + 0.3


def test_the_same_seed_gives_the_same_outlook(azure: Verdict) -> None:
    again = breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON)
    assert again.outlook == azure.outlook


def test_projections_run_over_the_horizon_and_today_saves_nothing_over_itself(azure: Verdict) -> None:
    first = next(item for item in azure.outlook.projections if item.option.startswith("today:"))
    assert first.saved_npv_usd is None
    for item in azure.outlook.projections:
        assert len(item.usd_per_month) == 36
        assert item.payback_fraction is None or 0 <= item.payback_fraction <= 1
    assert len(azure.outlook.months) == 36
