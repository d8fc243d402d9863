"""YAML that remembers its lines, checked against a type: every problem at once, with file, line and key."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from breakeven.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
Path_ = tuple[str | int, ...]
MAX_YAML_BYTES = 8_000_000
"""Larger files are refused: a scenario is a page, and the largest catalogue file is under 400 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Parsed YAML, and the line on which each of its keys stands."""

    name: str
    data: Any
    lines: Mapping[Path_, int]

    def where(self, path: Path_) -> str:
        """Return ``file:line key.path`` for a problem at that place, or at the nearest known parent."""
        line = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)
        return f"{self.name}:{line} {'.'.join(str(part) for part in path)}".rstrip()


def read_yaml(path: Path) -> Document:
    """Read one document.  Raises ``InputError`` when it is missing, too large, or not YAML."""
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise InputError(f"{path} is larger than {MAX_YAML_BYTES:,} bytes: that is not a file of settings.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): it should be YAML.") from error
    return parse_yaml(text, path.name)


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` is what problems call it."""
    lines: dict[Path_, int] = {}
    problems: list[Problem] = []
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, problems, name)
        data = loader.construct_document(node) if node is not None else None  # type: ignore[no-untyped-call]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        why = getattr(error, "problem", None) or str(error)
        raise InputError(f"{where}: this is not valid YAML: {why}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: this is not valid YAML: {error}.") from error
    if problems:
        raise InputError(f"{name} has {len(problems)} problem(s):", tuple(problems))
    return Document(name=name, data=data, lines=lines)


def check(document: Document, kind: type[T]) -> T:
    """Validate the document as ``kind`` (a pydantic model, or a list of dataclasses)."""
    try:
        return TypeAdapter(kind).validate_python(document.data)
    except ValidationError as error:
        problems = tuple(_problem(document, item, kind) for item in error.errors(include_url=False))
        raise InputError(f"{document.name} has {len(problems)} problem(s):", problems) from error


def check_rows(document: Document, kind: type[T]) -> tuple[T, ...]:
    """Validate a list of mappings as frozen dataclasses; unknown keys are problems too."""
    if not isinstance(document.data, list):
        raise InputError(f"{document.name}: this should be a list of entries, one '- ' each.")
    known = {item.name for item in fields(kind)} if is_dataclass(kind) else set()
    unknown = [
        Problem(where=document.where((index, key)), what=f"unknown key {key!r}.", fix=_nearest(str(key), known))
        for index, row in enumerate(document.data)
        if isinstance(row, dict)
        for key in row
        if key not in known
    ]
    if unknown:
        raise InputError(f"{document.name} has {len(unknown)} problem(s):", tuple(unknown))
    return tuple(check(document, list[kind]))  # type: ignore[valid-type]


def _walk(
    node: yaml.Node, path: Path_, lines: dict[Path_, int], problems: list[Problem], name: str
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            text = str(key.value)
            if text in seen:
                where = f"{name}:{key.start_mark.line + 1}"
                problems.append(Problem(where=where, what=f"the key {text!r} stands twice; only one can hold."))
            seen.add(text)
            lines[(*path, text)] = key.start_mark.line + 1
            _walk(value, (*path, text), lines, problems, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, problems, name)


def _problem(document: Document, item: Any, kind: object) -> Problem:
    path: Path_ = tuple(part for part in item["loc"] if not str(part).startswith("function-"))
    given = item.get("input")
    if item["type"] == "extra_forbidden":
        return Problem(
            where=document.where(path),
            what=f"unknown key {path[-1]!r}.",
            fix=_nearest(str(path[-1]), _siblings(kind, path[:-1])),
        )
    if item["type"] == "missing":
        return Problem(where=document.where(path), what=f"the key {path[-1]!r} is missing.")
    shown = repr(given) if not isinstance(given, dict | list) else type(given).__name__
    message = item["msg"].removeprefix("Value error, ")
    return Problem(where=document.where(path), what=f"{message} (given: {shown[:120]}).")


def _siblings(kind: object, path: Path_) -> set[str]:
    """Return the keys allowed at ``path`` below a pydantic model, as far as they can be told."""
    for part in path:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or part not in kind.model_fields:
            return set()
        kind = kind.model_fields[str(part)].annotation
        kind = next((a for a in getattr(kind, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)), kind)
    return set(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else set()


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known here: {', '.join(known)}." if known else ""
