"""Rows of a file, checked one by one in DuckDB: what each says, and what is wrong with it.

One query a file, built from its head and the reader's layout.  CSV and JSON lines are parsed once
into a table; Parquet stays a view and is scanned where it lies.  A row that cannot be used keeps
its place with the first fault found, so that none is lost silently; judging the file as a whole
(order, zones, how much was lost) is left to ``checks``.

A row's number is its place in the table, so the query must keep the file's order: projections do,
joins do not, and DuckDB turns ``IN`` with many constants into a join.

Everything is read as text and then converted, because a typed read would round ``12.5`` tokens to
13 without a word.  The SQL here is DuckDB's own; the profile's is not.
"""

# ruff: noqa: S608 - names in the queries are made here, and values from outside are quoted by staging.text

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb

from breakeven.errors import InputError
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REQUESTS,
    TEXT_COLUMNS,
    TIME,
    TOKEN_COLUMNS,
)
from breakeven.traffic.times import MONTH_FAULTS, TIME_FAULTS, marks_sql, month_sql, time_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.layout import Layout

LARGEST_REQUEST_TOKENS: Final = 10_000_000
"""Ten times the longest context on sale in 2025: more in one request is a sum, or a wrong column."""

LARGEST_MONTH_TOKENS: Final = 1_000_000_000_000_000
"""A thousand times the largest bills known; above it a column holds something else."""

REQUIRED_COUNTS: Final = (INPUT_TOKENS, OUTPUT_TOKENS)
OPTIONAL_COUNTS: Final = (CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS)
"""0 where a row does not say; the number of requests in a bill is unknown then, and stays null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A staged file: ``view`` holds every row DuckDB could split, ``rejects`` names the table of the others.

    Columns of the view: the canonical ones, ``row`` (from 1), ``form`` (of the time, see ``times``),
    ``fault`` (null, or column|kind), ``given`` (the text at fault) and ``row_hash``.
    """

    head: Head
    layout: Layout
    view: str
    rejects: str | None = None


def stage(backend: Any, head: Head, layout: Layout) -> Rows:
    """Parse and check a file's rows on an Ibis DuckDB backend."""
    number = ask(backend, "SELECT count(*) FROM duckdb_views() WHERE starts_with(view_name, 'rows_')")[0][0]
    table, view, rejects = f"parsed_{number}", f"rows_{number}", f"rejects_{number}"
    query = _checked(head, layout, _source(head, rejects))
    try:
        if head.form == "parquet":
            backend.raw_sql(f"CREATE TEMP VIEW {view} AS {query}")
        else:
            backend.raw_sql(f"CREATE TEMP TABLE {table} AS {query}")
            backend.raw_sql(f"CREATE TEMP VIEW {view} AS SELECT rowid + 1 AS row, * FROM {table}")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{head.file}: cannot be read to its end ({reason}). Check the file, or export it anew."
        ) from error
    return Rows(head=head, layout=layout, view=view, rejects=rejects if head.form == "csv" else None)


def ask(backend: Any, query: str) -> list[tuple[Any, ...]]:
    """Run a query to its end: DuckDB refuses the next one while rows of the last are unread."""
    found: list[tuple[Any, ...]] = backend.raw_sql(query).fetchall()
    return found


def text(value: str) -> str:
    """Quote a string for SQL."""
    return "'" + value.replace("'", "''") + "'"


def _source(head: Head, rejects: str) -> str:
    path = text(str(head.path))
    if head.form == "parquet":
        return f"read_parquet({path}, file_row_number=true)"
    compression = "'gzip'" if head.gzipped else "'none'"
    if head.form == "jsonl":
        return f"read_ndjson_objects({path}, ignore_errors=true, compression={compression})"
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(head.columns)))
    return (
        f"read_csv({path}, auto_detect=false, header=true, skip={head.skip_lines}, delim={text(head.delimiter)}, "
        f"quote='\"', escape='\"', columns={{{columns}}}, compression={compression}, ignore_errors=true, "
        f"store_rejects=true, rejects_limit=0, rejects_table='{rejects}', rejects_scan='{rejects}_scan')"
    )


def _checked(head: Head, layout: Layout, source: str) -> str:
    """Build the query: values as given, then converted, then judged."""
    counts = _count_columns(layout)
    given = ", ".join(_given(head, layout, counts))
    numbers = ", ".join(f"{_number(layout, name)} AS {name}_number" for name in counts)
    when = layout.columns[TIME][0]
    time = month_sql(when) if layout.kind == "bill" else time_sql(when, layout.zone)
    row = "row, " if head.form == "parquet" else ""
    texts = ", ".join(TEXT_COLUMNS)
    # Faulty rows keep NULL counts: a cast could fail on them, and nothing may sum them.
    whole = ", ".join(f"CASE WHEN fault IS NULL THEN CAST({name}_number AS BIGINT) END AS {name}" for name in counts)
    return (
        f"WITH given AS (SELECT {given} FROM {source}), "
        f"marked AS (SELECT *, {marks_sql(when)} FROM given), "
        f"read AS (SELECT *, {time}, {numbers} FROM marked), "
        f"judged AS (SELECT *, {_fault(layout, counts)} AS fault FROM read) "
        f"SELECT {row}time, form, {texts}, {whole}, fault, {_given_at_fault(layout, counts)} AS given, row_hash "
        "FROM judged"
    )


def _count_columns(layout: Layout) -> tuple[str, ...]:
    return (*TOKEN_COLUMNS, REQUESTS) if layout.kind == "bill" else TOKEN_COLUMNS


def _given(head: Head, layout: Layout, counts: tuple[str, ...]) -> Iterator[str]:
    """Yield what the file says: one select item a value, named for what it means."""
    if head.form == "parquet":
        names = ", ".join(dict.fromkeys(_identifier(column.keys[0]) for column in head.columns))
        yield "file_row_number + 1 AS row, FALSE AS broken"
        yield f"hash({names}) AS row_hash"
    elif head.form == "jsonl":
        yield "json IS NULL OR json_type(json) <> 'OBJECT' AS broken, hash(json) AS row_hash"
    else:
        yield "FALSE AS broken"
        yield f"hash({', '.join(f'c{i}' for i in range(len(head.columns)))}) AS row_hash"
    for name in (TIME, *counts):
        for part, column in enumerate(layout.columns.get(name, ())):
            yield f"{_value(head, column)} AS {name}_{part}"
    for name in TEXT_COLUMNS:
        columns = layout.columns.get(name)
        yield f"CAST({_value(head, columns[0]) if columns else 'NULL'} AS VARCHAR) AS {name}"


def _value(head: Head, column: Column) -> str:
    if head.form == "csv":
        return f"c{head.columns.index(column)}"
    if head.form == "jsonl":
        path = "$" + "".join(f'."{key}"' for key in column.keys)
        return f"json_extract_string(json, {text(path)})"
    first, *rest = column.keys
    value = _identifier(first) + "".join(f"[{text(key)}]" for key in rest)
    return f"CAST({value} AS VARCHAR)" if column.type == "text" else value


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _number(layout: Layout, name: str) -> str:
    """Return a count as DOUBLE: NULL where it is missing or no number, 0 where the log says none."""
    parts = layout.columns.get(name, ())
    if not parts:
        return "NULL::DOUBLE" if name == REQUESTS else "0::DOUBLE"
    first, *others = (f"TRY_CAST({name}_{part} AS DOUBLE)" for part in range(len(parts)))
    if name in OPTIONAL_COUNTS:
        first = f"CASE WHEN {name}_0 IS NULL THEN 0 ELSE {first} END"
    rest = (f"CASE WHEN {name}_{part} IS NULL THEN 0 ELSE {other} END" for part, other in enumerate(others, start=1))
    return " + ".join([first, *rest])


def _fault(layout: Layout, counts: tuple[str, ...]) -> str:
    """Build the CASE that names the first fault of a row, or NULL."""
    cases = ["WHEN broken THEN 'row|broken'", "WHEN time_0 IS NULL THEN 'time|missing'"]
    cases += MONTH_FAULTS if layout.kind == "bill" else TIME_FAULTS
    limit = LARGEST_MONTH_TOKENS if layout.kind == "bill" else LARGEST_REQUEST_TOKENS
    for name in counts:
        if name not in layout.columns:
            continue
        number = f"{name}_number"
        if name in REQUIRED_COUNTS:
            cases.append(f"WHEN {name}_0 IS NULL THEN '{name}|missing'")
        cases += [
            f"WHEN {name}_0 IS NOT NULL AND NOT coalesce(isfinite({number}), FALSE) THEN '{name}|unreadable'",
            f"WHEN {number} < 0 THEN '{name}|negative'",
            f"WHEN {number} <> trunc({number}) THEN '{name}|fractional'",
            f"WHEN {number} > {limit} THEN '{name}|absurd'",
        ]
    parts = f"{CACHED_INPUT_TOKENS}_number + {CACHE_WRITE_TOKENS}_number"
    cases.append(f"WHEN {parts} > {INPUT_TOKENS}_number THEN '{CACHED_INPUT_TOKENS}|exceeds'")
    return f"CASE {' '.join(cases)} END"


def _given_at_fault(layout: Layout, counts: tuple[str, ...]) -> str:
    """Build the text to show for a faulty row: the value as given, or the sums that contradict each other."""
    whole = "CAST(CAST({} AS BIGINT) AS VARCHAR)"
    parts = whole.format(f"{CACHED_INPUT_TOKENS}_number + {CACHE_WRITE_TOKENS}_number")
    cases = [f"WHEN fault LIKE '%|exceeds' THEN {parts} || ' of ' || {whole.format(f'{INPUT_TOKENS}_number')}"]
    for name in (TIME, *counts):
        if columns := layout.columns.get(name):
            values = ", ".join(f"CAST({name}_{part} AS VARCHAR)" for part in range(len(columns)))
            cases.append(f"WHEN starts_with(fault, '{name}|') THEN concat_ws(' + ', {values})")
    return f"CASE WHEN fault IS NULL THEN NULL {' '.join(cases)} END"
