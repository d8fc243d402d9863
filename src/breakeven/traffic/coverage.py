"""What a log says at all: its size, its first and last time, and which of the optional columns hold anything.

Looked at first and once, so that nothing is computed from columns that are silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import ibis

from breakeven.traffic.schema import DEADLINE_S, DETAILS, KEY, PREFIX_BLOCKS, PRIORITY, TASK
from breakeven.traffic.sums import fetch, microseconds_of, time_of

if TYPE_CHECKING:
    from datetime import datetime

    from ibis.expr.types import Table

_ASKED: Final = (KEY, TASK, *(name for name in DETAILS if name not in (PRIORITY, DEADLINE_S)))
"""Nothing in a profile depends on who waits before whom, and every column that is asked for is one more to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The rows of a request table, and what they say.

    ``said`` maps each optional column that holds anything to the number of rows that fill it;
    ``block_count`` is the number of prefix blocks of all requests together.
    """

    requests: int
    first_us: int
    last_us: int
    said: dict[str, int]
    block_count: int

    @property
    def first_at(self) -> datetime:
        """The time of the first request, UTC."""
        return time_of(self.first_us)

    @property
    def last_at(self) -> datetime:
        """The time of the last request, UTC."""
        return time_of(self.last_us)


def coverage_of(table: Table) -> Coverage:
    """Look a request table over.

    Rows that fill no optional column are left out before any is counted: a database that knows a column to be empty
    then reads nothing.
    """
    at_us = microseconds_of(table)
    size = fetch(table.aggregate(requests=table.count(), first_us=at_us.min(), last_us=at_us.max()))[0]
    telling = table.filter(ibis.or_(*(table[name].notnull() for name in _ASKED)))
    counts = {name: telling[name].count() for name in _ASKED}
    told = fetch(telling.aggregate(**counts, block_count=telling[PREFIX_BLOCKS].length().sum()))[0]
    return Coverage(
        **size,
        said={name: told[name] for name in _ASKED if told[name]},
        block_count=told["block_count"] or 0,
    )
