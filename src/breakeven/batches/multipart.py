"""Reads a body of ``multipart/form-data`` piece by piece, in bounded memory: https://www.rfc-editor.org/rfc/rfc7578.

Protocol alone: bytes in, fields and pieces of the file out.  It reads what OpenAI's clients send: some short fields and
one file, in any order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD_BYTES: Final = 8 * 1024
MAX_FIELD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 32
_PREAMBLE, _HEAD, _FIELD, _FILE, _END = range(5)
_BOUNDARY: Final = re.compile(r'(?i)multipart/form-data\b.*?;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))')
_NAME: Final = re.compile(r'(?i)[;\s]name="((?:[^"\\]|\\.)*)"')
_FILENAME: Final = re.compile(r'(?i)[;\s]filename="((?:[^"\\]|\\.)*)"')
_WIDE_FILENAME: Final = re.compile(r"(?i)[;\s]filename\*=utf-8''([^;\s]+)")


class MultipartError(Exception):
    """The body is not what it should be; ``str()`` says why."""


class MultipartReader:
    """One body."""

    def __init__(self, content_type: str, take: Callable[[bytes], None]) -> None:
        """Take the header that names the boundary; ``take`` gets the file's bytes as they come.

        Raises ``MultipartError``.
        """
        found = _BOUNDARY.match(content_type)
        if found is None:
            raise MultipartError("the content type should be multipart/form-data with a boundary")
        self._take = take
        self._mark = b"\r\n--" + (found[1] or found[2]).encode()
        self._rest = b"\r\n"  # so that the first boundary looks like the others
        self._phase = _PREAMBLE
        self._field = ""
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """Of the part named ``file``; None as long as there is none."""

    @property
    def whole(self) -> bool:
        """Whether the last boundary has come."""
        return self._phase == _END

    def feed(self, data: bytes) -> None:
        """Take the next bytes.  Raises ``MultipartError``."""
        self._rest += data
        while self._phase != _END and self._step():
            continue

    def _step(self) -> bool:
        """Do what the bytes at hand allow; return whether there may be more to do."""
        return self._read_head() if self._phase == _HEAD else self._read_content()

    def _read_content(self) -> bool:
        at = self._rest.find(self._mark)
        if at < 0:
            kept = len(self._mark) - 1
            self._put(self._rest[:-kept] if kept else self._rest, last=False)
            self._rest = self._rest[-kept:]
            return False
        after = at + len(self._mark)
        if len(self._rest) < after + 2:
            self._put(self._rest[:at], last=False)
            self._rest = self._rest[at:]
            return False
        self._put(self._rest[:at], last=True)
        ends = self._rest[after : after + 2] == b"--"
        self._rest = b"" if ends else self._rest[after:]
        self._phase = _END if ends else _HEAD
        return not ends

    def _read_head(self) -> bool:
        at = self._rest.find(b"\r\n\r\n")
        if max(at, 0 if at >= 0 else len(self._rest)) > MAX_HEAD_BYTES:
            raise MultipartError(f"a part's head has more than {MAX_HEAD_BYTES:,} bytes")
        if at < 0:
            return False
        head, self._rest = self._rest[:at].decode("utf-8", "replace"), b"\r\n" + self._rest[at + 4 :]
        self._begin(head)
        return True

    def _begin(self, head: str) -> None:
        line = next((item for item in head.split("\r\n") if item.lower().startswith("content-disposition:")), "")
        name = _NAME.search(line)
        if name is None:
            raise MultipartError("a part has no name")
        self._field = name[1]
        self._skips = 2  # the line end that was put before the content, so that an empty one ends like any other
        if self._field == "file":
            if self.filename is not None:
                raise MultipartError("there are two files, and one is expected")
            wide, plain = _WIDE_FILENAME.search(line), _FILENAME.search(line)
            self.filename = unquote(wide[1]) if wide else (plain[1] if plain else "upload")
            self._phase = _FILE
        else:
            if len(self.fields) == MAX_FIELDS:
                raise MultipartError(f"there are more than {MAX_FIELDS} fields")
            self.fields[self._field] = ""
            self._content = b""
            self._phase = _FIELD

    def _put(self, content: bytes, *, last: bool) -> None:
        if self._phase == _PREAMBLE or not (content or last):
            return
        skipped = min(self._skips, len(content))
        self._skips -= skipped
        content = content[skipped:]
        if self._phase == _FILE:
            if content:
                self._take(content)
            return
        self._content += content
        if len(self._content) > MAX_FIELD_BYTES:
            raise MultipartError(f"the field {self._field!r} has more than {MAX_FIELD_BYTES:,} bytes")
        if last:
            self.fields[self._field] = self._content.decode("utf-8", "replace")
