"""Labelled pairs: for each prompt how well the weak and the strong target answered it, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    from breakeven.quantities import Array

    Places = np.ndarray[tuple[Any, ...], np.dtype[np.integer[Any]]]

MOST_PROMPTS: Final = 20_000
"""Prompts that are learned from; of a larger file as many, drawn by chance."""

NO_TASK: Final = ""
"""The task of a row that names none: it goes to the strong target, as an unknown task does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Rows whose two scores are known.  Scores run from 0 to 1; costs are multiples of any one unit."""

    weak: Array
    strong: Array
    weak_cost: Array
    strong_cost: Array
    task: Places
    """Each row's index in ``tasks``."""

    tasks: tuple[str, ...]
    characters: Array | None = None
    """Length of each prompt; None without prompts."""

    prompted: Places | None = None
    """Rows whose prompts are held, rising; None without prompts."""

    prompts: tuple[str, ...] = ()
    """The prompts of these rows."""

    rows_read: int
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> Array:
        """What the strong target's answer is better by, row by row."""
        return self.strong - self.weak

    def kept(self, rows: Places) -> Pairs:
        """Return these rows alone, which all have prompts if any are held."""
        return Pairs(
            weak=self.weak[rows],
            strong=self.strong[rows],
            weak_cost=self.weak_cost[rows],
            strong_cost=self.strong_cost[rows],
            task=self.task[rows],
            tasks=self.tasks,
            characters=None if self.characters is None else self.characters[rows],
            rows_read=self.rows_read,
        )


def folds(count: int, parts: int, draw: np.random.Generator) -> Places:
    """Return for each row the part that it is in, of as even a size as can be."""
    found: Places = draw.permutation(count) % min(parts, count)
    return found


def task_folds(pairs: Pairs, parts: int, draw: np.random.Generator) -> Places:
    """Return parts that hold whole tasks, so that every row is judged by what was learned on other tasks."""
    of_task = draw.permutation(len(pairs.tasks)) % min(parts, len(pairs.tasks))
    found: Places = of_task[pairs.task]
    return found
