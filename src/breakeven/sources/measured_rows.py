"""Reads tables of measurements, in the columns of published ones, and says of each row what was measured.

Rows are kept as they came, cell by cell; what cannot be read of one is told in its ``problem``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

from breakeven.catalog.names import engine_of, gpu_of, model_index, precision_of, size_of, squashed, typical
from breakeven.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Gpu
    from breakeven.catalog.models import Architecture
    from breakeven.catalog.roofline import Roofline

COLUMNS: Final = (
    "model", "gpu", "n_gpus", "precision", "engine+version", "isl", "osl", "concurrency_or_batch",
)  # fmt: skip
"""What a table must have; ``params`` and ``notes`` help where they are there, and all others are passed on."""

MEASURED: Final = {"throughput": "output_tok_s_total", "ttft": "ttft_ms", "tpot": "tpot_ms"}
"""What was measured: never looked at for a prediction."""

MOST_ROWS: Final = 1_000_000
NODE_GPUS: Final = 8
MOST_CONCURRENCY: Final = 100_000
MOST_TOKENS: Final = 10_000_000

_INFERENCEX_LAYOUT: Final = re.compile(r"\btp=(\d+) pp=(\d+) adp=(\d+) moe_ep=(\d+)")
_TENSORRT_LAYOUT: Final = re.compile(r"\bTP(\d+)PP(\d+)\b|\bDEP(\d+)\b")
_MULTIPLIED: Final = {16: 4, 64: 8}
"""GPUs that a source gives as tensor x expert (or data) parallel, and what the node had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it came: its columns, and the cells of each row."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a row measured; ``notes`` says what had to be taken for granted.

    ``model`` is the catalogue's id, or the model whose shape was stretched to the stated size (``is_typical``).
    ``concurrency_count`` None: maximum load.
    """

    model: str
    architecture: Architecture
    is_typical: bool
    gpu: Gpu
    gpus: int
    precision: str
    engine: str
    isl_tokens: float
    osl_tokens: float
    concurrency_count: float | None
    pipeline_stage_count: int
    attention_group_count: int
    expert_group_count: int
    notes: tuple[str, ...]


def read_table(path: Path) -> Table:
    """Read a CSV file.  Raises ``InputError`` when there is none, or its columns or rows cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _table(path, csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        what = f"byte {error.start:,} is no UTF-8."
        raise InputError(
            f"{path} cannot be read.", (Problem(where=str(path), what=what, fix="Save it as UTF-8."),)
        ) from error
    except csv.Error as error:
        raise InputError(f"{path} is not a table in CSV: {error}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _table(path: Path, lines: Iterator[list[str]]) -> Table:
    columns = tuple(next(lines, ()))
    missing = [name for name in COLUMNS if name not in columns]
    if not columns or missing:
        lacks = f"lacks the column(s) {', '.join(missing)}" if columns else "is empty"
        raise InputError(f"{path} {lacks}; a table of measurements has {', '.join(COLUMNS)}.")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"{path} has the column(s) {', '.join(twice)} twice.")
    rows: list[dict[str, str]] = []
    for cells in lines:
        if len(cells) > len(columns):
            what = f"{len(cells)} cells, but the table has {len(columns)} columns."
            raise InputError(f"{path} cannot be read.", (Problem(where=f"{path}, row {len(rows) + 1:,}", what=what),))
        if cells:
            rows.append(dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True)))
        if len(rows) > MOST_ROWS:
            raise InputError(f"{path} has more than {MOST_ROWS:,} rows; split it.")
    return Table(columns=columns, rows=tuple(rows))


class Reader:
    """Reads rows by the names of a book and the shapes of a roofline."""

    def __init__(self, book: Book, roofline: Roofline) -> None:
        self._book = book
        self._shapes = roofline.architectures
        self._models = model_index(book.models.values(), roofline.architectures)
        self._gpus: dict[str, Gpu | None] = {}

    def asked(self, row: dict[str, str]) -> Asked | str:
        """Return what a row measured, or in words why that cannot be told."""
        gpu = self._gpu(row["gpu"])
        if gpu is None:
            return f"the catalogue has no GPU {row['gpu']!r:.60}"
        lengths = [_number(row[name], MOST_TOKENS) for name in ("isl", "osl")]
        if lengths[0] is None or lengths[1] is None:
            return f"isl {row['isl']!r:.30} and osl {row['osl']!r:.30} are not both a number of tokens from 1"
        concurrency = _concurrency(row["concurrency_or_batch"])
        if concurrency == 0:
            return f"concurrency {row['concurrency_or_batch']!r:.40} is neither a number from 1 nor max load"
        layout = _layout(row, gpu)
        if isinstance(layout, str):
            return layout
        shape = self._shape(row)
        if shape is None:
            return f"the catalogue has no model {row['model']!r:.80}, and no size is stated"
        model, architecture, is_typical = shape
        precision, guessed = self._precision(row, model)
        gpus, stages, groups, experts, read = layout
        notes = (f"shape of {model} stretched to the stated size",) if is_typical else ()
        return Asked(
            model=model,
            architecture=architecture,
            is_typical=is_typical,
            gpu=gpu,
            gpus=gpus,
            precision=precision,
            engine=engine_of(row["engine+version"]),
            isl_tokens=lengths[0],
            osl_tokens=lengths[1],
            concurrency_count=concurrency,
            pipeline_stage_count=stages,
            attention_group_count=groups,
            expert_group_count=experts,
            notes=(*notes, *guessed, *read),
        )

    def _gpu(self, name: str) -> Gpu | None:
        if name not in self._gpus:
            self._gpus[name] = gpu_of(name, self._book.gpus)
        return self._gpus[name]

    def _shape(self, row: dict[str, str]) -> tuple[str, Architecture, bool] | None:
        name = self._models.get(squashed(row["model"]))
        if name is not None:
            known = self._shapes.get(name)
            return name, known or self._book.models[name].architecture, False
        size = size_of(row.get("params", "")) or size_of(row["model"].lower())
        return (*typical(size, self._shapes), True) if size else None

    def _precision(self, row: dict[str, str], model: str) -> tuple[str, tuple[str, ...]]:
        """Return the precision, and what was taken for granted: what a name says, else what is published first."""
        if model.startswith("gpt-oss"):
            return "fp4", ()
        stated = precision_of(row["precision"]) or precision_of(row["model"])
        if stated:
            return stated, ()
        entry = self._book.models.get(model)
        taken = entry.precisions[0] if entry else "bf16"
        return taken, (f"precision not stated, taken as {taken}",)


def _number(text: str, most: float) -> float | None:
    try:
        value = float(text.strip().replace(",", ""))
    except ValueError:
        return None
    return value if isfinite(value) and 1 <= value <= most else None


def _concurrency(text: str) -> float | None:
    """Return a concurrency; None for maximum load, 0 for what is neither."""
    folded = text.strip().lower()
    if folded.startswith(("max", "offline", "saturat", "inf")):
        return None
    return _number(folded, MOST_CONCURRENCY) or 0.0


Layout = tuple[int, int, int, int, tuple[str, ...]]


def _layout(row: dict[str, str], gpu: Gpu) -> Layout | str:
    """Return GPUs, pipeline stages, attention groups, expert groups and what was taken for granted; or why not."""
    counted = _number(row["n_gpus"], MOST_CONCURRENCY)
    if counted is None or counted != int(counted):
        return f"n_gpus {row['n_gpus']!r:.30} is not a number of GPUs"
    gpus = int(counted)
    read: tuple[str, ...] = ()
    stages, groups, experts = _stated_layout(row.get("notes", ""))
    if gpus > NODE_GPUS and gpus in _MULTIPLIED and experts > 1 and gpu.id != "gb200":
        whole = gpus
        gpus = _MULTIPLIED[whole]
        groups = gpus if groups > 1 else 1
        experts = gpus
        read = (f"{whole} GPUs read as {gpus}: the row multiplies its parallelism",)
    if gpus > NODE_GPUS:
        return f"{gpus} GPUs are more than one node ({NODE_GPUS}); the estimator knows no network"
    if gpus % stages or (gpus // stages) % groups:
        stages, groups = 1, 1
    return gpus, stages, groups, min(experts, gpus), read


def _stated_layout(notes: str) -> tuple[int, int, int]:
    """Return pipeline stages, attention groups and expert groups; 1 of each where nothing is stated."""
    found = _INFERENCEX_LAYOUT.search(notes)
    if found:
        return max(1, int(found[2])), max(1, int(found[3])), max(1, int(found[4]))
    found = _TENSORRT_LAYOUT.search(notes)
    if found is None:
        return 1, 1, 1
    return (1, int(found[3]), int(found[3])) if found[3] else (max(1, int(found[2])), 1, 1)
