"""Which column of a file means what: the answer a reader gives, and the words it is given.

Layouts are data; ``staging`` turns them into a query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.staging import Rows
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


class Reader(Protocol):
    """A format of log.  It is told by content; ``read`` leaves the rows in the database, checked."""

    @property
    def name(self) -> str:
        """The format's name, for messages."""
        ...

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether this is the format of that file."""
        ...

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the file's rows; raises ``InputError`` where columns are missing."""
        ...
