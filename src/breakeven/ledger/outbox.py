"""Attempts and outcomes that somebody outside is to be told of: taken down as they are stored, kept until that is done.

Rows come in the order in which attempts end, their ids in the order in which requests began, so no id can say what is
new; an outcome's id says nothing of time at all.  A table of each kind does: it names, in the transaction that moves
them, what every step brought, and it is there only while somebody is to be told.  What lies in it is the cursor: it
survives restarts, and nothing is told twice or left out.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

ENTRY_IDS: Final = 256
"""In one entry at most: entries are told of whole."""

_ID_BYTES: Final = 8
_TEXTS: Final = msgspec.msgpack.Decoder(tuple[str, ...])

# ruff: noqa: S608 - the names of tables stand in this module, and values are bound

Id = TypeVar("Id", int, str)


class Entry(NamedTuple, Generic[Id]):
    """What was moved in one step, or a part of it."""

    number: int
    ids: tuple[Id, ...]


class Outbox(Generic[Id]):
    """One kind of what is to be told, in a table of its own."""

    def __init__(
        self, table: str, column: str, pack: Callable[[Sequence[Id]], bytes], unpack: Callable[[bytes], tuple[Id, ...]]
    ) -> None:
        """Take the names of its table and column, and how the ids of an entry are written and read."""
        self._table = table
        self._column = column
        self._pack: Callable[[Sequence[Id]], bytes] = pack
        self._unpack: Callable[[bytes], tuple[Id, ...]] = unpack

    def is_kept(self, connection: sqlite3.Connection) -> bool:
        """Whether its table is there: somebody is to be told."""
        there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
        return connection.execute(there, (self._table,)).fetchone() is not None

    def begin(self, connection: sqlite3.Connection) -> None:
        """Make its table, where it is not there."""
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table} (number INTEGER PRIMARY KEY, {self._column} BLOB NOT NULL)"
        )

    def end(self, connection: sqlite3.Connection) -> None:
        """Take its table away, and what still lies in it."""
        connection.execute(f"DROP TABLE IF EXISTS {self._table}")

    def put(self, connection: sqlite3.Connection, ids: Sequence[Id]) -> None:
        """Take ids down, in the transaction that moves what they are of."""
        parts = (ids[at : at + ENTRY_IDS] for at in range(0, len(ids), ENTRY_IDS))
        connection.executemany(
            f"INSERT INTO {self._table} ({self._column}) VALUES (?)", [(self._pack(part),) for part in parts]
        )

    def waiting(self, connection: sqlite3.Connection) -> list[Entry[Id]]:
        """Return the first entries: as many as together have no more ids than one may have."""
        if not self.is_kept(connection):
            return []
        found: list[Entry[Id]] = []
        free = ENTRY_IDS
        for number, packed in connection.execute(
            f"SELECT number, {self._column} FROM {self._table} ORDER BY number LIMIT ?", (ENTRY_IDS,)
        ):
            ids = self._unpack(packed)
            free -= len(ids)
            if found and free < 0:
                break
            found.append(Entry(number, ids))
        return found

    def remove(self, connection: sqlite3.Connection, up_to: int) -> None:
        """Drop the entries that were told, which stand at the beginning."""
        if self.is_kept(connection):
            connection.execute(f"DELETE FROM {self._table} WHERE number <= ?", (up_to,))


ATTEMPTS: Final[Outbox[int]] = Outbox(
    "outbox",
    "attempts",
    lambda ids: struct.pack(f"<{len(ids)}q", *ids),
    lambda packed: struct.unpack(f"<{len(packed) // _ID_BYTES}q", packed),
)
OUTCOMES: Final[Outbox[str]] = Outbox("outcome_outbox", "outcomes", msgspec.msgpack.encode, _TEXTS.decode)


def settle(connection: sqlite3.Connection, *, wanted: bool | None) -> bool:
    """Begin or end to take things down, in the caller's transaction; None: as it was.  Return whether it is done."""
    done = ATTEMPTS.is_kept(connection) if wanted is None else wanted
    for box in (ATTEMPTS, OUTCOMES):  # of a store from before outcomes were told, the second is not there yet
        if done:
            box.begin(connection)
        else:
            box.end(connection)
    return done
