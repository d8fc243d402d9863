"""``breakeven capacity estimate`` as a person meets it."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from breakeven.capacity.calibration import Calibration, Level, Times
from breakeven.cli.capacity import app
from breakeven.errors import BreakevenError
from breakeven.sources.calibration import write_calibration

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ("estimate", "llama-3.1-70b", "--gpu", "h100", "--gpus", "2", "--precision", "fp8")


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def _refused(*arguments: str) -> str:
    with pytest.raises(BreakevenError) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    return str(caught.value)


def test_it_says_whether_a_model_fits_and_how_fast_it_is() -> None:
    told = _run(*ASKED, "--concurrency", "16")
    for part in ("llama-3.1-70b at fp8 on 2x h100-sxm, vllm", "fits", "yes", "160.0 GB", "TTFT", "TPOT", "tokens/s"):
        assert part in told
    assert "intervals: 90 %, the narrowest that held so many unseen rows" in told
    assert "at a time  TTFT ms" in told
    assert "nearby: roofline fitted on" in told


def test_the_most_that_keeps_an_slo_is_told() -> None:
    told = _run(*ASKED, "--slo-ttft-ms", "800", "--slo-tpot-ms", "40")
    assert "within TTFT 800 ms and TPOT 40 ms" in told
    data = json.loads(_run(*ASKED, "--slo-tpot-ms", "40", "--json"))
    assert data["within_slo"]["tpot_ms"]["likely"] <= 40
    assert data["loads"][-1]["concurrency_count"] == data["largest_batch_count"]
    assert "not even one request" in _run(*ASKED, "--slo-tpot-ms", "1")


def test_cached_input_and_layouts_are_options() -> None:
    ttft = []
    for share in ("0", "0.8"):
        data = json.loads(_run(*ASKED, "--isl", "3000", "--concurrency", "8", "--cached-share", share, "--json"))
        ttft.append(data["estimate"]["rates"]["ttft_ms"]["likely"])
    assert ttft[1] < ttft[0]
    wide = ("estimate", "deepseek-r1", "--gpu", "b200", "--gpus", "8", "--precision", "fp4")
    plain, apart = (
        json.loads(_run(*wide, *more, "--json"))["largest_batch_count"]
        for more in ((), ("--attention-data-parallel", "8"))
    )
    assert apart > plain
    assert json.loads(_run(*ASKED, "--pipeline", "2", "--json"))["fits"]


def test_what_does_not_fit_is_an_answer_too() -> None:
    told = _run("estimate", "llama-3.1-405b", "--gpu", "a100", "--gpus", "8", "--precision", "fp16")
    assert "needs 812 GB for weights alone" in told
    assert "TTFT" not in told


def test_json_holds_everything() -> None:
    data = json.loads(_run(*ASKED, "--isl", "500", "--osl", "100", "--json"))
    assert (data["model"], data["gpu"], data["fits"]) == ("llama-3.1-70b", "h100-sxm", True)
    assert data["estimate"]["memory"]["weights_gb"] == pytest.approx(70.55, abs=0.01)
    rate = data["estimate"]["rates"]["output_tokens_per_s"]
    assert rate["low"] < rate["likely"] < rate["high"]


def test_a_measurement_of_the_catalogue_wins() -> None:
    asked = ("estimate", "llama-3.1-70b", "--gpu", "h200", "--gpus", "4", "--precision", "fp8")
    told = _run(*asked, "--isl", "1024", "--osl", "1024", "--concurrency", "16")
    assert "measurement(s): inferencex" in told


def test_every_problem_is_told_at_once() -> None:
    told = _refused(
        *ASKED[:4], "--gpus", "9", "--precision", "fp3", "--isl", "0", "--engine", " ", "--concurrency", "0"
    )
    for part in ("--gpus", "'fp3'", "--isl", "--engine", "--concurrency"):
        assert part in told
    told = _refused(*ASKED, "--pipeline", "3", "--cached-share", "1", "--slo-ttft-ms", "0", "--slo-tpot-ms", "nan")
    for part in ("--pipeline", "--cached-share", "--slo-ttft-ms", "--slo-tpot-ms"):
        assert part in told
    assert "more than the model's 131,072" in _refused(*ASKED, "--isl", "131072", "--osl", "1")


def test_an_unknown_name_is_told_with_what_is_known() -> None:
    assert "nope" in _refused("estimate", "nope", "--gpu", "h100")
    assert "h1000" in _refused("estimate", "llama-3.1-8b", "--gpu", "h1000")


def _calibration() -> Calibration:
    times = Times(mean_ms=100.0, p50_ms=100.0, p90_ms=100.0, p95_ms=100.0, p99_ms=100.0)
    known: dict[str, object] = {
        "asked_count": 8, "asked_isl_tokens": 512, "asked_osl_tokens": 128, "asked_requests_per_s": None,
        "concurrency_count": 8.0, "window_s": 10.0, "requests": 100, "isl_tokens": 512.0, "osl_tokens": 128.0,
        "input_output_tokens2": 512.0 * 128, "output_output_tokens2": 128.0 * 128, "cached_fraction": 0.0,
        "requests_per_s": 400 / 128, "output_tokens_per_s": 400.0, "throughput_error_fraction": 0.01,
    }  # fmt: skip
    timed = {item.name: times for item in fields(Level) if "Times" in str(item.type) and item.default is MISSING}
    level = Level(**{**known, **timed})  # type: ignore[arg-type]
    return Calibration(
        hardware="2xh100-sxm",
        model="meta-llama/Llama-3.1-70B-Instruct",
        engine="vllm",
        as_of=date(2026, 11, 21),
        gpu="h100-sxm",
        gpus=2,
        precision="fp8",
        levels=(level,),
    )


def test_what_was_measured_here_wins_and_corrects_what_was_not(tmp_path: Path) -> None:
    path = tmp_path / "here.json"
    here = _calibration()
    write_calibration(path, here)
    lengths = ("--isl", "512", "--osl", "128")
    asked = (*ASKED, *lengths, "--calibration", str(path))
    told = json.loads(_run(*asked, "--concurrency", "8", "--json"))["estimate"]["rates"]
    assert (told["rung"], told["output_tokens_per_s"]["likely"]) == ("measured", 400)
    near, plain = (
        json.loads(_run(*question, "--concurrency", "12", "--json"))["estimate"]["rates"]
        for question in (asked, (*ASKED, *lengths))
    )
    assert near["rung"] == "nearby"
    assert "measured here" in near["basis"]
    assert near["tpot_ms"]["likely"] != plain["tpot_ms"]["likely"]
    assert "says nothing of what is asked" in _refused(*asked[:3], "h200", *asked[4:])
    write_calibration(path, replace(here, model="Qwen/Qwen3-32B"))
    assert "it is of Qwen/Qwen3-32B" in _refused(*asked)
