"""The queue: validates what came, asks lines while there is room, and ends batches.

How much room there is, somebody else says (``slots``), for lines that wait for idle capacity; lines of a batch that is
late are asked all the same.  Batches take turns, line by line, so that a long one does not keep a short one waiting.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from typing import TYPE_CHECKING, Final

from breakeven.batches import shapes
from breakeven.batches.busy import Busy
from breakeven.batches.calls import IDLE
from breakeven.batches.lines import WrongLineError, read_line, validate
from breakeven.batches.records import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    ENDED,
    EXPIRED,
    FAILED,
    FINALIZING,
    IN_PROGRESS,
    VALIDATING,
)
from breakeven.batches.sheet import LostFileError, Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.batches.calls import Answer, Calls
    from breakeven.batches.handout import Handout
    from breakeven.batches.lines import AskedLine, Error
    from breakeven.batches.plan import BatchesPlan
    from breakeven.batches.records import Batch, Line
    from breakeven.batches.store import Store
    from breakeven.clock import Clock

STEP_S: Final = 0.05
"""Longest time for which results wait to be written."""

TROUBLE_S: Final = 2.0
"""How long it waits when the disk takes nothing."""

MAX_TRIES: Final = 5
"""Of a line whose answer is an error that may pass."""

MAX_PATIENT_TRIES: Final = 30
"""Of a line that is told to come later: limits and full engines pass, if slowly."""

MAX_COUNTED_WAITS: Final = 8
"""Of tries that found nobody, while a line waits for idle capacity: it has others left once it is late."""

FIRST_RETRY_S: Final = 0.25
MAX_RETRY_S: Final = 60.0
LAST_S: Final = 30.0
"""How long lines that are out may take once their batch has expired."""

MARGIN_SHARE: Final = 1.5
"""A late batch is begun so much sooner than its lines seem to need."""

LEAST_MARGIN_S: Final = 2.0
EPISODE: Final = "x-breakeven-episode"
"""Under which the ledger has a batch's requests."""

_REST_LINES: Final = 500
_PATIENT: Final = frozenset({429, 503})
_AWAY: Final = (b'"connect_failed"', b'"connect_timeout"')
"""Codes of answers that say that nobody could be reached."""

_PASSING: Final = frozenset({408, 409, 425, 500, 502, 504, 529})
_log = logging.getLogger("breakeven.batches")


class Drain:
    """All batches that have not ended."""

    def __init__(
        self, plan: BatchesPlan, store: Store, calls: Calls, clock: Clock, uniform: Callable[[], float]
    ) -> None:
        """Take what it works with; ``uniform`` returns numbers in [0, 1) that spread repeated attempts."""
        self._plan = plan
        self._store = store
        self._calls = calls
        self._clock = clock
        self._uniform = uniform
        self.slots = 0.0
        """Lines that may be out at a time and wait for idle capacity."""

        self.busy = Busy()
        """When lines were out."""

        self.in_flight = 0
        self.targets: set[str] = set()
        """Where lines went."""

        self.answer_s = 1.0
        """Seconds that an answer takes, of late."""

        self.handout: Handout | None = None
        """The way to a provider's batch API, where there is one."""

        self.open: dict[str, Batch] = {}
        self._sheets: dict[str, Sheet] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        """Batches that something is done to in a thread, or that are being ended."""

        self._order: list[str] = []
        self.most_sheets = sys.maxsize
        """Batches whose files are open at a time."""

        self._closed_until_s = 0.0
        """No others are opened before."""

        self._woken = asyncio.Event()
        self._trouble = ""

    def wake(self, batch: Batch) -> None:
        """Look at a batch now: it is new, or to be cancelled."""
        self.open[batch.id] = batch
        self._woken.set()

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Work as long as ``goes_on()``; what was answered by then is written."""
        for batch in self._store.open_batches():
            self.open[batch.id] = batch
        while goes_on():
            self._woken.clear()
            delay_s = STEP_S if self._taken(self._write, self._look, self._fill) else TROUBLE_S
            try:
                await asyncio.wait_for(self._woken.wait(), delay_s)
            except TimeoutError:
                continue
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._taken(self._write)

    def late(self, batch: Batch) -> bool:
        """Whether its lines wait for idle capacity no more: else they would not be done at its deadline."""
        sheet = self._sheets[batch.id]
        return self._clock.now() >= batch.deadline_s - self._margin_s(sheet)

    def is_pressing(self, sheet: Sheet) -> bool:
        """Whether its lines must be asked now to be done before it expires."""
        return self._clock.now() >= sheet.batch.expires_s - self._margin_s(sheet)

    def _margin_s(self, sheet: Sheet) -> float:
        return MARGIN_SHARE * sheet.left * self.answer_s / self._plan.slots + LEAST_MARGIN_S

    # What is to be done with which batch

    def _look(self) -> None:
        now_s = self._clock.now()
        for batch in list(self.open.values()):
            if batch.id in self._busy:
                continue
            if batch.status in ENDED:
                del self.open[batch.id]
            elif batch.status == VALIDATING:
                self._start(self._validate(batch), batch)
            elif batch.id in self._sheets or (now_s >= self._closed_until_s and self._open_sheet(batch, now_s)):
                self._look_at(batch, self._sheets[batch.id], now_s)

    def _look_at(self, batch: Batch, sheet: Sheet, now_s: float) -> None:
        handout = self.handout
        if now_s >= batch.expires_s + (LAST_S if sheet.out or sheet.sent else 0.0):
            status = CANCELLED if batch.status == CANCELLING else EXPIRED
            self._start(self._end(sheet, status), batch)
        elif batch.status == CANCELLING and not sheet.out and not sheet.sent:
            self._start(self._end(sheet, CANCELLED), batch)
        elif sheet.done and not sheet.unwritten:
            self._start(self._end(sheet, COMPLETED), batch)
        elif handout is not None:
            if batch.status == IN_PROGRESS and sheet.has_more and self.late(batch) and handout.suits(batch):
                handout.give(sheet)
            if sheet.sent:
                handout.follow(sheet)

    def _start(self, work: object, batch: Batch) -> None:
        self._busy.add(batch.id)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._busily(work, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _busily(self, work: object, batch: Batch) -> None:
        try:
            await work  # type: ignore[misc]
        except (OSError, sqlite3.Error) as error:
            self._say(str(error))
            await asyncio.sleep(TROUBLE_S)
        finally:
            self._busy.discard(batch.id)
            self._woken.set()

    async def _validate(self, batch: Batch) -> None:
        path, scratch = self._store.path(batch.input_file), self._store.folder / f"{batch.id}.seen"
        try:
            found = await asyncio.to_thread(validate, path, batch.endpoint, self._plan.max_requests, scratch)
        except FileNotFoundError as error:
            self._fail(batch, [_lost(batch, error)])
            return
        if batch.status != VALIDATING:
            self._store.change(batch, total=0 if found.errors else found.total)  # it is being cancelled
        elif found.errors:
            self._fail(batch, found.errors)
        else:
            at = batch.at | {IN_PROGRESS: int(self._clock.now())}
            self._store.change(batch, status=IN_PROGRESS, total=found.total, at=at)

    def _fail(self, batch: Batch, errors: list[Error]) -> None:
        at = batch.at | {FAILED: int(self._clock.now())}
        self._store.change(batch, status=FAILED, errors=errors, at=at)

    def _open_sheet(self, batch: Batch, now_s: float) -> bool:
        """Open a batch's files; one that has lost any fails, and one that cannot be opened now waits."""
        if len(self._sheets) >= self.most_sheets:
            return False
        try:
            sheet = Sheet(self._store, batch)
        except LostFileError as error:
            self._fail(batch, [_lost(batch, error)])
            return False
        except (OSError, sqlite3.Error) as error:
            _log.warning("the batch %s cannot go on now: %s", batch.id, error)
            self._closed_until_s = now_s + TROUBLE_S
            return False
        try:
            if self.handout is None:
                sheet.take_all_back()  # the settings named a provider when they were given to it
        except BaseException:
            sheet.close()
            raise
        self._sheets[batch.id] = sheet
        self._order.append(batch.id)
        return True

    async def _end(self, sheet: Sheet, status: str) -> None:
        """Tell what was not asked, then give the batch its last status."""
        batch = sheet.batch
        if self.handout is not None and sheet.sent:
            self.handout.abandon(sheet)
        for line in list(sheet.out.values()):
            sheet.put_back(line, 0.0)  # its answer comes too late
        why = shapes.EXPIRED if status == EXPIRED else shapes.CANCELLED
        for count, (line, content) in enumerate(sheet.rest() if status != COMPLETED else (), start=1):
            sheet.answer(
                line,
                shapes.unanswered_line(_request(batch, line), _custom_id(content, batch.endpoint), why),
                well=False,
            )
            if count % _REST_LINES == 0:
                sheet.write()
                await asyncio.sleep(0)
        sheet.write()
        now_s = int(self._clock.now())
        if status == COMPLETED:
            batch.at[FINALIZING] = now_s
        sheet.end(status, now_s)
        del self._sheets[batch.id], self.open[batch.id]
        self._order.remove(batch.id)

    # Lines

    def _fill(self) -> None:
        now_s = self._clock.now()
        while (found := self._next(now_s)) is not None:
            sheet, line, content, late = found
            if not self.in_flight:
                self.busy.begin(now_s)
            self.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._ask(sheet, line, content, late=late))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self, now_s: float) -> tuple[Sheet, Line, bytes, bool] | None:
        for batch, sheet in self._in_turn():
            late = self.late(batch)
            if self.in_flight >= (self._plan.slots if late else int(self.slots)):
                continue
            if batch.status != IN_PROGRESS or batch.id in self._busy or now_s < sheet.paused_until_s:
                continue
            calls_only = late and self.handout is not None and self.handout.suits(batch)
            if now_s < batch.expires_s and (taken := sheet.take(now_s, calls_only=calls_only)) is not None:
                self._order.remove(batch.id)
                self._order.append(batch.id)
                return sheet, *taken, late
        return None

    def _in_turn(self) -> Iterator[tuple[Batch, Sheet]]:
        for name in list(self._order):
            yield self._sheets[name].batch, self._sheets[name]

    async def _ask(self, sheet: Sheet, line: Line, content: bytes, *, late: bool) -> None:
        """Ask a line; whatever happens, it then has its result or is put back."""
        batch, request = sheet.batch, _request(sheet.batch, line)
        labels = [*batch.labels, (EPISODE, batch.id), *(() if late else IDLE)]
        began_s = self._clock.monotonic()
        try:
            asked = read_line(content, batch.endpoint)
            answer = await self._calls.ask(batch.endpoint, batch.key, labels, bytes(asked.body))
            self.answer_s += (self._clock.monotonic() - began_s - self.answer_s) / 16
            if target := answer.headers.get("x-breakeven-target"):
                self.targets.add(target)
            self._settle(sheet, line, asked, answer, late=late)
        except WrongLineError as error:  # its file was looked through, so this is a file that has changed
            self._keep(sheet, line, shapes.unanswered_line(request, "", (error.code, str(error))), well=False)
        except OSError as error:  # time-outs are ones too
            _log.debug("a line of %s is asked again: %s", batch.id, error)
            if sheet.out.get(line.number) is line:
                sheet.put_back(line, self._clock.now() + FIRST_RETRY_S)
        except Exception:  # noqa: BLE001 - one line must not keep its batch from its end
            _log.exception("a line of %s could not be asked; the others are", batch.id)
            text = shapes.unanswered_line(request, _custom_id(content, batch.endpoint), shapes.FAULT)
            self._keep(sheet, line, text, well=False)
        finally:
            self._is_back()

    def _is_back(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self.busy.end(self._clock.now())
        self._woken.set()

    def _settle(self, sheet: Sheet, line: Line, asked: AskedLine, answer: Answer, *, late: bool) -> None:
        status, batch, now_s = answer.status, sheet.batch, self._clock.now()
        away = _is_away(answer)
        patient = away or status in _PATIENT
        waits = away and not late
        most = MAX_PATIENT_TRIES if patient else MAX_TRIES
        if waits or ((patient or status in _PASSING) and line.tries + 1 < most):
            delay_s = min(FIRST_RETRY_S * 2**line.tries, MAX_RETRY_S) * (0.75 + self._uniform() / 2)
            delay_s = max(delay_s, min(_seconds(answer.headers.get("retry-after")), MAX_RETRY_S))
            if sheet.out.get(line.number) is line:
                sheet.put_back(line, now_s + delay_s, counts=not waits or line.tries < MAX_COUNTED_WAITS)
            if patient:
                sheet.paused_until_s = max(sheet.paused_until_s, now_s + min(delay_s, 1.0))
            return
        request_id = answer.headers.get("x-breakeven-request-id", "")
        text = shapes.result_line(_request(batch, line), asked.custom_id, status, request_id, answer.body)
        self._keep(sheet, line, text, well=200 <= status < 300)

    def _keep(self, sheet: Sheet, line: Line, text: bytes, *, well: bool) -> None:
        if sheet.out.get(line.number) is line:  # else its batch has ended meanwhile
            sheet.answer(line, text, well=well)

    def _write(self) -> None:
        """Write what has come."""
        for sheet in list(self._sheets.values()):
            if sheet.unwritten and sheet.batch.id not in self._busy:
                sheet.write()

    def _taken(self, *steps: Callable[[], None]) -> bool:
        """Take steps until the disk does not take what one of them writes; return whether it took everything."""
        try:
            for step in steps:
                step()
        except (OSError, sqlite3.Error) as error:
            self._say(str(error))
            return False
        self._say("")
        return True

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.log(logging.ERROR if trouble else logging.WARNING, "%s", trouble or "Results can be written again.")
        self._trouble = trouble


def _lost(batch: Batch, error: Exception) -> Error:
    _log.error("the batch %s cannot go on: %s", batch.id, error)
    return {"code": "lost_file", "message": str(error), "line": None, "param": None}


def _request(batch: Batch, line: Line) -> str:
    return f"batch_req_{batch.id.removeprefix('batch_')[:16]}_{line.number}"


def _custom_id(content: bytes, endpoint: str) -> str:
    try:
        return read_line(content, endpoint).custom_id
    except WrongLineError:
        return ""


def _is_away(answer: Answer) -> bool:
    """Whether nobody was there, or nobody was idle: it says nothing of the line."""
    return answer.status == 503 or (answer.status in (502, 504) and any(code in answer.body for code in _AWAY))


def _seconds(retry_after: str | None) -> float:
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0
