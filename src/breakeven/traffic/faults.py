"""Rows that cannot be used, told to a person: which line, which value, why it matters, what to do."""

# ruff: noqa: S608 - names in the queries are made here, and values from outside are quoted by traffic.sql

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import Problem
from breakeven.traffic.head import fields_of_any_length
from breakeven.traffic.lines import EXCERPT_CHARACTERS, Lines, locate
from breakeven.traffic.schema import MONTH, TIME
from breakeven.traffic.sql import ask
from breakeven.traffic.staging import Rows, largest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LISTED_PER_KIND: Final = 20

_REPAIR: Final = "Correct the row or leave it out."
_SUM_HINT: Final = (
    "If rows are totals and not requests, give monthly totals with a month column; "
    "otherwise name the right column with --column."
)
_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "row|broken": ("the line is not a JSON object ({text}).", "Correct the line or leave it out."),
    "entry|broken": ("{given}.", "Correct the entry or leave it out."),
    "time|missing": ("{column} is missing, so the request has no place in time.", _REPAIR),
    "time|unreadable": (
        "{column} is {given!r}, which is no time that can be read without guessing.",
        "Write 2026-10-31T18:15:46Z, or seconds or milliseconds since 1970.",
    ),
    "time|implausible": (
        "{column} is {given!r}, which as a date or as seconds since 1970 lies outside 2000 to 2100.",
        "If it counts from the start of the log, add the time at which the log starts.",
    ),
    "time|uncounted": (
        "{column} is {given!r}, which is no time counted from the start of the log (within ten years).",
        "Correct the row or leave it out.",
    ),
    "time|not_month": ("{column} is {given!r}, which is no month.", "Write 2026-10."),
    "time|midmonth": (
        "{column} is {given!r}, a day inside a month, and a bill has months.",
        "Add the days up by month, or give the requests with their times.",
    ),
    "missing": ("{column} is missing, and a request without it cannot be priced.", _REPAIR),
    "unreadable": ("{column} is {given!r}, which is not a number.", "Write whole tokens, without separators or units."),
    "negative": ("{column} is {given}, and no count is negative.", _REPAIR),
    "fractional": (
        "{column} is {given}, and tokens are whole; an average or a price may stand in the wrong column.",
        "Name the right column with --column, or correct the row.",
    ),
    "empty": ("{column} is {given}: the window ends where it begins.", _REPAIR),
    "absurd": ("{column} is {given}, more than the {limit:,} that are believed of one row.", _SUM_HINT),
    "exceeds": (
        "cached and cache-write tokens are {given} input tokens, of which they are a part.",
        "If your input leaves out cached tokens, name the sum: --column input_tokens=INPUT+CACHED",
    ),
}
_REJECTS: Final = {
    "MISSING COLUMNS": ("the row has {values} values where the header names {columns}.", "Complete the row."),
    "TOO MANY COLUMNS": (
        "the row has {values} values where the header names {columns}.",
        "Quote values that hold {delimiter!r}.",
    ),
    "UNQUOTED VALUE": ("a quote is opened and not closed as it should be ({text}).", "Mend the quotes."),
    "INVALID ENCODING": ("the row is not UTF-8 text ({text}).", "Save the file as UTF-8."),
}
_OTHER_REJECT: Final = ("the row cannot be split into columns ({text}).", _REPAIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What was lost of a file, and why."""

    rows_read: int
    rows_lost: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reject:
    record: int
    kind: str
    text: str


def many(count: int, thing: str) -> str:
    """Return ``1 row`` or ``2,000 rows``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def collect_faults(backend: Any, rows: Rows) -> Faults:
    """Count every row of a staged file and describe those that cannot be used."""
    counts = dict(ask(backend, f"SELECT fault, count(*) FROM {rows.view} GROUP BY fault"))
    rejects = rejected(backend, rows)
    accepted = sum(counts.values())
    lost = accepted - counts.pop(None, 0)
    listed = _listed(backend, rows) if counts else []
    lines = find_places(backend, rows, [row for _, row, _ in listed], rejects)
    problems = (*_reject_problems(rows, rejects, lines), *_fault_problems(rows, counts, listed, lines))
    return Faults(rows_read=accepted + len(rejects), rows_lost=lost + len(rejects), problems=problems)


def find_places(backend: Any, rows: Rows, wanted: Collection[int], rejects: Collection[_Reject] | None = None) -> Lines:
    """Find where some rows stand in the file; ``rejects`` are all of its rejected records, if they are at hand."""
    if rows.placed:
        numbers = ", ".join(map(str, sorted(wanted))) or "NULL"
        return Lines(rows=dict(ask(backend, f"SELECT row, place FROM {rows.view} WHERE row IN ({numbers})")))
    records = rejected(backend, rows) if rejects is None else rejects
    return locate(rows.head, wanted, [reject.record for reject in records])


def rejected(backend: Any, rows: Rows) -> list[_Reject]:
    """Return the records of a CSV that DuckDB could not split, in order."""
    if rows.rejects is None:
        return []
    # A record has one entry for each value too many or too few.
    query = (
        f"SELECT min(line), first(error_type ORDER BY column_idx), first(csv_line) FROM {rows.rejects} "
        "GROUP BY line_byte_position ORDER BY 1"
    )
    found = ask(backend, query)
    return [_Reject(record=line, kind=str(kind), text=(text or "").strip("\r\n")) for line, kind, text in found]


def _listed(backend: Any, rows: Rows) -> list[tuple[str, int, str | None]]:
    query = (
        f"SELECT fault, row, given FROM {rows.view} WHERE fault IS NOT NULL "
        f"QUALIFY row_number() OVER (PARTITION BY fault ORDER BY row) <= {LISTED_PER_KIND} ORDER BY row"
    )
    return [(fault, row, given) for fault, row, given in ask(backend, query)]


def _reject_problems(rows: Rows, rejects: list[_Reject], lines: Lines) -> Iterator[Problem]:
    by_kind = defaultdict(list)
    for reject in rejects:
        by_kind[reject.kind].append(reject)
    for kind, found in by_kind.items():
        template, fix = _REJECTS.get(kind, _OTHER_REJECT)
        for reject in found[:LISTED_PER_KIND]:
            values = {
                "values": _value_count(reject.text, rows.head.delimiter),
                "columns": len(rows.head.columns),
                "delimiter": rows.head.delimiter,
                "text": repr(reject.text[:EXCERPT_CHARACTERS]),
            }
            yield Problem(
                where=f"{rows.head.file}:{lines.records[reject.record]}",
                what=template.format(**values),
                fix=fix.format(**values),
            )
        yield from _summary(rows, len(found), kind.lower())


def _value_count(text: str, delimiter: str) -> int:
    """Count the values of a record; a carriage return in it ends it, as it does for DuckDB."""
    with fields_of_any_length():
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), ()))


def _fault_problems(
    rows: Rows, counts: dict[str, int], listed: list[tuple[str, int, str | None]], lines: Lines
) -> Iterator[Problem]:
    for fault in dict.fromkeys(fault for fault, _, _ in listed):  # in the order of their first rows
        name, kind = fault.split("|")
        template, fix = _MESSAGES.get("entry|broken" if rows.placed and name == "row" else fault) or _MESSAGES[kind]
        column = _column_label(rows, name)
        for _, row, given in (entry for entry in listed if entry[0] == fault):
            what = template.format(
                column=column, given=given, text=lines.texts.get(row), limit=largest(rows.layout, name)
            )
            yield Problem(where=f"{rows.head.file}:{lines.rows[row]}", what=what, fix=fix)
        yield from _summary(rows, counts[fault], f"{column}: {kind.replace('_', ' ')}")


def _summary(rows: Rows, count: int, kind: str) -> Iterator[Problem]:
    if count > LISTED_PER_KIND:
        yield Problem(
            where=rows.head.file,
            what=f"{count:,} rows have this fault ({kind}); the first {LISTED_PER_KIND} are listed above.",
        )


def _column_label(rows: Rows, name: str) -> str:
    """Name a column as the program and as the file do: ``input_tokens (prompt_tokens)``."""
    columns = "+".join(column.name for column in rows.layout.columns.get(name, ()))
    ours = MONTH if name == TIME and rows.layout.kind == "bill" else name
    return ours if columns in ("", ours) else f"{ours} ({columns})"
