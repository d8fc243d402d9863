"""Timetables of people, and nodes that follow them: at the right times, again after a failure, once each."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import time
from dataclasses import replace
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.engines.following import Follower, Progress, after, is_due, wanted_up
from breakeven.errors import InputError
from breakeven.routing.timetable import Timetable, read_timetable
from breakeven.settings import read_settings
from breakeven.wiring.engine_schedule import Schedule, followers_of, run_command
from breakeven.wiring.gateway import MALLOC

if TYPE_CHECKING:
    from pathlib import Path


def _at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("text", "moment", "is_open"),
    [
        ("Mon-Fri 08-20", "2026-11-23T07:59", False),  # a Monday
        ("Mon-Fri 08-20", "2026-11-23T08:00", True),
        ("Mon-Fri 08-20", "2026-11-27T19:59", True),
        ("Mon-Fri 08-20", "2026-11-27T20:00", False),
        ("Mon-Fri 08-20", "2026-11-28T12:00", False),
        ("mon-fri 8:30-17:45; sat 10-14", "2026-11-23T08:29", False),
        ("mon-fri 8:30-17:45; sat 10-14", "2026-11-28T13:59", True),
        ("22-06", "2026-11-29T23:00", True),  # a Sunday, on into Monday
        ("22-06", "2026-11-30T05:59", True),
        ("22-06", "2026-11-30T06:00", False),
        ("Sun 22-06", "2026-11-30T05:59", True),
        ("Sun 22-06", "2026-11-29T05:00", False),
        ("Fri-Mon 00-24", "2026-11-30T23:59", True),
        ("Fri-Mon 00-24", "2026-12-01T00:00", False),
        ("00-24", "2026-12-01T00:00", True),
    ],
)
def test_a_timetable_is_open_in_its_hours(text: str, moment: str, is_open: bool) -> None:
    assert read_timetable(text).is_open(_at(moment)) is is_open


def test_hours_are_those_of_their_place_through_summer_and_winter() -> None:
    table = read_timetable("Mon-Fri 08-20", "Europe/Berlin")
    assert table.is_open(_at("2026-07-01T06:00"))
    assert not table.is_open(_at("2026-12-01T06:30"))
    assert table.is_open(_at("2026-12-01T08:00", "Europe/Berlin"))


def test_the_next_change_is_told() -> None:
    table = read_timetable("Mon-Fri 08-20")
    assert table.next_change_s(_at("2026-11-27T20:00")) == _at("2026-11-30T08:00")
    assert table.next_change_s(_at("2026-11-30T09:13")) == _at("2026-11-30T20:00")
    assert read_timetable("00-24").next_change_s(_at("2026-11-30T09:13")) is None


@pytest.mark.parametrize(
    "text",
    ["", "always", "Mon-Fri", "Mon-Fri 08", "Mon 25-26", "Mon 08:60-09", "Funday 08-20", "Foo 08-20", "8-20,", "24-25"],
)
def test_what_is_no_timetable_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"entry|hours|days"):
        read_timetable(text)


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "/etc/passwd", "Europe/\x00"])
def test_an_unknown_time_zone_is_told(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        read_timetable("08-20", zone)


@given(st.text(max_size=40))
def test_any_text_is_a_timetable_or_a_value_error(text: str) -> None:
    try:
        table = read_timetable(text)
    except ValueError:
        return
    assert all(0 <= begins < ends <= 7 * 24 * 60 for begins, ends in table.stretches)


def _follower(name: str = "a", table: Timetable | None = None, **changed: object) -> Follower:
    return Follower(
        pool="llama",
        node=name,
        timetable=table or read_timetable("08-20"),
        start=("up", "{pool}", "x{node}y"),
        stop=("down",),
        timeout_s=float(str(changed.get("timeout_s", 5.0))),
    )


def test_a_command_names_its_node() -> None:
    assert _follower().command(up=True) == ("up", "llama", "xay")
    assert _follower().command(up=False) == ("down",)


def test_nodes_that_should_be_up_are_those_whose_hours_it_is() -> None:
    both = (_follower("a"), _follower("b", read_timetable("Sat 00-24")))
    assert wanted_up(both, _at("2026-11-23T09:00")) == {"llama/a": True, "llama/b": False}
    assert wanted_up(both, _at("2026-11-28T21:00")) == {"llama/a": False, "llama/b": True}


def test_a_command_that_failed_is_tried_again_after_ever_longer_pauses() -> None:
    progress, pauses = Progress(), []
    for _ in range(9):
        assert is_due(progress, up=True, at_s=progress.not_before_s)
        progress = after(progress, up=True, succeeded=False, at_s=1000.0)
        assert not is_due(progress, up=True, at_s=progress.not_before_s - 0.1)
        pauses.append(progress.not_before_s - 1000.0)
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert after(progress, up=True, succeeded=True, at_s=0) == Progress(is_up=True)


def test_a_week_runs_in_no_time_and_each_change_is_one_command() -> None:
    done: list[tuple[str, bool]] = []

    def run(node: Follower, up: bool) -> bool:
        done.append((node.name, up))
        return True

    schedule = Schedule((_follower("a", read_timetable("Mon-Fri 08-20")),), run)
    begin = _at("2026-11-23T00:00")
    for minute in range(0, 7 * 24 * 60, 10):
        schedule.step(begin + 60 * minute)
        schedule.wait()
    schedule.close()
    assert done == [("llama/a", False), *[("llama/a", True), ("llama/a", False)] * 5]


def test_a_failed_start_is_repeated_until_it_succeeds_and_others_go_on_meanwhile() -> None:
    done: list[tuple[str, bool]] = []

    def run(node: Follower, up: bool) -> bool:
        done.append((node.node, up))
        return node.node == "b" or len(done) > 4

    schedule, now = Schedule((_follower("a"), _follower("b")), run), _at("2026-11-23T09:00")
    for second in range(100):
        schedule.step(now + second)
        schedule.wait()
    schedule.close()
    assert done.count(("b", True)) == 1
    assert done.count(("a", True)) == 4
    assert schedule.progress["llama/a"] == Progress(is_up=True)


def test_a_command_under_way_is_not_begun_twice() -> None:
    may_end, begun = Event(), []

    def run(node: Follower, up: bool) -> bool:
        begun.append((node.name, up))
        return may_end.wait(20)

    schedule, now = Schedule((_follower(),), run), _at("2026-11-23T09:00")
    for second in range(50):
        schedule.step(now + second)
    may_end.set()
    schedule.wait()
    schedule.step(now + 51)
    schedule.close()
    assert begun == [("llama/a", True)]
    assert schedule.progress["llama/a"].is_up is True


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_command_gets_its_names_and_says_its_output(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = "import os; print('for', os.environ['BREAKEVEN_POOL'], os.environ['BREAKEVEN_NODE'])"
    node = Follower(
        pool="llama", node="a", timetable=read_timetable("08-20"), start=_python(code), stop=("x",), timeout_s=20
    )
    assert run_command(node, True)
    assert "It said: for llama a" in caplog.text


@pytest.mark.parametrize(
    ("command", "timeout_s", "said"),
    [
        (_python("import sys; sys.exit('no quota')"), 20.0, "ended with code 1. It said: no quota"),
        (_python("import time; time.sleep(600)"), 0.3, "did not end in 0.3 s"),
        (("/no/such/program",), 20.0, "cannot be run: No such file or directory"),
    ],
)
def test_a_command_that_fails_is_a_failure_with_a_reason(
    command: tuple[str, ...], timeout_s: float, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = read_timetable("08-20")
    node = Follower(pool="llama", node="a", timetable=table, start=("x",), stop=command, timeout_s=timeout_s)
    assert not run_command(node, False)
    assert said in caplog.text


IN_A_SESSION_OF_ITS_OWN = _python(
    "import subprocess, sys; print('begun', subprocess.Popen(['sleep', '40'], start_new_session=True).pid)"
)
BESIDE_THE_COMMAND = _python("import subprocess, sys; print('begun', subprocess.Popen(['sleep', '40']).pid)")


@pytest.mark.parametrize("command", [IN_A_SESSION_OF_ITS_OWN, BESIDE_THE_COMMAND], ids=["own session", "same group"])
def test_an_engine_that_a_command_leaves_running_is_neither_waited_for_nor_ended(
    command: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It holds what was the command's standard output."""
    caplog.set_level(logging.INFO)
    started = replace(_follower(timeout_s=20), start=command)
    began_s = time.monotonic()
    assert run_command(started, True)
    took_s = time.monotonic() - began_s
    said = re.search(r"ended with code 0. It said: begun (\d+)", caplog.text)
    assert said is not None, caplog.text
    os.kill(int(said[1]), signal.SIGKILL)  # there is one to be ended
    assert took_s < 20


def test_of_a_command_that_says_much_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    command = _python("import sys; sys.stdout.write('é' * 100_000 + 'the end'); sys.exit(3)")
    assert not run_command(replace(_follower(timeout_s=20), stop=command), False)
    assert f"code 3. It said: {'é' * 493}the end" in caplog.text


def test_a_command_does_not_get_what_the_gateway_sets_for_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    for name in MALLOC:
        monkeypatch.setenv(name, "4194304")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    command = _python("import os; print(sorted(name for name in os.environ if name.startswith('MALLOC_')))")
    assert run_command(replace(_follower(timeout_s=20), start=command), True)
    assert "It said: ['MALLOC_ARENA_MAX']" in caplog.text


POOLS = """
pools:
  llama:
    engine: vllm
    schedule: {{hours: "00-24", time_zone: UTC, start: [{python}, -c, "open('up-{{pool}}-{{node}}', 'w')"], stop: [x]}}
    nodes:
      - {{url: "http://127.0.0.1:8000/v1"}}
      - {{name: b, url: "http://127.0.0.1:8001/v1"}}
  always:
    nodes: [{{url: "http://127.0.0.1:8002/v1"}}]
models:
  chat: {{targets: [llama, always]}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "breakeven.yaml"
    path.write_text(POOLS.format(python=sys.executable), encoding="utf-8")
    return path


def test_settings_say_which_nodes_follow(config: Path) -> None:
    followers = followers_of(read_settings(config, has_stored_keys=lambda _: False))
    assert [item.name for item in followers] == ["llama/n1", "llama/b"]
    assert followers[0].timeout_s == 1800


def test_one_round_runs_the_commands_of_the_hour(config: Path) -> None:
    done = CliRunner().invoke(app, ["engine", "schedule", "--once"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in config.parent.glob("up-*")) == ["up-llama-b", "up-llama-n1"]


def test_a_round_with_a_failure_ends_with_one(config: Path) -> None:
    config.write_text(config.read_text().replace("open(", "nothing("), encoding="utf-8")
    assert CliRunner().invoke(app, ["engine", "schedule", "--once"]).exit_code == 1


@pytest.mark.usefixtures("config")
def test_what_should_be_up_is_shown() -> None:
    shown = CliRunner().invoke(app, ["engine", "schedule", "--json"])
    assert json.loads(shown.output) == {
        "nodes": [{"node": name, "up": True, "until": None} for name in ("llama/n1", "llama/b")]
    }
    assert "llama/b  up until further notice" in CliRunner().invoke(app, ["engine", "schedule", "--show"]).output


def test_without_a_schedule_there_is_nothing_to_follow(config: Path) -> None:
    text = "\n".join(line for line in config.read_text().splitlines() if "schedule:" not in line)
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="No pool in the settings has a schedule"):
        followers_of(read_settings(config, has_stored_keys=lambda _: False))


@pytest.mark.parametrize(("wrong", "said"), [("hours: never", "hours"), ('hours: "8-9", time_zone: Mars', "time zone")])
def test_a_schedule_that_cannot_be_read_is_a_problem_of_the_settings(config: Path, wrong: str, said: str) -> None:
    text = config.read_text().replace('hours: "00-24", time_zone: UTC', wrong)
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_settings(config, has_stored_keys=lambda _: False)
