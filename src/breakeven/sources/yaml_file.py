"""YAML that remembers its lines, checked against a type: every problem at once, with file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from breakeven.errors import InputError, Problem
from breakeven.sources.plain_yaml import load
from breakeven.sources.shape import Place, keys_at, unknown_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
MAX_YAML_BYTES: Final = 1_000_000
"""Larger files are refused: a scenario is a page, and the largest catalogue file has 72 KB."""

MAX_PROBLEMS: Final = 100
"""So many are listed; a file with more is of another kind."""

_MOST_SHOWN = 120

MayShow = Callable[[Place, object], bool]
"""Whether the value that was given at a place may be repeated in a message."""


def _always(_place: Place, _value: object) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Parsed YAML, the line on which each of its keys stands, and the keys that stand twice."""

    name: str
    data: Any
    lines: Mapping[Place, int]
    problems: tuple[Problem, ...] = ()

    def where(self, path: Place) -> str:
        """Return ``file:line key.path`` for a problem at that place, or at the nearest known parent."""
        line = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)
        return f"{self.name}:{line} {'.'.join(_shown_key(part) for part in path)}".rstrip()


def read_yaml(path: Path) -> Document:
    """Read one document.  Raises ``InputError`` when it is missing, too large, or not YAML."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_YAML_BYTES + 1)
        if len(content) > MAX_YAML_BYTES:
            raise InputError(f"{path} is larger than {MAX_YAML_BYTES:,} bytes: that is not a file of settings.")
        return parse_yaml(content.decode("utf-8-sig"), path.name)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): it should be YAML.") from error
    except ValueError as error:  # a path that no file can have
        raise InputError(f"{str(path)!r} cannot be read: {error}.") from error


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` is what problems call it.  Raises ``InputError`` when it is not YAML."""
    lines: dict[Place, int] = {}
    problems: list[Problem] = []
    try:
        node, data = load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise InputError(f"{where}: this cannot be read as YAML: {why}.") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{name}: this is not text (character {error.start}).") from error
    if node is not None:
        _walk(node, (), lines, problems, name)
    return Document(name=name, data=data, lines=lines, problems=tuple(problems))


def need_mapping(document: Document, what: str) -> None:
    """Raise ``InputError`` when the document is empty or no mapping; ``what`` says what it should be."""
    if document.data is None:
        raise InputError(f"{document.name} is empty: {what}.")
    if not isinstance(document.data, dict):
        raise InputError(f"{document.name}: {what}.")


def check(document: Document, kind: type[T], may_show: MayShow = _always) -> T:
    """Validate the document as ``kind``.  Raises ``InputError`` with every problem, keys that stand twice too.

    A value is repeated in its problem only where ``may_show`` says so: others may be secrets.
    """
    value, problems = _validated(document, kind, may_show)
    if value is None or problems:
        raise refusal(document, problems)
    return value


def check_rows(document: Document, kind: type[T]) -> tuple[T, ...]:
    """Validate a list of mappings as frozen dataclasses; unknown keys are problems too, at any depth."""
    if not isinstance(document.data, list):
        raise InputError(f"{document.name}: this should be a list of entries, one '- ' each.")
    rows: Any = list[kind]  # type: ignore[valid-type]
    unknown = [_unknown(document, place, rows) for place in unknown_keys(document.data, rows)]
    value, problems = _validated(document, rows)
    if value is None or problems or unknown:
        raise refusal(document, [*unknown, *problems])
    return tuple(value)


def refusal(document: Document, problems: Sequence[Problem]) -> InputError:
    """Return the error that lists what was found in a document, up to ``MAX_PROBLEMS``."""
    count = f"{len(problems)} problem(s)"
    if len(problems) > MAX_PROBLEMS:
        count += f", of which {MAX_PROBLEMS} are listed"
    return InputError(f"{document.name} has {count}:", tuple(problems[:MAX_PROBLEMS]))


def _validated(document: Document, kind: type[T], may_show: MayShow = _always) -> tuple[T | None, list[Problem]]:
    """Return the value, or None, and every problem."""
    try:
        return TypeAdapter(kind).validate_python(document.data), list(document.problems)
    except ValidationError as error:
        found = [item for item in error.errors(include_url=False) if not _is_echo(item)]
        return None, [*document.problems, *(_problem(document, item, kind, may_show) for item in found)]


def _is_echo(item: Any) -> bool:
    """Whether it says that a list is too short of which only the wrong items are missing."""
    return bool(item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"])


def _walk(node: yaml.Node, path: Place, lines: dict[Place, int], problems: list[Problem], name: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            text, line = str(key.value), key.start_mark.line + 1
            if text in seen:
                what = f"the key {text[:_MOST_SHOWN]!r} stands twice (first in line {seen[text]}); only one can hold."
                where = f"{name}:{line} {'.'.join(_shown_key(part) for part in (*path, text))}"
                problems.append(Problem(where=where, what=what))
            seen.setdefault(text, line)
            lines[(*path, text)] = line
            _walk(value, (*path, text), lines, problems, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, problems, name)


_SAID: Final = {
    "tuple_type": "this should be a list, one '- ' each",
    "list_type": "this should be a list, one '- ' each",
    "model_type": "this should be a mapping of keys to values",
    "model_attributes_type": "this should be a mapping of keys to values",
    "dataclass_type": "this should be a mapping of keys to values",
    "dict_type": "this should be a mapping of keys to values",
    "too_short": "this list is empty",
    "string_too_short": "this text is empty",
    "invalid_key": "a key should be text",
    "finite_number": "this should be a finite number",
}


def _problem(document: Document, item: Any, kind: object, may_show: MayShow) -> Problem:
    path: Place = item["loc"]
    given = item.get("input")
    if item["type"] == "extra_forbidden":
        return _unknown(document, path, kind)
    if item["type"] in ("missing", "missing_argument"):
        return Problem(where=document.where(path), what=f"the key {path[-1]!r} is missing.")
    message = _SAID.get(item["type"]) or item["msg"].removeprefix("Value error, ")
    if isinstance(given, dict | list) or not may_show(path, given):
        return Problem(where=document.where(path), what=f"{message}.")
    return Problem(where=document.where(path), what=f"{message} (given: {repr(given)[:_MOST_SHOWN]}).")


def _unknown(document: Document, path: Place, kind: object) -> Problem:
    fix = _nearest(str(path[-1]), keys_at(kind, path[:-1]))
    return Problem(where=document.where(path), what=f"unknown key {str(path[-1])[:_MOST_SHOWN]!r}.", fix=fix)


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name[:_MOST_SHOWN], known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known here: {', '.join(known)}." if known else ""


def _shown_key(part: str | int) -> str:
    text = str(part)[:_MOST_SHOWN]
    return text if text.isprintable() else repr(text)[1:-1]
