"""Which column of a file means what: the answer a reader gives, and the words it is given.

Layouts are data; ``staging`` turns them into a query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.traffic.head import Column
    from breakeven.traffic.trace import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user said about the files: canonical name → column, and the zone of times without one."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Canonical name → the columns whose sum it is (one, but for token counts logged in parts).

    ``zone`` is that of times without one; None while nobody said, and then a file may not mix
    times with and without.  ``notes`` say what was guessed.
    """

    kind: Kind
    columns: Mapping[str, tuple[Column, ...]]
    zone: str | None = None
    notes: tuple[str, ...] = ()
