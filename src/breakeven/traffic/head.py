"""The head of a file: what form it has and which columns, decided by its content and never by its name.

It reads at most the first megabytes (of Parquet only the schema and a few rows), and refuses what
cannot be a log at all: nothing there, another kind of file, binary data.  It does not know which
column means what; that is the readers' part.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from breakeven.errors import InputError
from breakeven.traffic.documents import open_text, read_values, spans_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Form = Literal["csv", "jsonl", "json", "parquet"]
"""``json`` is one array, or objects that span lines."""
ValueType = Literal["text", "integer", "number", "naive_time", "zoned_time"]

HEAD_BYTES: Final = 1_000_000
LONGEST_LINE_BYTES: Final = 64_000_000
"""The head ends at the end of a line; a line with a long prompt in it may be longer than the head."""

SAMPLE_ROWS: Final = 200
DELIMITERS: Final = (",", ";", "\t", "|")
GZIP_MAGIC: Final = b"\x1f\x8b"
PARQUET_MAGIC: Final = b"PAR1"
FOREIGN_MAGIC: Final = {
    b"PK\x03\x04": ("a zip archive (or a spreadsheet)", "Unpack it, or save the sheet as CSV."),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "Unpack it, or compress it with gzip."),
    b"BZh": ("compressed with bzip2", "Unpack it, or compress it with gzip."),
    b"\xfd7zXZ": ("compressed with xz", "Unpack it, or compress it with gzip."),
    b"\xff\xfe": ("text in UTF-16", "Save it as UTF-8."),
    b"\xfe\xff": ("text in UTF-16", "Save it as UTF-8."),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the file; ``keys`` lead to it where rows are nested."""

    name: str
    keys: tuple[str, ...]
    type: ValueType = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of a file before its rows are read: first values by column name, and first records of JSON."""

    path: Path
    form: Form
    gzipped: bool = False
    delimiter: str = ","
    skip_lines: int = 0
    columns: tuple[Column, ...]
    sample: Mapping[str, tuple[str, ...]]
    records: tuple[dict[str, Any], ...] = ()

    @property
    def file(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


def read_head(path: Path) -> Head:
    """Look at a file's beginning; raises ``InputError`` where no log can be in it."""
    _check_file(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(16)
        if magic.startswith(PARQUET_MAGIC):
            return _parquet_head(path)
        gzipped = magic.startswith(GZIP_MAGIC)
        with gzip.open(path, "rb") if gzipped else path.open("rb") as stream:
            data = stream.read(HEAD_BYTES)
            if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                data += stream.readline(LONGEST_LINE_BYTES)
        return _text_head(path, data, gzipped=gzipped)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path.name}: cannot be read ({error}). Nothing is known of its rows. Check the file, or copy it anew."
        ) from error


@contextmanager
def fields_of_any_length() -> Iterator[None]:
    """Lift Python's limit of 131,072 characters a CSV field: logs may hold prompts."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(
            f"{path} is a directory, and a trace is one or more files. Name the files, as in {path}/*.csv."
        )
    if not path.exists():
        raise InputError(f"{path}: there is no such file. Check the name and the folder.")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file, and a trace is read more than once. Save it to a file first.")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty (0 bytes): there is no traffic in it. Export the log again.")


def _text_head(path: Path, data: bytes, *, gzipped: bool) -> Head:
    text = _decoded(path.name, data)
    skipped = text[: len(text) - len(text.lstrip("\r\n"))]
    body = text.lstrip()
    if not body:
        raise InputError(f"{path.name} holds nothing but white space: there is no traffic in it. Export the log again.")
    form: Form = "json" if body[0] == "[" or (body[0] == "{" and spans_lines(body)) else "jsonl"
    if body[0] in "[{":
        records = tuple(_first_values(path, gzipped=gzipped) if form == "json" else _first_lines(body))
        columns, sample = _json_columns(path.name, body, records)
        return Head(path=path, form=form, gzipped=gzipped, columns=columns, sample=sample, records=records)
    delimiter, columns, sample = _csv_columns(path.name, body)
    return Head(
        path=path,
        form="csv",
        gzipped=gzipped,
        delimiter=delimiter,
        skip_lines=skipped.count("\n"),
        columns=columns,
        sample=sample,
    )


def _decoded(name: str, data: bytes) -> str:
    for magic, (what, fix) in FOREIGN_MAGIC.items():
        if data.startswith(magic):
            raise InputError(
                f"{name} is {what}; CSV, JSON lines and Parquet are read (the first two also as .gz). {fix}"
            )
    if (position := data.find(b"\0")) >= 0:
        raise InputError(
            f"{name} is binary (a zero byte at offset {position}), neither text nor Parquet. "
            "Export the log as CSV, JSON lines or Parquet."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(data) >= HEAD_BYTES:
            return data[: error.start].decode("utf-8-sig")
        raise InputError(
            f"{name} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}. "
            "Numbers next to it could be misread. Save it as UTF-8."
        ) from error


def _csv_columns(name: str, text: str) -> tuple[str, tuple[Column, ...], dict[str, tuple[str, ...]]]:
    first_line = text.split("\n", 1)[0].strip()
    delimiter = max(DELIMITERS, key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        with fields_of_any_length():
            rows = list(islice(filter(None, reader), SAMPLE_ROWS + 1))
    except csv.Error as error:
        raise InputError(f"{name} cannot be read as CSV ({error}). Check its quotes near the top.") from error
    if len(rows) < 2:
        raise InputError(
            f"{name} holds one line and no rows ({first_line[:80]!r}): there is no traffic in it. "
            "Export the log again; the first line must name the columns."
        )
    names = _unique(rows[0])
    columns = tuple(Column(name=column, keys=(column,)) for column in names)
    sample = {column: tuple(row[i] for row in rows[1:] if i < len(row)) for i, column in enumerate(names)}
    return delimiter, columns, sample


def _unique(names: Sequence[str]) -> list[str]:
    unique: list[str] = []
    for position, raw in enumerate(names, start=1):
        name = raw.strip() or f"column {position}"
        unique.append(name if name not in unique else f"{name} ({position})")
    return unique


def _first_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # counted and reported when all rows are read
        if isinstance(row, dict):
            yield row


def _first_values(path: Path, *, gzipped: bool) -> Iterator[dict[str, Any]]:
    with open_text(path, gzipped=gzipped) as stream:
        values = islice(read_values(path.name, stream), SAMPLE_ROWS)
        yield from (value.content for value in values if isinstance(value.content, dict))


def _json_columns(
    name: str, text: str, records: Sequence[dict[str, Any]]
) -> tuple[tuple[Column, ...], dict[str, tuple[str, ...]]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for keys, value in (leaf for record in records for leaf in _leaves(record)):
        if _is_unicode("".join(keys)):  # JSON can spell half a character, of which no query can be made
            found.setdefault(keys, []).append(value)
    if not found:
        raise InputError(
            f"{name} starts like JSON, but none of its first values is a JSON object with fields "
            f"({text[:80]!r}). Write one object a line, as `jq -c .` does, or one array of objects."
        )
    columns = tuple(Column(name=".".join(keys), keys=keys) for keys in found)
    return columns, {".".join(keys): tuple(values) for keys, values in found.items()}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leaves(row: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), "" if value is None else str(value)


def _parquet_head(path: Path) -> Head:
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows == 0:
                raise InputError(
                    f"{path.name} holds columns and no rows: there is no traffic in it. Export the log again."
                )
            columns = tuple(_parquet_columns(file.schema_arrow))
            first = next(file.iter_batches(batch_size=SAMPLE_ROWS)).to_pylist()
    except (pa.ArrowException, OSError, ValueError, StopIteration) as error:
        raise InputError(
            f"{path.name} starts like Parquet but is damaged ({error}). Copy or export it again."
        ) from error
    sample: dict[str, list[str]] = {}
    for keys, value in (leaf for row in first for leaf in _leaves(row)):
        sample.setdefault(".".join(keys), []).append(value)
    return Head(
        path=path, form="parquet", columns=columns, sample={name: tuple(values) for name, values in sample.items()}
    )


def _parquet_columns(fields: Any, above: tuple[str, ...] = ()) -> Iterator[Column]:
    for field in fields:
        keys = (*above, field.name)
        if pa.types.is_struct(field.type):
            yield from _parquet_columns(field.type.fields, keys)
        else:
            yield Column(name=".".join(keys), keys=keys, type=_value_type(field.type))


def _value_type(arrow: Any) -> ValueType:
    if pa.types.is_timestamp(arrow):
        return "zoned_time" if arrow.tz else "naive_time"
    if pa.types.is_date(arrow):
        return "naive_time"
    if pa.types.is_integer(arrow):
        return "integer"
    if pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return "number"
    return "text"
