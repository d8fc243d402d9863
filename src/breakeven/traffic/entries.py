"""Files as a run of records, for readers that must look into each: nested documents, and logs with messages.

A reader makes of every record as many ``Entry`` as it holds requests or windows; ``staging`` checks them like
the rows of a flat file.  Flat logs do not come here unless they are one JSON array: DuckDB reads them itself.
"""

from __future__ import annotations

import csv
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from breakeven.errors import InputError
from breakeven.traffic.documents import DECODER, open_text, read_values
from breakeven.traffic.head import Column, fields_of_any_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from breakeven.traffic.head import Head

BATCH_ROWS: Final = 10_000
BATCH_CHARACTERS: Final = 50_000_000
_LONGEST_COUNT: Final = 20
_ENCODER: Final = json.JSONEncoder(default=str)

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row to be: ``values`` by the keys of the layout's columns, or ``wrong``, which says why there are none.

    ``place`` leads to it in the file: ``17``, ``[3]``, ``data[3].results[0]``.  ``values`` may hold more than the
    layout names, such as an id: rows that agree in everything are taken for repeated ones.
    """

    place: str
    values: Mapping[str, Any] | None = None
    wrong: str = ""


def within(place: str, path: str) -> str:
    """Return the place of something inside the record at ``place``: ``17 data[3]``, ``17 [2].data[3]``."""
    return f"{place}.{path}" if place.endswith("]") else f"{place} {path}"


def added(counts: Iterable[Any]) -> Any:
    """Return the sum of counts, None of none; or the first that is no count, as it is, so that it is told."""
    given = [as_count(count) for count in counts if count not in (None, "")]
    faulty = [count for count in given if not isinstance(count, int) or isinstance(count, bool) or count < 0]
    return faulty[0] if faulty else (sum(given) if given else None)


def as_count(value: Any) -> Any:
    """Return a whole number for one that is written as text or with a point; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _LONGEST_COUNT:
        return int(value)
    return value


def made_columns(labels: Mapping[str, str]) -> dict[str, tuple[Column, ...]]:
    """Return the layout's columns of entries whose values bear canonical names; messages show the labels."""
    return {name: (Column(name=label, keys=(name,)),) for name, label in labels.items()}


def read_records(head: Head) -> Iterator[tuple[str, Record | None]]:
    """Yield place and record of every line, element or row; None where there is no object.

    Raises ``InputError`` where the file cannot be read to its end.
    """
    try:
        if head.form == "parquet":
            yield from _parquet_records(head)
        else:
            with open_text(head.path, gzipped=head.gzipped) as stream, fields_of_any_length():
                yield from _text_records(head, stream)
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException, ValueError) as error:
        raise unreadable(head.file, error) from error


def unreadable(file: str, error: Exception) -> InputError:
    """Return the error to raise where a file breaks off below its head."""
    reason = str(error).splitlines()[0]
    return InputError(f"{file}: cannot be read to its end ({reason}). Check the file, or export it anew.")


def csv_rows(head: Head, stream: TextIO) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the number of each record that holds a row (blank lines and header count), its first line, its values."""
    reader = csv.reader(stream, delimiter=head.delimiter)
    line_before, headed = 0, False
    for record, values in enumerate(reader, start=1):
        if values and headed:
            yield record, line_before + 1, values
        headed = headed or bool(values)
        line_before = reader.line_num


def flat_entries(head: Head) -> Iterator[Entry]:
    """Yield every record as it is, as one row."""
    for place, record in read_records(head):
        yield Entry(place=place, values=record, wrong="" if record else "it is not a JSON object with fields")


def batches(entries: Iterable[Entry]) -> Iterator[pa.Table]:
    """Yield the entries as tables of ``place``, ``json`` (of the values; null where wrong) and ``wrong``.

    There is at least one table, so that one can be made of nothing.
    """
    places: list[str] = []
    texts: list[str | None] = []
    wrongs: list[str] = []
    size, made = 0, False
    for entry in entries:
        text = _ENCODER.encode(entry.values) if entry.values and not entry.wrong else None
        places.append(entry.place)
        texts.append(text)
        wrongs.append(entry.wrong)
        size += len(text or "")
        if len(places) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
            yield _table(places, texts, wrongs)
            places, texts, wrongs, size, made = [], [], [], 0, True
    if places or not made:
        yield _table(places, texts, wrongs)


def _table(places: list[str], texts: list[str | None], wrongs: list[str]) -> pa.Table:
    return pa.table(
        {
            name: pa.array(column, pa.string())
            for name, column in {"place": places, "json": texts, "wrong": wrongs}.items()
        }
    )


def _text_records(head: Head, stream: TextIO) -> Iterator[tuple[str, Record | None]]:
    if head.form == "json":
        for value in read_values(head.file, stream):
            yield value.place, value.content if isinstance(value.content, dict) else None
    elif head.form == "jsonl":
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield str(number), _object(line)
    else:
        names = [column.name for column in head.columns]
        for _, first_line, values in csv_rows(head, stream):
            whole = len(values) == len(names)
            yield str(first_line), {k: v or None for k, v in zip(names, values, strict=True)} if whole else None


def _object(line: str) -> Record | None:
    try:
        value = DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parquet_records(head: Head) -> Iterator[tuple[str, Record]]:
    with pq.ParquetFile(head.path) as file:
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield str(number), record
