"""A disk that is full, files that are gone, answers that nobody foresaw: the process goes on, and loses nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.testclient import TestClient

from batches.parts import FakeCalls, drained, draining, output, plan, submitted, taken, taking_nothing, until
from breakeven.batches import drain as drain_module
from breakeven.batches.app import Api
from breakeven.batches.calls import Answer
from breakeven.batches.records import IN_PROGRESS, VALIDATING, Batch, Caller, StoredFile
from breakeven.batches.service import Service
from breakeven.batches.sheet import Sheet
from breakeven.wiring import batches as wiring
from breakeven.wiring.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from breakeven.batches.store import Store


@pytest.fixture(autouse=True)
def _short_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "TROUBLE_S", 0.02)
    monkeypatch.setattr(drain_module, "FIRST_RETRY_S", 0.001)


def failing(times: int, error: Exception, well: Callable[..., Any]) -> Callable[..., Any]:
    """Something that fails so many times before it goes well."""
    left = [error] * times

    def called(*arguments: Any) -> Any:
        if left:
            raise left.pop()
        return well(*arguments)

    return called


FULL = OSError(errno.ENOSPC, "No space left on device")
ANSWERS = {
    "no UTF-8": lambda: Answer(200, {}, b'{"text": "\xff"}'),
    "what nobody foresaw": failing(2, RuntimeError("unforeseen"), lambda: Answer(200, {}, b"{}")),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_nobody_foresaw_does_not_keep_its_batch_from_its_end(
    tmp_path: Path, store: Store, answer: str
) -> None:
    batch = submitted(store, 5)
    drain = draining(tmp_path, store, FakeCalls(ANSWERS[answer]))
    drained(drain, batch)
    (batch,) = store.batches("key:k", None, 1)
    assert (batch.status, batch.completed + batch.failed) == ("completed", 5)
    assert batch.failed == (2 if answer == "what nobody foresaw" else 0)


AWAY = {
    "busy": Answer(503, {}, b'{"error": {"code": "no_idle_capacity"}}'),
    "down": Answer(502, {}, b'{"error": {"code": "connect_failed"}}'),
    "not to be reached": Answer(504, {}, b'{"error": {"code": "connect_timeout"}}'),
}


@pytest.mark.parametrize("how", AWAY)
@pytest.mark.parametrize("waits", [True, False])
def test_a_line_that_waits_for_idle_nodes_is_given_up_for_none_and_a_late_one_after_some_tries(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, how: str, *, waits: bool
) -> None:
    monkeypatch.setattr(drain_module, "MAX_RETRY_S", 0.001)
    left = [AWAY[how]] * (drain_module.MAX_PATIENT_TRIES + 5)
    batch = submitted(store, 1)
    if not waits:
        store.change(batch, deadline_s=batch.created_s)
    drain = draining(tmp_path, store, FakeCalls(lambda: left.pop() if left else Answer(200, {}, b"{}")))
    drained(drain, batch)
    (batch,) = store.batches("key:k", None, 1)
    assert (batch.completed, batch.failed, len(left)) == ((1, 0, 0) if waits else (0, 1, 5))


@pytest.mark.parametrize("error", [FULL, sqlite3.OperationalError("database or disk is full")])
def test_a_look_that_fails_is_taken_again(tmp_path: Path, store: Store, error: Exception) -> None:
    batch = submitted(store, 5)
    drain = draining(tmp_path, store, FakeCalls())
    drain._look_at = failing(3, error, drain._look_at)  # type: ignore[method-assign]
    drained(drain, batch)
    (batch,) = store.batches("key:k", None, 1)
    assert (batch.status, batch.completed) == ("completed", 5)


def test_a_store_that_takes_nothing_for_a_while_delays_a_batch_and_its_end(tmp_path: Path, store: Store) -> None:
    batch = submitted(store, 5)
    drain = draining(tmp_path, store, FakeCalls())

    async def run() -> None:
        ending = asyncio.Event()
        with taking_nothing(store):
            task = asyncio.create_task(drain.run(lambda: not ending.is_set()))
            await until(lambda: bool(drain._trouble), "nobody sees that nothing can be written")
            assert drain.open[batch.id].status == IN_PROGRESS
        await until(lambda: not drain.open, "it does not end")
        ending.set()
        await task

    asyncio.run(run())
    (found,) = store.batches("key:k", None, 1)
    assert (found.status, found.completed, len(output(store, found))) == ("completed", 5, 5)


def test_an_end_that_cannot_be_written_is_none(store: Store) -> None:
    batch = submitted(store, 1)
    sheet = Sheet(store, batch)
    ((line, _),) = taken(sheet, 1)
    sheet.answer(line, b"{}\n", well=True)
    sheet.write()
    with taking_nothing(store), pytest.raises(sqlite3.Error):
        sheet.end("completed", 7)
    assert (batch.status, batch.at, batch.output_file) == (IN_PROGRESS, {}, "")
    sheet.end("completed", 8)
    assert (batch.status, batch.at) == ("completed", {"completed": 8})
    assert store.batches("key:k", None, 1) == [batch]


def test_a_commit_that_fails_leaves_no_transaction_open(store: Store) -> None:
    for statement in (
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE one (id INTEGER PRIMARY KEY)",
        "CREATE TABLE other (id INTEGER REFERENCES one DEFERRABLE INITIALLY DEFERRED)",
    ):
        store.connection.execute(statement)
    with pytest.raises(sqlite3.IntegrityError), store.together():  # which is told at the commit
        store.connection.execute("INSERT INTO other VALUES (1)")
    with store.together():
        store.connection.execute("INSERT INTO one VALUES (1)")
    assert store.connection.execute("SELECT * FROM one, other").fetchall() == []


def test_a_batch_whose_files_cannot_be_opened_now_waits_and_the_others_do_not(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, other = submitted(store, 3, 1), submitted(store, 3, 2)
    left = [OSError(errno.EMFILE, "Too many open files")] * 3

    def opened(where: Store, batch: Batch) -> Sheet:
        if batch.id == waiting.id and left:
            raise left.pop()
        return Sheet(where, batch)

    monkeypatch.setattr(drain_module, "Sheet", opened)
    drained(draining(tmp_path, store, FakeCalls()), waiting, other)
    assert not left
    assert [batch.status for batch in store.batches("key:k", None, 2)] == ["completed", "completed"]


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterating over it would open one more


@pytest.mark.parametrize("kind", ["new", "input", "results"])
def test_a_batch_that_has_lost_its_files_fails_and_holds_none_open(tmp_path: Path, store: Store, kind: str) -> None:
    batch = submitted(store, 3)
    if kind == "results":
        store.change(batch, error_bytes=7)
    else:
        store.change(batch, status=VALIDATING if kind == "new" else IN_PROGRESS)
        store.path(batch.input_file).unlink()
    before = handles()
    drained(draining(tmp_path, store, FakeCalls()), batch)
    assert handles() == before
    (found,) = store.batches("key:k", None, 1)
    assert (found.status, found.errors[0]["code"]) == ("failed", "lost_file")


def test_no_more_batches_than_there_are_handles_for_are_in_work_and_all_get_their_turn(
    tmp_path: Path, store: Store
) -> None:
    batches = [submitted(store, 3, number) for number in (1, 2, 3)]
    most = 0

    def counted() -> Answer:
        nonlocal most
        most = max(most, len(drain._sheets))
        return Answer(200, {}, b"{}")

    drain = draining(tmp_path, store, FakeCalls(counted))
    drain.most_sheets = 1
    drained(drain, *batches)
    assert most == 1
    assert {batch.status for batch in store.batches("key:k", None, 3)} == {"completed"}


def test_a_line_that_cannot_be_read_now_is_not_taken_for_the_end_of_its_file(store: Store) -> None:
    sheet = Sheet(store, submitted(store, 2))
    sheet._lines = iter(failing(1, OSError(errno.EIO, "Input/output error"), lambda: None), None)
    with pytest.raises(OSError, match="Input/output"):
        sheet.take(0.0)
    assert [line.number for line, _ in sheet.rest()] == [1, 2]
    sheet.close()


def test_the_process_holds_as_many_files_as_it_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limits = [1024, 65_536]
    monkeypatch.setattr(wiring, "begin", lambda *_: ("", "", 0, msgspec.msgpack.encode(plan(tmp_path))))
    monkeypatch.setattr(wiring, "serve_batches", lambda *_: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    assert wiring.main(0, 0) == 0
    assert limits == [65_536, 65_536]


def stored(name: str, expires_s: int = 1) -> StoredFile:
    return StoredFile(
        id=name, owner="key:k", filename="f", purpose="batch", size_bytes=1, created_s=0, expires_s=expires_s
    )


def test_a_sweep_that_fails_does_not_end_the_process_and_what_nobody_knows_of_goes(
    tmp_path: Path, store: Store
) -> None:
    batch = submitted(store, 0)
    kept = {"file-kept", f"file-{batch.number}-output", ".job-x"}
    for name in (*kept, "file-stray", ".file-half.new", "file-9-output"):
        store.path(name).write_bytes(b"x")
    store.add_file(stored("file-kept", 1 << 40))
    service = Service(plan(tmp_path), "", tmp_path / "batches", SystemClock(), lambda: 0.5)
    asked: list[float] = []

    def expired(now_s: float) -> list[str]:
        asked.append(now_s)
        raise sqlite3.OperationalError("database or disk is full")

    service._store.expired_files = expired  # type: ignore[method-assign]
    service.drain._look = lambda: None  # type: ignore[method-assign]

    async def run() -> None:
        ending = asyncio.Event()
        task = asyncio.create_task(service.run(lambda: not ending.is_set()))
        await until(lambda: bool(asked), "it does not sweep")
        for _ in range(5):
            service.drain.wake(batch)
            await asyncio.sleep(0.01)
        assert not task.done()
        assert (tmp_path / "batches.sock").exists()
        ending.set()
        await task

    asyncio.run(run())
    assert {path.name for path in store.contents.iterdir()} == kept | {batch.input_file}


def test_an_upload_that_cannot_be_noted_leaves_nothing_behind(tmp_path: Path, store: Store) -> None:
    api = Api(plan(tmp_path), store, SystemClock(), {}).app()

    async def called(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["caller"] = Caller(key="k", team="")
        await api(scope, receive, send)

    with taking_nothing(store), TestClient(called) as client:
        reply = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("f", b"{}")})
    assert (reply.status_code, reply.json()["error"]["code"]) == (507, "no_space")
    assert list(store.contents.iterdir()) == []
