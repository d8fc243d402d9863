"""A threshold that keeps a share of the strong target's quality with 95 % confidence, and what it then kept.

Thresholds are tried in a fixed order, from all strong towards all weak, and the search stops at the first whose lower
bound falls short; so no allowance for many tries is needed (fixed sequence testing: Angelopoulos and others, "Learn
then Test", https://arxiv.org/abs/2110.01052).  It holds for all that passed at once, so the cheapest of them may be
taken.  A threshold read off the curve itself misses its level about half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from breakeven.routing.task_table import CONFIDENT_Z

if TYPE_CHECKING:
    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Pairs, Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Sure:
    """What thresholds that were set on some rows did on others."""

    saving_fraction: float
    """Of the cost of all calls strong."""

    quality_fraction: float | None
    """Of the strong target's; None where it has none."""


def sure_threshold(scores: Array, pairs: Pairs, level: float) -> float:
    """Return the score from which rows go to the strong target, so that ``level`` of its quality is surely kept.

    Of all such the cheapest on these rows: more to the weak target costs more where that is the dearer one.  Minus
    infinity, all strong, where nothing else is sure or cheaper; plus infinity where all weak is.
    """
    order = np.argsort(-scores, kind="stable")
    strong = pairs.strong[order] * (1 - level)
    weak = pairs.weak[order] - level * pairs.strong[order]
    total = _ends(weak, strong)
    squares = _ends(weak * weak, strong * strong)
    # A pair at either end keeps a handful of equal pairs from seeming certain (see routing.task_table).
    count = len(scores) + 2
    mean = total / count
    error = np.sqrt(np.maximum((squares + 2) / count - mean * mean, 0) / count)
    falls_short = mean - CONFIDENT_Z * error < 0
    ranked = scores[order]
    edges = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])
    at = np.flatnonzero(edges)[::-1]
    stops = np.flatnonzero(falls_short[at])
    passed = at[: stops[0]] if len(stops) else at
    if not len(passed):
        return -np.inf
    cost = _ends(pairs.weak_cost[order], pairs.strong_cost[order])[passed]
    best = int(passed[np.argmin(cost)])
    if best == len(scores):
        return -np.inf
    return float(ranked[best - 1]) if best else np.inf


def sure_saving(scores: Array, pairs: Pairs, part: Places, level: float) -> Sure:
    """Return what came of thresholds that were set on the other parts, over all parts."""
    strong = np.ones(len(scores), dtype=bool)
    for number in np.unique(part):
        own = part == number
        others = np.flatnonzero(~own)
        if len(others):
            strong[own] = scores[own] >= sure_threshold(scores[others], pairs.kept(others), level)
    cost = np.where(strong, pairs.strong_cost, pairs.weak_cost).sum()
    quality = np.where(strong, pairs.strong, pairs.weak).sum()
    full, best = float(pairs.strong_cost.sum()), float(pairs.strong.sum())
    return Sure(
        saving_fraction=float(1 - cost / full) if full > 0 else 0.0,
        quality_fraction=float(quality / best) if best > 0 else None,
    )


def _ends(weak: Array, strong: Array) -> Array:
    """Return the sum with the first i rows strong and the others weak, for each i."""
    start = np.zeros(1)
    done: Array = np.concatenate([start, np.cumsum(strong)]) + np.concatenate([np.cumsum(weak[::-1])[::-1], start])
    return done
