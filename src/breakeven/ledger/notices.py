"""What was advised or alerted, as the store keeps it, so that nothing is said twice, whatever ends the process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BUSY_S: Final = 10.0


class StoredNotice(NamedTuple):
    """One row; ``detail`` is JSON that whoever writes it understands."""

    kind: str
    subject: str
    state: str
    since_s: float
    told_s: float | None
    """When somebody was last told; None: nobody was."""

    detail: str


def read_notices(store: Path, kinds: Iterable[str]) -> tuple[StoredNotice, ...]:
    """Return what is known of some kinds.  Raises ``StoreMissingError``, or ``InputError`` for a store of no use."""
    wanted = list(kinds)
    marks = ", ".join("?" * len(wanted))
    question = f"SELECT * FROM notice WHERE kind IN ({marks}) ORDER BY kind, subject"  # noqa: S608 - marks alone
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            return tuple(map(StoredNotice._make, connection.execute(question, wanted)))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def keep_notices(store: Path, notices: Iterable[StoredNotice], *, gone: Iterable[tuple[str, str]] = ()) -> None:
    """Write notices down in place of what was known of them, and remove some by kind and subject.

    Raises ``InputError`` for a store that cannot be written.
    """
    try:
        with closing(connect(store, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM notice WHERE kind = ? AND subject = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO notice VALUES (?, ?, ?, ?, ?, ?)", notices)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
