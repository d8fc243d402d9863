"""Sums by the hour, and by the day for days that are over: how they are kept, and which of them a question reads.

The mover adds to hours.  ``sum_days`` adds days up once they are over, and from then on what still comes for such a
day is added to both.  A month then is thirty days of sums instead of 720 hours of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.ledger.schema import SUM_COLUMNS, SUMMED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

# ruff: noqa: S608 - the names in these statements stand in this package, and values are bound

HOURS_PER_DAY: Final = 24
DAY_US: Final = 86_400_000_000
NO_HOUR: Final = 1 << 40
"""Later than any hour."""

_ADD: Final = (
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in SUM_COLUMNS)}"
)  # fmt: skip
_ADD_TO_HOUR: Final = f"INSERT INTO rollup_hour VALUES (?,?,?,?,?,?,?) {_ADD}"
_ADD_TO_DAY: Final = f"INSERT INTO rollup_day VALUES (?,?,?,?,?,?,?) {_ADD}"
_SUM_DAY: Final = (
    f"INSERT INTO rollup_day SELECT ?, series, {SUMMED} FROM rollup_hour WHERE hour >= ? AND hour < ? GROUP BY series"
)

Cell = tuple[int, int]
"""Hour since 1970, and series."""


def add_cells(connection: sqlite3.Connection, sums: Iterable[Sequence[int]]) -> None:
    """Add (hour, series, attempts, four token sums) to the roll-ups, in the transaction that adds the rows."""
    sums = list(sums)
    connection.executemany(_ADD_TO_HOUR, sums)
    summed = days_summed(connection)
    late = [(cell[0] // HOURS_PER_DAY, *cell[1:]) for cell in sums if cell[0] < summed * HOURS_PER_DAY]
    if late:
        connection.executemany(_ADD_TO_DAY, late)


def shift_cells(connection: sqlite3.Connection, deltas: Mapping[Cell, Sequence[int]]) -> None:
    """Add to cells, or take from them, and remove those that nothing is left in."""
    add_cells(connection, [(*cell, *counts) for cell, counts in deltas.items()])
    connection.executemany("DELETE FROM rollup_hour WHERE hour = ? AND series = ? AND attempts = 0", deltas)
    days = {(hour // HOURS_PER_DAY, series) for hour, series in deltas}
    connection.executemany("DELETE FROM rollup_day WHERE day = ? AND series = ? AND attempts = 0", days)


def days_summed(connection: sqlite3.Connection) -> int:
    """Return the day before which all days are summed up."""
    return int(connection.execute("SELECT days_summed FROM upkeep").fetchone()[0])


def sum_days(connection: sqlite3.Connection, before_day: int) -> int:
    """Add up days that are over, each in a transaction of its own; return how many had anything."""
    count = 0
    while (day := _next_day(connection)) is not None and day < before_day:
        connection.execute("BEGIN IMMEDIATE")
        bounds = (day * HOURS_PER_DAY, (day + 1) * HOURS_PER_DAY)
        if days_summed(connection) <= day:  # else another process was faster
            connection.execute(_SUM_DAY, (day, *bounds))
            connection.execute("UPDATE upkeep SET days_summed = ?", (day + 1,))
            count += 1
        connection.execute("COMMIT")
    return count


def cells_within(connection: sqlite3.Connection, hours: tuple[int, int], label: str = "") -> str:
    """Return the SQL of the sums between two hours [from, before), as (at, series, sums): from days where they serve.

    ``at`` is the hour or the day where ``label`` says so, else 0.
    """
    since, until = hours
    first_day = -(-since // HOURS_PER_DAY)
    end_day = min(days_summed(connection), until // HOURS_PER_DAY)
    if label == "hour" or first_day >= end_day:
        return _part("rollup_hour", "hour", hours, {"hour": "hour", "day": f"hour / {HOURS_PER_DAY}"}.get(label, "0"))
    by_hour = f"hour / {HOURS_PER_DAY}" if label else "0"
    return " UNION ALL ".join(
        (
            _part("rollup_hour", "hour", (since, first_day * HOURS_PER_DAY), by_hour),
            _part("rollup_day", "day", (first_day, end_day), "day" if label else "0"),
            _part("rollup_hour", "hour", (end_day * HOURS_PER_DAY, until), by_hour),
        )
    )


def _part(table: str, time: str, bounds: tuple[int, int], at: str) -> str:
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUM_COLUMNS)
    chosen = f"FROM {table} WHERE {time} >= {bounds[0]} AND {time} < {bounds[1]}"
    if at == time:
        return f"SELECT {time} AS at, series, {', '.join(SUM_COLUMNS)} {chosen}"
    return f"SELECT {at} AS at, series, {sums} {chosen} GROUP BY {'series' if at == '0' else 'at, series'}"


def _next_day(connection: sqlite3.Connection) -> int | None:
    """Return the first day that has sums by the hour and is not summed up yet."""
    from_hour = days_summed(connection) * HOURS_PER_DAY
    found = connection.execute("SELECT min(hour) FROM rollup_hour WHERE hour >= ?", (from_hour,)).fetchone()[0]
    return None if found is None else int(found) // HOURS_PER_DAY
