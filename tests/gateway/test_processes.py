"""The processes of a gateway as they start and end: none is deaf, none is waited for without end."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from breakeven.errors import InputError
from breakeven.gateway.recorder import Recorder
from breakeven.gateway.snapshot import LedgerPlan, Limits, Snapshot, StoredKeys
from breakeven.gateway.supervisor import WORKER_NUMBERS, Supervisor, UnusableError, Watched
from breakeven.gateway.worker import Limiting, Worker
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.outcome_spool import OutcomeSpool
from breakeven.ledger.spool import Spool
from breakeven.limits import reserve
from breakeven.limits.rules import Rule
from breakeven.settings import Overrides
from breakeven.wiring import gateway as wiring
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.reread import Origin, tell_gateway
from gateway import answers, payloads
from gateway.gateway import PATIENCE_S, Gateway, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.scripted import ScriptedUpstream

SUPERVISOR = """
import logging, os, signal, sys, time
from types import SimpleNamespace as Some

from breakeven.gateway import supervisor
from breakeven.wiring.clock import SystemClock

supervisor.HUNG_S = supervisor.LEAVE_S = 0.0

def nothing():
    return None

def odd():
    raise ValueError("a row that nobody wrote")

def hang(*_):
    while True:
        time.sleep(60)

def move(*_):
    signal.sigwait({signal.SIGTERM})

def never():
    raise supervisor.UnusableError("never asked")

logging.basicConfig(stream=sys.stdout)
asked = []

def keys():
    asked.append(1)
    if len(asked) == 1:
        return None
    if len(asked) == 4:
        print("asked thrice", flush=True)
    odd()

supervisor.POLL_S = 0.05
supervisor.Supervisor(
    Some(host="127.0.0.1", port=0, workers=1, limits=Some(drain_s=0.0)),
    clock=SystemClock(), work=hang, move=move, beside=(), reread=never,
    watched=supervisor.Watched(keys=keys, drained=nothing, shifts=nothing),
).run()
"""
"""A supervisor whose one worker hears no signal, and whose keys cannot be read."""


def snapshot(folder: Path, *, rules: tuple[Rule, ...] = ()) -> Snapshot:
    """Return what a gateway without targets knows."""
    bounds = Limits(header_bytes=1024, body_bytes=1024, header_s=1, body_s=1, idle_s=1, max_connections=9, drain_s=60)
    plan = LedgerPlan(
        folder=str(folder), store=str(folder / "ledger.sqlite"), drop_when_full=False, waiting_rows=1, keep_days=None,
        fresh=False,
    )  # fmt: skip
    return Snapshot(
        host="127.0.0.1", port=1, workers=1, targets=(), routes=(), keys=(), open_to_all=False, limits=bounds,
        ledger=plan, price_lists=(), rules=rules,
    )  # fmt: skip


@pytest.fixture
def alone(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway that may be stopped."""
    upstream.script("a", answers.whole())
    return start_gateway(settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}))


# Starting


def blocked(pid: int) -> set[int]:
    """Return the signals that a process has blocked."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigBlk:")).split()[1], 16)
    return {number for number in signal.valid_signals() if mask >> number - 1 & 1}


def test_a_gateway_that_is_told_to_reload_while_it_starts_does_so_once_it_has(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    gateway = Gateway(tmp_path, settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}))
    try:
        gateway.begin()
        wait_for(
            lambda: blocked(gateway.pid) & {signal.SIGHUP, signal.SIGTERM} == {signal.SIGHUP},
            "a gateway that starts does not keep SIGHUP for later", gateway.said,
        )  # fmt: skip
        os.kill(gateway.pid, signal.SIGHUP)
        wait_for(lambda: "new settings are in force" in gateway.said(), "it does not reload", gateway.said)
        with gateway.line() as line:
            assert line.chat(payloads.request("solo")).status == 200
    finally:
        gateway.kill()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """The lock of a ledger's folder, which some process holds."""
    path = tmp_path / "gateway.lock"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def ended_process() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_whoever_starts_a_gateway_beside_another_is_told_which_it_is(held: Path) -> None:
    plan = snapshot(held.parent).ledger
    assert wiring._lock(plan) is None
    assert "stop it" in wiring._taken(plan), "it has just begun, and has not written its number yet"
    held.write_text(f"{os.getpid()}\n")
    assert "stop it" in wiring._taken(plan)
    held.write_text(f"{ended_process()}\n")
    assert "Try again in a moment" in wiring._taken(plan)


def test_what_a_killed_gateway_left_behind_cannot_be_told_to_reload(held: Path) -> None:
    config = held.parent / "breakeven.yaml"
    config.write_text(
        '{"targets": {"a": {"url": "http://127.0.0.1:1/v1"}}, "models": {"one": {"targets": ["a"]}}, '
        '"ledger": {"folder": "."}}'
    )
    held.write_text(f"{ended_process()}\n")
    with pytest.raises(InputError, match="has ended, and its last answers are being finished"):
        tell_gateway(config)


def test_what_is_wrong_with_the_spool_is_said_at_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mover = FakeMover(trouble="The store is locked.", warnings=["No price of x is known."])
    monkeypatch.setattr(wiring, "open_mover", mover.opened)
    daily = Rule("key", "k", "usd", 1, "day")
    wiring._settle_spool(snapshot(tmp_path, rules=(daily,)), StoredKeys())
    assert [record.getMessage() for record in caplog.records] == ["No price of x is known.", "The store is locked."]


# Reading settings again


def test_reading_settings_again_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "breakeven.yaml")
    origin = Origin(config=tmp_path / "breakeven.yaml", overrides=Overrides(host=None, port=None, workers=None))
    monkeypatch.setattr(wiring, "REREAD_S", 0.2)
    with pytest.raises(UnusableError, match=r"could not be read within 0\.2 s"):
        wiring._reread(origin.as_text(), "")


def test_a_snapshot_of_another_version_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 0, b"\x81\xa1a\x01", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(UnusableError, match="Another version of breakeven"):
        wiring._reread("", "")


def test_settings_on_a_disk_that_does_not_answer_hold_up_no_stop(alone: Gateway) -> None:
    (alone.folder / "rate_cards.yaml").unlink()
    os.mkfifo(alone.folder / "rate_cards.yaml")  # nobody writes it, so whoever opens it waits
    before = set(alone.alive())
    os.kill(alone.pid, signal.SIGHUP)

    def reading() -> list[int]:
        new = set(alone.alive()) - before
        return [pid for pid in new if b"wiring.reread" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    wait_for(lambda: bool(reading()), "the settings are not read again", alone.said)
    os.killpg(alone.pid, signal.SIGTERM)  # as a service's manager does
    assert alone.wait() == 0


# The mover


class FakeMover:
    """A mover with nothing to move, which keeps whether it was to empty the spool."""

    def __init__(self, *, trouble: str = "", warnings: list[str] | None = None) -> None:
        self.trouble = trouble
        self.warnings = warnings or []
        self.drained = False

    def opened(self, *_: object, **__: object) -> FakeMover:
        return self

    def step(self) -> int:
        return 0

    def drain(self) -> int:
        self.drained = True
        return 0

    def take_warnings(self) -> list[str]:
        return self.warnings

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("number", "drained"), [(signal.SIGHUP, False), (signal.SIGTERM, True)])
def test_a_mover_that_makes_room_for_the_next_one_leaves_it_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, drained: bool
) -> None:
    mover = FakeMover()
    monkeypatch.setattr(wiring, "open_mover", mover.opened)
    monkeypatch.setattr(os, "nice", int)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        signal.pthread_kill(threading.get_ident(), number)
        wiring._move(snapshot(tmp_path), os.getppid())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert mover.drained is drained


def test_a_reload_puts_another_mover_in_place_at_once(alone: Gateway) -> None:
    with alone.line() as line:
        alone.row(line.chat(payloads.request("solo")).request_id)  # so that it holds no lock of the store now
    former = alone.mover()
    os.kill(former, signal.SIGSTOP)  # so busy that it does not hear of it for a long time
    os.kill(alone.pid, signal.SIGHUP)
    wait_for(lambda: "new settings are in force" in alone.said(), "it does not reload", alone.said)
    with alone.line() as line:
        request_id = line.chat(payloads.request("solo")).request_id
    assert alone.row(request_id)["outcome"] == "ok"
    os.kill(former, signal.SIGCONT)
    wait_for(lambda: former not in alone.alive(), "the former mover goes on", alone.said)
    assert alone.stop() == 0


def test_a_stop_that_waits_for_a_hung_mover_ends_with_a_second_signal_and_costs_no_row(alone: Gateway) -> None:
    mover = alone.mover()
    os.kill(mover, signal.SIGSTOP)
    with alone.line() as line:
        request_id = line.chat(payloads.request("solo")).request_id
    alone.terminate()
    wait_for(lambda: sorted(alone.alive()) == sorted([alone.pid, mover]), "the workers do not end", alone.said)
    alone.terminate()
    assert alone.wait() == 0
    assert alone.alive() == []
    alone.start()
    assert alone.row(request_id)["outcome"] == "ok"


# What goes wrong


def test_keys_that_cannot_be_read_end_nothing_and_a_hung_worker_holds_up_no_stop(tmp_path: Path) -> None:
    path = tmp_path / "said"
    with (
        path.open("wb") as said,
        subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=said, start_new_session=True) as supervised,
    ):
        try:
            wait_for(lambda: "asked thrice" in path.read_text(), "the supervisor has ended", path.read_text)
            supervised.terminate()
            assert supervised.wait(PATIENCE_S) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(supervised.pid, signal.SIGKILL)
    assert path.read_text().count("ValueError: a row that nobody wrote") == 1, "said once"
    assert "does not end, and is killed" in path.read_text()


def test_a_worker_that_is_told_to_end_before_it_knows_its_keys_lets_nobody_in(tmp_path: Path) -> None:
    clock = SystemClock()
    worker = Worker(
        snapshot(tmp_path),
        Spool(tmp_path / "spool", worker=0),
        RequestIds(0),
        clock,
        uniform=lambda: 0.0,
        limiting=Limiting(
            opened=lambda *_: reserve.Limits((), clock.now()), in_force=lambda *_: ((), {}), made_good=lambda *_: {}
        ),
        say=lambda *_: None,
        outcomes=OutcomeSpool(tmp_path / "spool", worker=0),
    )
    ours, theirs = socket.socketpair()
    ours.close()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        with listening.dup() as looked_at:
            worker.run(listening, theirs)
            assert not looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_no_worker_is_started_while_those_that_leave_have_all_the_numbers(tmp_path: Path) -> None:
    unused: Any = None
    watched = Watched(keys=unused, drained=unused, shifts=unused)
    supervisor = Supervisor(
        snapshot(tmp_path), clock=SystemClock(), work=lambda *_: None, move=unused, watched=watched, beside=(),
        reread=unused,
    )  # fmt: skip
    supervisor._lines = dict.fromkeys(range(WORKER_NUMBERS), unused)
    supervisor._start_worker()
    assert len(supervisor._lines) == WORKER_NUMBERS


class FullSpool:
    """A spool that cannot be written."""

    trouble = "no space left on device"
    full = False
    waiting = 3
    dropped_rows = 2

    def flush(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_rows_that_could_not_be_written_until_the_end_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    loop = uvloop.new_event_loop()
    spool: Any = FullSpool()
    with caplog.at_level(logging.ERROR, "breakeven.gateway"):
        Recorder(spool, loop).close()
    loop.close()
    assert "5 rows could not be written until the end, and are lost" in caplog.text
