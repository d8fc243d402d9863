"""Times as logs write them, turned into UTC in SQL.

Understood: ISO 8601 with or without an offset, and seconds, milliseconds, microseconds or
nanoseconds since 1970, told apart by magnitude.  Not understood, on purpose: orders like 5/10/2024,
which read as two different days.  A time outside 2000 to 2100 is taken for a wrong unit.

Where a log counts from its own start, its times are placed from ``layout.LOG_START`` on.

``form`` says how a time was written, so that a file that mixes forms can be judged as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.traffic.layout import LOG_START

if TYPE_CHECKING:
    from breakeven.traffic.head import Column

NAIVE, UTC, OFFSET, SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS, RELATIVE = range(8)

EPOCH_UNITS: Final = {
    SECONDS: "seconds",
    MILLISECONDS: "milliseconds",
    MICROSECONDS: "microseconds",
    NANOSECONDS: "nanoseconds",
}

_UNIT_LIMITS: Final = ((1e11, SECONDS, 1e0), (1e14, MILLISECONDS, 1e3), (1e17, MICROSECONDS, 1e6))
"""Below 1e11, seconds reach the year 5138 and milliseconds only 1973; likewise for the next units."""

_EARLIEST_S: Final = 946_684_800  # 2000-01-01
_LATEST_S: Final = 4_102_444_800  # 2100-01-01
_LONGEST_LOG_S: Final = 10 * 366 * 86_400
_OFFSET: Final = r"(Z|z| ?UTC| ?[+-]\d{2}(:?\d{2})?)$"
MONTH_FORMATS: Final = ("%Y-%m", "%Y/%m", "%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%b %Y", "%B %Y")


def marks_sql(column: Column) -> str:
    """Return select items that the others need: ``time_number`` and ``time_offset`` of the value ``time_0``."""
    if column.type in ("naive_time", "zoned_time"):
        return "NULL::DOUBLE AS time_number, '' AS time_offset"
    as_text = "CAST(time_0 AS VARCHAR)"
    return (
        f"TRY_CAST(time_0 AS DOUBLE) AS time_number, "
        f"CASE WHEN contains({as_text}, ':') THEN regexp_extract({as_text}, '{_OFFSET}', 1) ELSE '' END AS time_offset"
    )


def time_sql(column: Column, zone: str | None, unit_s: float | None = None) -> str:
    """Return select items ``time`` (null where it cannot be read) and ``form``.

    ``unit_s`` is that of numbers that count from the log's start, None where times are times.
    """
    if unit_s is not None:
        value, form = _counted_value(unit_s), str(RELATIVE)
    elif column.type == "zoned_time":
        value, form = "CAST(time_0 AS TIMESTAMPTZ)", str(UTC)
    elif column.type == "naive_time":
        value, form = _placed_typed("CAST(time_0 AS TIMESTAMP)", zone), str(NAIVE)
    else:
        value, form = _written_value(zone), _written_form()
    return f"{value} AS time, CAST({form} AS UTINYINT) AS form"


def month_sql(column: Column) -> str:
    """Return the same items for a month: its first instant, or that of the day given instead."""
    if column.type == "zoned_time":
        value = "time_0 AT TIME ZONE 'UTC'"
    elif column.type == "naive_time":
        value = "CAST(time_0 AS TIMESTAMP)"
    else:
        value = f"try_strptime(CAST(time_0 AS VARCHAR), [{', '.join(map(repr, MONTH_FORMATS))}])"
    return f"{value} AT TIME ZONE 'UTC' AS time, CAST({UTC} AS UTINYINT) AS form"


def time_faults(unit_s: float | None = None) -> tuple[str, ...]:
    """Return the cases of a time at fault."""
    if unit_s is not None:
        return ("WHEN time IS NULL THEN 'time|uncounted'",)
    return (
        "WHEN time IS NULL AND isfinite(time_number) THEN 'time|implausible'",
        "WHEN time IS NULL THEN 'time|unreadable'",
        f"WHEN time NOT BETWEEN to_timestamp({_EARLIEST_S}) AND to_timestamp({_LATEST_S}) THEN 'time|implausible'",
    )


MONTH_FAULTS: Final = (
    "WHEN time IS NULL THEN 'time|not_month'",
    "WHEN day(time) <> 1 THEN 'time|midmonth'",
)


def _counted_value(unit_s: float) -> str:
    start_us = int(LOG_START.timestamp()) * 1_000_000
    return (
        f"CASE WHEN time_number * {unit_s!r} BETWEEN 0 AND {_LONGEST_LOG_S} THEN "
        f"make_timestamp({start_us} + CAST(round(time_number * {unit_s!r} * 1e6) AS BIGINT)) AT TIME ZONE 'UTC' END"
    )


def _written_value(zone: str | None) -> str:
    """Build the UTC time of one that is written as text or as a number."""
    scale = " ".join(f"WHEN abs(time_number) < {limit} THEN {factor}" for limit, _, factor in _UNIT_LIMITS)
    seconds = f"(time_number / CASE {scale} ELSE 1e9 END)"
    # Rounded to microseconds after scaling: a double holds them until the year 2255.
    epoch = (
        f"CASE WHEN {seconds} BETWEEN {_EARLIEST_S} AND {_LATEST_S} "
        f"THEN make_timestamp(CAST(round({seconds} * 1e6) AS BIGINT)) AT TIME ZONE 'UTC' END"
    )
    as_text = "CAST(time_0 AS VARCHAR)"
    # Letters in a time without an offset are a zone by name, which the cast would drop in silence.
    placed = _placed(f"TRY_CAST({as_text} AS TIMESTAMP)", zone)
    naive = f"CASE WHEN NOT regexp_matches({as_text}, '[A-Za-z]{{2}}') THEN {placed} END"
    # The cast wants no space before the offset and a capital Z.
    bare = f"left({as_text}, length({as_text}) - length(time_offset))"
    joined = f"{bare} || replace(upper(trim(time_offset)), 'UTC', 'Z')"
    zoned = f"coalesce(TRY_CAST({as_text} AS TIMESTAMPTZ), TRY_CAST({joined} AS TIMESTAMPTZ))"
    return f"CASE WHEN time_number IS NOT NULL THEN {epoch} WHEN time_offset = '' THEN {naive} ELSE {zoned} END"


def _written_form() -> str:
    units = " ".join(f"WHEN abs(time_number) < {limit} THEN {unit}" for limit, unit, _ in _UNIT_LIMITS)
    return (
        f"CASE WHEN time_number IS NOT NULL THEN CASE {units} ELSE {NANOSECONDS} END "
        f"WHEN time_offset = '' THEN {NAIVE} WHEN regexp_matches(time_offset, '[1-9]') THEN {OFFSET} ELSE {UTC} END"
    )


def _placed_typed(timestamp: str, zone: str | None) -> str:
    # UTC needs no table of zones, whose look-up row by row costs more than reading the row.
    return f"make_timestamptz(epoch_us({timestamp}))" if zone in (None, "UTC") else _placed(timestamp, zone)


def _placed(timestamp: str, zone: str | None) -> str:
    # The zone's name was checked against DuckDB's own list before it comes here.
    return f"{timestamp} AT TIME ZONE '{zone or 'UTC'}'"
