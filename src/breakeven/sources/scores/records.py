"""Records of a file: JSON (a list, or a document that holds one), JSON lines or CSV, also compressed by gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.errors import InputError, Problem
from breakeven.sources.long_cells import long_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_DOCUMENT_BYTES: Final = 1 << 30
"""One JSON document is held whole; JSON lines and CSV are not."""

_GZIP: Final = b"\x1f\x8b"
_LISTS: Final = ("data", "scores", "feedback")
"""Under which documents hold their records."""

Record = tuple[str, dict[str, Any]]
"""File and place, and the fields."""


def records(path: Path) -> Iterator[Record | Problem]:
    """Yield the records of a file, and a problem for each part that is none.

    Raises ``InputError`` for a file that cannot be read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            with io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw as file:
                yield from _records(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: {error}.") from error


def _records(path: Path, file: io.BufferedIOBase) -> Iterator[Record | Problem]:
    first = b""
    for first in file:
        if first.removeprefix(b"\xef\xbb\xbf").strip():
            break
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        yield from _of_table(path, chain([start], file))
    elif start.startswith(b"{") and _decoded(start) is not None:
        yield from _of_lines(path, chain([start], file))
    else:
        content = first + file.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            raise InputError(
                f"{path} is one JSON document of more than {MAX_DOCUMENT_BYTES:,} bytes. Export JSON lines."
            )
        try:
            document = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"{path} is neither JSON, nor JSON lines, nor CSV: {error}.") from error
        yield from _of_document(str(path), document)


def _of_lines(path: Path, lines: Iterator[bytes]) -> Iterator[Record | Problem]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            document = _decoded(line)
            where = f"{path}:{number}"
            if document is None:
                yield Problem(where=where, what="this line is no JSON.")
            else:
                yield from _of_document(where, document)


def _of_table(path: Path, lines: Iterator[bytes]) -> Iterator[Record | Problem]:
    try:
        with long_cells():
            for number, row in enumerate(csv.DictReader(line.decode() for line in lines), 2):
                fields = {name: value for name, value in row.items() if name is not None and value not in (None, "")}
                yield f"{path}:{number}", fields
    except csv.Error as error:
        raise InputError(f"{path} is neither JSON, nor JSON lines, nor CSV: {error}.") from error


def _of_document(where: str, document: Any) -> Iterator[Record | Problem]:
    """Yield a record, or the records that a list or a page of them holds."""
    if isinstance(document, dict):
        inner = next((document[name] for name in _LISTS if isinstance(document.get(name), list)), None)
        if inner is None:
            yield where, document
            return
        document = inner
    if not isinstance(document, list):
        yield Problem(where=where, what="this is no object with fields.")
        return
    for number, item in enumerate(document):
        if isinstance(item, dict):
            yield f"{where}[{number}]", item
        else:
            yield Problem(where=f"{where}[{number}]", what="this is no object with fields.")


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None


def normal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by names without case and underscores, so that exports of an API and of its tables read alike."""
    return {name.replace("_", "").lower(): value for name, value in fields.items()}


def mapping(value: Any) -> dict[str, Any]:
    """Return an object with fields, also one that is written as text; empty for anything else."""
    if isinstance(value, str):
        value = _decoded(value.encode())
    return value if isinstance(value, dict) else {}
