"""Judges routing policies on labelled pairs, each row by what was learned from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from breakeven.studies.routes.curve import Curve, curve, spread
from breakeven.studies.routes.pairs import folds, task_folds
from breakeven.studies.routes.result import Evaluation, Point, PolicyResult, Saving
from breakeven.studies.routes.scores import (
    BY_TASK,
    POLICIES,
    WITH_PROMPTS,
    by_length,
    by_prompt,
    by_task,
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
PARTS: Final = 5
_DRAWN_POINTS: Final = 50
_Z95: Final = 1.959964


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
    part = folds(len(pairs.weak), PARTS, draw)
    prompted = _prompted(pairs)
    sides = _Sides(pairs, part, prompted, folds(len(prompted.weak), PARTS, draw) if prompted else None)
    results = []
    one_task = len(np.unique(pairs.task)) == 1
    wanted = [
        name for name in asked.policies if (prompted or name not in WITH_PROMPTS) and not (one_task and name in BY_TASK)
    ]
    for number, name in enumerate(wanted):
        progress(number / len(wanted))
        results.append(_judged(name, sides, asked, draw))
    weak, strong = float(pairs.weak.mean()), float(pairs.strong.mean())
    gain = pairs.gain
    error = float(gain.std() / np.sqrt(len(gain)))
    full = float(pairs.strong_cost.sum())
    return Evaluation(
        source=asked.source,
        rows_read=pairs.rows_read,
        rows_lost=pairs.rows_read - len(gain),
        tasks=task_rows(pairs, asked.margins[0] if len(asked.margins) == 1 else 0.02),
        weak=asked.weak,
        strong=asked.strong,
        weak_quality_fraction=weak,
        strong_quality_fraction=strong,
        union_quality_fraction=float(np.maximum(pairs.weak, pairs.strong).mean()),
        gain_fraction=strong - weak,
        gain_low_fraction=strong - weak - _Z95 * error,
        gain_high_fraction=strong - weak + _Z95 * error,
        cost_ratio=float(pairs.weak_cost.sum()) / full if full > 0 else float("nan"),
        best_single=asked.strong if strong > weak else asked.weak,
        pgr_undefined=_undefined(strong - weak, asked),
        policies=tuple(results),
        tables=tuple(held_out(pairs, part, margin) for margin in asked.margins),
        notes=(*pairs.notes, *_notes(pairs, prompted, strong - weak, error, asked)),
        seed=asked.seed,
    )


class _Sides:
    """All rows, those with prompts, and the parts of each; text is weighed once."""

    def __init__(self, pairs: Pairs, part: Places, prompted: Pairs | None, prompted_part: Places | None) -> None:
        self.pairs, self.part = pairs, part
        self.prompted, self.prompted_part = prompted, prompted_part
        self._texts = pairs.prompts
        self._rows: Any = None

    def rows(self) -> Any:
        if self._rows is None:
            assert self.prompted is not None, "asked only where there are prompts"
            assert self.prompted.characters is not None, "prompts come with their lengths"
            self._rows = text_rows(self._texts, self.prompted.characters)
        return self._rows

    def of(self, name: PolicyName) -> tuple[Pairs, Places]:
        if name not in WITH_PROMPTS:
            return self.pairs, self.part
        assert self.prompted is not None, "policies that need prompts are asked only where there are some"
        assert self.prompted_part is not None, "prompts come with their parts"
        return self.prompted, self.prompted_part


def _prompted(pairs: Pairs) -> Pairs | None:
    return pairs.kept(pairs.prompted) if pairs.prompted is not None and len(pairs.prompted) >= 2 else None


def _judged(name: PolicyName, sides: _Sides, asked: Asked, draw: np.random.Generator) -> PolicyResult:
    pairs, part = sides.of(name)
    scores = _scores(name, sides, part, draw)
    found = curve(scores, pairs)
    doubt = spread(scores, pairs, asked.levels, draw)
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
        unseen_apgr_fraction=_unseen(name, sides, draw),
    )


def _scores(name: PolicyName, sides: _Sides, part: Places, draw: np.random.Generator) -> Array:
    pairs, _ = sides.of(name)
    if name == "random":
        return draw.random(len(pairs.weak))
    if name == "oracle":  # by what strong gains, then by what it costs more
        more = pairs.strong_cost - pairs.weak_cost
        span = float(np.ptp(more)) or 1.0
        oracle: Array = pairs.gain - 1e-6 * (more - more.min()) / span
        return oracle
    if name == "task table":
        return by_task(pairs, part)
    if name == "length":
        return by_length(pairs, part)
    rows = sides.rows()
    if name == "task and prompt":
        rows = with_task(rows, pairs.task, len(pairs.tasks))
    return by_prompt(pairs, rows, part)


def _unseen(name: PolicyName, sides: _Sides, draw: np.random.Generator) -> float | None:
    """Return the APGR on tasks that nothing was learned of; None for policies that learn nothing, or with one task."""
    pairs, _ = sides.of(name)
    if name not in ("length", "prompt") or len(np.unique(pairs.task)) < 2:
        return None
    return curve(_scores(name, sides, task_folds(pairs, PARTS, draw), draw), pairs).apgr()


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


def _undefined(gain: float, asked: Asked) -> str:
    if gain > 1e-9:
        return ""
    if gain < -1e-9:
        return (
            f"{asked.weak} scores {-gain:.1%} higher than {asked.strong} here, so there is no gap to recover and no "
            f"APGR: send everything to {asked.weak}, or ask with the two columns exchanged."
        )
    return (
        f"{asked.weak} and {asked.strong} score the same here, so there is no gap to recover and no APGR: the cheaper "
        "one does."
    )


def _notes(pairs: Pairs, prompted: Pairs | None, gain: float, error: float, asked: Asked) -> list[str]:
    found = []
    if 1e-9 < gain < _Z95 * error:
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
