"""Outcomes: what somebody or something said of a request or an episode, written to the store and read back.

An outcome is known by its id.  Said again under the same id the newer word counts, whichever arrives first, so writing
the same twice changes nothing.  Several outcomes of one subject stand beside each other under different names and
sources; which of them counts is not decided here.  Whether the request exists, ``ledger.outcome_standing`` tells.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, fields
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

USER, CODE, JUDGE, HUMAN = SOURCES = ("user", "code", "judge", "human")
"""Who says it: the person the answer was for, a program, a model, or a person who looked at it for us."""

SAID: Final = "said"
SIGNAL: Final = "signal"
"""``Outcome.origin`` of what came over HTTP, and of what the gateway itself noticed; imports name their format."""

DEFAULT_NAME: Final = "outcome"
"""The name of a plain verdict: whether it was a success, or how good."""

MINUTES: Final = "human_minutes"
DEMONSTRATION: Final = "demonstration"
COMMENT: Final = "comment"
"""Names of outcomes that bring no verdict, where no other is given: so that none takes a verdict's place."""

BATCH_ROWS: Final = 5_000
BUSY_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One word on one request or one episode."""

    id: str
    """``outcome_id`` or ``own_id``; unique in the store."""

    key: str
    """Name of the virtual key that said it; empty where none is asked for, for imports and for the gateway's own."""

    request_id: int | None = None
    """As in ``ids.request_id``; None for an episode."""

    episode: str = ""
    """Empty for a request."""

    name: str = DEFAULT_NAME
    """What was looked at: a metric, a check."""

    source: str = USER
    success: bool | None = None
    score: float | None = None
    """Any finite number: what it means, its name says."""

    human_minutes: Decimal | None = None
    """Of a person's work on the answer, to check or to mend it."""

    comment: str = ""
    demonstration: str = ""
    """What the answer should have been."""

    at_us: int
    """When it came about: Unix microseconds."""

    received_us: int
    """When it was said to the ledger; of two under one id the later counts."""

    origin: str = SAID


_COLUMNS: Final = tuple(item.name for item in fields(Outcome))

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound
_PUT: Final = (
    f"INSERT INTO outcome ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (id) DO UPDATE "
    f"SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])} "
    "WHERE excluded.received_us >= outcome.received_us"
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM outcome"


def outcome_id(key: str, subject: int | str, name: str, source: str) -> str:
    """Return the id of an outcome that brings none: one of each name and source, by one key, for one subject.

    ``subject`` is a request's id, or an episode.
    """
    said = "\0".join((str(subject) if isinstance(subject, int) else f"episode {subject}", name, source))
    return own_id(key, blake2b(said.encode(), digest_size=16).hexdigest())


def own_id(key: str, text: str) -> str:
    """Return the id in the store of an outcome to which a key gave an id: no key can speak over another one's."""
    return f"{key}/{text}"


def default_name(*, verdict: bool, minutes: bool, demonstration: bool) -> str:
    """Return the name of an outcome that brings none, by what it says."""
    if verdict:
        return DEFAULT_NAME
    return MINUTES if minutes else DEMONSTRATION if demonstration else COMMENT


def put_outcomes(connection: sqlite3.Connection, outcomes: Iterable[Outcome]) -> None:
    """Write outcomes, in a transaction of the caller's; of two under one id the one received later stays."""
    connection.executemany(_PUT, map(_row, outcomes))


def keep_outcomes(store: Path, outcomes: Iterable[Outcome]) -> int:
    """Write outcomes in a transaction of their own; return how many the store did not have.

    Raises ``InputError`` for a store that cannot be written.
    """
    try:
        with closing(connect(store, create=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            before = _count(connection)
            put_outcomes(connection, outcomes)
            added = _count(connection) - before
            connection.execute("COMMIT")
            return added
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def read_outcomes(
    connection: sqlite3.Connection, from_us: int | None = None, until_us: int | None = None
) -> Iterator[Outcome]:
    """Yield outcomes that came about in [from_us, until_us), in the order of their times and ids."""
    bounds = (from_us, "at_us >= ?"), (until_us, "at_us < ?")
    conditions = [text for bound, text in bounds if bound is not None] or ["1"]
    values = [bound for bound, _ in bounds if bound is not None]
    found = connection.execute(f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY at_us, id", values)
    while batch := found.fetchmany(BATCH_ROWS):
        yield from map(_outcome, batch)


def outcomes_by_id(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, Outcome]:
    """Return outcomes by id; those that were deleted since are missing."""
    found = connection.execute(f"{_SELECT} WHERE id IN ({','.join('?' * len(ids))})", tuple(ids))
    return {outcome.id: outcome for outcome in map(_outcome, found)}


def outcomes(store: Path, from_us: int | None = None, until_us: int | None = None) -> list[Outcome]:
    """Return outcomes that came about in [from_us, until_us), in the order of their times and ids.

    Times are the outcomes' own: one of yesterday's request may come today.  Raises ``InputError``.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            return list(read_outcomes(connection, from_us, until_us))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _count(connection: sqlite3.Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM outcome")
    return int(count)


def _row(outcome: Outcome) -> tuple[object, ...]:
    return (
        outcome.id,
        outcome.key,
        outcome.request_id,
        outcome.episode or None,
        outcome.name,
        outcome.source,
        outcome.success,
        outcome.score,
        None if outcome.human_minutes is None else f"{outcome.human_minutes:f}",
        outcome.comment or None,
        outcome.demonstration or None,
        outcome.at_us,
        outcome.received_us,
        outcome.origin,
    )


def _outcome(row: tuple[object, ...]) -> Outcome:
    said = dict(zip(_COLUMNS, row, strict=True))
    success, minutes = said["success"], said["human_minutes"]
    said["success"] = None if success is None else bool(success)
    said["human_minutes"] = None if minutes is None else Decimal(str(minutes))
    for name in ("episode", "comment", "demonstration"):
        said[name] = said[name] or ""
    return Outcome(**said)  # type: ignore[arg-type] # columns are as the table declares them
