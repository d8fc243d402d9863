"""What another program's score says, in the words that all formats share; whose request it was, the ledger knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUR_REQUEST: Final = ("breakeven.request_id", "breakeven_request_id", "x-breakeven-request-id", "request_id")
OUR_EPISODE: Final = ("breakeven.episode", "breakeven_episode", "x-breakeven-episode", "episode")
"""Under which a team may have noted our ids: in metadata, tags or attributes."""

MAX_NAME: Final = 128
MAX_COMMENT: Final = 4096
MAX_DEMONSTRATION: Final = 32_768
"""Longest texts, in characters: what the gateway takes itself."""

PASSED: Final = frozenset({"pass", "passed", "true", "yes", "correct", "success", "successful", "good"})
FAILED: Final = frozenset({"fail", "failed", "false", "no", "incorrect", "failure", "unsuccessful", "bad"})
"""Labels that say by themselves whether an answer did its job; others say something that only their name explains."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One score of one answer or one conversation."""

    where: str
    """File and record."""

    id: str
    """The other program's; empty where it has none."""

    of: tuple[str, ...]
    """What it is about by the other program's ids, the nearest first: a call, its trace, its session."""

    name: str
    source: str = ""
    """``human``, ``judge``, ``user`` or ``code``; empty where the file does not say."""

    success: bool | None = None
    score: float | None = None
    label: str = ""
    """A category, where the score is one."""

    comment: str = ""
    demonstration: str = ""
    at_us: int | None = None
    """When it was given; None where the file does not say."""


def noted(said: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of ours that somebody noted under these names."""
    return tuple(str(said[name]) for name in names if said.get(name))


def ids(*found: object) -> tuple[str, ...]:
    """Return ids that are there, each once."""
    return tuple(dict.fromkeys(str(item) for item in found if item))


def number(value: object) -> float | None:
    """Return a finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def verdict(label: object) -> bool | None:
    """Return whether a label says pass or fail; None where it says something else."""
    if isinstance(label, bool):
        return label
    text = str(label).strip().lower()
    return True if text in PASSED else False if text in FAILED else None


def moment_us(text: object) -> int | None:
    """Return a time as Unix microseconds, UTC where it names no zone; None for what is none."""
    try:
        found = datetime.fromisoformat(str(text).strip())
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (aware - _EPOCH) // timedelta(microseconds=1)


def as_text(value: object) -> str:
    """Return a text as it is, and nothing for nothing."""
    return "" if value is None else str(value)
