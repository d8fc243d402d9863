"""Task tables from labelled pairs, and what a table does with rows that it was not made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from breakeven.routing.task_table import LEAST_PAIRS, Differences, TaskRow, judged
from breakeven.studies.routes.result import TableResult

if TYPE_CHECKING:
    from breakeven.routing.task_table import TaskTable
    from breakeven.studies.routes.pairs import Pairs, Places


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTable:
    """A task table, and what is to be said of the rows that it was made from."""

    table: TaskTable
    least_pairs_count: int
    """Pairs of a task below which nothing was allowed."""

    rows_read: int
    rows_lost: int
    """Left out because a score was missing."""

    notes: tuple[str, ...]


def task_rows(pairs: Pairs, margin: float, least_pairs: int = LEAST_PAIRS) -> tuple[TaskRow, ...]:
    """Return what was measured of each task, by name; rows without a task make one, which is never allowed."""
    known = np.arange(len(pairs.weak))
    return tuple(
        judged(pairs.tasks[index], found, margin, least_pairs)
        for index, found in sorted(_by_task(pairs, known).items(), key=lambda item: pairs.tasks[item[0]])
    )


def held_out(pairs: Pairs, part: Places, margin: float) -> TableResult:
    """Return what tables made from the other parts of the rows did with each part."""
    moved = np.zeros(len(part), dtype=bool)
    for number in np.unique(part):
        sums = _by_task(pairs, np.flatnonzero(part != number))
        allowed = [index for index, found in sums.items() if judged(pairs.tasks[index], found, margin).allowed]
        moved |= (part == number) & np.isin(pairs.task, allowed)
    full, best = float(pairs.strong_cost.sum()), float(pairs.strong.sum())
    cost = float(np.where(moved, pairs.weak_cost, pairs.strong_cost).sum())
    quality = float(np.where(moved, pairs.weak, pairs.strong).sum())
    return TableResult(
        margin_fraction=margin,
        moved_fraction=float(moved.mean()),
        saving_fraction=1 - cost / full if full > 0 else 0.0,
        quality_fraction=quality / best if best > 0 else None,
    )


def _by_task(pairs: Pairs, rows: Places) -> dict[int, Differences]:
    """Return the sums of differences, weak less strong, by index of the task."""
    task, difference = pairs.task[rows], -pairs.gain[rows]
    size = len(pairs.tasks)
    count = np.bincount(task, minlength=size)
    total = np.bincount(task, weights=difference, minlength=size)
    squares = np.bincount(task, weights=difference * difference, minlength=size)
    return {
        int(index): Differences(int(count[index]), float(total[index]), float(squares[index]))
        for index in np.flatnonzero(count)
    }
