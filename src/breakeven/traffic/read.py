"""Reads files into a trace: the one way in for logs, traces and bills.

Several files of one kind become one trace.  Whatever cannot be used is told with file, line and
value; what would mislead is refused.  It does not sum anything up; that is the profile's part.
"""

# ruff: noqa: S608 - names in the queries are made here

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ibis
from ibis.expr.operations import DatabaseTable

from breakeven.errors import InputError, Problem
from breakeven.traffic.checks import (
    cached_note,
    check_share,
    check_usable,
    check_zones,
    doubt_notes,
    month_note,
    order_problem,
    repeat_problem,
    silence_note,
)
from breakeven.traffic.faults import Faults, collect_faults
from breakeven.traffic.head import Head, read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.money import paid
from breakeven.traffic.readers import detect
from breakeven.traffic.readers.costs import check_distinct, read_costs
from breakeven.traffic.schema import (
    AT_US,
    BILL_COLUMNS,
    BILL_SCHEMA,
    MONTH,
    PREFIX_BLOCKS,
    REQUEST_COLUMNS,
    REQUEST_SCHEMA,
    WINDOW_COLUMNS,
    WINDOW_SCHEMA,
)
from breakeven.traffic.sql import ask, damage_told
from breakeven.traffic.told import safely_told
from breakeven.traffic.trace import Trace
from breakeven.traffic.windows import check_grouping, overlap_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ibis.expr.types import Table

    from breakeven.traffic.readers.costs import CostReport
    from breakeven.traffic.staging import Rows
    from breakeven.traffic.trace import Kind


MEMORY_LIMIT: Final = "1400MB"
"""What a query may hold before it spills to disk: with the program itself it stays below two gigabytes."""

_A_KIND: Final = {"trace": "a trace", "windows": "windows of totals", "bill": "a bill"}


@safely_told
def read_trace(
    paths: Sequence[Path],
    *,
    mapping: Mapping[str, str] | None = None,
    zone: str | None = None,
    tolerate_fraction: float = 0.05,
) -> Trace:
    """Read files of one kind as one trace.

    ``mapping`` is canonical name → column (dotted where nested, ``A+B`` for a sum); the rest is
    guessed and noted.  ``zone`` is an IANA name for times without one.  ``tolerate_fraction`` is
    the share of rows that may be lost, and likewise be out of order or repeated.  Raises
    ``InputError`` where the files cannot be used.
    """
    heads, reports = _apart(_heads(paths))
    options = Options(mapping=dict(mapping or {}), zone=zone, beside=tuple(heads))
    backend = _backend(zone)
    if any(head.form == "parquet" for head in heads):
        # A damaged file's statistics belie its values, and a check that they seem to make needless is not made.
        backend.raw_sql("SET disabled_optimizers = 'statistics_propagation'")
    files = []
    for head in heads:
        with damage_told(head.file):
            files.append(detect(head, options).read(backend, head, options))
    kind = _one_kind(files)
    source = ", ".join(head.file for head in heads)
    notes = [note for rows in files for note in rows.layout.notes]
    if kind == "bill":
        notes += month_note(backend, files)
    else:
        notes += [note for rows in files for note in check_zones(backend, rows)]
    notes += [note for rows in files for note in (*doubt_notes(backend, rows), *silence_note(rows))]
    with damage_told(source):
        faults = [collect_faults(backend, rows) for rows in files]
        problems = _judge(backend, files, faults, tolerate_fraction)
        check_usable(files, source)
        paid_usd, paid_notes = paid(backend, files, reports)
    return Trace(
        kind=kind,
        source=source,
        table=_table(backend, files, kind),
        rows_read=sum(fault.rows_read for fault in faults),
        rows_lost=sum(fault.rows_lost for fault in faults),
        problems=problems,
        notes=(*notes, *cached_note(files), *paid_notes),
        block_tokens=_block_tokens(files),
        paid_usd=paid_usd,
    )


def _heads(paths: Sequence[Path]) -> list[Head]:
    """Look at every file before any is read, so that all that is wrong is told at once."""
    if not paths:
        raise InputError("no file was named. Name a trace, a log or a bill: CSV, JSON or Parquet.")
    heads, refusals = [], []
    for path in paths:
        try:
            heads.append(read_head(path))
        except InputError as error:
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        problems = tuple(Problem(where=f"file {n}", what=str(error)) for n, error in enumerate(refusals, start=1))
        raise InputError(f"{len(refusals)} of {len(paths)} files cannot be used.", problems)
    return heads


def _apart(heads: Sequence[Head]) -> tuple[list[Head], list[CostReport]]:
    """Tell traffic from accounts of what was paid for it."""
    found = [(head, read_costs(head)) for head in heads]
    reports = [report for _, report in found if report]
    check_distinct(reports)
    if len(reports) == len(found):
        raise reports[0].alone()
    return [head for head, report in found if report is None], reports


def _backend(zone: str | None) -> Any:
    """Open a database for one trace: in memory, with a folder of its own to spill to.

    DuckDB makes that folder only when it needs it, and removes it; its default is the working directory.
    """
    spill = Path(tempfile.gettempdir()) / f"breakeven-{uuid.uuid4().hex}"
    backend = ibis.duckdb.connect(temp_directory=str(spill))
    backend.raw_sql(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY_LIMIT}'")
    if zone is not None and zone not in {name for (name,) in ask(backend, "SELECT name FROM pg_timezone_names()")}:
        raise InputError(f"--zone {zone}: there is no such time zone. Give an IANA name: UTC, Europe/Berlin.")
    return backend


def _one_kind(files: Sequence[Rows]) -> Kind:
    kinds = {rows.layout.kind for rows in files}
    if len(kinds) > 1:
        told = ", ".join(f"{rows.head.file} is {_A_KIND[rows.layout.kind]}" for rows in files)
        raise InputError(
            f"files of different kinds cannot be read as one: {told}. Their tokens would be counted twice or have no "
            "time. Read them one by one."
        )
    return kinds.pop()


def _block_tokens(files: Sequence[Rows]) -> int | None:
    sizes = {rows.layout.block_tokens for rows in files if PREFIX_BLOCKS in rows.layout.columns}
    if len(sizes) > 1:
        told = ", ".join(f"{rows.head.file} has {rows.layout.block_tokens or 'an unknown size'}" for rows in files)
        raise InputError(
            f"the files cut prompts into blocks of different sizes, in tokens: {told}. What prompts share cannot be "
            "told across them. Read them one by one."
        )
    return next(iter(sizes), None)


def _judge(
    backend: Any, files: Sequence[Rows], faults: Sequence[Faults], tolerate_fraction: float
) -> tuple[Problem, ...]:
    """Collect what is wrong with the rows, and refuse where it is too much."""
    problems = [problem for fault in faults for problem in fault.problems]
    read, lost = sum(fault.rows_read for fault in faults), sum(fault.rows_lost for fault in faults)
    if read == lost:
        raise InputError(f"no row can be used, of {read:,} read.", tuple(problems))
    check_share(lost, read, "rows that cannot be used", tolerate_fraction, problems)
    if files[0].layout.kind == "trace":
        disorders = [order_problem(backend, rows) for rows in files]
        problems += [problem for _, problem in disorders if problem]
        check_share(sum(n for n, _ in disorders), read - lost, "rows out of order", tolerate_fraction, problems)
    if files[0].layout.kind == "windows":
        check_grouping(backend, files)
        repeats, problem = overlap_problem(backend, files)
    else:
        repeats, problem = repeat_problem(backend, files, read - lost)
    problems += [problem] if problem else []
    check_share(repeats, read - lost, "repeated rows", tolerate_fraction, problems)
    return tuple(problems)


def _table(backend: Any, files: Sequence[Rows], kind: Kind) -> Table:
    """Return the rows that can be used, of all files, as one table.

    The view says it all, so that queries on it are short: Ibis takes longer over a long one than DuckDB does.
    """
    columns, schema = {
        "trace": ((*REQUEST_COLUMNS, AT_US), REQUEST_SCHEMA),
        "windows": (WINDOW_COLUMNS, WINDOW_SCHEMA),
        "bill": (BILL_COLUMNS, BILL_SCHEMA),
    }[kind]
    items = ", ".join(f"time::DATE AS {name}" if name == MONTH else name for name in columns)
    union = " UNION ALL ".join(f"SELECT {items} FROM {rows.view} WHERE fault IS NULL" for rows in files)
    backend.raw_sql(f"CREATE TEMP VIEW {kind} AS {union}")
    types = ibis.schema({name: schema.get(name, "int64") for name in columns})
    return DatabaseTable(name=kind, schema=types, source=backend).to_expr()
