"""Files of labelled prompts, row by row: CSV (also with tabs or semicolons), JSON, JSON lines and Parquet, also .gz.

Only the columns that are asked for are kept of a row, so that a file may be larger than the memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import stat
import zlib
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.errors import InputError
from breakeven.sources.long_cells import long_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_FIRST_ROWS: Final = 1000
"""Rows of a JSON file whose keys are its columns."""

_DELIMITERS: Final = ",;\t|"
_HEADER_LINES: Final = 100
"""Lines that a header may have, of names with line breaks."""

_QUOTED: Final = re.compile(rf'(?:^|(?<=[{_DELIMITERS}]))"(?:[^"]|"")*"')
"""A quoted cell; delimiters in it part no columns."""

_OPENED: Final = re.compile(rf'(?:^|[{_DELIMITERS}])"')
"""The beginning of one, which the next lines may end."""

_NAMED_DELIMITER: Final = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)
"""The line that Excel writes before the header."""

_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})
_TRUE: Final = frozenset({"true", "t", "yes", "y", "pass", "passed", "correct", "right"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "fail", "failed", "incorrect", "wrong"})


class Row(NamedTuple):
    """A row's number, from 1 without the header, and its values in the order asked; None where there is none."""

    number: int
    values: tuple[Any, ...]


def labelled_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a file with these columns.

    Raises ``InputError`` where the file cannot be read or has no such column, and then names those that it has.
    """
    try:
        yield from _rows(path, columns)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read: {why}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start:,}. Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise InputError(f"{path} is not CSV that can be read: {error}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path} is not JSON that can be read: {error}.") from error


def score_of(value: object) -> float | None:
    """Return a score as a number: numbers, true and false, pass and fail; None where none is said.

    Raises ``ValueError`` or ``TypeError`` for anything else.
    """
    if value is None:
        return None
    if isinstance(value, list | dict | bytes):
        raise TypeError(type(value).__name__)
    number = _spoken(value) if isinstance(value, str) else _float(value)
    if number is None or number != number:  # noqa: PLR0124 - NaN is what differs from itself
        return None
    if number in (float("inf"), float("-inf")):
        raise ValueError("infinite")
    return number


def _spoken(value: str) -> float | None:
    text = value.strip().lower()
    if text in _MISSING:
        return None
    if text in _TRUE:
        return 1.0
    if text in _FALSE:
        return 0.0
    if "_" in text:  # Python reads 1_0 as ten, and nobody else does
        raise ValueError("underscore")
    return float(text)


def _float(value: Any) -> float:
    """Return a number of any type; raises for what is none, and for one that no float is large enough for."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError("beyond all floats") from None


def text_of(value: object) -> str:
    """Return a value as text, empty where there is none; what is no text is written as JSON, messages of a chat say."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - a NaN is how tables say none
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    _need_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start == _PARQUET:
        yield from _parquet(path, columns)
        return
    opener = gzip.open if start.startswith(_GZIP) else open
    with opener(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        blank, first = _first(text)
        if not first:
            raise InputError(f"{path} is empty. Name a file with a header and at least two rows.")
        if first == "[":
            yield from _json(path, _decoded(first + text.read()), columns)
        elif first == "{":
            yield from _json_lines(path, text, first, columns)
        else:
            yield from _csv(path, text, blank + first, columns)


def _need_file(path: Path) -> None:
    """Raise ``InputError`` for a pipe, which gives its beginning only once, and files are told apart by theirs."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(
            f"{path} is a pipe or a device, and what labels are read from is opened twice. Write it to a file first, "
            "and name that; files compressed by gzip are read as they are."
        )


def _first(text: io.TextIOWrapper) -> tuple[str, str]:
    """Return the first character that is not blank, and the blank ones before it on its line, but for spaces.

    A tab there parts columns: the first one has no name, which is how indices are written.
    """
    blank = ""
    while (sign := text.read(1)).isspace():
        blank = "" if sign in "\r\n" else blank + sign
    return blank.lstrip(" "), sign


def _csv(path: Path, text: io.TextIOWrapper, start: str, columns: Sequence[str]) -> Iterator[Row]:
    head = start + text.readline()
    named = _NAMED_DELIMITER.fullmatch(head)
    if named:
        head = text.readline()
    lines = _header_lines(head, text)
    delimiter = named[1] if named else max(_DELIMITERS, key=_QUOTED.sub("", "".join(lines)).count)
    with long_cells():
        rows = _cells(path, csv.reader(chain(lines, text), delimiter=delimiter, strict=True))
        header = [name.strip() for name in next(rows, [])]
        places = [_place(path, header, name) for name in columns]
        for number, row in enumerate(rows, start=1):
            wide = len(row)
            if wide > len(header) and any(cell.strip() for cell in row[len(header) :]):
                raise InputError(
                    f"{path}: row {number:,} has {wide} cells and the header {len(header)}, so which cell is of which "
                    f"column is not known. Put quotes around cells that hold {delimiter!r}, and name every column."
                )
            yield Row(number, tuple(row[place] if place < wide else None for place in places))


def _header_lines(head: str, text: io.TextIOWrapper) -> list[str]:
    """Return the lines of the header: the first, and those that end a quoted name which it begins."""
    lines = [head]
    while _OPENED.search(_QUOTED.sub("", "".join(lines))) and len(lines) < _HEADER_LINES:
        lines.append(text.readline())
    return lines


def _cells(path: Path, rows: Any) -> Iterator[list[str]]:
    """Yield the rows of a CSV, but for empty ones.

    Raises ``InputError`` where quotes are not as they should be: a quote that is not closed takes the rows behind it
    for a part of its cell, up to the next one.
    """
    count = 0  # with the header
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            why = "a quote is opened and not closed" if "unexpected end" in str(error) else str(error)
            where = f"row {count:,}" if count else "the header"
            raise InputError(
                f"{path} is not CSV that can be read: {why}, in {where}. Rows are counted without the header. Close "
                'the quote at the end of its cell, and write quotes within the cell twice: "so ""quoted"" here".'
            ) from None
        if row:
            count += 1
            yield row


def _decoded(text: str) -> Any:
    """Return JSON, also with the NaN that Python writes for what is missing."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        if "NaN" not in text:
            raise
        try:
            plain = json.dumps(json.loads(text, parse_constant=lambda name: None if name == "NaN" else name))
        except ValueError:
            plain = text
        return msgspec.json.decode(plain)


def _json_lines(path: Path, text: io.TextIOWrapper, first: str, columns: Sequence[str]) -> Iterator[Row]:
    def objects() -> Iterator[Any]:
        for number, line in enumerate(chain([first + text.readline()], text), start=1):
            if line.strip():
                try:
                    yield _decoded(line)
                except msgspec.DecodeError as error:
                    raise InputError(
                        f"{path}:{number} is no JSON object: {error}. Write each row as one object on one line (as "
                        "`jq -c` does), or the whole file as one list of objects."
                    ) from None

    yield from _json(path, objects(), columns)


def _json(path: Path, objects: Any, columns: Sequence[str]) -> Iterator[Row]:
    found = iter(objects)
    ahead = list(islice(found, _FIRST_ROWS))
    header = list(dict.fromkeys(name for item in ahead if isinstance(item, dict) for name in item))
    names = [header[_place(path, header, name)] for name in columns]
    for number, item in enumerate(chain(ahead, found), start=1):
        if not isinstance(item, dict):
            raise InputError(f"{path}: row {number:,} is {type(item).__name__}, and should be an object.")
        yield Row(number, tuple(item.get(name) for name in names))


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 - an extra, needed only for Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    try:
        file = pq.ParquetFile(path)
        header = list(file.schema_arrow.names)
        names = [header[_place(path, header, name)] for name in columns]
        number = 0
        for batch in file.iter_batches(batch_size=10_000, columns=list(dict.fromkeys(names))):
            held = {name: batch.column(name).to_pylist() for name in names}
            for values in zip(*(held[name] for name in names), strict=True):
                number += 1
                yield Row(number, values)
    except pa.ArrowException as error:
        raise InputError(f"{path} is not Parquet that can be read: {str(error).splitlines()[0]}.") from error


def _place(path: Path, header: Sequence[str], name: str) -> int:
    """Return where a column is; by exact name, else but for case where that is one column."""
    if header.count(name) > 1:
        raise InputError(
            f"{path} has {header.count(name)} columns {name!r}, and which is meant is not known. Rename all but one."
        )
    if name in header:
        return header.index(name)
    alike = [place for place, found in enumerate(header) if found.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    there = ", ".join(repr(found) for found in header[:40]) or "none"
    more = f" and {len(header) - 40} more" if len(header) > 40 else ""
    raise InputError(f"{path} has no column {name!r}. Those there: {there}{more}.")


def problems_told(path: Path, problems: Mapping[int, str], count: int) -> InputError:
    """Return the error that tells rows whose values are none that can be used, the first few one by one."""
    told = "; ".join(f"row {number:,}: {what}" for number, what in problems.items())
    more = f"; and {count - len(problems):,} more" if count > len(problems) else ""
    return InputError(
        f"{path} has values that cannot be used: {told}{more}. Rows are counted without the header. A score is a "
        "number, true or false, and a cost a number from 0; leave it empty where there is none."
    )
