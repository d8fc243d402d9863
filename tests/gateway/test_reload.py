"""New settings without a restart: requests under way end as they began, and what cannot be used changes nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError
from breakeven.ledger.store import connect
from gateway import answers, payloads
from gateway.gateway import KEY, TIMEOUTS, command_of, settings, target, wait_for
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Line


def _reload(gateway: Gateway, configured: dict[str, Any], until: str) -> None:
    """Let the running gateway take these settings, and wait until its log says so."""
    gateway.configure(configured)
    seen = gateway.said().count(until)
    done = CliRunner().invoke(app, ["config", "reload", str(gateway.folder / "breakeven.yaml")])
    assert done.exit_code == 0, done.output
    wait_for(lambda: gateway.said().count(until) > seen, f"the gateway to say {until!r}", gateway.said)


def test_a_stream_under_way_ends_where_it_began_and_new_requests_go_by_the_new_settings(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    released = threading.Event()

    def hold(call: Call) -> None:
        released.wait(10)
        call.wait(0)

    upstream.script("old", answers.stream(payloads.stream(2), then=hold))
    upstream.script("new", answers.whole())
    targets = {"old": target(upstream.url("old")), "new": target(upstream.url("new"))}
    gateway = start_gateway(settings(targets, {"one": {"targets": ["old"]}}))
    with gateway.line() as streaming, gateway.line() as kept:
        streaming.send(chat_bytes(payloads.request("one", stream=True)))
        streaming.until(b"word1")
        _reload(gateway, settings(targets, {"one": {"targets": ["new"]}, "two": {"targets": ["new"]}}), "in force")
        reply = kept.chat(payloads.request("two"))
        assert (reply.status, reply.headers["x-breakeven-target"]) == (200, "new")
        assert kept.chat(payloads.request("one")).headers["x-breakeven-target"] == "new"
        released.set()
        assert b"[DONE]" in streaming.until(b"0\r\n\r\n")


def test_no_request_is_lost_while_settings_change_again_and_again(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    upstream.script("b", answers.whole())
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"one": {"targets": ["a"]}}, workers=2))
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with gateway.line() as line:
            while not stop.is_set():
                statuses.append(line.chat(payloads.request("one")).status)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for name in "baba":
        _reload(gateway, settings(targets, {"one": {"targets": [name]}}, workers=2), "in force")
    stop.set()
    for asker in askers:
        asker.join()
    assert set(statuses) == {200}
    wait_for(lambda: len(gateway.all_rows()) == len(statuses), "a row of every request", gateway.said)


def _lets_clients_in(pid: int, port: int) -> bool:
    """Whether a process holds the socket on which the gateway listens."""
    wanted = f":{port:04X}"
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (line[9] for line in fields if line[1].endswith(wanted) and line[3] == "0A")
    held = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            held.add(str(path.readlink()))
    return f"socket:[{inode}]" in held


class Leaving(NamedTuple):
    """A gateway that had two workers and was told to have one, while the other one still answers a stream."""

    gateway: Gateway
    configured: dict[str, Any]
    stays: int
    leaves: int
    streaming: Line
    released: threading.Event


@pytest.fixture
def leaving(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Iterator[Leaving]:
    released = threading.Event()
    events = payloads.stream(2)

    def rest(call: Call) -> None:
        released.wait(60)
        for data in events[3:]:
            call.send(answers.chunked(data))

    upstream.script("held", answers.stream(events[:3], then=rest))
    upstream.script("a", answers.whole())
    patient = TIMEOUTS | {"between_tokens_s": 60, "total_s": 60}
    targets = {"held": target(upstream.url("held"), timeouts=patient), "a": target(upstream.url("a"))}
    models = {"held": {"targets": ["held"]}, "one": {"targets": ["a"]}}
    gateway = start_gateway(settings(targets, models, workers=2))
    wait_for(lambda: len(gateway.workers()) == 2, "two workers", gateway.said)
    stays, leaves = sorted(gateway.workers())
    os.kill(stays, signal.SIGSTOP)  # so that the other one takes the stream
    wait_for(lambda: Path(f"/proc/{stays}/stat").read_text().rpartition(") ")[2].startswith("T"), "it does not pause")
    with gateway.line() as streaming:
        streaming.send(chat_bytes(payloads.request("held", stream=True)))
        streaming.until(b"word1")
        os.kill(stays, signal.SIGCONT)
        fewer = settings(targets, models, workers=1)
        _reload(gateway, fewer, "in force")
        yield Leaving(gateway, fewer, stays, leaves, streaming, released)
        released.set()


def test_a_worker_that_is_too_many_lets_nobody_in_and_ends_once_its_answers_have(leaving: Leaving) -> None:
    gateway = leaving.gateway
    wait_for(lambda: not _lets_clients_in(leaving.leaves, gateway.port), "it lets clients in", gateway.said)
    assert _lets_clients_in(leaving.stays, gateway.port)
    for _ in range(20):
        with gateway.line() as line:
            assert line.chat(payloads.request("one")).status == 200
    leaving.released.set()
    assert b"[DONE]" in leaving.streaming.until(b"0\r\n\r\n")
    wait_for(lambda: gateway.workers() == [leaving.stays], "it does not end", gateway.said)


def test_a_worker_that_dies_while_another_leaves_is_started_again(leaving: Leaving) -> None:
    os.kill(leaving.stays, signal.SIGKILL)
    gateway = leaving.gateway
    wait_for(lambda: len(gateway.workers()) == 2, "no worker is started", gateway.said)
    with gateway.line() as line:
        assert line.chat(payloads.request("one")).status == 200
    assert leaving.leaves in gateway.workers(), "it still answers its stream"


def test_a_worker_that_leaves_is_none_of_those_that_are_wanted_again(leaving: Leaving) -> None:
    gateway = leaving.gateway
    _reload(gateway, leaving.configured | {"workers": 2}, "in force")
    wait_for(lambda: len(gateway.workers()) == 3, "no worker is started", gateway.said)
    leaving.released.set()
    assert b"[DONE]" in leaving.streaming.until(b"0\r\n\r\n")
    wait_for(lambda: leaving.leaves not in gateway.workers(), "it does not end", gateway.said)
    assert len(gateway.workers()) == 2


def test_what_stands_beside_the_gateway_stays_with_its_ledger_when_the_settings_name_another(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    configured = settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}}, batches={"slots": 2})
    gateway = start_gateway(configured)

    def beside() -> list[int]:
        return [pid for pid in gateway.alive() if "wiring.batches" in command_of(pid)]

    def batches_are_served() -> bool:
        with gateway.line() as line:
            return line.ask("GET", "/v1/batches", authorization=f"Bearer {KEY}").status == 200

    wait_for(batches_are_served, "no batches", gateway.said)
    before = beside()
    moved = configured | {"ledger": {"folder": "elsewhere"}, "batches": {"slots": 3}}
    gateway.configure(moved)
    os.kill(gateway.pid, signal.SIGHUP)  # the command would look for a gateway there
    wait_for(lambda: "taken at a start only" in gateway.said(), "it does not take them", gateway.said)
    time.sleep(1)  # as long as a process that was told to end would take
    assert beside() == before
    assert not (gateway.folder / "elsewhere").exists()


def test_a_pool_that_comes_with_new_settings_has_its_hours_kept(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    before = settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}})
    gateway = start_gateway(before)
    with gateway.line() as line:
        line.chat(payloads.request("one"))
    node = {"url": upstream.url("a"), "usd_per_hour": "2", "since": "2026-11-01"}
    _reload(gateway, before | {"pools": {"own": {"engine": "vllm", "nodes": [node]}}}, "in force")

    def kept() -> bool:
        with closing(connect(gateway.store, read_only=True)) as store:
            return bool(store.execute("SELECT count(*) FROM pool_hour WHERE pool = 'own'").fetchone()[0])

    wait_for(kept, "hours of the pool", gateway.said)


def test_settings_that_cannot_be_used_are_refused_and_those_in_force_stay(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    good = settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}})
    gateway = start_gateway(good)
    gateway.configure(good | {"models": {"one": {"targets": ["nobody"]}}})
    done = CliRunner().invoke(app, ["config", "reload", str(gateway.folder / "breakeven.yaml")])
    assert done.exit_code != 0
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: "settings in force stay" in gateway.said(), "the refusal", gateway.said)
    assert "nobody" in gateway.said()
    with gateway.line() as line:
        assert line.chat(payloads.request("one")).status == 200


def test_what_a_start_alone_decides_is_said(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    configured = settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}})
    gateway = start_gateway(configured)
    gateway.configure(configured | {"ledger": {"folder": "elsewhere"}})
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: "taken at a start only" in gateway.said(), "the warning", gateway.said)
    assert not (gateway.folder / "elsewhere").exists()


def test_without_a_gateway_there_is_nothing_to_tell(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(json.dumps({"targets": {"a": {"url": upstream.url("a")}}, "models": {"one": {"targets": ["a"]}}}))
    with pytest.raises(InputError, match="No gateway keeps its ledger in"):
        app(["config", "reload", str(path)], standalone_mode=False)
