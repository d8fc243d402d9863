"""Where the rows of each day are: in the store, in a file of that day, or in both; and who may change that.

The table ``day_file`` is the truth.  A file counts from the moment at which the store says so, in the transaction
that deletes its rows there.  It is named there before it comes to be, and until it is gone, so a kill -9 at
any point leaves files that the next run knows to remove, and none whose rows count twice or not at all.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger.rollups import DAY_US
from breakeven.ledger.store import sync_store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

WRITING, COUNTS, REPLACED = range(3)
"""States of a file: not whole perhaps; its rows count; its rows are elsewhere or gone, and it may go too."""

PART: Final = ".part"
STORE_NAME: Final = "ledger.sqlite"
_EPOCH: Final = date(1970, 1, 1)


class DayFile(NamedTuple):
    """A file with rows of one day; ``day`` counts from 1970, UTC."""

    name: str
    day: int
    rows: int
    first_id: int
    last_id: int
    size_bytes: int


class DayInStore(NamedTuple):
    """The rows of one day that are in the store itself."""

    day: int
    rows: int
    first_id: int
    last_id: int

    @property
    def condition(self) -> str:
        """What chooses these rows; the ids spare a look at all others."""
        begins_us = self.day * DAY_US
        return (
            f"attempt_id BETWEEN {self.first_id} AND {self.last_id} "
            f"AND received_us >= {begins_us} AND received_us < {begins_us + DAY_US}"
        )


def days_folder(store: Path) -> Path:
    """Return the folder of a store's day files, which is its own even where two stores lie side by side."""
    return store.parent / ("days" if store.name == STORE_NAME else f"{store.stem}-days")


def day_number(at_s: float) -> int:
    """Return the UTC day of a moment in Unix seconds, counted from 1970."""
    return int(at_s * 1_000_000) // DAY_US


def date_of(day: int) -> date:
    """Return the date of a day counted from 1970."""
    return _EPOCH + timedelta(days=day)


def day_of(moment: datetime) -> int:
    """Return the UTC day of an aware moment, counted from 1970."""
    return (moment.astimezone(UTC).date() - _EPOCH).days


def day_files(connection: sqlite3.Connection) -> tuple[DayFile, ...]:
    """Return the files whose rows count, by day."""
    found = connection.execute(
        "SELECT name, day, rows, first_id, last_id, size_bytes FROM day_file WHERE state = ? ORDER BY day", (COUNTS,)
    )
    return tuple(map(DayFile._make, found))


def days_in_store(connection: sqlite3.Connection) -> tuple[DayInStore, ...]:
    """Return the days of which rows are in the store, by day."""
    found = connection.execute(
        f"SELECT received_us / {DAY_US}, count(*), min(attempt_id), max(attempt_id) FROM attempt GROUP BY 1 ORDER BY 1"  # noqa: S608 - a number from here
    )
    return tuple(map(DayInStore._make, found))


@contextmanager
def keeping(store: Path) -> Iterator[Path]:
    """Be the only one who changes where rows are; yields the folder.  Raises ``InputError`` when another one is."""
    folder = days_folder(store)
    try:
        folder.mkdir(exist_ok=True)
        file = os.open(folder / ".keeping", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(os.open(folder / ".reading", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise InputError(f"{folder} cannot be used: {error.strerror}. Make it writable.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise InputError(
            f"Another command (close, prune, import or reprice) is changing the ledger of {store}. Wait for its end."
        ) from error
    try:
        yield folder
    finally:
        os.close(file)


@contextmanager
def reading(store: Path) -> Iterator[Path]:
    """Keep files from being removed while they are read; yields the folder.  Enter it before a look at the store."""
    folder = days_folder(store)
    try:
        file = os.open(folder / ".reading", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # there are no files yet, or none that may be locked
        yield folder
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield folder
    finally:
        os.close(file)


def claim(connection: sqlite3.Connection, folder: Path, day: int) -> str:
    """Write down the name of a file that is going to be written, one that nothing bears."""
    stem, name, number = f"{date_of(day)}", f"{date_of(day)}.parquet", 2
    while (folder / name).exists() or connection.execute(
        "SELECT 1 FROM day_file WHERE name = ?", (name,)
    ).fetchone() is not None:
        name, number = f"{stem}.{number}.parquet", number + 1
    connection.execute("INSERT INTO day_file VALUES (?, ?, ?, 0, 0, 0, 0)", (name, day, WRITING))
    return name


def count_file(connection: sqlite3.Connection, file: DayFile) -> None:
    """Let a file count, in place of the one before it: in the transaction that changes what the store has."""
    connection.execute("UPDATE day_file SET state = ? WHERE day = ? AND state = ?", (REPLACED, file.day, COUNTS))
    connection.execute(
        "UPDATE day_file SET state = ?, rows = ?, first_id = ?, last_id = ?, size_bytes = ? WHERE name = ?",
        (COUNTS, file.rows, file.first_id, file.last_id, file.size_bytes, file.name),
    )


def sweep(connection: sqlite3.Connection, store: Path, folder: Path) -> int:
    """Remove files that do not count, as the one who is ``keeping``; return how many a reader still holds."""
    for (name,) in connection.execute("SELECT name FROM day_file WHERE state = ?", (WRITING,)).fetchall():
        discard(connection, folder, name)
    replaced = connection.execute("SELECT name FROM day_file WHERE state = ?", (REPLACED,)).fetchall()
    if not replaced:
        return 0
    sync_store(store)  # else power loss could bring back the state in which they counted
    with suppress(FileNotFoundError):
        file = os.open(folder / ".reading", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return len(replaced)
        else:
            for (name,) in replaced:
                discard(connection, folder, name)
        finally:
            os.close(file)
    return 0


def discard(connection: sqlite3.Connection, folder: Path, name: str) -> None:
    """Remove a file that does not count, and then its name."""
    for path in (folder / f"{name}{PART}", folder / name):
        path.unlink(missing_ok=True)
    connection.execute("DELETE FROM day_file WHERE name = ?", (name,))
