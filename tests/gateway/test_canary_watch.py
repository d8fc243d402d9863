"""Asking golden prompts by a clock of the test's: hours, commands that take too long, what is taken over, the end."""

from __future__ import annotations

import errno
import logging
import os
import sys
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec

from breakeven.console.canaries import degraded_targets, kept_canaries
from breakeven.console.drained import set_drained
from breakeven.settings import read_settings
from breakeven.wiring.canaries import watch
from breakeven.wiring.canary_plan import CanariesPlan
from breakeven.wiring.canary_watch import CanaryWatch
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.snapshot import build_snapshot
from breakeven.wiring.stopping import Stop
from gateway.gateway import RATE_CARDS, wait_for
from gateway.test_canaries import NOISE, ROME, Node, configured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from breakeven.clock import Timer
    from gateway.scripted import ScriptedUpstream

EVERY_S = 60.0


class AtOnce(Executor):
    """Does what it is given before it goes on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class Hands:
    """A clock that goes when it is moved on."""

    def __init__(self, at: str) -> None:
        self.move(at)

    def move(self, at: str) -> None:
        """Make it that late."""
        self.time_s = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()

    def now(self) -> float:
        """The time of day."""
        return self.time_s

    def monotonic(self) -> float:
        """The same."""
        return self.time_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Nobody is called."""
        raise NotImplementedError


def planned(folder: Path, written: dict[str, Any]) -> CanariesPlan:
    """What the process is told for these settings."""
    for name, content in (
        ("breakeven.yaml", {**written, "ledger": {"folder": "ledger"}}),
        ("rate_cards.yaml", RATE_CARDS),
    ):
        (folder / name).write_bytes(msgspec.json.encode(content))
    return msgspec.msgpack.decode(build_snapshot(read_settings(folder / "breakeven.yaml")).canaries, type=CanariesPlan)


class Asked:
    """A pool of two nodes that are asked when the test says so."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream, schedule: str = "", **canary: Any) -> None:
        self.clock = Hands("2026-11-23T09:00")  # a Monday
        self.nodes = {place: Node(upstream, place) for place in "ab"}
        written = configured(upstream, every_s=EVERY_S, **canary)
        if schedule:
            written["pools"]["own"]["schedule"] = {"hours": schedule, "start": ["x"], "stop": ["x"]}
        self.plan = planned(folder, written)
        self.folder = folder / "ledger"
        self.watching = CanaryWatch(self.plan, self.clock, AtOnce())

    def look(self, count: int = 1) -> None:
        """Ask each node so often, a minute apart, and note the answers."""
        for _ in range(count):
            self.clock.time_s += EVERY_S
            self.watching.step()
            self.watching.step()

    def note(self, is_so: Callable[[], bool]) -> None:
        """Look again at the same moment until something is so."""

        def stepped() -> bool:
            self.watching.step()
            return is_so()

        wait_for(stepped, "it does not come to be")

    def out(self) -> frozenset[str]:
        """Who is out of service."""
        return degraded_targets(self.folder, self.clock.now())


def test_outside_its_hours_a_node_is_not_asked_and_what_was_known_of_it_is_over(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    pool = Asked(tmp_path, upstream, "Mon-Fri 08-20")
    pool.look()
    pool.nodes["a"].usual = NOISE
    pool.look(3)
    assert pool.out() == {"own/a"}
    pool.clock.move("2026-11-23T20:00")
    counts = [node.golden_count for node in pool.nodes.values()]
    for _ in range(5):
        pool.watching.step()
        pool.clock.time_s += EVERY_S
    assert [node.golden_count for node in pool.nodes.values()] == counts
    assert pool.out() == frozenset()
    pool.clock.move("2026-11-24T08:00")
    pool.look(2)
    assert pool.out() == frozenset()
    pool.look()
    assert pool.out() == {"own/a"}


def test_a_node_is_asked_once_in_each_interval(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    pool = Asked(tmp_path, upstream)
    pool.look(3)
    for _ in range(5):
        pool.clock.time_s += EVERY_S / 10
        pool.watching.step()
    assert [node.golden_count for node in pool.nodes.values()] == [3, 3]


def test_a_command_that_takes_too_long_is_ended_and_begun_again_after_a_pause(
    tmp_path: Path, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    pool = Asked(tmp_path, upstream, restart=command, timeout_s=0.2)
    pool.nodes["b"].usual = NOISE
    pool.look(3)
    assert not pool.watching.is_restarting()
    pool.clock.time_s += 2  # the gateway has been told
    pool.watching.step()
    assert pool.watching.is_restarting()
    pool.note(lambda: not pool.watching.is_restarting())
    assert "own/b: restart did not end in 0.2 s and was ended" in caplog.text
    pool.clock.time_s += 9
    pool.watching.step()
    assert not pool.watching.is_restarting()
    pool.clock.time_s += 1
    pool.watching.step()
    assert pool.watching.is_restarting()
    assert pool.out() == {"own/b"}
    pool.note(lambda: not pool.watching.is_restarting())


def test_no_answer_is_no_bad_one(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    pool = Asked(tmp_path, upstream)
    pool.nodes["a"].usual = None
    pool.look(5)
    assert pool.out() == frozenset()
    assert kept_canaries(pool.folder).nodes["own/a"].bad_count == 0


def test_another_question_begins_anew(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    pool = Asked(tmp_path, upstream, expect=None)
    pool.look()
    pool.nodes["a"].usual = NOISE
    pool.look(3)
    assert pool.out() == {"own/a"}
    again = Asked(tmp_path, upstream, expect=None)
    again.watching.step()
    assert again.out() == {"own/a"}
    other = Asked(tmp_path, upstream, expect="the")
    other.watching.step()
    assert other.out() == frozenset()


def test_what_is_old_counts_for_nothing(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    pool = Asked(tmp_path, upstream)
    pool.nodes["a"].usual = NOISE
    pool.look(3)
    pool.clock.time_s += 14  # so long may the process take to be back that was killed
    assert pool.out() == {"own/a"}
    pool.clock.time_s += 2
    assert pool.out() == frozenset()


def test_a_drained_node_stays_unasked_while_who_is_drained_cannot_be_read(
    tmp_path: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Asked(tmp_path, upstream)
    set_drained(pool.folder, "own/a", out=True)
    pool.look()

    def fail(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    pool.look(2)
    assert [node.golden_count for node in pool.nodes.values()] == [0, 3]


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Asked(tmp_path, upstream)
    pool.folder.mkdir()
    (pool.folder / "state").write_text("no folder")
    pool.look(2)
    assert caplog.text.count("Degraded nodes are in service, because what is known of nodes cannot be kept in") == 1


def test_a_command_under_way_is_waited_for_at_the_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    code = (
        "import pathlib, sys, time; folder = pathlib.Path(sys.argv[1]); (folder / 'begun').touch()\n"
        "while not (folder / 'may-end').exists(): time.sleep(0.01)"
    )
    nodes = {place: Node(upstream, place) for place in "ab"}
    nodes["a"].usual = NOISE
    command = [sys.executable, "-c", code, str(tmp_path)]
    plan = planned(tmp_path, configured(upstream, restart=command))
    stop = Stop()
    thread = Thread(target=watch, args=(plan, os.getppid(), SystemClock(), stop))
    thread.start()
    wait_for((tmp_path / "begun").exists, "the command is not begun")
    stop.set()
    nodes["a"].usual = ROME
    thread.join(0.5)
    assert thread.is_alive()
    assert degraded_targets(tmp_path / "ledger", SystemClock().now()) == {"own/a"}
    (tmp_path / "may-end").touch()
    thread.join(15)
    assert not thread.is_alive()
    assert kept_canaries(tmp_path / "ledger").nodes["own/a"].is_fresh


def test_it_ends_with_its_parent(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    plan = planned(tmp_path, configured(upstream))
    watch(plan, os.getppid() + 1, SystemClock(), Stop())
    assert kept_canaries(tmp_path / "ledger").nodes == {}
