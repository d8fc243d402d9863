"""Joins what ``breakeven route table`` and ``route train`` need: labelled files in, a table or a classifier out."""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.wiring.clock import current_date
from breakeven.wiring.plan import require_plan_extra
from breakeven.wiring.route import PairsRequest, check_margin, check_seed, read_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.studies.routes.tables import MadeTable
    from breakeven.studies.routes.train import Trained

LEAST_ERROR: Final = 0.001
MOST_LABELLED: Final = 1_000_000
LONGEST_NAME: Final = 256
"""Of a target in a task table, as those who read one check it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Which file holds labelled prompts, in which columns, and how often the classifier may err."""

    file: str | Path
    prompt: str
    task: str
    error_fraction: float = 0.05
    seed: int = 1


def run_route_table(
    request: PairsRequest,
    *,
    margin: float,
    least_pairs: int,
    weak_target: str | None = None,
    strong_target: str | None = None,
    out: Path | None = None,
) -> MadeTable:
    """Make a task table from labelled pairs, and write it where that is asked."""
    require_plan_extra()
    import numpy as np

    from breakeven.routing.task_table import TaskTable
    from breakeven.studies.routes.tables import MadeTable, task_rows

    check_margin(margin)
    if least_pairs < 2:
        raise InputError(
            f"--least-pairs {least_pairs}: at least 2 pairs are needed to tell a spread; 100 is the default."
        )
    if request.task is None:
        raise InputError("A task table needs tasks: name their column, --task COLUMN.")
    weak, strong = weak_target or request.weak, strong_target or request.strong
    if out is not None:
        _check_name("--weak-target", weak)
        _check_name("--strong-target", strong)
        _check_out(request.file, out)
    check_seed(request.seed)
    pairs = read_pairs(request, np.random.default_rng(request.seed))
    rows = task_rows(pairs, margin, least_pairs)
    table = TaskTable(weak=weak, strong=strong, margin_fraction=margin, rows=rows)
    if out is not None:
        from breakeven.sources.task_files import write_table

        write_table(out, table, source=Path(request.file).name, on=current_date())
    return MadeTable(
        table=table,
        least_pairs_count=least_pairs,
        rows_read=pairs.rows_read,
        rows_lost=pairs.rows_read - len(pairs.weak),
        notes=pairs.notes,
    )


def run_route_train(
    request: TrainRequest, out: Path | None, progress: Callable[[float], None] | None = None
) -> Trained:
    """Learn a classifier of tasks from labelled prompts, and write it where that is asked."""
    require_plan_extra()
    import numpy as np

    from breakeven.studies.routes.train import MOST_PROMPTS, train

    if not LEAST_ERROR <= request.error_fraction < 1:
        raise InputError(
            f"--error {request.error_fraction:g}: write the share of tasks told that may be wrong, from "
            f"{LEAST_ERROR} to "
            "below 1: 0.05 for 5 %."
        )
    check_seed(request.seed)
    if out is not None:
        _check_out(request.file, out)
    draw = np.random.default_rng(request.seed)
    prompts, labels = _labelled(request)
    if len(prompts) > MOST_PROMPTS:
        kept = np.sort(draw.choice(len(prompts), MOST_PROMPTS, replace=False))
        prompts, labels = [prompts[at] for at in kept], [labels[at] for at in kept]
    found = train(prompts, labels, error=request.error_fraction, draw=draw, progress=progress or (lambda _: None))
    if out is not None:
        from breakeven.sources.task_files import write_classifier

        write_classifier(out, found.classifier)
    return found


def run_fingerprints(files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the fingerprint of each request body; empty where it has no system prompt, tools or schema."""
    from breakeven.routing.task_shape import Shape, fingerprint_of, shape_of

    found = []
    for path in files:
        try:
            body = path.read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
        shape = shape_of(body.removeprefix(BOM_UTF8))
        if shape == Shape():
            raise InputError(
                f"{path} is no request that can be read: give the JSON body as it is sent, messages and all."
            )
        found.append((path, fingerprint_of(shape)))
    return found


def _check_name(option: str, name: str) -> None:
    """Raise ``InputError`` for a name that a table which holds it could not be read back with."""
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"{name[:40]!r}… has {len(name):,} characters, and a target in a task table at most {LONGEST_NAME}: name "
            f"it with {option}."
        )


def _check_out(file: str | Path, out: Path) -> None:
    """Raise ``InputError`` where what is made would be written over what it is made from."""
    try:
        same = out.samefile(file)
    except (OSError, ValueError):  # one of them is not there, which reading or writing it will say
        return
    if same:
        raise InputError(
            f"--out {out} is the file with the labels, which would be lost. Name another file to write to."
        )


def _labelled(request: TrainRequest) -> tuple[list[str], list[str]]:
    """Return prompts and their tasks; rows without either are left out."""
    from breakeven.routing.task_text import shortened
    from breakeven.sources.labelled import labelled_rows, text_of

    prompts, labels = [], []
    for row in labelled_rows(Path(request.file), (request.prompt, request.task)):
        prompt, task = (text_of(value).strip() for value in row.values)
        if prompt and task:
            prompts.append(shortened(prompt))
            labels.append(task)
        if len(prompts) > MOST_LABELLED:
            raise InputError(f"{request.file} has more than {MOST_LABELLED:,} labelled prompts; a part of them does.")
    return prompts, labels
