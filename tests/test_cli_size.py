"""``breakeven size``: nodes to hold, told in tables and as JSON; both kinds of trace; wrong questions."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.economics.forecast import DailyPrior
from breakeven.errors import InputError, UnknownNameError
from breakeven.studies.hybrid.backtest import Costs, judge
from breakeven.studies.hybrid.requests import seen_work
from breakeven.studies.hybrid.study import ALL_API, ALL_POOL, HYBRID, SCHEDULED, WAITING
from breakeven.wiring.hybrid import SizeRequest, prepared, run_size
from breakeven.wiring.plan import two_weeks

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.hybrid.result import HybridSize

POOL = "2xH100:llama-3.3-70b:fp8:vllm"
ON = date(2026, 11, 1)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of traffic, a request a second."""
    path = tmp_path_factory.mktemp("traces") / "trace.csv"
    rows = [f"{1_700_000_000 + at_s},{200 + 17 * at_s % 900},{20 + 13 * at_s % 300}" for at_s in range(3600)]
    path.write_text("\n".join(["timestamp,input_tokens,output_tokens", *rows]) + "\n", encoding="utf-8")
    return path


def _asked(files: tuple[Any, ...], **more: Any) -> SizeRequest:
    asked: dict[str, Any] = {"files": files, "pools": (POOL,), "overflow": "gpt-4o", "as_of": ON}
    return SizeRequest(**asked | more)


@pytest.fixture(scope="module")
def weeks() -> HybridSize:
    """Two weeks of a production service before a dear API."""
    return run_size(_asked(two_weeks(), batchable_fraction=0.2))


def test_two_weeks_of_totals_are_sized(weeks: HybridSize) -> None:
    assert weeks.nodes > 10
    assert weeks.least_count <= weeks.nodes <= weeks.most_count
    bills = [step.usd_per_month for step in weeks.steps]
    assert bills.index(min(bills)) == weeks.nodes
    last, beyond = weeks.steps[weeks.nodes], weeks.steps[weeks.nodes + 1]
    node_usd = weeks.node_usd_per_hour.likely * 730
    assert last.saved_usd_per_month >= node_usd >= beyond.saved_usd_per_month
    assert weeks.breakeven_utilisation_fraction.likely == pytest.approx(
        weeks.node_usd_per_hour.likely / weeks.overflow_node_hour_usd.likely
    )
    assert 0 < weeks.overflow_fraction < 0.5


def test_each_way_adds_up_and_hybrids_beat_the_api(weeks: HybridSize) -> None:
    ways = {item.name: item for item in weeks.ways}
    assert set(ways) == {ALL_API, ALL_POOL, HYBRID, SCHEDULED, WAITING}
    for item in weeks.ways:
        likely = sum(line.usd_per_month.likely for line in item.lines)
        assert item.usd_per_month.likely == pytest.approx(likely)
        assert item.usd_per_month.low <= item.usd_per_month.likely <= item.usd_per_month.high
    assert ways[HYBRID].usd_per_month.likely == pytest.approx(weeks.steps[weeks.nodes].usd_per_month)
    assert ways[ALL_API].usd_per_month.likely == pytest.approx(weeks.steps[0].usd_per_month)
    assert ways[SCHEDULED].usd_per_month.likely <= ways[HYBRID].usd_per_month.likely
    assert ways[WAITING].usd_per_month.likely < ways[HYBRID].usd_per_month.likely
    keys = {line.key for line in ways[HYBRID].lines}
    assert {"overflow tokens", "nodes", "engineering, pool", "engineering, API", "reliability, pool"} <= keys


def test_what_is_bought_is_told_by_the_hour(weeks: HybridSize) -> None:
    assert weeks.held
    for item in weeks.held:
        assert len(item.by_hour_of_week) == 168
        assert item.least_count == min(item.by_hour_of_week)
        assert item.mean_nodes == pytest.approx(sum(item.by_hour_of_week) / 168)


def test_a_cheap_api_leaves_no_nodes(trace: Path) -> None:
    found = run_size(_asked((trace,), overflow="gpt-4o-mini"))
    assert found.nodes == 0
    assert found.overflow_fraction == 1
    assert any("hold none" in reason or "no node pays" in reason for reason in found.reasons)
    assert any("spread over a day" in text for text in found.warnings)


def test_a_stated_price_is_the_only_one_and_growth_moves_the_demand(trace: Path) -> None:
    still = run_size(_asked((trace,), usd_per_gpu_hour=2.5, growth_per_month=0.0))
    growing = run_size(_asked((trace,), usd_per_gpu_hour=2.5, growth_per_month=0.5))
    assert still.node_usd_per_hour.is_exact
    assert growing.demand_ratio.likely > still.demand_ratio.likely * 1.1
    assert {item.purchase.split(",")[0] for item in still.held} <= {"on-demand"}


def test_nodes_are_sized_for_tomorrow_as_for_a_month() -> None:
    month, tomorrow = (run_size(_asked(two_weeks(), horizon_days=days)) for days in (30, 1))
    assert tomorrow.demand_ratio != month.demand_ratio
    assert any("next month" in reason for reason in month.reasons)
    assert any("the next 1 day(s)" in reason for reason in tomorrow.reasons)
    with pytest.raises(InputError, match="1 to 366") as error:
        run_size(_asked(two_weeks(), horizon_days=0))
    assert "--horizon-days" in str(error.value)


@pytest.mark.parametrize("overflow", ["gpt-4o", "gpt-4.1-mini"])
def test_the_command_sizes_for_tomorrow_by_the_rule_that_the_bench_judges(overflow: str) -> None:
    sizing = prepared(_asked(two_weeks(), overflow=overflow, horizon_days=1)).sizings[0]
    times = sizing.context.workload.profile.times
    assert times is not None
    seen, side = seen_work(sizing, times), sizing.likely
    day = round(86_400 / times.window_s)
    windows = np.arange(len(seen.busy_nodes))
    one_more = seen.at_windows(np.concatenate([windows, windows[-day:]]))  # to be sized for; what it is does not count
    known = sizing.context.book.assumptions
    prior = DailyPrior.of(known["mean_to_observed_days_ratio"].interval, known["traffic_growth_per_month"].interval)
    costs = Costs(node_usd_per_hour=side.node_usd_per_hour, pool_fixed_usd_per_hour=side.pool_fixed_usd_per_hour)
    (judged,) = judge(one_more, len(windows), day, costs, prior).revised_nodes
    assert sizing.stairs().best == judged > 0


def test_several_pools_are_chosen_among_by_the_integer_programme() -> None:
    found = run_size(_asked(two_weeks(), pools=(POOL, "1xH200:llama-3.3-70b:fp8:vllm")))
    assert found.mix is not None
    assert found.mix.held
    assert found.mix.gap_fraction < 0.05
    assert sum(item.served_fraction for item in found.mix.held) <= 1 + 1e-6
    scheduled = next(item for item in found.ways if item.name == SCHEDULED)
    assert found.mix.usd_per_month < 1.1 * scheduled.usd_per_month.likely


def test_an_slo_is_simulated_on_the_traces_own_requests(trace: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("assumptions: {self_hosted_engineering_fte: 0, migration_weeks: 0}\n", encoding="utf-8")
    found = run_size(_asked((trace,), slo_ttft_s=2.0, usd_per_gpu_hour=0.2, growth_per_month=0.0, scenario=scenario))
    assert 0 < found.capacity_fraction <= 1
    assert found.nodes >= 1
    assert found.nodes in {run.nodes for run in found.slo}
    kept = [run for run in found.slo if run.keeps_slo]
    assert kept
    assert all(run.within_fraction >= 0.95 and run.most_ttft_s <= 2.0 for run in kept)
    assert found.nodes == min(kept, key=lambda run: run.usd_per_month).nodes


def test_a_scenario_says_volume_price_and_people(trace: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "traffic: {total_tokens_per_month: 3000000000}\nassumptions: {self_hosted_engineering_fte: 0}\n"
        "pools: [{model: llama-3.3-70b, gpu: h100-sxm, gpus_per_node: 2, usd_per_gpu_hour: 1}]\n",
        encoding="utf-8",
    )
    found = run_size(_asked((trace,), scenario=scenario))
    assert found.demand_ratio.is_exact
    assert found.node_usd_per_hour.likely < 3
    pool = next(item for item in found.ways if item.name == ALL_POOL)
    assert "engineering, pool" not in {line.key for line in pool.lines}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"files": ()}, "there is no traffic"),
        ({"slo_ttft_s": 0.0}, "--slo-ttft-s"),
        ({"growth_per_month": 5.0}, "5 % a month is 0.05"),
        ({"batchable_fraction": 20.0}, "no share between 0 and 1"),
        ({"usd_per_gpu_hour": -1.0}, "--usd-per-gpu-hour"),
        ({"pools": ("2xH100",)}, "not of the form"),
        ({"pools": ("16xH100:llama-3.3-70b",)}, "1 to 8 GPUs"),
        ({"pools": ("2xH100:llama-3.3-70b:fp3",)}, "precision 'fp3'"),
        ({"pools": ("1xL4:llama-3.1-405b:fp8",)}, "needs"),
        ({"pools": (POOL,) * 9}, "9 pools"),
    ],
)
def test_wrong_questions_say_what_to_do(trace: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run_size(_asked(more.pop("files", (trace,)), **more))


def test_names_that_nobody_knows_are_told(trace: Path) -> None:
    with pytest.raises(UnknownNameError):
        run_size(_asked((trace,), pools=("2xH100:no-such-model",)))
    with pytest.raises(UnknownNameError):
        run_size(_asked((trace,), overflow="no-such-api"))


def test_a_bill_without_times_is_refused(tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text("month,model,input_tokens,output_tokens\n2026-10,gpt-4o,1000000,200000\n", encoding="utf-8")
    with pytest.raises(InputError):
        run_size(_asked((bill,)))


def test_the_command_prints_tables_and_json(trace: Path) -> None:
    words = ["size", str(trace), "--pool", POOL, "--overflow", "gpt-4o", "--as-of", "2026-11-01"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    for text in ("Hold ", "USD a month, fully loaded", "all API", "busy, the last", "overflow to openai:gpt-4o"):
        assert text in shown.output
    plain = CliRunner().invoke(app, [*words, "--json"])
    data = json.loads(plain.output)
    assert data["overflow"] == "openai:gpt-4o"
    assert data["steps"][0]["overflow_fraction"] == 1
