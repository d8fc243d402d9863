"""JSON that is not one object a line: an array, or objects that span lines, read value by value.

Only the value at hand is in memory, so that the size of a value is bounded and that of a file is not.
What the values mean is the readers' part; lines of JSON, CSV and Parquet are split by ``entries``.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TextIO

LONGEST_VALUE: Final = 64_000_000
"""Characters of one value (of an array's element, not of the array): more is no record of a request."""

_CHUNK: Final = 1_000_000
_SPACE: Final = " \t\r\n"
_BEHIND_NUMBER: Final = _SPACE + ",]"
_LONGEST_LITERAL: Final = 16
_LITERAL: Final = re.compile(r"[-+.\w]*\s*")

DECODER: Final = json.JSONDecoder(parse_constant=str)
"""NaN and the infinities, which are no JSON, stay words, and are told as what is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value of the file, and its place: the line (from 1), with the index in an array (from 0): ``17 [3]``."""

    place: str
    content: Any


def open_text(path: Path, *, gzipped: bool) -> AbstractContextManager[TextIO]:
    """Open a file's text, unpacked; what is not UTF-8 below its head is replaced."""
    if gzipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def is_cut(error: Exception) -> bool:
    """Whether a text may be bad JSON only because it stops too early."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    begun = error.doc[error.pos : error.pos + _LONGEST_LITERAL]
    whole = len(error.doc) - error.pos < _LONGEST_LITERAL
    return error.msg.startswith("Unterminated string") or (whole and bool(_LITERAL.fullmatch(begun)))


def spans_lines(text: str) -> bool:
    """Whether a text that begins with a brace is objects written over several lines, rather than one a line."""
    try:
        _, end = DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        return is_cut(error) and "\n" in text.rstrip()
    return "\n" in text[:end]


def read_values(name: str, stream: TextIO) -> Iterator[Value]:
    """Yield the elements of an array, or the values that follow one another; raises ``InputError`` at damage."""
    window = _Window(name, stream)
    if window.next_character() != "[":
        while window.next_character():
            yield Value(place=str(window.line), content=window.take(None))
        return
    window.advance(window.position + 1)
    index = 0
    while (character := window.next_character()) != "]":
        if index:
            window.expect(character, ",", index)
            window.advance(window.position + 1)
            window.next_character()
        yield Value(place=f"{window.line} [{index}]", content=window.take(index))
        index += 1
    window.advance(window.position + 1)
    if window.next_character():
        raise InputError(
            f"{name}:{window.line}: something follows the end of the JSON array. Two exports may have been joined; "
            "save each in a file of its own."
        )


class _Window:
    """The part of the text in memory, and how far it has been read."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self.stream = stream
        self.text = ""
        self.position = 0
        self.line = 1
        self.ended = False

    def advance(self, position: int) -> None:
        """Go to a position of the text in memory."""
        self.line += self.text.count("\n", self.position, position)
        self.position = position

    def next_character(self) -> str:
        """Go to the next character that is no white space; empty at the file's end."""
        while True:
            end = len(self.text)
            position = self.position
            while position < end and self.text[position] in _SPACE:
                position += 1
            self.advance(position)
            if position < end:
                return self.text[position]
            if not self._read_on():
                return ""

    def take(self, index: int | None) -> Any:
        """Decode the value that begins here."""
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.position)
            except (ValueError, RecursionError) as error:
                if not is_cut(error):
                    raise self._broken(index, getattr(error, "msg", str(error))) from error
                if not self._read_on():
                    raise self._cut(index) from error
            else:
                length = end - self.position  # reading on moves the position
                if self._is_whole(value, end) or not self._read_on():
                    self.advance(self.position + length)
                    return value

    def expect(self, character: str, wanted: str, index: int) -> None:
        """Raise where the file ends or goes on with another character than the one wanted."""
        if not character:
            raise self._cut(index)
        if character != wanted:
            raise self._broken(index, f"{wanted!r} is missing before it")

    def _is_whole(self, value: Any, end: int) -> bool:
        """Whether a value that ends there cannot go on: of ``12.5`` the beginnings ``12`` and ``12.`` read as 12."""
        closed = isinstance(value, dict | list | str)
        return end < len(self.text) and (closed or self.text[end] in _BEHIND_NUMBER)

    def _read_on(self) -> bool:
        """Read about as much again as is held; false at the end."""
        held = self.text[self.position :]
        if len(held) > LONGEST_VALUE:
            raise InputError(
                f"{self.name}:{self.line}: one JSON value has more than {LONGEST_VALUE:,} characters, and values are "
                "read one at a time. Export in parts, or write one record a line (JSON lines)."
            )
        part = "" if self.ended else self.stream.read(max(_CHUNK, len(held)))
        self.ended = not part
        self.text, self.position = held + part, 0
        return not self.ended

    def _cut(self, index: int | None) -> InputError:
        return InputError(
            f"{self.name}: the file ends inside {self._where(index)}; it was cut off, and nobody knows how much is "
            "missing. Export or copy it anew."
        )

    def _broken(self, index: int | None, reason: str) -> InputError:
        return InputError(
            f"{self.name}: {self._where(index)} is not JSON ({reason}), and what follows cannot be told apart. "
            "Correct it, or export anew."
        )

    def _where(self, index: int | None) -> str:
        return f"the value of line {self.line}" if index is None else f"entry [{index}] of line {self.line}"
