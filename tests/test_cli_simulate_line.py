"""``breakeven simulate --line-requests``: who waits in the gateway with whom, as told in a table and as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError
from breakeven.wiring.simulate import SimulateRequest, run_simulation
from test_cli_simulate import ON, POOL

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.simulation import LineRun

COUNT = 900


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty requests a second, more than a node can do: two thirds of one key, and of a third of those a deadline."""
    path = tmp_path_factory.mktemp("lines") / "trace.csv"
    keys = ("chat", "chat", "[bold]batch")
    rows = [
        f"{1_700_000_000 + number / 30:.3f},{400 + 17 * number % 900},{100 + 13 * number % 300},{keys[number % 3]},"
        f"{2 if number % 3 == 0 else ''}"
        for number in range(COUNT)
    ]
    names = "timestamp,input_tokens,output_tokens,key,deadline_s"
    path.write_text("\n".join([names, *rows]) + "\n", encoding="utf-8")
    return path


def _asked(trace: Path, **more: Any) -> SimulateRequest:
    asked: dict[str, Any] = {
        "files": (trace,), "pool": POOL, "as_of": ON, "policy": "overflow", "most_waiting_requests": 2,
        "line_requests": 100,
    }  # fmt: skip
    return SimulateRequest(**asked | more)


def _line(trace: Path, **more: Any) -> LineRun:
    line = run_simulation(_asked(trace, **more)).simulated.likely.line
    assert line is not None
    return line


def test_every_request_is_told_by_key_and_by_priority(trace: Path) -> None:
    found = run_simulation(_asked(trace, key_priorities=("[bold]batch=-5",)))
    for run in found.simulated.runs:
        line = run.line
        assert line is not None
        assert [flow.key for flow in line.flows] == ["chat", "[bold]batch"]
        assert [flow.requests for flow in line.flows] == [600, 300]
        assert [item.priority for item in line.classes] == [0, -5]
        assert sum(item.rejected_requests for item in line.classes) == run.rejected_requests > 0
        assert line.no_room_requests + line.too_late_requests == run.rejected_requests
        usual, low = line.classes
        assert usual.rejected_requests / usual.requests < low.rejected_requests / low.requests
    assert found == run_simulation(_asked(trace, key_priorities=("[bold]batch=-5",)))


def test_keys_of_one_priority_share_alike(trace: Path) -> None:
    line = _line(trace, line_longest_s=86_400.0)
    chat, batch = line.flows
    assert chat.rejected_requests > batch.rejected_requests
    assert [item.priority for item in line.classes] == [0]


def test_a_row_says_its_own_deadline_and_the_line_that_of_all(trace: Path) -> None:
    own = _line(trace, line_requests=1000, line_longest_s=86_400.0)
    assert 0 < own.too_late_requests <= COUNT / 3
    assert own.no_room_requests == 0
    of_all = _line(trace, line_requests=1000, line_longest_s=1.0)
    assert of_all.too_late_requests > own.too_late_requests


def test_without_a_line_nobody_is_turned_away(trace: Path) -> None:
    run = run_simulation(_asked(trace, line_requests=None)).simulated.likely
    assert (run.line, run.rejected_requests) == (None, 0)


def test_an_api_takes_requests_before_they_wait(trace: Path) -> None:
    line = _line(trace, overflow=("gpt-4o-mini",), line_requests=1000)
    assert sum(flow.overflow_requests for flow in line.flows) > 0
    assert (line.no_room_requests, line.too_late_requests) == (0, 0)


def test_it_is_told_in_tables_and_as_json(trace: Path) -> None:
    arguments = ["simulate", str(trace), "--pool", POOL, "--policy", "overflow", "--most-waiting", "2"]
    arguments += ["--line-requests", "100", "--key-priority", "chat=3", "--as-of", "2026-11-01"]
    text = CliRunner().invoke(app, arguments)
    assert text.exit_code == 0, text.output
    assert "of them, waited too long" in text.stdout
    assert "By key and priority:" in text.stdout
    assert "[bold]batch" in text.stdout
    run = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["simulated"]["runs"][1]
    assert [item["priority"] for item in run["line"]["classes"]] == [3, 0]
    assert run["line"]["flows"][0]["key"] == "chat"


def test_of_several_numbers_of_nodes_it_is_told_how_many_each_rejects(trace: Path) -> None:
    arguments = ["simulate", str(trace), "--pool", POOL, "--policy", "overflow", "--most-waiting", "2"]
    arguments += ["--line-requests", "100", "--nodes", "1,4", "--as-of", "2026-11-01"]
    text = CliRunner().invoke(app, arguments)
    assert text.exit_code == 0, text.output
    assert "rejected" in text.stdout
    assert re.search(r"Cheapest: 1 node\(s\), where \d+\.\d% are rejected\.", text.stdout)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"line_requests": 0}, "--line-requests: 0 is not between 1 and 100,000"),
        ({"most_waiting_requests": 0}, "--most-waiting: a node would always be full"),
        ({"policy": "least_busy"}, "--line-requests: under the policy 'least_busy' nobody waits in it"),
        ({"line_requests": None, "line_longest_s": 5.0}, "--line-longest-s: nobody waits in the gateway's line"),
        ({"line_requests": None, "key_priorities": ("chat=1",)}, "--key-priority: nobody waits in the gateway's line"),
        ({"line_longest_s": float("inf")}, "--line-longest-s: inf s is not above 0 and at most a day"),
        ({"line_longest_s": float("nan")}, "--line-longest-s: nan s is not above 0 and at most a day"),
        ({"key_priorities": ("chat",)}, "--key-priority: 'chat' is not KEY=PRIORITY"),
        ({"key_priorities": ("chat=101",)}, "with a whole number from -100 to 100"),
        ({"key_priorities": ("chat=1", "chat=2")}, "--key-priority: 'chat' is given twice"),
        ({"key_priorities": ("chta=1",)}, "The nearest: chat."),
        ({"key_priorities": ("chat=1",), "scale_ratio": 2.0}, "the requests are made up, and none of them has a key"),
    ],
)
def test_a_wrong_question_is_refused_with_advice(trace: Path, asked: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as refused:
        run_simulation(_asked(trace, **asked))
    assert expected in str(refused.value)


def test_made_up_requests_wait_first_come_first_served(trace: Path) -> None:
    found = run_simulation(_asked(trace, scale_ratio=2.0))
    assert "first come, first served" in " ".join(found.notes)
    line = found.simulated.likely.line
    assert line is not None
    assert [flow.key for flow in line.flows] == [""]
    assert line.flows[0].requests == found.simulated.requests


def test_a_key_that_is_a_secret_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    rows = [f"{1_700_000_000 + number},400,100,sk-proj-abcdefgh{number % 2}12345678" for number in range(10)]
    path.write_text("\n".join(["timestamp,input_tokens,output_tokens,key", *rows]) + "\n", encoding="utf-8")
    assert all("abcdefgh" not in flow.key for flow in _line(path).flows)
