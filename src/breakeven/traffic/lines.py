"""Where in its file a row stands: the line an editor shows.

DuckDB numbers rows and rejected records, not lines; quoted line breaks and blank lines set these
apart.  So the file is walked once more, only where there is something to report, and only as far
as the last row in question.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from breakeven.traffic.head import fields_of_any_length

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager
    from typing import TextIO

    from breakeven.traffic.head import Head

EXCERPT_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Line numbers (from 1) of rows and of rejected records; ``texts`` holds the beginnings of JSON lines."""

    rows: dict[int, int] = field(default_factory=dict)
    records: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)


def locate(head: Head, rows: Collection[int], rejected: Collection[int]) -> Lines:
    """Find the lines of some rows; ``rejected`` holds the record numbers of *all* rows DuckDB could not split."""
    if head.form == "parquet":
        return Lines(rows={row: row for row in rows})
    if not rows and not rejected:
        return Lines()
    return _locate_json(head, rows) if head.form == "jsonl" else _locate_csv(head, rows, rejected)


def _open(head: Head) -> AbstractContextManager[TextIO]:
    if head.gzipped:
        return gzip.open(head.path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return head.path.open(encoding="utf-8-sig", errors="replace", newline="")


def _locate_json(head: Head, rows: Collection[int]) -> Lines:
    found, last = Lines(), max(rows)
    with _open(head) as stream:
        filled = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
        for row, (number, line) in enumerate(filled, start=1):
            if row in rows:
                found.rows[row] = number
                found.texts[row] = line.strip()[:EXCERPT_CHARACTERS]
            if row >= last:
                break
    return found


def _locate_csv(head: Head, rows: Collection[int], rejected: Collection[int]) -> Lines:
    found, refused = Lines(), set(rejected)
    last_row, last_record = max(rows, default=0), max(refused, default=0)
    row = 0
    with _open(head) as stream, fields_of_any_length():
        for record, line in _records(stream, head):
            if record in refused:
                found.records[record] = line
            else:
                row += 1
                if row in rows:
                    found.rows[row] = line
            if row >= last_row and record >= last_record:
                break
    # Where quotes are broken Python and DuckDB may split differently; then blank lines are not counted.
    for missing in set(rows) - found.rows.keys():
        found.rows[missing] = missing + 1 + head.skip_lines
    for missing in refused - found.records.keys():
        found.records[missing] = missing
    return found


def _records(stream: TextIO, head: Head) -> Iterator[tuple[int, int]]:
    """Yield record number (blank lines and header count) and first line of each record that holds a row."""
    reader = csv.reader(stream, delimiter=head.delimiter)
    line_before, headed = 0, False
    for record, values in enumerate(reader, start=1):
        if values and headed:
            yield record, line_before + 1
        headed = headed or bool(values)
        line_before = reader.line_num
