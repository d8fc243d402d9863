"""The newest requests of a ledger, row by row: from the store, and from files of closed days where it has too few."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.export import exported, reader_of_files
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.query import Cards
from breakeven.ledger.said import SELECT, SaidAttempt
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.export import ExportedAttempt

_NEWEST = "ORDER BY attempt_id DESC LIMIT ?"


def last_requests(store: Path, count: int) -> list[ExportedAttempt]:
    """Return every attempt of the newest requests, newest first.

    Raises ``InputError`` where the store cannot be read, and ``MissingExtraError`` where files would have to be read
    without the packages for it.
    """
    try:
        with reading(store) as folder, closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            cards = Cards(connection)
            return [exported(row, cards.get(row.rate_card or "")) for row in _last(connection, folder, count)]
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _last(connection: sqlite3.Connection, folder: Path, count: int) -> list[SaidAttempt]:
    limit = count * ATTEMPTS  # whatever the number of attempts, these hold that many requests
    found = [SaidAttempt._make(row) for row in connection.execute(f"{SELECT} {_NEWEST}", (limit,))]
    for file in sorted(day_files(connection), key=lambda file: -file.last_id):
        found, least = _newest(found, count)
        if file.last_id < least:
            break
        found += _of_file(folder / file.name, limit)
    return _newest(found, count)[0]


def _newest(found: list[SaidAttempt], count: int) -> tuple[list[SaidAttempt], int]:
    """Return the rows of the newest requests, and the id below which others are of no use: 0 if they are few."""
    requests = sorted({row.attempt_id // ATTEMPTS for row in found}, reverse=True)[:count]
    least = requests[-1] * ATTEMPTS if len(requests) == count else 0
    rows = [row for row in found if requests and row.attempt_id >= requests[-1] * ATTEMPTS]
    return sorted(rows, key=lambda row: -row.attempt_id), least


def _of_file(path: Path, limit: int) -> list[SaidAttempt]:
    reader_of_files()
    import duckdb

    names = ", ".join(SaidAttempt._fields)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        found = connection.execute(f"SELECT {names} FROM read_parquet(?) {_NEWEST}", [str(path), limit]).fetchall()  # noqa: S608 - names of columns
    return [SaidAttempt._make(row) for row in found]
