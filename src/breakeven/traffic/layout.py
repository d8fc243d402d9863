"""Which column of a file means what: the answer a reader gives, and the words it is given.

Layouts are data; ``staging`` turns them into a query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.trace import Kind

LOG_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""The Monday on which a log is placed whose times count from its own start."""

SERIES: Final = "series"
"""What a window is a total of (a JSON object of its dimensions): two windows of one series must not overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user said about the files: canonical name → column, the zone of times without one, and the files.

    ``beside`` are the heads of all files given together: some say only half of what another one needs.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    beside: tuple[Head, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Canonical name → the columns whose sum it is (one, but for token counts logged in parts).

    ``columns`` may name any column of the kind's table, and ``SERIES`` for windows.  ``zone`` is that of times
    without one; None while nobody said, and then a file may not mix times with and without.  ``time_unit_s`` is
    given where times are numbers that count from the log's start, in units of so many seconds: they are placed
    from ``LOG_START`` on.  ``block_tokens`` is the size of a prefix block.  ``notes`` say what was guessed.
    """

    kind: Kind
    columns: Mapping[str, tuple[Column, ...]]
    zone: str | None = None
    time_unit_s: float | None = None
    block_tokens: int | None = None
    notes: tuple[str, ...] = ()
