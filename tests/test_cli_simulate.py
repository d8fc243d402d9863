"""``breakeven simulate``: a trace through a pool, told in a table and as JSON; wrong questions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from typer.testing import CliRunner

from breakeven.capacity.calibration import Calibration
from breakeven.cli import app
from breakeven.errors import InputError, UnknownNameError
from breakeven.reports.charts.held import HourUsed
from breakeven.reports.charts.simulated import hours_of
from breakeven.routing.fullness import Limits
from breakeven.sources.calibration import write_calibration
from breakeven.sources.genai import price_list
from breakeven.studies.simulation import Hours
from breakeven.usage import TokenUsage
from breakeven.wiring.simulate import SimulateRequest, run_simulation
from breakeven.wiring.simulate_check import counts_of
from capacity.test_calibration import DENSE, measured

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.simulation import Simulated

POOL = "2xH100:llama-3.3-70b:fp8:vllm"
ON = date(2026, 11, 1)
REQUESTS = [(number * 0.25, 200 + 17 * number % 900, 20 + 13 * number % 300) for number in range(400)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred seconds of traffic, not in its order."""
    path = tmp_path_factory.mktemp("traces") / "trace.csv"
    rows = [f"{1_700_000_000 + at_s:.2f},{given},{made}" for at_s, given, made in REQUESTS]
    rows[10], rows[11] = rows[11], rows[10]
    path.write_text("\n".join(["timestamp,input_tokens,output_tokens", *rows]) + "\n", encoding="utf-8")
    return path


def _asked(trace: Path, **more: Any) -> SimulateRequest:
    asked: dict[str, Any] = {"files": (trace,), "pool": POOL, "as_of": ON}
    return SimulateRequest(**asked | more)


def test_a_trace_runs_through_a_pool(trace: Path) -> None:
    shares: list[float] = []
    found = run_simulation(_asked(trace, nodes=2, progress=shares.append))
    slow, likely, fast = found.simulated.runs
    assert found.pool == "2xh100-sxm:llama-3.3-70b:fp8:vllm"
    assert found.simulated.requests == len(REQUESTS)
    assert found.simulated.span_s == pytest.approx(REQUESTS[-1][0])
    assert slow.speed_ratio < likely.speed_ratio == 1 < fast.speed_ratio
    assert slow.tpot_s[0] > likely.tpot_s[0] > fast.tpot_s[0] > 0
    assert [run.overflow_requests for run in found.simulated.runs] == [0, 0, 0]
    assert found.simulated.api_only_usd is None
    assert shares[-1] == 1


def test_what_overflows_costs_what_each_request_would(trace: Path) -> None:
    found = run_simulation(_asked(trace, overflow=("gpt-4o-mini",), most_waiting_requests=0))
    card = price_list("gpt-4o-mini").card_at(datetime(2026, 11, 1, 12, tzinfo=UTC))
    usages = [TokenUsage(input_tokens=given, output_tokens=made) for _, given, made in REQUESTS]
    everything = sum((card.price_usd(usage) or Decimal(0) for usage in usages), Decimal(0))
    assert found.simulated.api_only_usd == pytest.approx(float(everything), rel=1e-9)
    for run in found.simulated.runs:  # a node with nobody waiting never takes one: all of it overflows
        assert run.overflow_requests == len(REQUESTS)
        assert run.costs.overflow_usd == pytest.approx(float(everything), rel=1e-9)
        assert run.overflow_fraction == 1


def test_the_same_question_gets_the_same_answer(trace: Path) -> None:
    asked = _asked(trace, nodes=2, policy="weighted", overflow=("gpt-4o-mini",), most_waiting_requests=1, seed=3)
    assert run_simulation(asked) == run_simulation(asked)


def test_a_full_node_is_back_where_the_gateway_has_it_back_unless_told(trace: Path) -> None:
    asked = _asked(trace, policy="overflow", overflow=("gpt-4o-mini",), most_kv_fraction=0.02)
    found = [run_simulation(replace(asked, back_ratio=ratio)).simulated for ratio in (None, Limits().back_ratio, 1.0)]
    assert found[0] == found[1]
    assert 0 < found[2].likely.overflow_requests < found[0].likely.overflow_requests


def test_it_is_told_in_a_table_and_as_json(trace: Path) -> None:
    runner = CliRunner()
    arguments = ["simulate", str(trace), "--pool", POOL, "--overflow", "gpt-4o-mini", "--as-of", "2026-11-01"]
    text = runner.invoke(app, arguments)
    assert text.exit_code == 0, text.output
    assert "overflow to openai:gpt-4o-mini" in text.stdout
    assert "TTFT p50, p95, p99" in text.stdout
    told = runner.invoke(app, [*arguments, "--json"])
    found = json.loads(told.stdout)
    assert found["simulated"]["requests"] == len(REQUESTS)
    assert len(found["simulated"]["runs"]) == 3


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"pool": "2xH100"}, "GPUSxGPU:MODEL:PRECISION:ENGINE"),
        ({"pool": "16xH100:llama-3.3-70b"}, "a node has 1 to 8 GPUs"),
        ({"pool": "2xH100:llama-3.3-70b:fp9"}, "'fp9' is none of"),
        ({"pool": "1xA10G:llama-3.3-70b:bf16"}, "does not fit"),
        ({"pool": "2xH100:nothing"}, "'nothing'"),
        ({"nodes": 0}, "--nodes: 0"),
        ({"policy": "best"}, "--policy: 'best' cannot be simulated: there is no such policy"),
        ({"most_usd": 0.01}, "--most-usd: the policy 'least_busy' does not look at it."),
        ({"most_usd": 0.0, "policy": "cost_threshold"}, "--most-usd: 0 USD is not above 0"),
        ({"budget_day_usd": 5.0, "policy": "cost_threshold"}, "or say --policy budget_downgrade"),
        ({"budget_day_usd": float("nan"), "policy": "budget_downgrade"}, "--budget-day-usd: nan USD"),
        ({"hours": "08-20"}, "--hours: the policy 'least_busy' does not look at it."),
        ({"hours": "often", "policy": "schedule"}, "--hours: 'often' is no entry of a timetable"),
        ({"hours": "08-20", "hours_zone": "Mars/One", "policy": "schedule"}, "there is no time zone 'Mars/One'"),
        ({"overflow_hours": ("08-20",), "policy": "schedule"}, "--overflow-hours: 1 are given, and --overflow names 0"),
        ({"most_kv_fraction": 90.0}, "--most-kv: 90 is no share"),
        ({"back_ratio": 0.0}, "--back: 0 of the limits is not above 0"),
        ({"most_waiting_requests": -1}, "--most-waiting: -1"),
        ({"overflow_ttft_s": (0.0,)}, "--overflow-ttft-s: 0 s"),
        ({"usd_per_gpu_hour": float("nan")}, "--usd-per-gpu-hour"),
        ({"overflow": ("nobody:x",)}, "nobody:x"),
        ({"overflow_requests_per_s": (1.0, 2.0)}, "--overflow-rps: 2 are given, and --overflow names 0"),
        ({"mtbf_hours": 0.0}, "--mtbf-hours: 0 hours"),
        ({"prefix_hit_fraction": 60.0}, "--prefix-hits: 60 is no share"),
        ({"cold_start_s": float("inf")}, "--cold-start-s"),
        ({"min_nodes": 2}, "--min-nodes: 2 is not between 0 and the 1"),
        ({"schedule": "8-20:2"}, "84 hours of the week have no number"),
        ({"schedule": "20-8:2"}, "hours rise"),
        ({"schedule": "often"}, "'often' is not of the form"),
        ({"schedule": "0-24:0"}, "no hour has a node"),
        ({"schedule": "0-24:1", "min_nodes": 0}, "--schedule: with --min-nodes too"),
        ({"slo_quantile_fraction": 99.0}, "--slo-quantile: 99 is no share"),
    ],
)
def test_a_wrong_question_is_refused_with_advice(trace: Path, asked: dict[str, Any], expected: str) -> None:
    with pytest.raises((InputError, UnknownNameError)) as refused:
        run_simulation(_asked(trace, **asked))
    assert expected in str(refused.value)


def test_nodes_fail_and_follow_the_load_and_the_same_seed_gives_the_same(trace: Path) -> None:
    asked = _asked(
        trace, nodes=3, overflow=("gpt-4o-mini",), mtbf_hours=0.003, repair_s=5.0, cold_start_s=5.0, min_nodes=0,
        seed=4, prefix_hit_fraction=0.25,
    )  # fmt: skip
    found = run_simulation(asked)
    run = found.simulated.likely
    assert run.node_failures_count > 0
    assert run.node_starts_count > 0
    assert run.prefix_hit_fraction == pytest.approx(0.25, abs=0.01)
    assert run.rejected_requests == 0
    assert run.paid_node_hours < 3 * REQUESTS[-1][0] / 3600
    assert run_simulation(asked) == found


def test_a_timetable_says_how_many_nodes_there_are(trace: Path) -> None:
    found = run_simulation(_asked(trace, schedule="0-24:1,weekday/0-24:3"))
    assert found.nodes == 3  # 2023-11-14 was a Tuesday
    assert found.simulated.likely.paid_node_hours == pytest.approx(3 * REQUESTS[-1][0] / 3600)


def test_hours_say_where_requests_go(trace: Path) -> None:
    """The trace lasts from 22:13:20 to 22:15 UTC."""
    arguments = ["simulate", str(trace), "--pool", POOL, "--nodes", "2", "--as-of", "2026-11-01", "--json"]
    arguments += ["--policy", "schedule", "--overflow", "gpt-4o-mini", "--overflow", "gpt-4o"]
    arguments += ["--hours", "Tue 14-14:14", "--hours-zone", "America/Los_Angeles"]
    for others, target in (([], 0), (["--overflow-hours", "00-12", "--overflow-hours", ""], 1)):
        told = CliRunner().invoke(app, [*arguments, *others])
        assert told.exit_code == 0, told.output
        usages = [TokenUsage(input_tokens=given, output_tokens=made) for at_s, given, made in REQUESTS if at_s >= 40]
        card = price_list(("gpt-4o-mini", "gpt-4o")[target]).card_at(datetime(2026, 11, 1, 12, tzinfo=UTC))
        expected = float(sum((card.price_usd(usage) or Decimal(0) for usage in usages), Decimal(0)))
        for run in json.loads(told.stdout)["simulated"]["runs"]:
            assert run["overflow_requests"] == len(usages)
            assert run["costs"]["overflow_usd"] == pytest.approx(expected)


def test_hours_change_nothing_about_how_many_nodes_there_are(trace: Path) -> None:
    for more in ({"schedule": "0-24:2"}, {"nodes": 2, "min_nodes": 1, "scale_up_after_s": 1e9}):
        asked = _asked(trace, overflow=("gpt-4o-mini",), policy="schedule", most_waiting_requests=1 << 40, **more)
        always, closing = run_simulation(asked), run_simulation(replace(asked, hours="00-22:14"))
        assert closing.simulated.likely.overflow_requests == 240 > always.simulated.likely.overflow_requests == 0
        assert closing.simulated.likely.paid_node_hours == pytest.approx(always.simulated.likely.paid_node_hours)


def test_prices_and_a_budget_choose_between_apis(trace: Path) -> None:
    """All of it overflows, to the dear one or to the cheap one."""
    both = _asked(trace, overflow=("gpt-4o", "gpt-4o-mini"), most_waiting_requests=0)

    def usd(**more: Any) -> float:
        return run_simulation(replace(both, **more)).simulated.likely.costs.overflow_usd

    dear = usd(policy="cost_threshold")
    cheap = usd(policy="cost_threshold", most_usd=1e-9)
    assert cheap < usd(policy="cost_threshold", most_usd=0.002) < dear
    assert usd(policy="budget_downgrade") == dear
    assert cheap < usd(policy="budget_downgrade", budget_day_usd=dear / 2) < dear / 2


def test_several_numbers_of_nodes_are_compared(trace: Path) -> None:
    arguments = ["simulate", str(trace), "--pool", POOL, "--nodes", "1..3", "--as-of", "2026-11-01"]
    arguments += ["--slo-ttft-s", "5", "--slo-tpot-s", "0.1"]
    text = CliRunner().invoke(app, arguments)
    assert text.exit_code == 0, text.output
    assert "Cheapest that keeps TTFT 5 s and seconds a token 0.1 s for 0.99 of all answers" in text.stdout
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["sweep"]
    assert [point["nodes"] for point in found["points"]] == [1, 2, 3]
    assert found["cheapest_nodes_count"] == found["cheapest_keeping_nodes_count"] == 1
    likely = [point["runs"][1] for point in found["points"]]
    assert likely[0]["used_fraction"] > likely[1]["used_fraction"] > likely[2]["used_fraction"] > 0
    alone = run_simulation(_asked(trace, nodes=2)).simulated.likely
    assert likely[1]["ttft_s"] == list(alone.ttft_s)


@pytest.mark.parametrize("text", ["", "few", "3..1", "1..2..3", "1..200"])
def test_a_wrong_number_of_nodes_is_told(text: str) -> None:
    with pytest.raises(InputError, match="--nodes"):
        counts_of(text)


def test_totals_are_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "windows.csv"
    path.write_text(
        "start_time,window_s,requests,input_tokens,output_tokens\n2026-01-01T00:00:00Z,3600,10,1000,500\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(app, ["simulate", str(path), "--pool", POOL])
    assert done.exit_code != 0


def test_windows_are_made_up_into_requests(tmp_path: Path) -> None:
    rates = tmp_path / "m_rps_10min.csv"
    rates.write_text("t,rps\n" + "".join(f"{600 * n},{0.2 + 0.1 * (n % 3)}\n" for n in range(6)), encoding="utf-8")
    lengths = tmp_path / "m_lengths.csv"
    lengths.write_text("t,mean_input_tokens,mean_output_tokens\n0,800,120\n", encoding="utf-8")
    found = run_simulation(_asked(rates, files=(rates, lengths), burst="weibull:2", seed=5))
    assert found.simulated.requests == 2 * (120 + 180 + 240)
    assert "made up from 6 windows of 10 minutes" in found.notes[0]
    assert "weibull process that varies by 2, as stated" in found.notes[1]
    assert found == run_simulation(_asked(rates, files=(rates, lengths), burst="weibull:2", seed=5))
    assert found.simulated != run_simulation(_asked(rates, files=(rates, lengths), burst="poisson", seed=5)).simulated


def test_a_trace_is_made_up_at_another_volume(trace: Path) -> None:
    found = run_simulation(_asked(trace, scale_ratio=3.0))
    assert found.simulated.requests == 3 * len(REQUESTS)
    assert "lengths of requests seen" in found.notes[0]


def _calibration(path: Path, **more: Any) -> Path:
    levels = tuple(measured(DENSE, count, 256, 64) for count in (1, 2, 4, 8, 16))
    plain: dict[str, Any] = {"hardware": "a box", "model": "own", "engine": "vllm", "as_of": ON, "levels": levels}
    write_calibration(path, Calibration(**plain | more))
    return path


def test_a_node_is_as_fast_as_it_was_measured_whatever_it_is(trace: Path, tmp_path: Path) -> None:
    measured_s = _calibration(tmp_path / "measured.json")
    asked = _asked(trace, pool=None, calibration=measured_s, usd_per_gpu_hour=1.5)
    found = run_simulation(asked)
    assert found.pool == "a box:own:vllm"
    assert "5 loads on a box" in found.basis
    assert found.simulated.node_usd_per_hour.likely == 1.5
    assert "room for 5,121 tokens and 16 requests" in found.basis
    assert "room for 90,000 tokens" in run_simulation(replace(asked, cache_tokens=90_000)).basis
    alone_s = DENSE.base_s + DENSE.sequence_s + DENSE.weights_s[0]
    assert found.simulated.likely.tpot_s[0] > 0.9 * alone_s
    with pytest.raises(InputError, match=r"No current on-demand price of this hardware .* Give --usd-per-gpu-hour"):
        run_simulation(_asked(trace, pool=None, calibration=measured_s))


def test_a_calibration_of_another_node_or_of_one_load_is_refused(trace: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is of a box, and --pool names 2xh100-sxm\. Leave --pool out"):
        run_simulation(_asked(trace, calibration=_calibration(tmp_path / "other.json")))
    one = _calibration(tmp_path / "one.json", levels=(measured(DENSE, 1, 256, 64),))
    with pytest.raises(InputError, match=r"No pace follows .* there are 1\. Measure more loads"):
        run_simulation(_asked(trace, pool=None, calibration=one, usd_per_gpu_hour=1.0))
    with pytest.raises(InputError, match="the room of a pool's cache follows from its memory"):
        run_simulation(_asked(trace, cache_tokens=1000))
    with pytest.raises(InputError, match="nobody says what a node is"):
        run_simulation(_asked(trace, pool=None))


def test_charts_are_written(trace: Path, tmp_path: Path) -> None:
    arguments = ["simulate", str(trace), "--pool", POOL, "--overflow", "gpt-4o-mini", "--as-of", "2026-11-01"]
    one = CliRunner().invoke(app, [*arguments, "--charts", str(tmp_path / "one")])
    assert one.exit_code == 0, one.output
    several = CliRunner().invoke(app, [*arguments, "--nodes", "1..3", "--charts", str(tmp_path / "several")])
    assert several.exit_code == 0, several.output
    assert "Without nodes, all of it at the overflow's API" in several.stdout
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["use-over-time.png", "use-over-time.svg"]
    names = ("cost-against-nodes", "cost-slo-frontier", "ttft-against-nodes", "use-over-time")
    assert sorted(path.stem for path in (tmp_path / "several").glob("*.svg")) == list(names)


def test_overflow_is_drawn_in_nodes_of_the_same_work() -> None:
    """Half of the requests on nodes at 40 % of two: the other half would have taken as much."""
    hours = Hours(
        requests=(100, 100),
        overflow_fraction=(0.5, 0.5),
        paid_nodes_count=(2.0, 2.0),
        down_nodes_count=(0.0, 0.0),
        busy_fraction=(1.0, 1.0),
        used_fraction=(0.4, 0.4),
    )
    item = SimpleNamespace(likely=SimpleNamespace(hours=hours), span_s=7200.0)
    for hour in hours_of(cast("Simulated", item)):
        assert hour == pytest.approx(HourUsed(0.8, 0.8, 2.0))
