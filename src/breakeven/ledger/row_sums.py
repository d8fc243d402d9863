"""Sums of rows, for what the roll-ups do not tell: how long attempts took, and how large each one's input was.

Rows are summed where they lie, in the store or in the file of their day, so memory does not grow with them.  Rows that
were deleted are in no sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import MissingExtraError
from breakeven.ledger import rows
from breakeven.ledger.days import day_files, days_folder
from breakeven.ledger.rollups import HOURS_PER_DAY
from breakeven.ledger.schema import SERIES_COLUMNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# ruff: noqa: S608 - the names in these statements stand in this package, and numbers are our own

_COUNTS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_TEXTS: Final = SERIES_COLUMNS[:9]
SERIES: Final = (
    f"SELECT s.id, {', '.join(f'coalesce(t{n}.text, ' + repr('') + ')' for n in range(9))}, "
    f"{', '.join(f's.{name}' for name in SERIES_COLUMNS[9:])} FROM series s "
    + " ".join(f"LEFT JOIN text t{n} ON t{n}.id = s.{name}" for n, name in enumerate(_TEXTS))
)


class RowSum(NamedTuple):
    """Rows of one hour and series, with input of one size."""

    hour: int
    series: int
    over_tokens: int
    """The largest of the thresholds that each row's input exceeds; 0: none."""

    attempts: int
    counts: tuple[int, int, int, int]
    served_us: int
    """From the moment a request was sent to the target until its answer ended, all together."""


def row_sums(
    connection: sqlite3.Connection, store: Path, hours: tuple[int, int], thresholds: Sequence[int] = ()
) -> Iterator[RowSum]:
    """Yield the sums of all rows between two hours [from, before), in no order; some cells come in several parts.

    Raises ``MissingExtraError`` where there are files of closed days without the packages to read them.
    """
    tier = " ".join(f"WHEN input_tokens > {over} THEN {over}" for over in sorted(thresholds, reverse=True))
    begins, ends = (hour * HOUR_US for hour in hours)
    found = connection.execute(
        f"SELECT received_us / {HOUR_US}, series, {f'CASE {tier} ELSE 0 END' if tier else '0'}, count(*), "
        f"{', '.join(f'sum({name})' for name in _COUNTS)}, "
        f"sum(CASE WHEN queued_us < {rows.UNKNOWN_US} THEN max(ended_us - queued_us, 0) ELSE 0 END) "
        "FROM attempt WHERE received_us >= ? AND received_us < ? GROUP BY 1, 2, 3",
        (begins, min(ends, (1 << 63) - 1)),
    )
    for hour, series, over, attempts, given, cached, written, output, served in found:
        yield RowSum(hour, series, over, attempts, (given, cached, written, output), served)
    yield from _in_files(connection, store, hours, sorted(thresholds))


def _in_files(
    connection: sqlite3.Connection, store: Path, hours: tuple[int, int], thresholds: Sequence[int]
) -> Iterator[RowSum]:
    days = range(hours[0] // HOURS_PER_DAY, -(-hours[1] // HOURS_PER_DAY))
    files = [file for file in day_files(connection) if file.day in days]
    if not files:
        return
    try:
        from breakeven.ledger.day_sums import sums_of_file  # noqa: PLC0415 - pyarrow, which the core install lacks
    except ImportError as error:
        raise MissingExtraError(
            "This answer needs the rows of closed days, and reading them needs pyarrow, which is not installed here. "
            "Install it with: pip install 'breakeven[plan]'"
        ) from error
    series: dict[tuple[Any, ...], int] = {tuple(said): number for number, *said in connection.execute(SERIES)}
    for file in files:
        for hour, labels, over, attempts, counts, served in sums_of_file(days_folder(store) / file.name, thresholds):
            if hours[0] <= hour < hours[1]:
                yield RowSum(hour, series[labels], over, attempts, counts, served)
