"""What attempts can be grouped and chosen by: labels of the roll-ups' series, the hour and the day."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger import rows
from breakeven.ledger.rollups import HOURS_PER_DAY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

TEXT_KINDS: Final = {
    "key": rows.KEY,
    "task": rows.TASK,
    "tags": rows.TAGS,
    "model": rows.MODEL,
    "target": rows.TARGET,
    "priced_as": rows.PRICED_AS,
    "decision": rows.REASON,
    "fallback": rows.REASON,
    "failure": rows.REASON,
}
POOL: Final = "pool"
"""What stands before the ``/`` of a node's target; targets that are no node have none."""

SERIES_LABELS: Final = (*TEXT_KINDS, POOL, "outcome", "processing")
TIME_LABELS: Final = ("hour", "day")
LABELS: Final = (*SERIES_LABELS, *TIME_LABELS)
"""What results can be grouped by; all but the times can be asked for by value.  Besides them ``tag:NAME``."""

TAG: Final = "tag:"
"""What the label of one tag begins with: ``tag:team`` of ``team=search,env=prod`` is ``search``."""

NONE: Final = "none"
"""How a person asks for rows without a value."""

Labels = tuple[str | None, ...]
"""Values of the labels that results are grouped by; None where there is none."""

_CODED: Final = {"outcome": rows.OUTCOMES, "processing": rows.PROCESSINGS}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def column(label: str) -> str:
    """Return the column of ``series`` that a label is read from."""
    if label.startswith(TAG):
        return "tags"
    return "target" if label == POOL else label


def text_of(connection: sqlite3.Connection, label: str, code: int | None) -> str | None:
    """Return what a number in ``series`` stands for."""
    if code is None or label in TIME_LABELS:
        return None
    if label in _CODED:
        names = _CODED[label]
        return names[code] if code < len(names) else None
    found = connection.execute("SELECT text FROM text WHERE id = ?", (code,)).fetchone()
    text = str(found[0]) if found else None
    if text and label == POOL:
        return pool_of(text)
    return tag_of(text, label.removeprefix(TAG)) if text and label.startswith(TAG) else text


def time_said(label: str, unit: str, at: int) -> str:
    """Return an hour or a day as it is said; ``at`` counts in units of ``unit``."""
    if label == "hour":
        return f"{_EPOCH + timedelta(hours=at):%Y-%m-%dT%H:00Z}"
    return f"{_EPOCH + timedelta(days=at // HOURS_PER_DAY if unit == 'hour' else at):%Y-%m-%d}"


def condition_of(connection: sqlite3.Connection, where: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """Return SQL that chooses series ``s``, with its values.  Raises ``UnknownNameError`` for what no series has."""
    wanted: dict[str, list[int]] = {}
    for label, value in where:
        wanted.setdefault(label, []).extend(_numbers(connection, label, value))
    parts, values = ["1"], []
    for label, numbers in wanted.items():
        # One list as JSON: texts that have a tag can be more than a statement takes values.
        parts.append(f"s.{column(label)} IN (SELECT value FROM json_each(?))")  # noqa: S608 - a column of ours
        values.append(json.dumps(numbers))
    return " AND ".join(parts), values


def check_labels(by: Sequence[str], where: Sequence[tuple[str, str]]) -> None:
    """Raise ``InputError`` for a label that cannot be grouped or chosen by, and for one that is named twice."""
    for label in by:
        if label not in LABELS and not _names_tag(label):
            raise InputError(f"--by {label}: results can be grouped by {', '.join(LABELS)}, tag:NAME.")
    if len(set(by)) < len(by):
        raise InputError(f"--by {','.join(by)} names a label twice.")
    for label, _ in where:
        if label not in SERIES_LABELS and not _names_tag(label):
            names = ", ".join((*SERIES_LABELS, "tag:NAME"))
            raise InputError(f"--where {label}=…: rows can be chosen by {names}; times by --since and --until.")


def tag_of(tags: str, name: str) -> str | None:
    """Return the value of one tag in ``team=search,env=prod``; a tag without a value is its own."""
    for part in tags.split(","):
        found, sign, value = (piece.strip() for piece in part.partition("="))
        if found == name:
            return value if sign else found
    return None


def priced_targets(connection: sqlite3.Connection) -> dict[str, str]:
    """Return by target the prices (``provider:model``) that it was last metered at."""
    found = connection.execute(
        "SELECT t.text, p.text FROM series s JOIN text t ON t.id = s.target JOIN text p ON p.id = s.priced_as "
        "ORDER BY s.id"
    )
    return dict(found.fetchall())


def served_pools(connection: sqlite3.Connection) -> set[str]:
    """Return the pools to whose nodes some request went."""
    return {pool for text in _texts(connection, rows.TARGET) if (pool := pool_of(text))}


def pool_of(target: str) -> str | None:
    """Return the pool of a node's target, ``POOL/NODE``; None for any other."""
    pool, sign, _ = target.partition("/")
    return pool if sign else None


def _numbers(connection: sqlite3.Connection, label: str, value: str) -> list[int]:
    """Return the numbers that stand for a value in ``series``."""
    if label.startswith(TAG):
        name = label.removeprefix(TAG)
        return _matching(connection, rows.TAGS, lambda text: tag_of(text, name), value)
    if label == POOL:
        found = _matching(connection, rows.TARGET, pool_of, value)
        if not found:
            pools = sorted(served_pools(connection))
            raise UnknownNameError(f"--where pool={value}: the ledger has no such pool. {_some(pools)}")
        return found
    return [_number(connection, label, value)]


def _matching(connection: sqlite3.Connection, kind: int, part: Callable[[str], str | None], value: str) -> list[int]:
    """Return the numbers of all texts of a kind of which a part has that value."""
    wanted = None if value == NONE else value
    known = connection.execute("SELECT id, text FROM text WHERE kind = ?", (kind,)).fetchall()
    return [number for number, text in [*known, (0, "")] if part(text) == wanted]


def _number(connection: sqlite3.Connection, label: str, value: str) -> int:
    """Return the number that stands for a value in ``series``."""
    if label in _CODED:
        if value not in _CODED[label]:
            raise UnknownNameError(f"--where {label}={value}: {label} is one of {', '.join(_CODED[label])}.")
        return _CODED[label].index(value)
    kind = TEXT_KINDS[label]
    found = connection.execute("SELECT id FROM text WHERE kind = ? AND text = ?", (kind, value)).fetchone()
    if found:
        return int(found[0])
    if value == NONE:
        return 0
    raise UnknownNameError(
        f"--where {label}={value}: the ledger has no such {label}. {_some(_texts(connection, kind))}"
    )


def _texts(connection: sqlite3.Connection, kind: int) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM text WHERE kind = ? ORDER BY id", (kind,))]


def _some(names: Sequence[str]) -> str:
    if not names:
        return "It has none at all."
    return f"It has {', '.join(names[:10])}{' and others' if len(names) > 10 else ''}."


def _names_tag(label: str) -> bool:
    return len(label) > len(TAG) and label.startswith(TAG)
