"""Rows of a file, checked one by one in DuckDB: what each says, and what is wrong with it.

One query a file, built from its head and the reader's layout.  CSV and JSON lines are parsed once
into a table; Parquet stays a view and is scanned where it lies; entries that a reader made of documents
come in batches through the same query.  A row that cannot be used keeps
its place with the first fault found, so that none is lost silently; judging the file as a whole
(order, zones, how much was lost) is left to ``checks``.

A row's number is its place in the table, so the query must keep the file's order: projections do,
joins do not, and DuckDB turns ``IN`` with many constants into a join.

Everything is read as text and then converted, because a typed read would round ``12.5`` tokens to
13 without a word.  The SQL here is DuckDB's own; the profile's is not.
"""

# ruff: noqa: S608 - names in the queries are made here, and values from outside are quoted by traffic.sql

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import duckdb

from breakeven.traffic.details import doubt_sql, said_sql
from breakeven.traffic.entries import Entry, batches, flat_entries, unreadable
from breakeven.traffic.layout import SERIES
from breakeven.traffic.schema import (
    AT_US,
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    DETAILS,
    FAILED,
    INPUT_TOKENS,
    KEY,
    MODEL,
    OUTPUT_TOKENS,
    PROCESSING,
    REQUESTS,
    TEXT_COLUMNS,
    TIME,
    TOKEN_COLUMNS,
    WINDOW_S,
)
from breakeven.traffic.sql import ask, identifier, text
from breakeven.traffic.survey import Survey, survey
from breakeven.traffic.times import MONTH_FAULTS, marks_sql, month_sql, time_faults, time_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.layout import Layout

LARGEST_REQUEST_TOKENS: Final = 10_000_000
"""Ten times the longest context on sale in 2025: more in one request is a sum, or a wrong column."""

LARGEST_MONTH_TOKENS: Final = 1_000_000_000_000_000
"""A thousand times the largest bills known; above it a column holds something else."""

LONGEST_WINDOW_S: Final = 32 * 86_400
"""A month; totals over more are a bill."""

SHOWN_CHARACTERS: Final = 60
"""Of a value at fault: a wrong column may hold a prompt."""

REQUIRED_COUNTS: Final = (INPUT_TOKENS, OUTPUT_TOKENS, WINDOW_S)
OPTIONAL_COUNTS: Final = (CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS)
"""0 where a row does not say; the number of requests in a bill is unknown then, and stays null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A staged file: ``view`` holds every row DuckDB could split, ``rejects`` names the table of the others.

    ``survey`` is what the rows of the view come to.
    Columns of the view: the canonical ones, ``at_us``, ``row`` (from 1), ``form`` (of the time, see ``times``),
    ``fault`` (null, or column|kind), ``given`` (the text at fault), ``doubt`` (a detail that was not understood,
    see ``details``) and ``row_hash``; of windows ``series``, of entries (``placed``) also ``place``.
    """

    head: Head
    layout: Layout
    view: str
    survey: Survey
    rejects: str | None = None
    placed: bool = False

    def noting(self, notes: Iterable[str]) -> Rows:
        """Return the same rows with notes that could only be made once they were read."""
        return replace(self, layout=replace(self.layout, notes=(*self.layout.notes, *notes)))


def stage(backend: Any, head: Head, layout: Layout, entries: Iterable[Entry] | None = None) -> Rows:
    """Parse and check a file's rows on an Ibis DuckDB backend.

    ``entries`` are rows that the reader made of the file itself; the keys of the layout's columns lead into their
    values.  A JSON array of flat objects needs none: its elements are the rows.
    """
    if entries is None and head.form == "json":
        entries = flat_entries(head)
    number = ask(backend, "SELECT count(*) FROM duckdb_views() WHERE starts_with(view_name, 'rows_')")[0][0]
    table, view, rejects = f"parsed_{number}", f"rows_{number}", f"rejects_{number}"
    form = head.form if entries is None else "entries"
    query = _checked(head, layout, form, _source(head, form, rejects))
    try:
        if form == "parquet":
            backend.raw_sql(f"CREATE TEMP VIEW {view} AS {query}")
        else:
            _fill(backend, table, query, entries)
            backend.raw_sql(f"CREATE TEMP VIEW {view} AS SELECT rowid + 1 AS row, * FROM {table}")
        seen = survey(backend, view)
        if form == "parquet" and seen.sound:  # judged once: no later query has to judge the rows again
            trusting = _checked(head, layout, form, _source(head, form, rejects), judged=False)
            backend.raw_sql(f"CREATE OR REPLACE TEMP VIEW {view} AS {trusting}")
    except duckdb.Error as error:
        raise unreadable(head.file, error) from error
    rejected = rejects if form == "csv" else None
    return Rows(head=head, layout=layout, view=view, survey=seen, rejects=rejected, placed=form == "entries")


def _fill(backend: Any, table: str, query: str, entries: Iterable[Entry] | None) -> None:
    if entries is None:
        backend.raw_sql(f"CREATE TEMP TABLE {table} AS {query}")
        return
    verb = f"CREATE TEMP TABLE {table} AS"
    for batch in batches(entries):
        backend.con.register("entries", batch)
        backend.raw_sql(f"{verb} {query}")
        verb = f"INSERT INTO {table}"
    backend.con.unregister("entries")


def _source(head: Head, form: str, rejects: str) -> str:
    if form == "entries":
        return "(SELECT place, TRY_CAST(json AS JSON) AS json, wrong FROM entries)"
    path = text(str(head.path))
    if form == "parquet":
        return f"read_parquet({path}, file_row_number=true)"
    compression = "'gzip'" if head.gzipped else "'none'"
    if form == "jsonl":
        return f"read_ndjson_objects({path}, ignore_errors=true, compression={compression})"
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(head.columns)))
    return (
        f"read_csv({path}, auto_detect=false, header=true, skip={head.skip_lines}, delim={text(head.delimiter)}, "
        f"quote='\"', escape='\"', columns={{{columns}}}, compression={compression}, ignore_errors=true, "
        f"store_rejects=true, rejects_limit=0, rejects_table='{rejects}', rejects_scan='{rejects}_scan')"
    )


def _checked(head: Head, layout: Layout, form: str, source: str, *, judged: bool = True) -> str:
    """Build the query: values as given, then converted, then judged, unless they are known to be sound."""
    counts = _count_columns(layout)
    given = ", ".join(_given(head, layout, form, counts))
    numbers = ", ".join(f"{_number(layout, name, judged=judged)} AS {name}_number" for name in counts)
    said = {name: said_sql(name) if name in layout.columns else "NULL" for name in DETAILS}
    others = ", ".join(f"{_typed(name, value)} AS {name}" for name, value in said.items() if name != FAILED)
    fault = given_at_fault = doubt = "NULL::VARCHAR"
    if judged:
        fault = _fault(layout, counts)
        given_at_fault = _given_at_fault(layout, counts, placed=form == "entries")
        doubt = doubt_sql([name for name in DETAILS if name in layout.columns])
    when = layout.columns[TIME][0]
    time = month_sql(when) if layout.kind == "bill" else time_sql(when, layout.zone, layout.time_unit_s)
    # Faulty rows keep NULL counts: a cast could fail on them, and nothing may sum them.
    whole = (f"CASE WHEN fault IS NULL THEN CAST({name}_number AS BIGINT) END AS {name}" for name in counts)
    own = [{"parquet": "row", "entries": "place"}[form]] if form in ("parquet", "entries") else []
    own += [_SERIES] if layout.kind == "windows" else []
    return (
        f"WITH given AS (SELECT {given} FROM {source}), "
        f"marked AS (SELECT *, {marks_sql(when)}, {_typed(FAILED, said[FAILED])} AS {FAILED} FROM given), "
        f"read AS (SELECT *, {time}, {numbers} FROM marked), "
        f"said AS (SELECT *, {others} FROM read), "
        f"judged AS (SELECT *, {fault} AS fault FROM said) "
        f"SELECT {', '.join([*own, 'time', 'form', *TEXT_COLUMNS, *whole, *DETAILS])}, epoch_us(time) AS {AT_US}, "
        f"fault, {given_at_fault} AS given, {doubt} AS doubt, row_hash FROM judged"
    )


_SQL_TYPES: Final = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "array<int64>": "BIGINT[]",
}
_SERIES: Final = (
    f"coalesce({SERIES}_given, CAST(json_object('{MODEL}', {MODEL}, '{KEY}', {KEY}, '{PROCESSING}', {PROCESSING}) "
    f"AS VARCHAR)) AS {SERIES}"
)


def _typed(name: str, value: str) -> str:
    return f"CAST({value} AS {_SQL_TYPES[DETAILS[name]]})"


def _count_columns(layout: Layout) -> tuple[str, ...]:
    more = {"bill": (REQUESTS,), "windows": (REQUESTS, WINDOW_S)}.get(layout.kind, ())
    return (*TOKEN_COLUMNS, *more)


def _given(head: Head, layout: Layout, form: str, counts: tuple[str, ...]) -> Iterator[str]:
    """Yield what the file says: one select item a value, named for what it means."""
    if form == "parquet":
        names = ", ".join(dict.fromkeys(identifier(column.keys[0]) for column in head.columns))
        yield "file_row_number + 1 AS row, FALSE AS broken"
        yield f"hash({names}) AS row_hash"
    elif form == "csv":
        yield "FALSE AS broken"
        yield f"hash({', '.join(f'c{i}' for i in range(len(head.columns)))}) AS row_hash"
    else:
        yield "json IS NULL OR json_type(json) <> 'OBJECT' AS broken, hash(json) AS row_hash"
    if form == "entries":
        yield "place, wrong"
    for name in (TIME, *counts):
        for part, column in enumerate(layout.columns.get(name, ())):
            yield f"{_value(head, form, column)} AS {name}_{part}"
    for name in TEXT_COLUMNS:
        yield f"{_as_text(head, layout, form, name)} AS {name}"
    for name in (*DETAILS, SERIES):
        yield f"{_as_text(head, layout, form, name)} AS {name}_given"


def _as_text(head: Head, layout: Layout, form: str, name: str) -> str:
    columns = layout.columns.get(name)
    return f"CAST({_value(head, form, columns[0]) if columns else 'NULL'} AS VARCHAR)"


def _value(head: Head, form: str, column: Column) -> str:
    if form == "csv":
        return f"c{head.columns.index(column)}"
    if form == "parquet":
        first, *rest = column.keys
        value = identifier(first) + "".join(f"[{text(key)}]" for key in rest)
        return f"CAST({value} AS VARCHAR)" if column.type == "text" else value
    path = "$" + "".join(f'."{key}"' for key in column.keys)
    return f"json_extract_string(json, {text(path)})"


def _number(layout: Layout, name: str, *, judged: bool) -> str:
    """Return a count as DOUBLE: NULL where it is missing or no number, 0 where the log says none.

    A failed attempt need not say its tokens: none are charged for most failures.  Where rows are known to be sound,
    numbers of any type are whole and small, and need no detour.
    """
    parts = layout.columns.get(name, ())
    if not parts:
        return "NULL::DOUBLE" if name == REQUESTS else "0::DOUBLE"
    types = ("DOUBLE" if judged or column.type == "text" else "BIGINT" for column in parts)
    first, *others = (f"TRY_CAST({name}_{part} AS {type_})" for part, type_ in enumerate(types))
    if name in OPTIONAL_COUNTS:
        first = f"CASE WHEN {name}_0 IS NULL THEN 0 ELSE {first} END"
    elif name in (INPUT_TOKENS, OUTPUT_TOKENS):
        first = f"CASE WHEN {name}_0 IS NULL AND {FAILED} THEN 0 ELSE {first} END"
    rest = (f"CASE WHEN {name}_{part} IS NULL THEN 0 ELSE {other} END" for part, other in enumerate(others, start=1))
    return " + ".join([first, *rest])


def _fault(layout: Layout, counts: tuple[str, ...]) -> str:
    """Build the CASE that names the first fault of a row, or NULL."""
    cases = ["WHEN broken THEN 'row|broken'", "WHEN time_0 IS NULL THEN 'time|missing'"]
    cases += MONTH_FAULTS if layout.kind == "bill" else time_faults(layout.time_unit_s)
    for name in counts:
        if name not in layout.columns:
            continue
        number = f"{name}_number"
        whole = all(column.type == "integer" for column in layout.columns[name])
        if name in REQUIRED_COUNTS:
            cases.append(f"WHEN {name}_0 IS NULL AND {FAILED} IS NOT TRUE THEN '{name}|missing'")
        if not whole:  # integers need no such look, and of many rows each look counts
            cases += [
                f"WHEN {name}_0 IS NOT NULL AND NOT coalesce(isfinite({number}), FALSE) THEN '{name}|unreadable'",
                f"WHEN {number} <> trunc({number}) THEN '{name}|fractional'",
            ]
        cases += [
            f"WHEN {number} < 0 THEN '{name}|negative'",
            f"WHEN {number} > {largest(layout, name)} THEN '{name}|absurd'",
        ]
    if WINDOW_S in counts:
        cases.append(f"WHEN {WINDOW_S}_number = 0 THEN '{WINDOW_S}|empty'")
    parts = f"{CACHED_INPUT_TOKENS}_number + {CACHE_WRITE_TOKENS}_number"
    cases.append(f"WHEN {parts} > {INPUT_TOKENS}_number THEN '{CACHED_INPUT_TOKENS}|exceeds'")
    return f"CASE {' '.join(cases)} END"


def largest(layout: Layout, name: str) -> int:
    """Return the largest value of a count that is believed of one row."""
    if name == WINDOW_S:
        return LONGEST_WINDOW_S
    return LARGEST_REQUEST_TOKENS if layout.kind == "trace" else LARGEST_MONTH_TOKENS


def _given_at_fault(layout: Layout, counts: tuple[str, ...], *, placed: bool) -> str:
    """Build the text to show for a faulty row: the value as given, or the sums that contradict each other."""
    whole = "CAST(CAST({} AS BIGINT) AS VARCHAR)"
    parts = whole.format(f"{CACHED_INPUT_TOKENS}_number + {CACHE_WRITE_TOKENS}_number")
    cases = [f"WHEN fault LIKE '%|exceeds' THEN {parts} || ' of ' || {whole.format(f'{INPUT_TOKENS}_number')}"]
    cases += ["WHEN fault = 'row|broken' THEN wrong"] if placed else []
    for name in (TIME, *counts):
        if columns := layout.columns.get(name):
            values = ", ".join(f"CAST({name}_{part} AS VARCHAR)" for part in range(len(columns)))
            cases.append(
                f"WHEN starts_with(fault, '{name}|') THEN left(concat_ws(' + ', {values}), {SHOWN_CHARACTERS})"
            )
    return f"CASE WHEN fault IS NULL THEN NULL {' '.join(cases)} END"
