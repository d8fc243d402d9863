"""What the error of a target says, whatever its shape: words for programs, a message, when to ask again."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_RETRY_AFTER_S: Final = 86_400.0
"""Whatever a target asks for beyond a day counts as a day."""

_READ_BYTES: Final = 64 * 1024
"""Larger bodies are told by their status alone."""

_READ_CHARACTERS: Final = 4096
"""Of a message; what tells the kind stands near its beginning."""

_WORD_FIELDS: Final = ("code", "type", "status", "error_type", "error_code", "reason", "__type")
_STATUS_FIELDS: Final = ("code", "status", "status_code", "http_status_code")
_INNER_FIELDS: Final = ("innererror", "details", "metadata")
_MESSAGE_FIELDS: Final = ("message", "error", "detail", "msg")


class SaidError:
    """What was found in a body."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        """Of the fields for programs, in lower case."""

        self.message = ""
        """Its beginning, in lower case."""

        self.status = 0
        """What it says its status is, where it comes within a stream; 0: nothing."""

        self.delay = ""
        """Google's ``retryDelay``: https://cloud.google.com/apis/design/errors"""


def read_error(body: bytes) -> SaidError:
    """Return the words and the message of an error, whatever its shape; nothing of what is no JSON."""
    read = SaidError()
    if not body or len(body) > _READ_BYTES:
        return read
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return read
    for item in _objects(found):
        _take(item, read)
    return read


def _objects(found: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that speak of the error: the outermost, what it calls the error, and that one's details."""
    outer = found[0] if isinstance(found, list) and found else found  # Gemini's OpenAI-like endpoint sends a list
    if not isinstance(outer, dict):
        return
    failed = outer.get("response")
    if isinstance(failed, dict):  # the Responses API's response.failed
        outer = failed
    error = outer.get("error")
    inner = error if isinstance(error, dict) else outer
    if inner is not outer:
        yield inner
    yield outer
    for name in _INNER_FIELDS:
        details = inner.get(name)
        for item in details[:8] if isinstance(details, list) else (details,):
            if isinstance(item, dict):
                yield item


def _take(item: dict[str, Any], read: SaidError) -> None:
    for name in _STATUS_FIELDS:
        value = item.get(name)
        if not read.status and type(value) is int and 400 <= value < 600:
            read.status = value
    for name in _WORD_FIELDS:
        value = item.get(name)
        if isinstance(value, str):
            read.words.add(value.rpartition("#")[2].lower())
    delay = item.get("retryDelay")
    if isinstance(delay, str):
        read.delay = delay
    texts = (item.get(name) for name in _MESSAGE_FIELDS)
    message = next((text for text in texts if isinstance(text, str)), "")
    if message and not read.message:
        read.message = message[:_READ_CHARACTERS].lower()
    raw = item.get("raw")  # OpenRouter: what its provider said, behind a message that says nothing
    if isinstance(raw, str):
        read.message += f" {raw[:_READ_CHARACTERS].lower()}"


_CLOCK: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?")
"""Durations as OpenAI writes them, ``6m0s`` or ``17ms``: https://platform.openai.com/docs/guides/rate-limits"""


def retry_after_s(headers: Mapping[bytes, bytes], read: SaidError, now_s: float) -> float | None:
    """Return when the target wants to be asked again, the most exact word first; None: it says nothing of it."""
    found = _number(headers.get(b"retry-after-ms"))
    if found is not None:
        return _bounded(found / 1000)
    if (value := headers.get(b"retry-after")) is not None:
        found = _number(value)
        found = _date_s(value, now_s) if found is None else found
    if found is None and read.delay:
        found = _duration_s(read.delay)
    if found is None:
        found = _reset_s(headers, now_s)
    return None if found is None else _bounded(found)


def _reset_s(headers: Mapping[bytes, bytes], now_s: float) -> float | None:
    """Return when a limit that is used up is renewed; the others say nothing about this refusal."""
    found: list[float] = []
    for what in (b"-requests", b"-tokens", b""):
        value = headers.get(b"x-ratelimit-reset" + what)
        if value is None or (_number(headers.get(b"x-ratelimit-remaining" + what)) or 0.0) > 0.0:
            continue
        number = _number(value)
        if number is None:
            number = _duration_s(value.decode("latin-1"))
        elif number > 1e11:  # a time of day in milliseconds, as OpenRouter's
            number = number / 1000 - now_s
        elif number > 1e9:
            number -= now_s
        if number is not None:
            found.append(number)
    return max(found, default=None)


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and isfinite(number) else None


def _duration_s(text: str) -> float | None:
    match = _CLOCK.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _date_s(value: bytes, now_s: float) -> float | None:
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
