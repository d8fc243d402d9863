"""Which keys a type allows at a place in a file: for naming the key that was meant.

Understands what the files are checked against: pydantic models and dataclasses, inside lists, tuples,
mappings, unions and annotations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str | int, ...]


def keys_at(kind: object, place: Place) -> frozenset[str]:
    """Return the keys that ``kind`` allows at a place; none where any key is allowed, or no mapping."""
    kinds = _alternatives(kind)
    for part in place:
        kinds = tuple(found for item in kinds for found in _inside(item, part))
    return frozenset(key for item in kinds for key in _keys(item) or ())


def unknown_keys(data: Any, kind: object, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every key in ``data`` that ``kind`` has no field for."""
    if isinstance(data, Mapping):
        allowed = _allowed(kind)
        for key, value in data.items():
            if allowed is not None and key not in allowed:
                yield (*place, key)
            else:
                yield from _unknown_below(value, kind, (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _unknown_below(value, kind, (*place, index))


def _unknown_below(value: Any, kind: object, place: Place) -> Iterator[Place]:
    for item in _alternatives(kind):
        for found in _inside(item, place[-1]):
            yield from unknown_keys(value, found, place)


@cache
def _allowed(kind: object) -> frozenset[str] | None:
    """Return the only keys that ``kind`` allows; None where it does not limit them."""
    found = [_keys(item) for item in _alternatives(kind)]
    limited = [keys for keys in found if keys is not None]
    return frozenset().union(*limited) if limited else None


@cache
def _alternatives(kind: object) -> tuple[object, ...]:
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(found for item in get_args(kind) for found in _alternatives(item))
    return (kind,)


@cache
def _keys(kind: object) -> frozenset[str] | None:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return frozenset(kind.model_fields)
    if isinstance(kind, type) and is_dataclass(kind):
        return frozenset(item.name for item in fields(kind))
    return None


def _inside(kind: object, part: str | int) -> tuple[object, ...]:
    """Return the types that a key or an index of ``kind`` may hold."""
    if isinstance(part, int):
        return _items(kind)
    return _values(kind, str(part))


@cache
def _items(kind: object) -> tuple[object, ...]:
    origin, arguments = get_origin(kind), get_args(kind)
    is_list = isinstance(origin, type) and issubclass(origin, Sequence)
    return _alternatives(arguments[0]) if is_list and arguments else ()


@cache
def _values(kind: object, key: str) -> tuple[object, ...]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(key)
        annotation: Any = field.annotation if field else None
        return _alternatives(annotation) if field else ()
    if isinstance(kind, type) and is_dataclass(kind):
        hint = get_type_hints(kind, include_extras=True).get(key)
        return _alternatives(hint) if hint is not None else ()
    origin, arguments = get_origin(kind), get_args(kind)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return _alternatives(arguments[-1]) if is_mapping and arguments else ()
