"""Input files line by line, never whole: what a line asks for, and what is wrong with a file.

Codes of errors are OpenAI's as far as they are known (https://github.com/stdapi-ai/stdapi.ai/issues/240):
``invalid_json_line``, ``duplicate_custom_id``, ``url_mismatch``, ``empty_file``, ``too_many_tasks``.
"""

from __future__ import annotations

import hashlib
import sqlite3
from codecs import BOM_UTF8
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.batches.records import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
MAX_ERRORS: Final = 100
"""So many are told; a file that is wrong is mostly wrong throughout."""

MAX_CUSTOM_ID: Final = 512
_SEEN_PAGES: Final = 2048
"""Of 4 KiB, in memory, of the custom ids that were seen; the others are on disk."""

Error = dict[str, str | int | None]


class AskedLine(msgspec.Struct):
    """What a line of an input file says."""

    custom_id: str
    body: msgspec.Raw
    method: str = ""
    url: str = ""


class Validated(NamedTuple):
    """What a look through an input file found."""

    total: int
    errors: list[Error]


_DECODER: Final = msgspec.json.Decoder(AskedLine)
_KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class WrongLineError(Exception):
    """A line that cannot be asked."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        self.code = code
        self.param = param
        super().__init__(message)


def read_lines(file: BinaryIO, line: Line) -> Iterator[tuple[Line, bytes]]:
    """Yield the lines of a file from one on that is not blank, with their bytes; a longer one than allowed is cut."""
    number, offset = line.number, line.offset
    file.seek(offset)
    while content := file.readline(MAX_LINE_BYTES):
        size_bytes = len(content)
        while not content.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
            size_bytes += len(more)
            if more.endswith(b"\n"):
                break
        if content.strip():
            yield Line(number, offset, size_bytes), content
        number += 1
        offset += size_bytes


def read_line(content: bytes, endpoint: str) -> AskedLine:
    """Decode a line.  Raises ``WrongLineError``."""
    try:
        content.decode()  # what is in a body is not decoded here, and would be found out line by line at the target
        asked = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if len(content) >= MAX_LINE_BYTES:
            raise WrongLineError("line_too_large", f"This line has more than {MAX_LINE_BYTES:,} bytes.") from None
        raise _what_is_wrong(content, str(error)) from None
    if not 0 < len(asked.custom_id) <= MAX_CUSTOM_ID:
        message = f"custom_id should have 1 to {MAX_CUSTOM_ID} characters."
        raise WrongLineError("invalid_custom_id", message, "custom_id")
    if not asked.method or not asked.url:
        name = "url" if asked.method else "method"
        raise WrongLineError("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    if asked.method.upper() != "POST":
        raise WrongLineError("invalid_method", f"method should be POST, not {asked.method[:20]!r}.", "method")
    if asked.url != endpoint:
        message = f"The URL of this request, {asked.url[:100]!r}, is not the batch's endpoint, {endpoint!r}."
        raise WrongLineError("url_mismatch", message, "url")
    if not bytes(asked.body).startswith(b"{"):
        raise WrongLineError("invalid_body", "body should be an object: the request as it would be sent.", "body")
    return asked


def _what_is_wrong(content: bytes, why: str) -> WrongLineError:
    try:
        content.decode()
        keys = _KEYS.decode(content)
    except msgspec.ValidationError:
        return WrongLineError("invalid_request", "A line should be an object: custom_id, method, url and body.")
    except UnicodeDecodeError:
        return WrongLineError("invalid_json_line", "This line is not parseable as valid JSON: it is not UTF-8.")
    except (msgspec.DecodeError, RecursionError):
        mark = " It begins with a byte order mark, which JSON does not have." * content.startswith(BOM_UTF8)
        return WrongLineError("invalid_json_line", f"This line is not parseable as valid JSON.{mark}")
    for name in ("custom_id", "body"):
        if name not in keys:
            return WrongLineError("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    return WrongLineError("invalid_request", f"This line is no request: {why}.")


def digest(custom_id: str) -> bytes:
    """Return what stands for a custom id where many are compared: 16 bytes."""
    return hashlib.blake2b(custom_id.encode(), digest_size=16).digest()


def validate(path: Path, endpoint: str, most: int, scratch: Path) -> Validated:
    """Look through an input file; ``scratch`` is a file that holds the ids that were seen, and is deleted."""
    scratch.unlink(missing_ok=True)
    try:
        with path.open("rb") as file, closing(sqlite3.connect(scratch, isolation_level=None)) as seen:
            for statement in ("journal_mode=OFF", "synchronous=OFF", f"cache_size={_SEEN_PAGES}"):
                seen.execute(f"PRAGMA {statement}")
            seen.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
            seen.execute("BEGIN")
            return _look_through(file, endpoint, most, seen)
    finally:
        scratch.unlink(missing_ok=True)


def _look_through(file: BinaryIO, endpoint: str, most: int, seen: sqlite3.Connection) -> Validated:
    total, errors = 0, list[Error]()
    for line, content in read_lines(file, Line(1, 0, 0)):
        total += 1
        if total > most:
            message = f"A batch may have {most:,} requests, and this file has more."
            return Validated(total, [{"code": "too_many_tasks", "message": message, "line": None, "param": None}])
        try:
            _note(read_line(content, endpoint).custom_id, seen)
        except WrongLineError as error:
            errors.append({"code": error.code, "message": str(error), "line": line.number, "param": error.param})
            if len(errors) == MAX_ERRORS:
                break
    if not total:
        errors.append({"code": "empty_file", "message": "The file has no requests.", "line": None, "param": None})
    return Validated(total, errors)


def _note(custom_id: str, seen: sqlite3.Connection) -> None:
    if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest(custom_id),)).rowcount:
        message = f"The custom_id {custom_id[:100]!r} stands at another request of this batch too."
        raise WrongLineError("duplicate_custom_id", message, "custom_id")
