"""What can still be read of an answer that is not as it should be: the slow twin of the strict decoders.

It never raises, whatever the bytes, and gives the same values as the strict decoders wherever those succeed.  It is
more lenient than JSON: bytes that are no UTF-8, raw control characters and halves of surrogate pairs are let pass
(servers that cut a character between two events send such).  It guesses nothing: a count that is no whole number is
left out, and said to be.
"""

from __future__ import annotations

import functools
import json
import re
import typing
from collections import deque
from typing import Any, Final, TypeVar

import msgspec

from breakeven.metering.wire import UNREADABLE, Anything

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

S = TypeVar("S", bound=msgspec.Struct)

# Inside a JSON text these quotes would be escaped, so it is a key wherever it stands.
_KEYS: Final = re.compile(r'(?<!\\)"(usage|service_tier)"\s*:\s*(?=[{"])')
_MOST_KEYS: Final = 8
"""Of the last keys so many are tried, or a body of nothing else would take minutes."""

_DECODER: Final = json.JSONDecoder(strict=False)


def salvage(data: bytes, kind: type[S]) -> tuple[S, bool] | None:
    """Return what can be read of any bytes as ``kind``; None where they are no JSON object.

    The second value is whether a count was there and could not be read.
    """
    try:
        found = json.loads(data.decode("utf-8", "surrogateescape"), strict=False)
        return _fit(found, kind) if isinstance(found, dict) else None
    except UNREADABLE:
        return None


def salvage_fragment(data: bytes, kind: type[S]) -> tuple[S, bool]:
    """Return the last usage and service tier in a part of an answer: one that was cut, or whose middle was not kept."""
    text = data.decode("utf-8", "surrogateescape")
    found: dict[str, Any] = {}
    for key in deque(_KEYS.finditer(text), maxlen=_MOST_KEYS):
        try:
            found[key[1]] = _DECODER.raw_decode(text, key.end())[0]
        except UNREADABLE:
            continue
    try:
        return _fit(found, kind)
    except UNREADABLE:
        return kind(), False


def _fit(found: Mapping[str, Any], kind: type[S]) -> tuple[S, bool]:
    """Make a struct of what fits into it."""
    values: dict[str, Any] = {}
    doubtful = False
    for name, fit in _fields(kind):
        values[name], field_doubtful = fit(found.get(name))
        doubtful |= field_doubtful
    return kind(**values), doubtful


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, Callable[[Any], tuple[Any, bool]]]]:
    """Each field's name, and what makes its value, and the doubt in that, of anything."""
    fits: list[tuple[str, Callable[[Any], tuple[Any, bool]]]] = []
    for name, hint in typing.get_type_hints(kind).items():
        inner = next((item for item in typing.get_args(hint) if item is not type(None)), hint)
        if typing.get_origin(inner) is list:
            fits.append((name, functools.partial(_list, typing.get_args(inner)[0])))
        elif inner is Anything:
            fits.append((name, _anything))
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            fits.append((name, functools.partial(_struct, inner, told=name == "usage")))
        else:
            fits.append((name, _FITS[inner]))
    return fits


def _struct(kind: type[msgspec.Struct], found: object, *, told: bool) -> tuple[Any, bool]:
    return _fit(found, kind) if isinstance(found, dict) else (None, told and found is not None)


def _list(kind: type[msgspec.Struct], found: object) -> tuple[list[Any] | None, bool]:
    if not isinstance(found, list):
        return None, False
    items = [_fit(item if isinstance(item, dict) else {}, kind) for item in found]
    return [item for item, _ in items], any(doubtful for _, doubtful in items)


def _anything(found: object) -> tuple[Anything | None, bool]:
    return (Anything() if found or isinstance(found, dict) else None), False


def _text(found: object) -> tuple[str | None, bool]:
    return _text_of(found), False


def _text_of(found: object) -> str | None:
    """Text, or the text in parts: Mistral's reasoning models send content as a list of text and thinking parts.

    https://docs.mistral.ai/capabilities/reasoning
    """
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        return "".join(_text_of(part) or "" for part in found)
    if isinstance(found, dict):
        return "".join(_text_of(found.get(key)) or "" for key in ("text", "thinking"))
    return None


def _count(found: object) -> tuple[int | None, bool]:
    """Return a whole number (12.0 is one, true is none), and whether something else stood in the place of one."""
    if isinstance(found, int | float) and not isinstance(found, bool) and found == found // 1:
        return int(found), False
    return None, found is not None


def _raw(found: object) -> tuple[Any, bool]:
    return found, False


_FITS: Final[dict[Any, Callable[[Any], tuple[Any, bool]]]] = {str: _text, int: _count, Any: _raw}
