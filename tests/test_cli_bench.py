"""``breakeven bench`` on the command line: what is printed, what is refused, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import BreakevenError, InputError
from breakeven.sources.calibration import read_calibration
from gateway import answers, payloads
from gateway.scripted import Call, ScriptedUpstream, scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as opened:
        opened.script("good", good)
        yield opened


def good(call: Call) -> None:
    words = len(call.json["messages"][0]["content"].split())
    told = payloads.usage(input_tokens=words + 9, output_tokens=call.json["max_tokens"])
    answers.stream(payloads.stream(told["completion_tokens"], told), gap_s=0.005)(call)


def test_the_table_the_prices_and_the_file(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    saved = tmp_path / "here.json"
    command = ["bench", upstream.url("good"), "--model", "m", "--isl", "50", "--osl", "5", "--concurrency", "1,2"]
    limits = ["--slo-ttft-ms", "10000", "--usd-per-hour", "2", "--seconds", "1.5", "--narrow", "0.5"]
    shown = CliRunner().invoke(
        app, [*command, *limits, "--pool", "a box", "--engine", "scripted", "--save", str(saved)]
    )
    assert shown.exit_code == 0, shown.output
    assert "m on a box (scripted)" in shown.stdout
    assert "Greatest load within the limits: " in shown.stdout
    assert "USD/Mtok" in shown.stdout
    assert "At most 10,000 requests will be sent" in shown.stderr
    assert [level.asked_count for level in read_calibration(saved).levels] == [1, 2]


def test_everything_is_in_the_json(upstream: ScriptedUpstream) -> None:
    command = [
        "bench",
        upstream.url("good"),
        "--model",
        "m",
        "--osl",
        "5",
        "--rate",
        "20",
        "--seconds",
        "2",
        "--json",
    ]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found["calibration"]["levels"][0]["asked_requests_per_s"] == 20
    assert found["swept"][0]["knee_count"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["localhost:8000/v1"], "URL: A URL begins with http:// or https://"),
        (["http://u:p@h/v1"], "Credentials do not stand in a URL"),
        (["http://h/v1/chat/completions"], "Leave /chat/completions out: it is added"),
        (["http://h/v1", "--isl", "x"], "--isl 'x' is no list of numbers"),
        (["http://h/v1", "--isl", "0"], "--isl: 0 is not above 0"),
        (["http://h/v1", "--osl", "99999999"], "--osl: 1e+08 is not above 0 and up to"),
        (["http://h/v1", "--concurrency", "1,2", "--rate", "1"], "one of the two"),
        (["http://h/v1", "--rate", "nan"], "--rate: nan is not above 0"),
        (["http://h/v1", "--seconds", "inf"], "--seconds: inf is not a number above 0"),
        (["http://h/v1", "--speedup", "2"], "it goes with --trace"),
        (["http://h/v1", "--slo-share", "1.5"], "--slo-share: 1.5"),
        (["http://h/v1", "--max-requests", "0"], "--max-requests: 0 is not 1 or more"),
        (["http://h/v1", "--pool", "9xh100:llama-3.3-70b"], "a node has 1 to 8 GPUs"),
        (["http://h/v1", "--pool", "1xh100:llama-3.3-70b:fp9"], "the precision 'fp9' is none of"),
        (["http://h/v1", "--pool", "1xnosuch:llama-3.3-70b"], "The catalogue holds no GPU"),
        (["http://h/v1", "--trace", "/no/such/file.csv"], "/no/such/file.csv"),
        (["http://h/v1", "--key", "sk-abc"], "write env:NAME"),
        (["https://localhost:1/v1", "--ca-file", "/no/such.pem"], "--ca-file /no/such.pem"),
        (["http://no-such-host.invalid/v1"], "Is the server running"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["bench", *arguments, "--model", "m"]).exception
    assert isinstance(found, BreakevenError)
    assert said in str(found)


def test_wrong_input_ends_with_2() -> None:
    command = [sys.executable, "-m", "breakeven", "bench", "no-url", "--model", "m"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_trace_without_lengths_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time,user\n2026-01-01T00:00:00Z,a\n")
    command = ["bench", "http://127.0.0.1:1/v1", "--model", "m", "--trace", str(trace)]
    found = CliRunner().invoke(app, command).exception
    assert isinstance(found, InputError)
    assert "tokens" in str(found)


def test_a_stop_keeps_what_was_measured(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("stopped", good)
    saved = tmp_path / "stopped.json"
    command = ["bench", upstream.url("stopped"), "--model", "m", "--isl", "20", "--osl", "5", "--concurrency", "1,2"]
    # Tests run in the background are told to ignore Ctrl-C, and so is what they start; a handler is not inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "breakeven", *command, "--seconds", "60", "--narrow", "0", "--save", str(saved)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            upstream.calls("stopped", at_least=20)
            process.send_signal(signal.SIGINT)
            shown, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            signal.signal(signal.SIGINT, before)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "Stopped: what had been measured by then stands above." in shown
    assert len(read_calibration(saved).levels) == 1


def test_a_file_that_cannot_be_written_is_told(upstream: ScriptedUpstream) -> None:
    command = ["bench", upstream.url("good"), "--model", "m", "--osl", "4", "--concurrency", "1", "--seconds", "0.3"]
    found = CliRunner().invoke(app, [*command, "--save", "/no/such/folder/x.json"]).exception
    assert "cannot be written to /no/such/folder/x.json" in str(found)
