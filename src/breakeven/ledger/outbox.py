"""Attempts that somebody outside is to be told of: taken down with their rows, kept until they were told.

Rows come in the order in which attempts end, their ids in the order in which requests began, so no id can say what is
new.  A table does: it names, in the transaction that moves them, the rows of every step, and it is there only while
somebody is to be told.  What lies in it is the cursor: it survives restarts, and nothing is told twice or left out.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

ENTRY_ATTEMPTS: Final = 256
"""In one entry at most: entries are told of whole."""

_ID_BYTES: Final = 8
_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'outbox'"
_MAKE: Final = "CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY, attempts BLOB NOT NULL)"


class Entry(NamedTuple):
    """Attempts that were moved in one step, or a part of them."""

    number: int
    attempt_ids: tuple[int, ...]


def settle(connection: sqlite3.Connection, *, wanted: bool | None) -> bool:
    """Begin or end to take attempts down, in the caller's transaction; None: as it was.  Return whether it is done."""
    if wanted:
        connection.execute(_MAKE)
    elif wanted is not None:
        connection.execute("DROP TABLE IF EXISTS outbox")
    return connection.execute(_THERE).fetchone() is not None


def put(connection: sqlite3.Connection, attempt_ids: Sequence[int]) -> None:
    """Take attempts down, in the transaction that moves their rows."""
    parts = (attempt_ids[at : at + ENTRY_ATTEMPTS] for at in range(0, len(attempt_ids), ENTRY_ATTEMPTS))
    connection.executemany(
        "INSERT INTO outbox (attempts) VALUES (?)", [(struct.pack(f"<{len(part)}q", *part),) for part in parts]
    )


def waiting(connection: sqlite3.Connection, after: int = 0) -> list[Entry]:
    """Return the next entries behind a number: as many as together have no more attempts than one may have."""
    if connection.execute(_THERE).fetchone() is None:
        return []
    found: list[Entry] = []
    free = ENTRY_ATTEMPTS
    for number, packed in connection.execute(
        "SELECT number, attempts FROM outbox WHERE number > ? ORDER BY number LIMIT ?", (after, ENTRY_ATTEMPTS)
    ):
        ids = struct.unpack(f"<{len(packed) // _ID_BYTES}q", packed)
        free -= len(ids)
        if found and free < 0:
            break
        found.append(Entry(number, ids))
    return found


def remove(connection: sqlite3.Connection, up_to: int) -> None:
    """Drop the entries that were told, which stand at the beginning."""
    if connection.execute(_THERE).fetchone() is not None:
        connection.execute("DELETE FROM outbox WHERE number <= ?", (up_to,))
