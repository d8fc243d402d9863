"""The store is away, locked or cannot be written: traffic goes on, and its rows arrive later, each once."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.gateway import settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Fault = Callable[[Gateway], contextlib.AbstractContextManager[None]]

REQUESTS = 25


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway whose store lies apart from its spool."""
    upstream.script("a", answers.whole())
    return start_gateway(
        settings(
            {"a": target(upstream.url("a"))},
            {"solo": {"targets": ["a"]}},
            ledger={"store": "store/ledger.sqlite", "waiting_rows": 1000},
        )
    )


def ask(gateway: Gateway, count: int = REQUESTS) -> list[str]:
    """Ask that many times; ids of the requests, all of which must be answered."""
    with gateway.line() as line:
        replies = [line.chat(payloads.request("solo")) for _ in range(count)]
    assert {reply.status for reply in replies} == {200}
    return [reply.request_id for reply in replies]


@contextlib.contextmanager
def folder_away(gateway: Gateway) -> Iterator[None]:
    """The folder of the store has another name."""
    store, elsewhere = gateway.store.parent, gateway.folder / "elsewhere"
    store.rename(elsewhere)
    yield
    if store.exists():
        pytest.fail("a store was begun anew where the old one had been: its rows would be in two places")
    elsewhere.rename(store)


@contextlib.contextmanager
def locked(gateway: Gateway) -> Iterator[None]:
    """Somebody else holds the store."""
    with contextlib.closing(sqlite3.connect(gateway.store)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.rollback()


@contextlib.contextmanager
def full(gateway: Gateway) -> Iterator[None]:
    """The store's disk takes nothing more: what the mover writes beyond a size fails."""
    with size_limit(gateway.mover(), 0):
        yield


@contextlib.contextmanager
def size_limit(pid: int, size_bytes: int) -> Iterator[None]:
    """A process's files may not grow past a size: writing fails as it does on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("fault", [folder_away, locked, full])
def test_traffic_goes_on_without_the_store_and_every_row_arrives_once(gateway: Gateway, fault: Fault) -> None:
    before = ask(gateway)
    for request_id in before:
        gateway.row(request_id)
    with fault(gateway):
        during = ask(gateway)
    after = ask(gateway)
    wanted = before + during + after
    wait_for(lambda: len(gateway.all_rows()) >= len(wanted), "rows do not arrive", gateway.said)
    assert gateway.stop() == 0
    assert [row["request_id"] for row in gateway.all_rows()] == wanted


@pytest.mark.parametrize("fault", [locked, full])
def test_the_trouble_with_the_store_is_said_in_the_log(gateway: Gateway, fault: Fault) -> None:
    for request_id in ask(gateway):
        gateway.row(request_id)
    with fault(gateway):
        ask(gateway)
        wait_for(lambda: "ledger.sqlite" in gateway.said(), "the log does not say which store has trouble")


def test_a_gateway_starts_without_its_store_and_catches_up_when_it_comes(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script("a", answers.whole())
    in_the_way = tmp_path / "gateway-0"
    in_the_way.mkdir()
    (in_the_way / "store").write_text("a file where a folder should be")
    configured = settings(
        {"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}, ledger={"store": "store/ledger.sqlite"}
    )
    gateway = start_gateway(configured)
    ids = ask(gateway)
    (in_the_way / "store").unlink()
    (in_the_way / "store").mkdir()
    wait_for(gateway.store.exists, "the store is not begun when it can be", gateway.said)
    for request_id in ids:
        gateway.row(request_id)


def test_a_store_that_may_only_be_read_is_caught_up_when_it_may_be_written(gateway: Gateway) -> None:
    before = ask(gateway)
    assert gateway.stop() == 0
    folder = gateway.store.parent
    modes = {path: path.stat().st_mode for path in (folder, *folder.iterdir())}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    gateway.start()
    during = ask(gateway)
    assert [row["request_id"] for row in gateway.all_rows()] == before
    for path, mode in modes.items():
        path.chmod(mode)
    for request_id in during:
        gateway.row(request_id)


def test_a_spool_that_cannot_be_written_keeps_its_rows_and_writes_them_later(gateway: Gateway) -> None:
    before = ask(gateway)
    with size_limit(gateway.workers()[0], 1):
        during = ask(gateway)
        assert not {row["request_id"] for row in gateway.all_rows()} & set(during)
    for request_id in before + during:
        gateway.row(request_id)
    assert "the spool cannot be written" in gateway.said()


def test_past_the_bound_of_waiting_rows_requests_are_refused_until_they_are_written(gateway: Gateway) -> None:
    with size_limit(gateway.workers()[0], 1), gateway.line() as line:
        ids = []
        for _ in range(1200):
            reply = line.chat(payloads.request("solo"))
            if reply.status != 200:
                break
            ids.append(reply.request_id)
        assert (reply.status, reply.code) == (503, "ledger_full")
        assert int(reply.headers["retry-after"]) > 0
        assert len(ids) >= 1000
    wait_for(lambda: ask_once(gateway) == 200, "requests are still refused although the spool can be written")
    wait_for(lambda: len(gateway.all_rows()) >= len(ids), "rows do not arrive", gateway.said)
    assert [row["request_id"] for row in gateway.all_rows()][: len(ids)] == ids


def ask_once(gateway: Gateway) -> int:
    with gateway.line() as line:
        return line.chat(payloads.request("solo")).status


def test_rows_are_dropped_and_counted_where_that_was_asked_for(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    plan = {"waiting_rows": 1000, "on_full": "drop"}
    gateway = start_gateway(settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}, ledger=plan))
    with size_limit(gateway.workers()[0], 1):
        asked = ask(gateway, 1200)
    wait_for(lambda: "can be written again" in gateway.said(), "the spool is not tried again")
    last = ask(gateway, 1)
    gateway.row(last[0])
    assert gateway.stop() == 0
    kept = {row["request_id"] for row in gateway.all_rows()}
    assert len(kept) == len(set(asked) & kept) + 1
    dropped = len(asked) + 1 - len(kept)
    assert dropped >= 100
    wait_for(lambda: f"{dropped}" in gateway.said(), "the number of rows that were dropped is not said")
