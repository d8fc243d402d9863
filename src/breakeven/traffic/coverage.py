"""What a log says at all: its size, its first and last time, and which of the optional columns hold anything.

Looked at first and once, so that nothing is computed from columns that are silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from breakeven.traffic.schema import DETAILS, KEY, PREFIX_BLOCKS, TASK
from breakeven.traffic.sums import fetch, microseconds_of

if TYPE_CHECKING:
    from ibis.expr.types import Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ASKED: Final = (KEY, TASK, *DETAILS)


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
        return _EPOCH + timedelta(microseconds=self.first_us)

    @property
    def last_at(self) -> datetime:
        """The time of the last request, UTC."""
        return _EPOCH + timedelta(microseconds=self.last_us)


def coverage_of(table: Table) -> Coverage:
    """Look a request table over, in one pass."""
    at_us = microseconds_of(table)
    counts = {f"said_{name}": table[name].count() for name in _ASKED}
    row = fetch(
        table.aggregate(
            requests=table.count(),
            first_us=at_us.min(),
            last_us=at_us.max(),
            blocks=table[PREFIX_BLOCKS].length().sum(),
            **counts,
        )
    )[0]
    return Coverage(
        requests=row["requests"],
        first_us=row["first_us"],
        last_us=row["last_us"],
        said={name: row[f"said_{name}"] for name in _ASKED if row[f"said_{name}"]},
        block_count=row["blocks"] or 0,
    )
