"""Task tables as YAML that a person may read and correct, and classifiers of tasks as MessagePack: never as code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import yaml
from pydantic import Field

from breakeven.errors import InputError
from breakeven.routing.task_table import TaskRow, TaskTable
from breakeven.sources.written import IsNumber, Strict
from breakeven.sources.yaml_file import check, need_mapping, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from breakeven.routing.task_classifier import Classifier

VERSION: Final = 1
MAX_MODEL_BYTES: Final = 64_000_000
"""A classifier of 200 tasks and 20,000 terms has 16 MB."""

_TABLE_WHAT: Final = "a task table is what `breakeven route table` writes: weak, strong, margin and tasks"
_FORMAT: Final = "breakeven-tasks-1"
_HEAD: Final = """\
# Which tasks the weak target may have, by `breakeven route table`.
# difference: mean score of weak less strong on the same prompts; lower_bound: its one-sided 95 % confidence bound
# (normal, with one pair added at either end, after Agresti and Min, 2005). A task is allowed where there are pairs
# enough and the lower bound is not below -margin. Any other task goes to the strong target.
"""

Difference = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False), IsNumber]


class TaskEntry(Strict):
    """What was measured of one task."""

    allowed: bool = Field(description="Whether the weak target may have it.")
    pairs: Annotated[int, Field(ge=0, le=10**12), IsNumber] = Field(0, description="Labelled pairs.")
    difference: Difference = Field(0.0, description="Mean score of weak less strong.")
    lower_bound: Difference = Field(-1.0, description="One-sided 95 % confidence bound of the difference.")


class TableFile(Strict):
    """A task table as it is written."""

    version: Literal[1]
    weak: Annotated[str, Field(min_length=1, max_length=256)]
    strong: Annotated[str, Field(min_length=1, max_length=256)]
    margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), IsNumber]
    source: str = ""
    made_on: str = ""
    tasks: dict[str, TaskEntry]


class _Model(msgspec.Struct):
    format: str
    tasks: tuple[str, ...]
    terms: tuple[str, ...]
    weights: bytes
    coefficients: bytes
    offsets: bytes
    trust: tuple[float, float]
    least_fraction: float
    known_fraction: float


def write_table(path: Path, table: TaskTable, *, source: str, on: date) -> None:
    """Write a task table.  Raises ``InputError`` when the file cannot be written."""
    data = {
        "version": VERSION,
        "weak": table.weak,
        "strong": table.strong,
        "margin": table.margin_fraction,
        "source": source,
        "made_on": on.isoformat(),
        "tasks": {
            row.task: {
                "allowed": row.allowed,
                "pairs": row.pairs_count,
                "difference": round(row.difference_fraction, 5),
                "lower_bound": round(row.low_fraction, 5),
            }
            for row in table.rows
            if row.task
        },
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    _write(path, lambda: path.write_text(_HEAD + text, encoding="utf-8"))


def read_table(path: Path) -> TaskTable:
    """Read a task table; raises ``InputError`` with every problem, its line and key."""
    document = read_yaml(path)
    need_mapping(document, _TABLE_WHAT)
    found = check(document, TableFile)
    rows = tuple(
        TaskRow(
            task=name,
            pairs_count=entry.pairs,
            difference_fraction=entry.difference,
            low_fraction=entry.lower_bound,
            allowed=entry.allowed,
        )
        for name, entry in found.tasks.items()
    )
    return TaskTable(weak=found.weak, strong=found.strong, margin_fraction=found.margin, rows=rows)


def write_classifier(path: Path, model: Classifier) -> None:
    """Write a classifier.  Raises ``InputError`` when the file cannot be written."""
    content = msgspec.msgpack.encode(
        _Model(
            format=_FORMAT,
            tasks=model.tasks,
            terms=model.terms,
            weights=model.weights.astype("<f4").tobytes(),
            coefficients=model.coefficients.astype("<f4").tobytes(),
            offsets=model.offsets.astype("<f4").tobytes(),
            trust=model.trust,
            least_fraction=model.least_fraction,
            known_fraction=model.known_fraction,
        )
    )
    _write(path, lambda: path.write_bytes(content))


def read_classifier(path: Path) -> Classifier:
    """Read a classifier; it needs numpy.  Raises ``InputError`` where the file is none."""
    import numpy as np  # noqa: PLC0415 - an extra, needed only where tasks are told by a classifier

    from breakeven.routing.task_classifier import Classifier  # noqa: PLC0415 - likewise

    try:
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES + 1)
        found = msgspec.msgpack.decode(content, type=_Model)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path} is no classifier of tasks: {error}. Make one with `breakeven route train`."
        ) from error
    sizes = [len(part) for part in (found.weights, found.coefficients, found.offsets)]
    expected = [4 * len(found.terms), 4 * len(found.terms) * len(found.tasks), 4 * len(found.tasks)]
    if found.format != _FORMAT or sizes != expected or not found.tasks:
        raise InputError(f"{path} is no classifier that this program reads. Make one with `breakeven route train`.")
    weights, coefficients, offsets = (
        np.frombuffer(part, dtype="<f4").astype(np.float32)
        for part in (found.weights, found.coefficients, found.offsets)
    )
    if not all(bool(np.isfinite(part).all()) for part in (weights, coefficients, offsets, np.array(found.trust))):
        raise InputError(f"{path} is a damaged classifier: some of its numbers are none. Train it anew.")
    return Classifier(
        tasks=found.tasks,
        terms=found.terms,
        weights=weights,
        coefficients=coefficients.reshape(len(found.terms), len(found.tasks)),
        offsets=offsets,
        trust=found.trust,
        least_fraction=found.least_fraction,
        known_fraction=found.known_fraction,
    )


def _write(path: Path, write: Callable[[], Any]) -> None:
    try:
        write()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be written: {why}. Name another file with --out.") from error
