"""What goes to a provider and comes back, while the disk, the ledger or the connection fails: nothing is lost or paid
for twice."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from batches.fake_provider import answered
from batches.parts import output, provider_at, submitted, taken, taking_nothing, until
from breakeven.batches import handout as handout_module
from breakeven.batches import jobs
from breakeven.batches.handout import Handout
from breakeven.batches.lines import digest, read_line
from breakeven.batches.plan import KeyTerms, ProviderPlan
from breakeven.batches.provider import Provider, ProviderError
from breakeven.batches.provider_rows import ProviderRows
from breakeven.batches.sheet import Sheet
from breakeven.batches.standing import Standing
from breakeven.wiring.clock import SystemClock
from gateway import answers, ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from breakeven.batches.records import Batch
    from breakeven.batches.store import Store
    from breakeven.ledger.intake import Incoming
    from gateway.scripted import Call, ScriptedUpstream

COUNT = 5


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout_module, "FIRST_POLL_S", 0.01)


class Sold:
    """A provider whose batch has ended."""

    def __init__(self, results: bytes) -> None:
        self._results = results
        self.uploads = 0

    def upload(self, _: Path) -> str:
        self.uploads += 1
        return "file-there"

    def find(self, _: str) -> str:
        return "batch-there"

    def batch(self, _: str) -> dict[str, Any]:
        return {"status": "completed", "completed_at": 1_790_000_000, "output_file_id": "results"}

    def fetch(self, _: str, path: Path) -> None:
        path.write_bytes(self._results)


class Reluctant:
    """A ledger that takes no rows until it is told to."""

    def __init__(self, rows: ProviderRows, *, takes: bool) -> None:
        self.row = rows.row
        self._rows = rows
        self.takes = takes
        self.refusals = 0

    def added(self, found: Sequence[Incoming]) -> bool:
        self.refusals += not self.takes
        return self.takes and self._rows.added(found)


def provider_plan(url: str = "http://127.0.0.1:1/v1") -> ProviderPlan:
    return ProviderPlan(
        target=provider_at(url), models={"m": "its-name"}, prices={}, calls={}, last_s=1, max_requests=100,
        max_bytes=1 << 20, keys=(KeyTerms(name="k"),),
    )  # fmt: skip


def handing_out(store: Store, provider: Any, ledger_rows: Any = None) -> Handout:
    clock = SystemClock()
    plan, pressing = provider_plan(), lambda _: False
    standing = Standing(plan, store.contents / "ledger.sqlite", clock)
    return Handout(plan, provider, store, ledger_rows, clock, standing=standing, is_pressing=pressing)


def results(batch: Batch, store: Store, *more: bytes) -> bytes:
    """What the provider has to say of each line of a batch."""
    asked = store.path(batch.input_file).read_bytes().splitlines()
    return b"\n".join((*(json.dumps(answered(json.loads(line))).encode() for line in asked), *more)) + b"\n"


def given(store: Store, sheet: Sheet) -> jobs.Job:
    """A job that has all lines."""
    job = jobs.Job(mark="mark", batch=sheet.batch.number, lines=COUNT)
    names = [
        (digest(read_line(content, sheet.batch.endpoint).custom_id), line) for line, content in taken(sheet, COUNT)
    ]
    store.path(".job-mark").write_bytes(b"")
    sheet.give(job, names)
    return job


def test_results_that_the_ledger_does_not_take_are_the_providers_still_when_the_process_dies(
    tmp_path: Path, store: Store
) -> None:
    batch = submitted(store, COUNT)
    rows, provider = ProviderRows(provider_plan(), tmp_path / "ledger.sqlite"), Sold(results(batch, store))

    async def bring(*, takes: bool, until_there: Callable[[Sheet, Reluctant], bool]) -> None:
        (known,) = store.open_batches()
        sheet, book = Sheet(store, known), Reluctant(rows, takes=takes)
        if takes:
            assert sheet.sent == COUNT
        else:
            given(store, sheet)
        handout = handing_out(store, provider, book)
        handout.follow(sheet)
        await until(lambda: until_there(sheet, book), "nothing comes back")
        if sheet.unwritten:
            sheet.write()  # as the drain does at any moment, and at the end
        handout.close()
        sheet.close()

    asyncio.run(bring(takes=False, until_there=lambda _, book: book.refusals > 1))
    asyncio.run(bring(takes=True, until_there=lambda sheet, _: not sheet.sent))
    assert len(output(store, batch)) == COUNT
    assert len(ledger.all_rows(tmp_path / "ledger.sqlite")) == COUNT


def test_a_result_that_comes_twice_or_is_no_text_counts_once_or_not_at_all(tmp_path: Path, store: Store) -> None:
    batch = submitted(store, COUNT)
    whole = results(batch, store)
    repeated, broken = whole.splitlines()[0], b'{"custom_id": "\xff"}'
    provider = Sold(results(batch, store, repeated, broken))
    book = ProviderRows(provider_plan(), tmp_path / "ledger.sqlite")
    sheet = Sheet(store, batch)
    given(store, sheet)

    async def run() -> None:
        handing_out(store, provider, book).follow(sheet)
        await until(lambda: not jobs.jobs_of(store, batch.number), "it does not come back")

    asyncio.run(run())
    assert (sheet.sent, output(store, batch)) == (0, whole.splitlines())
    assert len(ledger.all_rows(tmp_path / "ledger.sqlite")) == COUNT
    sheet.close()


def test_what_a_full_disk_does_not_take_of_a_job_is_noted_later_and_sent_once(tmp_path: Path, store: Store) -> None:
    batch = submitted(store, COUNT)
    provider = Sold(results(batch, store))
    sheet = Sheet(store, batch)
    given(store, sheet)
    handout = handing_out(store, provider, ProviderRows(provider_plan(), tmp_path / "ledger.sqlite"))

    async def run() -> None:
        with taking_nothing(store):
            handout.follow(sheet)
            (task,) = handout._tasks.values()
            await until(lambda: provider.uploads > 0, "it is not sent")
            await asyncio.sleep(0.05)
            assert not task.done()
        await until(task.done, "it does not come back")

    asyncio.run(run())
    assert (provider.uploads, sheet.sent, len(output(store, batch))) == (1, 0, COUNT)
    sheet.close()


def test_lines_that_cannot_be_given_now_are_taken_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = Sheet(store, submitted(store, COUNT))
    handout = handing_out(store, Sold(b""))
    monkeypatch.setattr(handout, "_told", lambda _, content, __: (digest(content.decode()), content))
    with taking_nothing(store), pytest.raises(sqlite3.Error):
        handout.give(sheet)
    assert not sheet.out
    assert not list(store.contents.glob(".job-*"))
    handout.give(sheet)
    assert (sheet.sent, len(sheet.out)) == (COUNT, 0)
    sheet.close()


def test_a_line_whose_model_is_no_text_is_asked_as_a_call(store: Store) -> None:
    batch = submitted(store, 1)
    written = store.path(batch.input_file).read_bytes()
    store.path(batch.input_file).write_bytes(written.replace(b'"model": "m"', b'"model": "\xff"'))
    sheet = Sheet(store, batch)
    handing_out(store, Sold(b"")).give(sheet)
    assert (sheet.sent, sheet.out) == (0, {})
    assert sheet.take(0.0, calls_only=True) is not None
    sheet.close()


CUT_OFF = {
    "a length": answers.raw(answers.head(200, "content-length: 100"), b"x" * 99),
    "chunks": answers.raw(answers.head(200, "transfer-encoding: chunked"), answers.chunked(b"x" * 99)),
}


@pytest.mark.parametrize("how", CUT_OFF)
def test_a_download_that_is_cut_off_is_none(tmp_path: Path, upstream: ScriptedUpstream, how: str) -> None:
    upstream.script("cut", CUT_OFF[how], answers.whole(b"x" * 100))
    provider = Provider(provider_at(upstream.url("cut")))
    with pytest.raises(ProviderError, match="cannot be asked") as failed:
        provider.fetch("results", tmp_path / "results")
    assert failed.value.passes
    provider.fetch("results", tmp_path / "results")
    assert (tmp_path / "results").read_bytes() == b"x" * 100


def test_an_answer_that_is_no_text_may_pass(upstream: ScriptedUpstream) -> None:
    def answer(call: Call) -> None:
        answers.whole(b'{"id": "\xff"}')(call)

    upstream.script("odd", answer)
    with pytest.raises(ProviderError, match="no JSON") as failed:
        Provider(provider_at(upstream.url("odd"))).batch("b")
    assert failed.value.passes
