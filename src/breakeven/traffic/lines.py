"""Where in its file a row stands: the line an editor shows.

DuckDB numbers rows and rejected records, not lines; quoted line breaks and blank lines set these
apart.  So the file is walked once more, only where there is something to report, and only as far
as the last row in question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from breakeven.traffic.documents import open_text
from breakeven.traffic.entries import csv_rows
from breakeven.traffic.head import fields_of_any_length

if TYPE_CHECKING:
    from collections.abc import Collection

    from breakeven.traffic.head import Head

EXCERPT_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Places of rows and of rejected records, by number; ``texts`` holds the beginnings of JSON lines.

    A place is what stands behind the file's name: a line (from 1), or a path into a document.
    """

    rows: dict[int, str] = field(default_factory=dict)
    records: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)


def locate(head: Head, rows: Collection[int], rejected: Collection[int]) -> Lines:
    """Find the lines of some rows; ``rejected`` holds the record numbers of *all* rows DuckDB could not split."""
    if head.form == "parquet":
        return Lines(rows={row: str(row) for row in rows})
    if not rows and not rejected:
        return Lines()
    return _locate_json(head, rows) if head.form == "jsonl" else _locate_csv(head, rows, rejected)


def _locate_json(head: Head, rows: Collection[int]) -> Lines:
    found, last = Lines(), max(rows)
    with open_text(head.path, gzipped=head.gzipped) as stream:
        filled = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
        for row, (number, line) in enumerate(filled, start=1):
            if row in rows:
                found.rows[row] = str(number)
                found.texts[row] = line.strip()[:EXCERPT_CHARACTERS]
            if row >= last:
                break
    return found


def _locate_csv(head: Head, rows: Collection[int], rejected: Collection[int]) -> Lines:
    found, refused = Lines(), set(rejected)
    last_row, last_record = max(rows, default=0), max(refused, default=0)
    row = 0
    with open_text(head.path, gzipped=head.gzipped) as stream, fields_of_any_length():
        for record, line, _ in csv_rows(head, stream):
            if record in refused:
                found.records[record] = str(line)
            else:
                row += 1
                if row in rows:
                    found.rows[row] = str(line)
            if row >= last_row and record >= last_record:
                break
    # Where quotes are broken Python and DuckDB may split differently; then blank lines are not counted.
    for missing in set(rows) - found.rows.keys():
        found.rows[missing] = str(missing + 1 + head.skip_lines)
    for missing in refused - found.records.keys():
        found.records[missing] = str(missing)
    return found
