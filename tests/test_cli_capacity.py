"""``breakeven capacity estimate`` as a person meets it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from breakeven.cli.capacity import app
from breakeven.errors import BreakevenError

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
    assert "10th to 90th percentile" in told


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
    assert "more than the model's 131,072" in _refused(*ASKED, "--isl", "131072", "--osl", "1")


def test_an_unknown_name_is_told_with_what_is_known() -> None:
    assert "nope" in _refused("estimate", "nope", "--gpu", "h100")
    assert "h1000" in _refused("estimate", "llama-3.1-8b", "--gpu", "h1000")
