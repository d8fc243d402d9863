"""What was given to a provider's batch API, as the store has it: jobs, and the lines of each until they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from breakeven.batches.records import Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breakeven.batches.store import Store


class Job(msgspec.Struct, kw_only=True):
    """Some lines of a batch, as one batch at a provider."""

    number: int = 0
    mark: str
    """Tells it from others there."""

    batch: int
    lines: int
    file: str = ""
    """Its input file there; empty: not sent yet."""

    name: str = ""
    """The batch there; empty: not made yet."""

    cancelled: bool = False


def jobs_of(store: Store, batch: int) -> list[Job]:
    """Return the jobs of a batch, the oldest first."""
    rows = store.connection.execute("SELECT content FROM job WHERE batch = ? ORDER BY number", (batch,))
    return [msgspec.msgpack.decode(content, type=Job) for (content,) in rows]


def marks(store: Store) -> set[str]:
    """Return the marks of all jobs."""
    rows = store.connection.execute("SELECT content FROM job")
    return {msgspec.msgpack.decode(content, type=Job).mark for (content,) in rows}


def add_job(store: Store, job: Job, lines: Iterable[tuple[bytes, Line]]) -> None:
    """Note a job and its lines, by the digests of their custom ids; within a transaction of the caller's."""
    made = store.connection.execute("INSERT INTO job (batch, content) VALUES (?, '')", (job.batch,))
    job.number = int(made.lastrowid or 0)
    put_job(store, job)
    rows = ((job.number, name, line.number, line.offset, line.size_bytes) for name, line in lines)
    store.connection.executemany("INSERT INTO sent_line VALUES (?,?,?,?,?)", rows)


def put_job(store: Store, job: Job) -> None:
    """Keep a job as it is now."""
    store.connection.execute("UPDATE job SET content = ? WHERE number = ?", (msgspec.msgpack.encode(job), job.number))


def drop_job(store: Store, job: Job) -> None:
    """Forget a job and the lines that did not come back; within a transaction of the caller's."""
    store.connection.execute("DELETE FROM sent_line WHERE job = ?", (job.number,))
    store.connection.execute("DELETE FROM job WHERE number = ?", (job.number,))


def sent_line(store: Store, job: Job, name: bytes) -> Line | None:
    """Return the line of a job that has this digest; None when it has come back, or never was one."""
    row = store.connection.execute(
        "SELECT number, offset, size_bytes FROM sent_line WHERE job = ? AND digest = ?", (job.number, name)
    ).fetchone()
    return Line(*row) if row else None


def sent_lines(store: Store, job: Job) -> Iterator[Line]:
    """Yield the lines of a job that have not come back."""
    rows = store.connection.execute("SELECT number, offset, size_bytes FROM sent_line WHERE job = ?", (job.number,))
    return (Line(*row) for row in rows)


def count_sent(store: Store, batch: int) -> int:
    """Return how many lines of a batch have not come back."""
    row = store.connection.execute(
        "SELECT count(*) FROM sent_line WHERE job IN (SELECT number FROM job WHERE batch = ?)", (batch,)
    ).fetchone()
    return int(row[0])


def drop_sent(store: Store, names: Iterable[tuple[int, bytes]]) -> None:
    """Forget lines that have come back, by job and digest."""
    store.connection.executemany("DELETE FROM sent_line WHERE job = ? AND digest = ?", names)
