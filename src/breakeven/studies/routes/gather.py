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
    from breakeven.studies.routes.pairs import Places

SCALES: Final = (1.0, 5.0, 10.0, 100.0)
"""Best marks in use; the smallest that no score exceeds is taken for this file's."""

MOST_TASKS: Final = 10_000

_ROUNDING: Final = 1e-9
"""Share by which arithmetic may lift a score above the best mark."""

_STRAY_FRACTION: Final = 0.01
"""So few scores above a best mark, or fewer, are errors among marks up to it rather than marks of the next scale."""

_TOLD_ROWS: Final = 5


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
    scores below 0, scores that are of no one scale, and too many tasks.
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
    scale, notes = _scale(weak, strong, np.frombuffer(held.rows, dtype=np.int64))
    if priced:
        weak_cost, strong_cost = (np.frombuffer(column, dtype=float) for column in held.costs)
    else:
        weak_cost, strong_cost = np.full(count, price_ratio), np.ones(count)
    if held.read > count:
        notes.append(f"{held.read - count:,} of {held.read:,} rows lack a score or a cost, and are left out.")
    kept = sorted(held.prompts)
    return Pairs(
        weak=np.minimum(weak / scale, 1.0),
        strong=np.minimum(strong / scale, 1.0),
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


def _scale(weak: Array, strong: Array, rows: Places) -> tuple[float, list[str]]:
    """Return what scores are divided by, and a note where that is not 1.

    Too large a scale makes every difference small, and tasks are then allowed that are worse by more than the margin;
    so it is not chosen on the word of a few scores, nor of a highest one that is hardly above the scale before.
    """
    least, most = np.minimum(weak, strong), np.maximum(weak, strong)
    low, high = float(least.min()), float(most.max())
    if low < 0:
        raise InputError(
            f"a score is {low:g} (row {rows[int(least.argmin())]:,}), and scores run from 0 (useless) upwards: shift "
            "them before they are compared."
        )
    scale = next((best for best in SCALES if high <= best * (1 + _ROUNDING)), high)
    few = _STRAY_FRACTION * 2 * len(weak)
    fitting = next((best for best in SCALES if _above(best, weak, strong) <= few), scale)
    if SCALES[0] < scale and high < 2 * SCALES[0]:
        fitting = SCALES[0]
    if fitting < scale:
        raise _off_scale(fitting, scale, high, _above(fitting, weak, strong), rows[most > fitting * (1 + _ROUNDING)])
    if scale == SCALES[0]:
        return scale, []
    return scale, [f"Scores run up to {high:g}, and are taken as shares of {scale:g}."]


def _above(best: float, weak: Array, strong: Array) -> int:
    return sum(int((scores > best * (1 + _ROUNDING)).sum()) for scores in (weak, strong))


def _off_scale(fitting: float, scale: float, high: float, count: int, rows: Places) -> InputError:
    told = ", ".join(f"{row:,}" for row in rows[:_TOLD_ROWS]) + (" and others" if len(rows) > _TOLD_ROWS else "")
    return InputError(
        f"{count:,} score(s) are above {fitting:g}, the highest {high:.10g}, in row {told} (counted without the "
        f"header), and marks up to {fitting:g} fit the others. Taken as shares of {scale:g}, every difference would be "
        f"{scale / fitting:.3g} times smaller, and tasks be allowed that are worse. Correct these scores, or divide "
        "all of them by the best mark there is."
    )


class _Held:
    """What is kept of rows while they come: numbers of all, the prompts of as many as are learned from."""

    def __init__(self, draw: np.random.Generator) -> None:
        self.scores = (array("d"), array("d"))
        self.costs = (array("d"), array("d"))
        self.task, self.characters, self.rows = array("q"), array("q"), array("q")
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
        self.rows.append(self.read)
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
