"""Gives what is left of a late batch to a provider's batch API, where that is cheaper, and brings back the results.

Every step is noted before the next one, so that a process which is killed goes on where it was: a file that was sent
without being noted is sent again, a batch that was made without being noted is found by its mark, and a result that was
counted is not there to be counted again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.batches import jobs, shapes
from breakeven.batches.lines import WrongLineError, digest, read_line
from breakeven.batches.provider import ProviderError
from breakeven.batches.records import CANCELLING, ENDED, Line
from breakeven.batches.sheet import MAX_WAITING
from breakeven.economics.batch_way import cheaper_way, cheapest_call_usd
from breakeven.errors import NoPriceError
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from breakeven.batches.jobs import Job
    from breakeven.batches.lines import AskedLine
    from breakeven.batches.plan import ProviderPlan
    from breakeven.batches.provider import Provider
    from breakeven.batches.provider_rows import ProviderRows
    from breakeven.batches.records import Batch
    from breakeven.batches.sheet import Sheet
    from breakeven.batches.standing import Standing
    from breakeven.batches.store import Store
    from breakeven.catalog.rate_card import PriceList, Processing, RateCard
    from breakeven.clock import Clock
    from breakeven.ledger.intake import Incoming

FIRST_POLL_S: Final = 1.0
MAX_POLL_S: Final = 60.0
EXPECTED_OUTPUT_TOKENS: Final = 256
"""Of a line that says no largest output: for the comparison of prices alone."""

BYTES_A_TOKEN: Final = 4
_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COME_LATER: Final = frozenset({408, 409, 425, 429})
_MERGED_LINES: Final = 500
_log = logging.getLogger("breakeven.batches")


class _Result(msgspec.Struct):
    custom_id: str
    response: _Response | None = None


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


_RESULT: Final = msgspec.json.Decoder(_Result)


class _Found(NamedTuple):
    """The result of a line."""

    line: Line
    text: bytes
    status: int
    """0 where there was no answer."""

    body: bytes

    @property
    def counts(self) -> bool:
        """Whether it is one that calls would not better."""
        return 0 < self.status < 500 and self.status not in _COME_LATER


class Handout:
    """The way to one provider."""

    def __init__(
        self,
        plan: ProviderPlan,
        provider: Provider,
        store: Store,
        ledger: ProviderRows,
        clock: Clock,
        *,
        standing: Standing,
        is_pressing: Callable[[Sheet], bool],
    ) -> None:
        """Take what it works with; ``is_pressing`` tells that calls must begin now, or be too late."""
        self._plan = plan
        self._ledger = ledger
        self._provider = provider
        self._store = store
        self._clock = clock
        self._standing = standing
        self._is_pressing = is_pressing
        self._kept: set[str] = set()
        """Batches of which nothing more goes there."""

        self._tasks: dict[int, asyncio.Task[None]] = {}
        known = jobs.marks(store)
        for path in store.contents.glob(".job-*"):
            if path.name.removeprefix(".job-").partition(".")[0] not in known:
                path.unlink()  # of a process that died before it had noted the job

    def suits(self, batch: Batch) -> bool:
        """Whether lines of a batch may go there at all: what kind of data it is, and how much time is left."""
        in_time = batch.expires_s - self._clock.now() >= self._plan.last_s
        return batch.id not in self._kept and in_time and self._standing.may_have(batch)

    def give(self, sheet: Sheet) -> None:
        """Give lines that nobody works on as one job; those that may not go there, or cost less as calls, stay.

        Raises ``OSError`` and ``sqlite3.Error``; then nothing was given.
        """
        batch = sheet.batch
        mark = secrets.token_hex(16)
        path = self._path(mark)
        given: list[tuple[bytes, Line]] = []
        stay: list[Line] = []
        try:
            with path.open("wb") as file:
                self._write(sheet, file, given, stay)
            while stay:
                sheet.put_back(stay.pop(), 0.0, as_call=True)
            if given:
                sheet.give(jobs.Job(mark=mark, batch=batch.number, lines=len(given)), given)
        except BaseException:
            for line in (*stay, *(line for _, line in given)):
                sheet.put_back(line, 0.0)
            given.clear()
            raise
        finally:
            if not given:
                path.unlink(missing_ok=True)

    def _write(self, sheet: Sheet, file: Any, given: list[tuple[bytes, Line]], stay: list[Line]) -> None:
        """Write lines to a job's file as long as there is room, and sort them into those given and those that stay."""
        ways: dict[str, bool] = {}
        size_bytes = 0
        for line, content in sheet.open_to_providers():
            told = self._told(sheet.batch, content, ways)
            if told is None:
                stay.append(line)
            elif size_bytes + len(told[1]) > self._plan.max_bytes and given:
                sheet.put_back(line, 0.0)
                return
            else:
                given.append((told[0], line))  # first: what cannot be written is put back
                file.write(told[1])
                size_bytes += len(told[1])
            if len(given) == self._plan.max_requests or len(stay) == MAX_WAITING:
                return

    def follow(self, sheet: Sheet) -> None:
        """Bring back what its jobs have, each in a task of its own."""
        for job in jobs.jobs_of(self._store, sheet.batch.number):
            if job.number not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._bring(sheet, job))
                self._tasks[job.number] = task
                task.add_done_callback(partial(self._forget, job.number))

    def _forget(self, number: int, _: asyncio.Task[None]) -> None:
        self._tasks.pop(number, None)

    def abandon(self, sheet: Sheet) -> None:
        """Wait no longer: what has not come back is as if it had not been given."""
        for job in jobs.jobs_of(self._store, sheet.batch.number):
            if (task := self._tasks.get(job.number)) is not None:
                task.cancel()
        sheet.take_all_back()

    def close(self) -> None:
        """Stop; the next process goes on."""
        for task in self._tasks.values():
            task.cancel()

    def _told(self, batch: Batch, content: bytes, ways: dict[str, bool]) -> tuple[bytes, bytes] | None:
        """Return the digest of a line and the line for the provider; None where it does not go there."""
        try:
            asked = read_line(content, batch.endpoint)
            fields = _FIELDS.decode(bytes(asked.body))
            model = msgspec.json.decode(fields["model"], type=str)
        except (WrongLineError, ValueError, KeyError):  # text that is no UTF-8 is a ValueError too
            return None
        if model not in self._plan.models or (batch.models and model not in batch.models):
            return None
        if not self._standing.may_ask(batch, model):
            return None
        if model not in ways:
            ways[model] = self._is_cheaper(model, asked, fields)
        if not ways[model]:
            return None
        fields["model"] = msgspec.Raw(msgspec.json.encode(self._plan.models[model]))
        line = {"custom_id": asked.custom_id, "method": "POST", "url": batch.endpoint, "body": fields}
        return digest(asked.custom_id), msgspec.json.encode(line) + b"\n"

    def _is_cheaper(self, model: str, asked: AskedLine, fields: dict[str, msgspec.Raw]) -> bool:
        bound = next((fields[name] for name in _LIMITS if name in fields), None)
        usage = TokenUsage(
            input_tokens=len(bytes(asked.body)) // BYTES_A_TOKEN,
            output_tokens=_number(bound) or EXPECTED_OUTPUT_TOKENS,
        )
        there = self._cards((self._plan.prices[model],), "batch") if model in self._plan.prices else []
        calls = self._cards(self._plan.calls.get(model, ()), "standard")
        return cheaper_way(cheapest_call_usd(there, usage), cheapest_call_usd(calls, usage)) == "batch"

    def _cards(self, lists: tuple[PriceList, ...], processing: Processing) -> list[RateCard]:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        found = []
        for prices in lists:
            try:
                found.append(prices.card_at(now, processing))
            except NoPriceError:
                continue
        return found

    # One job

    async def _bring(self, sheet: Sheet, job: Job) -> None:
        poll_s = FIRST_POLL_S
        while True:
            try:
                if await self._is_over(sheet, job):
                    return
            except Exception as error:  # noqa: BLE001 - a disk that is full, or an answer that nobody foresaw
                _log.warning("a part of %s is not brought back now: %r", sheet.batch.id, error)
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 2, MAX_POLL_S)

    async def _is_over(self, sheet: Sheet, job: Job) -> bool:
        """Do what is next for a job; return whether that was the last of it."""
        try:
            await self._send(sheet.batch, job)
            if (ended_s := await self._ended_s(sheet, job)) is None:
                return False
            await self._take(sheet, job, ended_s)
        except ProviderError as error:
            _log.warning("a part of %s: %s", sheet.batch.id, error)
            if error.passes and (job.name or not self._must_end(sheet)):
                return False
            self._kept.add(sheet.batch.id)
            sheet.take_back(job)
        return True

    async def _send(self, batch: Batch, job: Job) -> None:
        provider, path = self._provider, self._path(job.mark)
        if not job.file:
            self._need_standing(batch)
            if not path.exists():
                raise ProviderError("the file for the provider is gone", passes=False)
            job.file = await asyncio.to_thread(provider.upload, path)
            jobs.put_job(self._store, job)
            path.unlink()
        if not job.name:
            window = f"{max(1, round(self._plan.last_s / 3600))}h"
            found = await asyncio.to_thread(provider.find, job.mark)
            if found is None:
                self._need_standing(batch)
                found = await asyncio.to_thread(provider.create, job.file, batch.endpoint, window, job.mark)
            job.name = found
            jobs.put_job(self._store, job)

    def _need_standing(self, batch: Batch) -> None:
        if not self._standing.may_have(batch):
            raise ProviderError("its data may not go to the provider any more", passes=False)

    async def _ended_s(self, sheet: Sheet, job: Job) -> int | None:
        """Ask how the job is; fetch its results where it is over, and return since when it is; None where it is not."""
        now = await asyncio.to_thread(self._provider.batch, job.name)
        if now.get("status") not in ENDED:
            if not job.cancelled and (self._must_end(sheet) or not self._standing.may_have(sheet.batch)):
                await asyncio.to_thread(self._provider.cancel, job.name)
                job.cancelled = True
            return None
        for kind in ("output_file_id", "error_file_id"):
            if name := now.get(kind):
                await asyncio.to_thread(self._provider.fetch, name, self._path(job.mark, kind))
        ends = (now.get(f"{status}_at") for status in ENDED)
        return next((int(at) for at in ends if isinstance(at, int)), sheet.batch.created_s)

    def _must_end(self, sheet: Sheet) -> bool:
        return sheet.batch.status == CANCELLING or self._is_pressing(sheet)

    async def _take(self, sheet: Sheet, job: Job, ended_s: int) -> None:
        """Count the results; lines that have none, or one that calls may better, are asked as calls."""
        for kind in ("output_file_id", "error_file_id"):
            path = self._path(job.mark, kind)
            if path.exists():
                with path.open("rb") as file:
                    await self._merge(sheet, job, file, ended_s)
        sheet.take_back(job)
        for kind in ("", "output_file_id", "error_file_id"):
            self._path(job.mark, kind).unlink(missing_ok=True)

    async def _merge(self, sheet: Sheet, job: Job, file: Any, ended_s: int) -> None:
        """Take results, some at a time: first into the ledger, which knows those that it has, then as taken.

        As long as the ledger takes no rows, the lines are still the provider's: nothing else writes them down as taken.
        """
        while texts := list(islice(file, _MERGED_LINES)):
            found = self._found(sheet, job, texts)
            rows = [self._row(sheet, item, ended_s) for item in found.values() if item.counts]
            while rows and not self._ledger.added(rows):  # noqa: ASYNC110 - a store does not say when it is free
                await asyncio.sleep(FIRST_POLL_S)
            for name, item in found.items():
                if item.counts:
                    sheet.came_back(job, name, shapes.one_line(item.text), well=200 <= item.status < 300)
                else:
                    sheet.ask_instead(job, name, item.line)
            sheet.write()
            await asyncio.sleep(0)

    def _found(self, sheet: Sheet, job: Job, texts: list[bytes]) -> dict[bytes, _Found]:
        """Return the results of lines that have none yet, by the digests of their custom ids: the first of each."""
        found: dict[bytes, _Found] = {}
        for text in texts:
            try:
                result = _RESULT.decode(text)
            except ValueError:
                continue  # its line is asked as a call
            name = digest(result.custom_id)
            line = jobs.sent_line(self._store, job, name)
            if line is None or name in found or sheet.has_come_back(job, name):
                continue
            response = result.response or _Response(status_code=0)
            found[name] = _Found(line, text, response.status_code, bytes(response.body))
        return found

    def _row(self, sheet: Sheet, found: _Found, ended_s: int) -> Incoming:
        asked = found.line, sheet.content(found.line)
        return self._ledger.row(sheet.batch, asked, found.status, found.body, ended_s)

    def _path(self, mark: str, kind: str = "") -> Path:
        return self._store.contents / f".job-{mark}{kind and f'.{kind}'}"


def _number(value: msgspec.Raw | None) -> int:
    try:
        return max(0, msgspec.json.decode(value, type=int)) if value is not None else 0
    except msgspec.MsgspecError:
        return 0
