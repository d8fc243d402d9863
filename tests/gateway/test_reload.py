"""New settings without a restart: requests under way end as they began, and what cannot be used changes nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError
from breakeven.ledger.store import connect
from gateway import answers, payloads
from gateway.gateway import settings, target, wait_for
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream


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
