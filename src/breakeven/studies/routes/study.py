"""Judges routing policies on labelled pairs, each row by what was learned from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from breakeven.studies.routes.curve import SAME_QUALITY, Curve, apgr_by_task, curve, spread
from breakeven.studies.routes.pairs import folds, task_folds
from breakeven.studies.routes.result import Evaluation, Point, PolicyResult, Saving
from breakeven.studies.routes.scores import (
    BY_TASK,
    POLICIES,
    WITH_PROMPTS,
    alike,
    by_length,
    by_prompt,
    by_task,
    folds_of,
    text_rows,
    with_task,
)
from breakeven.studies.routes.sure import sure_saving
from breakeven.studies.routes.tables import held_out, task_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Pairs, Places
    from breakeven.studies.routes.scores import PolicyName

LEVELS: Final = (0.95, 0.98, 0.99)
MARGINS: Final = (0.01, 0.02, 0.05)
TASK_MARGIN: Final = 0.02
"""At which each task is judged by itself, as ``route table`` does; the smallest asked where this is not among them."""

PARTS: Final = 5
SPLITS: Final = 3
"""Divisions of the tasks into parts over which the APGR on unseen ones is taken: which tasks meet in a part matters."""

_DRAWN_POINTS: Final = 50
_Z95: Final = 1.959964
_TINY: Final = 1e-6
"""Of the largest extra cost: below it an extra cost is as good as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an evaluation is asked beside the pairs."""

    source: str
    weak: str
    strong: str
    policies: tuple[PolicyName, ...] = POLICIES
    levels: tuple[float, ...] = LEVELS
    margins: tuple[float, ...] = MARGINS
    seed: int = 1


def evaluate(pairs: Pairs, asked: Asked, draw: np.random.Generator, progress: Callable[[float], None]) -> Evaluation:
    """Judge the policies.  The same pairs, question and generator give the same result."""
    chance, *own = draw.spawn(1 + len(POLICIES))
    of_policy = dict(zip(POLICIES, own, strict=True))  # so that what else is asked changes no policy's figures
    prompted = _prompted(pairs)
    sides = _Sides(pairs, prompted, chance)
    results, unseen_notes = [], []
    one_task = len(np.unique(pairs.task)) == 1
    wanted = [
        name for name in asked.policies if (prompted or name not in WITH_PROMPTS) and not (one_task and name in BY_TASK)
    ]
    for number, name in enumerate(wanted):
        progress(number / len(wanted))
        unseen = _unseen(name, sides, of_policy[name])
        results.append(_judged(name, sides, asked, of_policy[name], unseen.apgr))
        unseen_notes += [unseen.note] if unseen.note else []
    weak, strong = float(pairs.weak.mean()), float(pairs.strong.mean())
    gain = pairs.gain
    error = _error(gain, sides.all.same)
    full = float(pairs.strong_cost.sum())
    task_margin = TASK_MARGIN if TASK_MARGIN in asked.margins else min(asked.margins)
    return Evaluation(
        source=asked.source,
        rows_read=pairs.rows_read,
        rows_lost=pairs.rows_read - len(gain),
        tasks=task_rows(pairs, task_margin),
        task_margin_fraction=task_margin,
        weak=asked.weak,
        strong=asked.strong,
        weak_quality_fraction=weak,
        strong_quality_fraction=strong,
        union_quality_fraction=float(np.maximum(pairs.weak, pairs.strong).mean()),
        gain_fraction=strong - weak,
        gain_low_fraction=strong - weak - _Z95 * error,
        gain_high_fraction=strong - weak + _Z95 * error,
        cost_ratio=float(pairs.weak_cost.sum()) / full if full > 0 else float("nan"),
        best_single=_best_single(pairs, asked),
        pgr_undefined=_undefined(strong - weak, error, asked),
        policies=tuple(results),
        tables=tuple(held_out(pairs, sides.all.part, margin) for margin in asked.margins),
        notes=(*pairs.notes, *_notes(pairs, prompted, strong - weak, error, asked), *unseen_notes),
        seed=asked.seed,
    )


def _error(gain: Array, same: Places) -> float:
    """Return the standard error of the mean gain; rows of one number, copies of a prompt, count as one draw."""
    of_number = np.bincount(same, weights=gain - gain.mean())
    return float(np.sqrt(np.sum(of_number * of_number)) / len(gain))


class _Side(NamedTuple):
    """Rows, the part of each, and the number that it shares with its copies."""

    pairs: Pairs
    part: Places
    same: Places


class _Sides:
    """All rows, and those with prompts; text is weighed once."""

    def __init__(self, pairs: Pairs, prompted: Pairs | None, draw: np.random.Generator) -> None:
        count = len(pairs.weak)
        self.prompted: _Side | None = None
        if prompted:
            same = alike(pairs.prompts)
            self.prompted = _Side(prompted, folds_of(same, PARTS, draw), same)
        if self.prompted and len(self.prompted.same) == count:
            self.all = self.prompted
        else:
            self.all = _Side(pairs, folds(count, PARTS, draw), np.arange(count))
        self._texts = pairs.prompts
        self._rows: Any = None

    def rows(self) -> Any:
        if self._rows is None:
            assert self.prompted is not None, "asked only where there are prompts"
            assert self.prompted.pairs.characters is not None, "prompts come with their lengths"
            self._rows = text_rows(self._texts, self.prompted.pairs.characters)
        return self._rows

    def of(self, name: PolicyName) -> _Side:
        if name not in WITH_PROMPTS:
            return self.all
        assert self.prompted is not None, "policies that need prompts are asked only where there are some"
        return self.prompted


def _prompted(pairs: Pairs) -> Pairs | None:
    return pairs.kept(pairs.prompted) if pairs.prompted is not None and len(pairs.prompted) >= 2 else None


def _judged(
    name: PolicyName, sides: _Sides, asked: Asked, draw: np.random.Generator, unseen: float | None
) -> PolicyResult:
    pairs, part, same = sides.of(name)
    scores = _scores(name, sides, part, draw)
    found = curve(scores, pairs)
    doubt = spread(scores, pairs, asked.levels, draw, same)
    apgr = found.apgr()
    low, high = doubt.apgr if doubt.apgr and apgr is not None else (None, None)
    savings = []
    for level, (least, most) in zip(asked.levels, doubt.savings, strict=True):
        sure = sure_saving(scores, pairs, part, level)
        savings.append(
            Saving(
                level_fraction=level,
                saving_fraction=found.saving(level),
                low_fraction=least,
                high_fraction=most,
                sure_saving_fraction=sure.saving_fraction,
                sure_quality_fraction=sure.quality_fraction,
            )
        )
    return PolicyResult(
        policy=name,
        rows_read=len(scores),
        apgr_fraction=apgr,
        apgr_low_fraction=low,
        apgr_high_fraction=high,
        savings=tuple(savings),
        points=_points(found),
        unseen_apgr_fraction=unseen,
    )


def _scores(name: PolicyName, sides: _Sides, part: Places, draw: np.random.Generator) -> Array:
    pairs = sides.of(name).pairs
    if name == "random":
        return draw.random(len(pairs.weak))
    if name == "oracle":
        return _oracle(pairs)
    if name == "task table":
        return by_task(pairs, part)
    if name == "length":
        return by_length(pairs, part)
    rows = sides.rows()
    if name == "task and prompt":
        rows = with_task(rows, pairs.task, len(pairs.tasks))
    return by_prompt(pairs, rows, part)


def _oracle(pairs: Pairs) -> Array:
    """Score rows by what strong gains for each unit that it costs more; those where it gains nothing come last.

    First of all come those where it is cheaper and no worse.
    """
    more = pairs.strong_cost - pairs.weak_cost
    more = more / (float(np.abs(more).max()) or 1.0)
    worth = pairs.gain / np.maximum(more, _TINY)
    return np.where((pairs.gain >= 0) & (more < 0), pairs.gain + 2 / _TINY, worth)  # no gain is above 1


class _Unseen(NamedTuple):
    """The APGR on tasks that nothing was learned of, and its range in words; nothing where it is not asked."""

    apgr: float | None = None
    note: str = ""


def _unseen(name: PolicyName, sides: _Sides, draw: np.random.Generator) -> _Unseen:
    """Judge a policy on tasks that it learned nothing of; not one that learns nothing, nor with one task."""
    pairs = sides.of(name).pairs
    if name not in ("length", "prompt") or len(np.unique(pairs.task)) < 2:
        return _Unseen()
    rankings = [_scores(name, sides, task_folds(pairs, PARTS, draw), draw) for _ in range(SPLITS)]
    apgrs = [found for scores in rankings if (found := curve(scores, pairs).apgr()) is not None]
    if not apgrs:
        return _Unseen()
    mean = sum(apgrs) / len(apgrs)
    interval = apgr_by_task(rankings, pairs, draw)
    told = (
        f"95 % of draws of other such tasks give {interval[0]:.2f} to {interval[1]:.2f}"
        if interval
        else "the tasks are too few, or too unlike, to say how it varies with them"
    )
    return _Unseen(mean, f"On tasks that it learned nothing of, the APGR of {name} is {mean:.2f}; {told}.")


def _points(found: Curve) -> tuple[Point, ...]:
    full = float(found.cost[-1])
    at = np.unique(np.linspace(0, len(found.cost) - 1, _DRAWN_POINTS).round().astype(np.int64))
    return tuple(
        Point(
            strong_fraction=float(found.strong_fraction[i]),
            cost_fraction=float(found.cost[i]) / full if full > 0 else 0.0,
            quality_fraction=float(found.quality[i]),
        )
        for i in at
    )


def _best_single(pairs: Pairs, asked: Asked) -> str:
    """Return the target that scores higher; of two that score the same the cheaper one."""
    gain = float(pairs.gain.mean())
    if abs(gain) <= SAME_QUALITY:
        gain = float(pairs.weak_cost.sum() - pairs.strong_cost.sum())
    return asked.strong if gain > 0 else asked.weak


def _undefined(gain: float, error: float, asked: Asked) -> str:
    if gain > SAME_QUALITY:
        return ""
    if gain < -SAME_QUALITY:
        told = (
            f"{asked.weak} scores {-gain:.3f} higher than {asked.strong} here, so there is no gap to recover and no "
            "APGR"
        )
        if gain >= -_Z95 * error:
            return (
                f"{told}; the 95 % interval of their difference includes 0, so which of the two is better is not sure."
            )
        return f"{told}: send everything to {asked.weak}, or ask with the two columns exchanged."
    return (
        f"{asked.weak} and {asked.strong} score the same here, so there is no gap to recover and no APGR: the cheaper "
        "one does."
    )


def _notes(pairs: Pairs, prompted: Pairs | None, gain: float, error: float, asked: Asked) -> list[str]:
    found = []
    if SAME_QUALITY < gain < _Z95 * error:
        found.append(
            f"{asked.strong} is not surely better than {asked.weak}: the 95 % interval of their difference includes 0, "
            "and an APGR of so small a gap says little."
        )
    if prompted is None and any(name in WITH_PROMPTS for name in asked.policies):
        found.append("No prompts were given (--prompt COLUMN), so policies that read them are left out.")
    elif prompted is not None and len(prompted.weak) < len(pairs.weak):
        found.append(
            f"Policies that read prompts are judged on {len(prompted.weak):,} of {len(pairs.weak):,} rows, drawn by "
            "chance."
        )
    if len(np.unique(pairs.task)) == 1:
        found.append("All rows are of one task, so policies that go by tasks have nothing to choose between.")
    if len(pairs.weak) < 100:
        found.append(f"{len(pairs.weak)} rows are too few to decide anything: 100 to 200 for each task are needed.")
    return found
