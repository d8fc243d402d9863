"""Verdicts on what is out of the ordinary: fine-tuning, pools nobody measured, no output, odd horizons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stated_traffic import ON, only, stated_plan, write

import breakeven
from breakeven.errors import InputError
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from pathlib import Path


TUNED = "tuning: {training_mtok: 100, runs_per_year: 12, variants: 2, api_training_usd_per_mtok: 25}\n"


def test_a_fine_tuned_api_charges_for_training_and_dearer_tokens(tmp_path: Path) -> None:
    plain, tuned = only(stated_plan(tmp_path), "today"), only(stated_plan(tmp_path, TUNED), "today")
    lines = {row.key: row.usd_per_month.likely for row in tuned.lines}
    assert lines["fine-tuning runs"] == pytest.approx(25 * 100 * 2)
    assert lines["fine-tuning labour"] == pytest.approx(24 / 52 * 175_000 / 12)
    tokens = sum(row.usd_per_month.likely for row in plain.lines if row.layer == "tokens")
    assert lines["dearer tokens of a tuned model"] == pytest.approx(0.5 * tokens)


def test_a_pool_trains_on_its_own_kind_of_gpu(tmp_path: Path) -> None:
    """6 x 70.6B x 100M operations on H100s (989 TFLOPS dense) that reach 38 %, at 2 USD an hour, twice a month."""
    pool = (
        "pools: [{model: llama-3.3-70b, gpu: h100-sxm, gpus_per_node: 4, precision: fp8, usd_per_gpu_hour: 2,"
        " throughput: {total_tokens_per_s: 5000}}]\n"
    )
    stated = next(item for item in stated_plan(tmp_path, TUNED + pool).options if item.id.endswith(":stated"))
    hours = 6 * 70_553_706_496 * 100e6 / (989e12 * 0.38) / 3600
    runs = next(row for row in stated.lines if row.key == "fine-tuning runs")
    assert runs.usd_per_month.likely == pytest.approx(hours * 2 * 2, rel=0.01)


def test_an_api_without_a_price_for_training_is_not_recommended(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, "tuning: {training_mtok: 100}\n")
    assert "fine-tuning price" in only(result, "today").partial
    assert result.option(result.answer.recommended).kind in ("self-hosted", "owned", "serverless")


def test_adapters_that_share_a_pool_slow_it_down(tmp_path: Path) -> None:
    alone = stated_plan(tmp_path, TUNED.replace("variants: 2", "variants: 1"))
    shared = stated_plan(tmp_path, TUNED)
    one, two = (next(item for item in result.options if item.kind == "self-hosted") for result in (alone, shared))
    assert one.nodes is not None
    other = shared.option(one.id)
    assert other.nodes is not None
    assert other.nodes.utilisation_fraction.likely == pytest.approx(one.nodes.utilisation_fraction.likely / 0.9)
    assert two.title


def test_a_pool_that_nobody_measured_is_estimated_and_says_so(tmp_path: Path) -> None:
    pool = "pools: [{model: llama-3.3-70b, gpu: rtx-4090, gpus_per_node: 4, precision: fp8, usd_per_gpu_hour: 1}]\n"
    stated = next(item for item in stated_plan(tmp_path, pool).options if item.id.endswith(":stated"))
    assert any("estimated, not measured" in fact.what for fact in stated.facts)
    assert any(swing.key == "throughput_ratio" for swing in stated.swings)


def test_a_measurement_of_your_own_replaces_the_estimate(tmp_path: Path) -> None:
    """Twice the throughput at the same lengths takes half the node time: utilisation halves."""
    pool = (
        "pools: [{model: llama-3.3-70b, gpu: l40s, gpus_per_node: 4, precision: fp8, usd_per_gpu_hour: 1,"
        " throughput: {output_tokens_per_s: RATE, isl_tokens: 1000, osl_tokens: 500}}]\n"
    )
    slow, fast = (
        next(item for item in stated_plan(tmp_path, pool.replace("RATE", rate)).options if item.id.endswith(":stated"))
        for rate in ("2000", "4000")
    )
    assert slow.nodes is not None
    assert fast.nodes is not None
    busy = [
        item.nodes.utilisation_fraction.likely * (item.nodes.serving_nodes + item.nodes.standby_nodes)
        for item in (slow, fast)
        if item.nodes
    ]
    assert busy[0] == pytest.approx(2 * busy[1])


def test_a_pool_with_no_room_for_requests_says_what_is_missing(tmp_path: Path) -> None:
    pool = "pools: [{model: llama-3.3-70b, gpu: l40s, gpus_per_node: 3, precision: fp16, usd_per_gpu_hour: 1}]\n"
    with pytest.raises(InputError, match="leaves no room for requests"):
        stated_plan(tmp_path, pool)


def test_traffic_without_output_is_planned_for(tmp_path: Path) -> None:
    """Embeddings and classifiers write nothing."""
    path = write(
        tmp_path,
        "today: gpt-4o\ntraffic: {input_tokens_per_month: 3000000000, output_tokens_per_month: 0}\n"
        "pools: [{model: llama-3.3-70b, gpu: h100-sxm, gpus_per_node: 4, precision: fp8, usd_per_gpu_hour: 2,"
        " throughput: {output_tokens_per_s: 3000}}]\n",
    )
    today = only(breakeven.plan(scenario=path, as_of=ON), "today")
    assert sum(row.usd_per_month.likely for row in today.lines if row.layer == "tokens") == pytest.approx(7500)


def test_a_stated_mean_of_the_month_is_that_of_the_forecast_too(tmp_path: Path) -> None:
    path = write(tmp_path, "today: gpt-4o\nassumptions: {mean_to_observed_hour_ratio: 1.0}\n")
    result = breakeven.plan(sample_trace(), scenario=path, as_of=ON)
    today = next(item for item in result.forecast.bills if item.id.startswith("today:"))
    assert today.bill.likely_usd == pytest.approx(only(result, "today").usd_per_month.likely, rel=1e-6)
    assert today.bill.low_95_usd == pytest.approx(today.bill.high_95_usd)


def test_shares_of_wins_rank_as_the_verdict_does(tmp_path: Path) -> None:
    """A move that has to pay in a month: its migration counts in the draws as it does in the bill."""
    text = (
        "today: gpt-4o\nassumptions: {horizon_months: 1}\n"
        "traffic: {input_tokens_per_month: 300000000, output_tokens_per_month: 60000000, requests_per_month: 300000}\n"
    )
    result = breakeven.plan(scenario=write(tmp_path, text), as_of=ON)
    wins = dict(result.outlook.win_fractions)
    assert result.answer.recommended == max(wins, key=wins.__getitem__)


@pytest.mark.parametrize("assumptions", ["horizon_months: 0.4", "horizon_months: 600", "traffic_growth_per_month: 3"])
def test_a_horizon_or_growth_beyond_reason_is_refused(tmp_path: Path, assumptions: str) -> None:
    with pytest.raises(InputError, match=r"between 1 and 120|at most 1"):
        stated_plan(tmp_path, f"assumptions: {{{assumptions}}}\n")


def test_a_model_that_a_constraint_forbids_is_no_next_step(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, 'constraints: {models: ["openai:gpt-4o"]}\n', tokens=90_000_000)
    assert "llama" not in result.answer.next_step


def test_a_missing_price_of_training_is_said_and_ranks_behind(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, "tuning: {training_mtok: 20}\n")
    assert any("api_training_usd_per_mtok" in text for text in result.warnings)
    proven = [item for item in result.options if not item.excluded_by and item.quality.standing != "no evidence"]
    assert [bool(item.partial) for item in proven] == sorted(bool(item.partial) for item in proven)
