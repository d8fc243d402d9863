"""Outcomes for the commands: listed and written out, each with whether what it speaks of is known."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.errors import InputError
from breakeven.ledger.ids import request_text
from breakeven.ledger.outcome_standing import standings
from breakeven.ledger.outcomes import BUSY_S, Outcome, read_outcomes
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import TextIOBase
    from pathlib import Path

    from breakeven.ledger.outcome_standing import Standing

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ListedOutcome(NamedTuple):
    """One outcome as it is listed and exported; None where there is nothing to say."""

    id: str
    key: str | None
    request_id: str | None
    episode: str | None
    name: str
    source: str
    success: bool | None
    score: float | None
    human_minutes: Decimal | None
    comment: str | None
    demonstration: str | None
    at: datetime
    received: datetime
    origin: str
    standing: str
    """``known``; ``unknown``: of nothing that the ledger has; ``of others``: of another key's, so it does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which outcomes are asked for; empty: all."""

    since: datetime | None = None
    until: datetime | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Field of ``ListedOutcome`` and value."""


def list_outcomes(store: Path, asked: Asked) -> list[ListedOutcome]:
    """Return outcomes by their times, each with whether what it speaks of is known.

    Raises ``InputError`` for a store that cannot be read and for a field that does not exist.
    """
    for name, _ in asked.where:
        if name not in ListedOutcome._fields:
            raise InputError(f"--where {name}=…: an outcome has {', '.join(ListedOutcome._fields)}.")
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN")
            bounds = (
                None if at is None else (at - _EPOCH) // timedelta(microseconds=1) for at in (asked.since, asked.until)
            )
            found = list(read_outcomes(connection, *bounds))
            listed = [_listed(*item) for item in standings(connection, store, found)]
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    return [item for item in listed if all(_plain(getattr(item, name)) == value for name, value in asked.where)]


def export_outcomes(listed: Iterable[ListedOutcome], path: Path) -> int:
    """Write outcomes to a file, ``.csv`` or ``.jsonl``; return how many.  Raises ``InputError``."""
    if path.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{path}: outcomes are written as .csv or .jsonl.")
    write = _write_table if path.suffix == ".csv" else _write_lines
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            return write(listed, file)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _write_table(listed: Iterable[ListedOutcome], file: TextIOBase) -> int:
    writer = csv.writer(file)
    writer.writerow(ListedOutcome._fields)
    count = 0
    for count, item in enumerate(listed, 1):  # noqa: B007 - how many there were
        writer.writerow([_plain(value) for value in item])
    return count


def _write_lines(listed: Iterable[ListedOutcome], file: TextIOBase) -> int:
    count = 0
    for count, item in enumerate(listed, 1):  # noqa: B007 - as above
        file.write(msgspec.json.encode(record_of(item)).decode() + "\n")
    return count


def record_of(item: ListedOutcome) -> dict[str, Any]:
    """Return an outcome for JSON: times as text, minutes exact."""
    said = item._asdict()
    said["human_minutes"] = None if item.human_minutes is None else f"{item.human_minutes:f}"
    return said | {"at": _plain(item.at), "received": _plain(item.received)}


def _listed(outcome: Outcome, standing: Standing) -> ListedOutcome:
    return ListedOutcome(
        id=outcome.id,
        key=outcome.key or None,
        request_id=None if outcome.request_id is None else request_text(outcome.request_id),
        episode=outcome.episode or None,
        name=outcome.name,
        source=outcome.source,
        success=outcome.success,
        score=outcome.score,
        human_minutes=outcome.human_minutes,
        comment=outcome.comment or None,
        demonstration=outcome.demonstration or None,
        at=_EPOCH + timedelta(microseconds=outcome.at_us),
        received=_EPOCH + timedelta(microseconds=outcome.received_us),
        origin=outcome.origin,
        standing=standing,
    )


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
