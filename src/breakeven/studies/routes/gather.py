"""Rows of a file as labelled pairs: missing scores left out and counted, scales told, prompts sampled."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.errors import InputError
from breakeven.routing.task_text import shortened
from breakeven.studies.routes.pairs import MOST_PROMPTS, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.quantities import Array

SCALES: Final = (1.0, 5.0, 10.0, 100.0)
"""Best marks in use; the smallest that no score exceeds is taken for this file's."""

MOST_TASKS: Final = 10_000


class Labels(NamedTuple):
    """One row's values, read: None where there is none."""

    weak: float | None
    strong: float | None
    task: str = ""
    prompt: str | None = None
    weak_usd: float | None = None
    strong_usd: float | None = None


def gathered(
    rows: Iterable[Labels], *, price_ratio: float, priced: bool, prompted: bool, draw: np.random.Generator
) -> Pairs:
    """Return rows as pairs.

    Rows without a score, or without a cost where ``priced`` says that the file has costs, are left out and counted.
    Without costs a weak call costs ``price_ratio`` of a strong one.  Raises ``InputError`` for fewer than two rows,
    scores below 0 and too many tasks.
    """
    held = _Held(draw)
    for row in rows:
        held.take(row, priced=priced, prompted=prompted)
    count = len(held.task)
    if count < 2:
        raise InputError(
            f"{count} of {held.read:,} rows have both scores{' and both costs' if priced else ''}, and at least 2 are "
            "needed (100 to 200 for each task, to decide anything)."
        )
    weak, strong = (np.frombuffer(column, dtype=float) for column in held.scores)
    scale, notes = _scale(weak, strong)
    if priced:
        weak_cost, strong_cost = (np.frombuffer(column, dtype=float) for column in held.costs)
    else:
        weak_cost, strong_cost = np.full(count, price_ratio), np.ones(count)
    if held.read > count:
        notes.append(f"{held.read - count:,} of {held.read:,} rows lack a score or a cost, and are left out.")
    kept = sorted(held.prompts)
    return Pairs(
        weak=weak / scale,
        strong=strong / scale,
        weak_cost=weak_cost,
        strong_cost=strong_cost,
        task=np.frombuffer(held.task, dtype=np.int64),
        tasks=tuple(held.tasks),
        characters=np.frombuffer(held.characters, dtype=np.int64).astype(float) if kept else None,
        prompted=np.array([at for at, _ in kept]) if kept else None,
        prompts=tuple(text for _, text in kept),
        rows_read=held.read,
        notes=tuple(notes),
    )


def _scale(weak: Array, strong: Array) -> tuple[float, list[str]]:
    """Return what scores are divided by, and a note where that is not 1."""
    low, high = float(min(weak.min(), strong.min())), float(max(weak.max(), strong.max()))
    if low < 0:
        raise InputError(
            f"a score is {low:g}, and scores run from 0 (useless) upwards: shift them before they are compared."
        )
    scale = next((best for best in SCALES if high <= best), high)
    note = f"Scores run up to {high:g}, and are taken as shares of {scale:g}." if scale != 1 else ""
    return scale, [note] if note else []


class _Held:
    """What is kept of rows while they come: numbers of all, the prompts of as many as are learned from."""

    def __init__(self, draw: np.random.Generator) -> None:
        self.scores = (array("d"), array("d"))
        self.costs = (array("d"), array("d"))
        self.task, self.characters = array("q"), array("q")
        self.tasks: dict[str, int] = {}
        self.prompts: list[tuple[int, str]] = []
        self.read = 0
        self._draw = draw

    def take(self, row: Labels, *, priced: bool, prompted: bool) -> None:
        """Keep a row, if it can be used."""
        self.read += 1
        if row.weak is None or row.strong is None or (priced and (row.weak_usd is None or row.strong_usd is None)):
            return
        if row.task not in self.tasks and len(self.tasks) >= MOST_TASKS:
            raise InputError(
                f"the task column holds more than {MOST_TASKS:,} tasks ({row.task[:40]!r}, say): name one that groups "
                "requests of a kind, not one that numbers them."
            )
        at = len(self.task)
        self.scores[0].append(row.weak)
        self.scores[1].append(row.strong)
        if priced:
            self.costs[0].append(row.weak_usd or 0.0)
            self.costs[1].append(row.strong_usd or 0.0)
        self.task.append(self.tasks.setdefault(row.task, len(self.tasks)))
        if prompted:
            self._take_prompt(at, row.prompt or "")

    def _take_prompt(self, at: int, prompt: str) -> None:
        """Keep a prompt so that each has the same chance: reservoir sampling."""
        self.characters.append(len(prompt))
        if at < MOST_PROMPTS:
            self.prompts.append((at, shortened(prompt)))
            return
        place = int(self._draw.integers(at + 1))
        if place < MOST_PROMPTS:
            self.prompts[place] = (at, shortened(prompt))
