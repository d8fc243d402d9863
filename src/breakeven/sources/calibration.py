"""Calibrations as files: what ``breakeven bench --save`` writes, and ``simulate``, ``capacity`` and ``plan`` read."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from math import isfinite
from typing import TYPE_CHECKING, Final

from breakeven.capacity.calibration import Calibration, Level, Times
from breakeven.errors import InputError, Problem
from breakeven.sources.yaml_file import check, need_mapping, read_yaml, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.sources.yaml_file import Document

VERSION: Final = 1
MOST_LEVELS: Final = 1000
_WHAT: Final = "a calibration is what `breakeven bench --save` writes: hardware, model, engine, as_of and levels"


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write it as JSON, which is YAML too.  Raises ``InputError`` when the file cannot be written."""
    data = {"version": VERSION, **asdict(calibration), "as_of": calibration.as_of.isoformat()}
    try:
        path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"The calibration cannot be written to {path}: {why}.") from error


def read_calibration(path: Path) -> Calibration:
    """Read one back.  Raises ``InputError`` with every problem, its line and key."""
    document = read_yaml(path)
    need_mapping(document, _WHAT)
    version = document.data.get("version")
    if version != VERSION:
        raise InputError(f"{document.name} says version {version!r:.40}, and this program reads {VERSION}: {_WHAT}.")
    found = check(document, Calibration)
    if not 1 <= len(found.levels) <= MOST_LEVELS:
        raise InputError(f"{document.name} has {len(found.levels):,} levels; 1 to {MOST_LEVELS:,} are expected.")
    problems = [problem for index, level in enumerate(found.levels) for problem in _problems(document, index, level)]
    if found.gpus < 1:
        problems.append(Problem(where=document.where(("gpus",)), what=f"{found.gpus} is not 1 or more."))
    if problems:
        raise refusal(document, problems)
    return found


_POSITIVE: Final = ("concurrency_count", "window_s", "requests", "osl_tokens", "requests_per_s", "output_tokens_per_s")
_LEAST: Final = 1e-12
"""Of what is above 0."""


def _problems(document: Document, index: int, level: Level) -> list[Problem]:
    """Return every number that none can be."""
    found = []
    for item in fields(level):
        value = getattr(level, item.name)
        place = ("levels", index, item.name)
        if isinstance(value, Times):
            times = [(name, number) for name, number in asdict(value).items() if not (isfinite(number) and number >= 0)]
            found += [_problem(document, (*place, name), number) for name, number in times]
        elif isinstance(value, int | float) and not (isfinite(value) and value >= (item.name in _POSITIVE) * _LEAST):
            found.append(_problem(document, place, value))
    return found


def _problem(document: Document, place: tuple[str | int, ...], value: float) -> Problem:
    return Problem(where=document.where(place), what=f"{value:g} cannot have been measured.")
