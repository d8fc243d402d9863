"""kill -9 in the middle of load, again and again: every answer that a client received whole is in the ledger, once."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from gateway import answers, ledger, payloads
from gateway.gateway import Gateway, Settings, free_port, settings, target, wait_for
from gateway.load import Load, missing_and_double

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.scripted import ScriptedUpstream

KILLS = 20


def whole_gateway(gateway: Gateway) -> None:
    gateway.kill()


def one_worker(gateway: Gateway) -> None:
    os.kill(gateway.workers()[0], signal.SIGKILL)


def parent(gateway: Gateway) -> None:
    os.kill(gateway.pid, signal.SIGKILL)


def mover(gateway: Gateway) -> None:
    os.kill(gateway.mover(), signal.SIGKILL)


def wait_until_all_have_ended(gateway: Gateway) -> None:
    """Wait until whatever outlived the gateway's parent has ended by itself."""

    def outliving() -> str:
        return f"{gateway.alive()}\n{gateway.said()}"

    wait_for(lambda: not gateway.alive(), "processes outlive the gateway's parent", outliving)


@pytest.mark.parametrize(
    ("victim", "kills", "workers"),
    [(whole_gateway, KILLS, 1), (one_worker, 5, 2), (parent, 5, 2), (mover, 5, 1)],
    ids=["everything", "a worker", "the parent", "the mover"],
)
def test_no_whole_answer_is_lost_or_kept_twice(
    tmp_path: Path, upstream: ScriptedUpstream, victim: Callable[[Gateway], None], kills: int, workers: int
) -> None:
    unary = answers.whole()
    streamed = answers.stream(payloads.stream(5, payloads.usage(40, 5)))
    upstream.script("load", answers.either(unary, streamed))
    configured = settings({"load": target(upstream.url("load"))}, {"load": {"targets": ["load"]}}, workers=workers)
    gateway = Gateway(tmp_path, configured)
    load = Load(gateway.port)
    try:
        gateway.start()
        for number in range(kills):
            moment = 30 + 37 * number % 170  # every time at another moment of the spool's life
            load.run(moment, lambda: victim(gateway))
            if victim in (whole_gateway, parent):
                wait_until_all_have_ended(gateway)
                gateway.start()
        gateway.mover()  # one that was killed a moment ago is there again
        assert gateway.stop() == 0
    finally:
        gateway.kill()
    rows = gateway.all_rows()
    answered = [row["request_id"] for row in rows if row["outcome"] == "ok"]
    assert missing_and_double(load.whole, answered) == (set(), set())
    assert len({row["attempt_id"] for row in rows}) == len(rows)
    assert {(row["input_tokens"], row["output_tokens"]) for row in rows if row["outcome"] == "ok"} == {
        (157, 52),
        (40, 5),
    }
    sums = [sum(row[name] for row in rows) for name in ledger.SUMS]
    assert ledger.hourly_sums(gateway.store) == (len(rows), *sums), "the roll-ups tell something else than the rows"
    assert len(load.whole) >= kills * 30


@pytest.mark.parametrize("count", range(2, 8))
def test_nothing_outlives_a_parent_that_dies_as_it_starts(
    tmp_path: Path, upstream: ScriptedUpstream, count: int
) -> None:
    beside: Settings = {
        "control": {"port": free_port()},
        "alerts": {"to": {"ops": {"webhook": upstream.url("ops")}}},
        "batches": {"slots": 2},
    }
    route = {"load": {"targets": ["load"]}}
    gateway = Gateway(tmp_path, settings({"load": target(upstream.url("load"))}, route, workers=2, **beside))
    try:
        gateway.begin()
        wait_for(lambda: len(gateway.alive()) >= count, "its processes do not start", gateway.said)
        parent(gateway)  # one of them has just been forked, and may not have asked for anything yet
        wait_until_all_have_ended(gateway)
    finally:
        gateway.kill()


def test_a_kill_that_tears_the_spools_last_write_costs_no_row_before_it(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("load", answers.whole())
    configured = settings({"load": target(upstream.url("load"))}, {"load": {"targets": ["load"]}})
    gateway = start_gateway(configured)
    os.kill(gateway.mover(), signal.SIGSTOP)  # so that the rows are in the spool alone
    with gateway.line() as line:
        ids = [line.chat(payloads.request("load")).request_id for _ in range(10)]
    gateway.kill()
    segment = max((gateway.ledger_folder / "spool").iterdir(), key=lambda path: path.stat().st_size)
    with segment.open("r+b") as file, contextlib.suppress(OSError):
        file.seek(0, os.SEEK_END)
        file.truncate(file.tell() - 3)
    gateway.start()
    with gateway.line() as line:
        ids.append(line.chat(payloads.request("load")).request_id)
    assert gateway.stop() == 0
    kept = [row["request_id"] for row in gateway.all_rows()]
    assert kept == [*ids[:9], ids[10]], "all but the torn one, and what came after"
