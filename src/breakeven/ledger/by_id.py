"""Rows of attempts looked up by their ids, in the store and in the files of closed days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.errors import MissingExtraError
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.export import reader_of_files
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.said import said_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from breakeven.ledger.said import SaidAttempt


def rows_of(connection: sqlite3.Connection, store: Path, attempt_ids: Sequence[int]) -> list[SaidAttempt]:
    """Return the rows of attempts by id, from the store or the files of their days; those deleted since are missing."""
    with reading(store) as folder:
        found = list(said_rows(connection, f"attempt_id IN ({','.join(map(str, attempt_ids))})"))
        missing = sorted(set(attempt_ids).difference(row.attempt_id for row in found))
        if missing:
            found += _from_files(connection, folder, missing)
    return sorted(found)


def rows_of_requests(
    connection: sqlite3.Connection, store: Path, request_ids: Collection[int]
) -> dict[int, list[SaidAttempt]]:
    """Return the rows of requests, by the requests' ids; those of which nothing is known are missing."""
    found: dict[int, list[SaidAttempt]] = {}
    with reading(store) as folder:
        stored = said_rows(connection, f"attempt_id IN ({','.join(map(str, _attempts_of(request_ids)))})")
        for row in stored:
            found.setdefault(row.attempt_id - row.attempt_id % ATTEMPTS, []).append(row)
        missing = sorted(_attempts_of(set(request_ids) - found.keys()))
        for row in sorted(_from_files(connection, folder, missing)) if missing else ():
            found.setdefault(row.attempt_id - row.attempt_id % ATTEMPTS, []).append(row)
    return found


def _attempts_of(request_ids: Iterable[int]) -> list[int]:
    """Return all ids that attempts of these requests can have."""
    return [request_id + number for request_id in request_ids for number in range(ATTEMPTS)]


def _from_files(connection: sqlite3.Connection, folder: Path, attempt_ids: Sequence[int]) -> list[SaidAttempt]:
    """Return the rows that were in the store, and are in files of days now: where the files can be read."""
    found: list[SaidAttempt] = []
    try:
        reader_of_files()
    except MissingExtraError:
        return found
    from breakeven.ledger.day_file import read_some  # noqa: PLC0415 - pyarrow, which the core install leaves out

    for file in day_files(connection):
        ids = [attempt_id for attempt_id in attempt_ids if file.first_id <= attempt_id <= file.last_id]
        found += read_some(folder / file.name, ids) if ids else ()
    return found
