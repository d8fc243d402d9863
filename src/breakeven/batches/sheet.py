"""The work on one batch: lines that are taken, tried again and answered, and results that are written exactly once.

Memory holds the lines that are out, and no others.  Results go to their files first; then one commit says how long the
files are, which lines are still out, and from where lines have not been taken.  What a process that is killed had
written without saying so is cut off when the next one opens the sheet, and those lines are taken anew.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.batches import jobs
from breakeven.batches.lines import read_lines
from breakeven.batches.records import Line, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breakeven.batches.jobs import Job
    from breakeven.batches.records import Batch
    from breakeven.batches.store import Store

MAX_WAITING: Final = 1000
"""Lines that are to be asked again; as long as there are so many, no new ones are taken."""

RESULTS: Final = ("output", "error")
HANDLES: Final = 1 + len(RESULTS)
"""Of files that a sheet holds open."""


def result_file(batch: Batch, kind: str) -> str:
    """Return the id of a file of results; it is told to nobody before the batch has ended."""
    return f"file-{batch.id.removeprefix('batch_')}-{kind}"


class LostFileError(Exception):
    """What a batch needs to go on is gone for good; ``str()`` says what."""


class Sheet:
    """One batch in work."""

    def __init__(self, store: Store, batch: Batch) -> None:
        """Open it where it was left.

        Raises ``LostFileError``, and ``OSError`` and ``sqlite3.Error`` where it may be opened later.
        """
        self.batch = batch
        self._store = store
        sizes = (batch.output_bytes, batch.error_bytes)
        with ExitStack() as opening:
            try:
                self._input = opening.enter_context(store.path(batch.input_file).open("rb"))
            except FileNotFoundError as error:
                raise LostFileError(str(error)) from None
            self._results = [
                _opened(str(store.path(result_file(batch, kind))), size_bytes, opening)
                for kind, size_bytes in zip(RESULTS, sizes, strict=True)
            ]
            open_lines = store.open_lines(batch.number)
            self.sent = jobs.count_sent(store, batch.number)
            """Lines that a provider's batch API has."""

            self._files = opening.pop_all()
        self._lines = read_lines(self._input, Line(batch.next_line, batch.next_offset, 0))
        self.out: dict[int, Line] = {}
        """Lines that somebody is working on."""

        self._waiting: list[tuple[float, int, Line]] = []
        self._calls: list[tuple[float, int, Line]] = []
        """Likewise, those that go to no provider's batch API."""

        self._noted: set[int] = set()
        for line in open_lines:
            self._wait(line, 0.0)
            self._noted.add(line.number)
        self._returned: dict[tuple[int, bytes], None] = {}
        self._again: dict[int, Line] = {}
        self._answered: list[int] = []
        self._texts: tuple[list[bytes], list[bytes]] = ([], [])
        self._cursor = Line(batch.next_line, batch.next_offset, 0)
        self.exhausted = False
        """Whether every line has been taken at least once."""

        self.paused_until_s = 0.0

    def close(self) -> None:
        """Let go of its files."""
        self._files.close()

    @property
    def left(self) -> int:
        """Return how many lines have no result yet, those that are out included."""
        batch = self.batch
        return batch.total - batch.completed - batch.failed - sum(map(len, self._texts))

    @property
    def done(self) -> bool:
        """Whether every line has its result."""
        return self.exhausted and not (self.out or self._waiting or self._calls or self.sent)

    @property
    def has_more(self) -> bool:
        """Whether there may be lines for a provider, and room to note those that are none."""
        return (not self.exhausted or bool(self._waiting)) and len(self._calls) < MAX_WAITING

    @property
    def unwritten(self) -> bool:
        """Whether there is something to write."""
        return bool(self._answered or self._again or self._returned)

    def take(self, now_s: float, *, calls_only: bool = False) -> tuple[Line, bytes] | None:
        """Return the next line to ask and its content; None where there is none at the moment.

        ``calls_only``: leave those that may yet go to a provider.
        """
        due = self._due(self._calls, now_s)
        if due is None and not calls_only:
            due = self._due(self._waiting, now_s) or self._next(now_s)
        if due is not None:
            self.out[due[0].number] = due[0]
        return due

    def rest(self) -> Iterator[tuple[Line, bytes]]:
        """Yield every line that is left, due or not; each is taken."""
        while (taken := self.take(inf)) is not None:
            yield taken

    def open_to_providers(self) -> Iterator[tuple[Line, bytes]]:
        """Yield every line that is left and may go to a provider, due or not; each is taken."""
        while (due := self._due(self._waiting, inf) or self._next(inf)) is not None:
            self.out[due[0].number] = due[0]
            yield due

    def content(self, line: Line) -> bytes:
        """Return a line as its client wrote it."""
        return os.pread(self._input.fileno(), line.size_bytes, line.offset)

    def _due(self, heap: list[tuple[float, int, Line]], now_s: float) -> tuple[Line, bytes] | None:
        if not heap or heap[0][0] > now_s:
            return None
        line = heap[0][2]
        content = self.content(line)  # first: what cannot be read waits on
        heappop(heap)
        return line, content

    def _next(self, now_s: float) -> tuple[Line, bytes] | None:
        """Return the next line that was never taken; none as long as too many wait to be asked again."""
        if self.exhausted or (len(self._waiting) + len(self._calls) >= MAX_WAITING and now_s < inf):
            return None
        try:
            found = next(self._lines, None)
        except OSError:
            self._lines = read_lines(self._input, self._cursor)  # or that would have been the last line
            raise
        if found is None:
            self.exhausted = True
            return None
        line, _ = found
        self._cursor = Line(line.number + 1, line.offset + line.size_bytes, 0)
        return found

    def _wait(self, line: Line, due_s: float) -> None:
        heappush(self._calls if line.as_call else self._waiting, (due_s, line.number, line))

    def answer(self, line: Line, text: bytes, *, well: bool) -> None:
        """Take the result of a line that is out."""
        del self.out[line.number]
        self._again.pop(line.number, None)
        self._answered.append(line.number)
        self._texts[0 if well else 1].append(text)

    def put_back(self, line: Line, due_s: float, *, counts: bool = False, as_call: bool = False) -> None:
        """Take a line back that is to be asked later.

        ``counts``: that it was tried is remembered; ``as_call``: it goes to no provider.
        """
        del self.out[line.number]
        if counts or as_call:
            line = Line(line.number, line.offset, line.size_bytes, line.tries + counts, line.as_call or as_call)
            self._again[line.number] = line
        self._wait(line, due_s)

    def give(self, job: Job, lines: Iterable[tuple[bytes, Line]]) -> None:
        """Let a provider's job have lines that are out, by the digests of their custom ids; commits."""
        given = list(lines)
        batch = self.batch
        was = batch.next_line, batch.next_offset
        batch.next_line, batch.next_offset = self._cursor.number, self._cursor.offset
        numbers = {line.number for _, line in given}
        others = self._still().values()
        kept = [line for line in others if line.number not in numbers]
        try:
            with self._store.together():
                jobs.add_job(self._store, job, given)
                self._store.drop_lines(batch.number, numbers & self._noted)
                self._store.put_lines(batch.number, (line for line in kept if line.number not in self._noted))
                self._store.write(batch)
        except BaseException:
            batch.next_line, batch.next_offset = was
            raise
        for number in numbers:
            del self.out[number]
        self._noted = (self._noted | {line.number for line in kept}) - numbers
        self.sent += len(given)

    def came_back(self, job: Job, name: bytes, text: bytes, *, well: bool) -> None:
        """Take the result of a line that a provider's job had."""
        self._returned[job.number, name] = None
        self._texts[0 if well else 1].append(text)
        self.sent -= 1

    def has_come_back(self, job: Job, name: bytes) -> bool:
        """Whether the result of a line was taken, and is not written yet."""
        return (job.number, name) in self._returned

    def ask_instead(self, job: Job, name: bytes, line: Line) -> None:
        """Take back a line that a provider's job had, to be asked as a call."""
        self._returned[job.number, name] = None
        self._wait(_as_call(line), 0.0)
        self.sent -= 1

    def take_all_back(self) -> None:
        """Take back what every provider's job has; commits."""
        for job in jobs.jobs_of(self._store, self.batch.number):
            self.take_back(job)

    def take_back(self, job: Job) -> None:
        """Take back all that is left of a provider's job, and forget the job; commits."""
        self.write()
        lines = [_as_call(line) for line in jobs.sent_lines(self._store, job)]
        with self._store.together():
            self._store.put_lines(self.batch.number, lines)
            jobs.drop_job(self._store, job)
        for line in lines:
            self._wait(line, 0.0)
        self._noted |= {line.number for line in lines}
        self.sent -= len(lines)

    def write(self) -> None:
        """Write what has come, and commit it.  Raises ``OSError`` and ``sqlite3.Error``; then nothing was counted."""
        batch = self.batch
        was = (batch.completed, batch.failed, batch.output_bytes, batch.error_bytes, batch.next_line, batch.next_offset)
        for handle, start, texts in zip(self._results, was[2:4], self._texts, strict=True):
            _write_all(handle, b"".join(texts), start)
        try:
            self._commit()
        except BaseException:
            (batch.completed, batch.failed, batch.output_bytes, batch.error_bytes, batch.next_line,
             batch.next_offset) = was  # fmt: skip
            raise
        self._answered.clear()
        self._again.clear()
        self._returned.clear()
        for texts in self._texts:
            texts.clear()

    def _commit(self) -> None:
        batch, (well, ill) = self.batch, self._texts
        batch.completed += len(well)
        batch.failed += len(ill)
        batch.output_bytes += sum(map(len, well))
        batch.error_bytes += sum(map(len, ill))
        batch.next_line, batch.next_offset = self._cursor.number, self._cursor.offset
        still = self._still()
        fresh = [line for number, line in still.items() if number not in self._noted or number in self._again]
        gone = [number for number in self._answered if number in self._noted]
        with self._store.together():
            self._store.put_lines(batch.number, fresh)
            self._store.drop_lines(batch.number, gone)
            jobs.drop_sent(self._store, self._returned)
            self._store.write(batch)
        self._noted = set(still)

    def _still(self) -> dict[int, Line]:
        """Return every line that was taken, has no result, and is nowhere else."""
        waiting = {line.number: line for heap in (self._waiting, self._calls) for _, _, line in heap}
        return {**self.out, **waiting}

    def end(self, status: str, now_s: int) -> None:
        """Give the batch its last status and its files to its owner.  Raises ``sqlite3.Error``; then it goes on."""
        batch = self.batch
        sizes = (batch.output_bytes, batch.error_bytes)
        files = [
            StoredFile(
                id=result_file(batch, kind),
                owner=batch.owner,
                filename=f"{batch.id}_{kind}.jsonl",
                purpose="batch_output",
                size_bytes=size_bytes,
                created_s=now_s,
                expires_s=now_s + batch.keep_s,
            )
            for kind, size_bytes in zip(RESULTS, sizes, strict=True)
        ]
        output_file, error_file = (file.id if file.size_bytes else "" for file in files)
        told = {
            "output_file": output_file,
            "error_file": error_file,
            "status": status,
            "at": batch.at | {status: now_s},
        }
        with self._store.together():
            for file in files:
                if file.size_bytes:
                    self._store.add_file(file)
            self._store.write(msgspec.structs.replace(batch, **told))
        for name, value in told.items():
            setattr(batch, name, value)
        for file in files:
            if not file.size_bytes:
                self._store.path(file.id).unlink(missing_ok=True)
        self.close()


def _as_call(line: Line) -> Line:
    return Line(line.number, line.offset, line.size_bytes, line.tries, as_call=True)


def _opened(path: str, size_bytes: int, opening: ExitStack) -> int:
    """Open a file of results with exactly the bytes that were counted; ``opening`` is to close it.

    Raises ``LostFileError`` and ``OSError``.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    opening.callback(os.close, handle)
    if os.fstat(handle).st_size < size_bytes:
        raise LostFileError(f"{path} has lost results that were counted, as after a loss of power")
    os.ftruncate(handle, size_bytes)
    return handle


def _write_all(handle: int, text: bytes, start: int) -> None:
    view, at = memoryview(text), start
    while view:
        written = os.pwrite(handle, view, at)
        view = view[written:]
        at += written
