"""How alike two answers to one request are: equal, equal as JSON, field by field, and how long.

Alike is not right: two models may be right in other words, and wrong in the same.  Nothing here asks a model.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from math import isclose
from typing import Any, Final

import msgspec

MOST_FIELDS_COUNT: Final = 2000
"""Fields that are compared; an answer with more is not compared by fields."""

_MOST_DEPTH: Final = 24
_MISSING: Final = object()
_FENCED: Final = re.compile(r"\A```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(Any).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldScore:
    """How many fields of two JSON answers are equal, and the paths of those that are not, the first 20."""

    equal_count: int
    fields_count: int
    differing: tuple[str, ...]

    @property
    def equal_fraction(self) -> float:
        """Share of the fields that are equal; 1 where there is no field, for then both are empty."""
        return self.equal_count / self.fields_count if self.fields_count else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """All that tells how alike two answers are."""

    exact: bool
    """Equal but for blanks around them."""

    normal: bool
    """Equal but for case, blanks and the forms of letters."""

    json_equal: bool | None
    """Equal as JSON, whatever the order of keys; None where neither is JSON, False where one is."""

    fields: FieldScore | None
    """None unless both are JSON objects or arrays."""

    length_ratio: float | None
    """Characters of the candidate's answer over the incumbent's; None where the incumbent's is empty."""


def likeness(incumbent: str, candidate: str, *, schema: dict[str, Any] | None = None) -> Likeness:
    """Return how alike two answers are; ``schema``: the JSON Schema that the request asked for."""
    one, other = incumbent.strip(), candidate.strip()
    return Likeness(
        exact=one == other,
        normal=normal_text(one) == normal_text(other),
        json_equal=json_same(one, other),
        fields=field_score(one, other, schema=schema),
        length_ratio=len(other) / len(one) if one else None,
    )


def normal_text(text: str) -> str:
    """Return a text without what seldom matters: case, runs of blanks, the forms of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def json_same(one: str, other: str) -> bool | None:
    """Whether two texts are the same JSON object or array; None where neither is one.

    A fence of Markdown around it is taken off.  1 and 1.0 are equal, 1 and true are not.
    """
    first, second = _json(one), _json(other)
    if first is _MISSING and second is _MISSING:
        return None
    return first is not _MISSING and second is not _MISSING and _same(first, second)


def field_score(
    one: str, other: str, *, schema: dict[str, Any] | None = None, tolerance_ratio: float = 0.0
) -> FieldScore | None:
    """Return how many leaves of two JSON answers are equal; None unless both are objects or arrays.

    With a schema, only what its ``properties`` name counts where they name anything, and an array that it calls
    ``uniqueItems`` is compared without its order.  Texts are compared by ``normal_text``, but as they are where the
    schema gives an ``enum``, ``const``, ``pattern`` or ``format``.  Numbers may differ by ``tolerance_ratio`` of the
    larger.  A leaf that one side lacks differs.
    """
    first, second = _json(one), _json(other)
    if first is _MISSING or second is _MISSING:
        return None
    comparison = _Fields(schema or {}, tolerance_ratio)
    try:
        comparison.compare(first, second, schema or {}, "", 0)
    except _TooMuchError:
        return None
    return FieldScore(
        equal_count=comparison.equal, fields_count=comparison.total, differing=tuple(comparison.differing[:_MOST_SHOWN])
    )


_MOST_SHOWN: Final = 20


class _TooMuchError(Exception):
    """More fields, or deeper ones, than are compared."""


class _Fields:
    """Walks two values at once and counts their leaves."""

    def __init__(self, root: dict[str, Any], tolerance_ratio: float) -> None:
        self._root = root
        self._tolerance_ratio = tolerance_ratio
        self.equal = 0
        self.total = 0
        self.differing: list[str] = []

    def compare(self, one: Any, other: Any, schema: Any, path: str, depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise _TooMuchError
        found = self._resolved(schema)
        if isinstance(one, dict) and isinstance(other, dict):
            self._objects(one, other, found, path, depth)
        elif isinstance(one, list) and isinstance(other, list):
            self._arrays(one, other, found, path, depth)
        else:
            self._leaves(one, other, found, path)

    def _objects(
        self, one: dict[str, Any], other: dict[str, Any], schema: dict[str, Any], path: str, depth: int
    ) -> None:
        named = schema.get("properties")
        named = named if isinstance(named, dict) else {}
        for name in named or sorted(one.keys() | other.keys()):
            if name in one or name in other:
                ours, theirs = one.get(name, _MISSING), other.get(name, _MISSING)
                self.compare(ours, theirs, named.get(name), f"{path}.{name}" if path else name, depth + 1)

    def _arrays(self, one: list[Any], other: list[Any], schema: dict[str, Any], path: str, depth: int) -> None:
        inner = schema.get("items")
        if schema.get("uniqueItems") is True:
            self._count(equal=_same(_ordered(one), _ordered(other)), path=path)
            return
        for index in range(max(len(one), len(other))):
            ours = one[index] if index < len(one) else _MISSING
            theirs = other[index] if index < len(other) else _MISSING
            self.compare(ours, theirs, inner, f"{path}[{index}]", depth + 1)

    def _leaves(self, one: Any, other: Any, schema: dict[str, Any], path: str) -> None:
        if one is _MISSING or other is _MISSING:
            self._count(equal=False, path=path)
        elif isinstance(one, str) and isinstance(other, str):
            strict = not schema.keys().isdisjoint(("enum", "const", "pattern", "format"))
            self._count(equal=one == other if strict else normal_text(one) == normal_text(other), path=path)
        elif _is_number(one) and _is_number(other):
            self._count(equal=one == other or isclose(one, other, rel_tol=self._tolerance_ratio), path=path)
        else:
            self._count(equal=_same(one, other), path=path)

    def _count(self, *, equal: bool, path: str) -> None:
        self.total += 1
        self.equal += equal
        if self.total > MOST_FIELDS_COUNT:
            raise _TooMuchError
        if not equal and len(self.differing) < _MOST_SHOWN:
            self.differing.append(path or "the whole")

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Return a part of the schema with a local reference followed, once; empty for anything unknown."""
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        part: Any = self._root
        for name in reference[2:].split("/"):
            part = part.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(part, dict) else None
        return part if isinstance(part, dict) else {}


def _json(text: str) -> Any:
    """Return the object or array that a text is; ``_MISSING`` where it is none."""
    bare = text.strip()
    fenced = _FENCED.match(bare)
    try:
        value = _decode(fenced[1] if fenced else bare)
    except _UNREADABLE:
        return _MISSING
    return value if isinstance(value, dict | list) else _MISSING


def _same(one: Any, other: Any) -> bool:
    """Whether two decoded values are equal, with true and 1 told apart."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _ordered(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: msgspec.json.encode(value, order="sorted"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
