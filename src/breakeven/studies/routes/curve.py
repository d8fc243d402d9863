"""Cost against quality as more and more goes to the strong target, and what follows from that curve.

PGR = (quality - weak) / (strong - weak) and APGR, its mean over the share of strong calls, are those of RouteLLM
(https://arxiv.org/abs/2406.18665).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Pairs, Places

MOST_STEPS: Final = 500
"""Points of a curve; more differ by less than can be drawn."""

MOST_GROUPS: Final = 1000
"""Rows are drawn again in so many random groups, which keeps a million rows as quick as a thousand."""

DRAWS: Final = 400
SAME_QUALITY: Final = 1e-9
_INTERVAL: Final = (2.5, 97.5)
_MOST_UNDEFINED: Final = 0.05
"""Share of draws without an APGR above which there is no interval either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points from all weak to all strong; at each the share of strong calls, the mean cost, the mean score."""

    strong_fraction: Array
    cost: Array
    quality: Array

    def apgr(self) -> float | None:
        """Return the mean PGR over the share of strong calls; None where strong is no better than weak."""
        gap = self.quality[-1] - self.quality[0]
        if gap <= SAME_QUALITY:
            return None
        return float(np.trapezoid((self.quality - self.quality[0]) / gap, self.strong_fraction))

    def saving(self, level: float) -> float:
        """Return the largest saving at which a share of the strong target's quality is kept, between points too.

        Relative to all calls strong; 0 where nothing cheaper keeps it, as at a strong target that costs nothing.
        """
        needed = level * self.quality[-1]
        full = self.cost[-1]
        if full <= 0:
            return 0.0
        kept = self.quality >= needed - SAME_QUALITY
        least = min((cost for cost in self.cost[kept]), default=full)
        below, above = self.quality[:-1], self.quality[1:]
        crossed = kept[:-1] != kept[1:]
        if crossed.any():
            part = np.clip((needed - below[crossed]) / (above[crossed] - below[crossed]), 0, 1)
            between = self.cost[:-1][crossed] + part * (self.cost[1:] - self.cost[:-1])[crossed]
            least = min(least, float(between.min()))
        return float(1 - least / full)


def steps_of(scores: Array) -> Places:
    """Return for each row the step at which it goes to the strong target: highest scores first, equal ones together."""
    values, place = np.unique(-scores, return_inverse=True)
    count = np.bincount(place)
    if len(values) <= MOST_STEPS:
        return place
    middle = np.cumsum(count) - count / 2
    merged = np.floor(middle / len(scores) * MOST_STEPS).astype(np.int64)
    _, merged = np.unique(merged, return_inverse=True)
    found: Places = merged[place]
    return found


def curve(scores: Array, pairs: Pairs) -> Curve:
    """Return the curve of one policy's scores."""
    return _curve(_sums(steps_of(scores), pairs, np.zeros(len(scores), dtype=np.int64))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """APGR and savings of one curve in each of many draws of its rows."""

    apgr: tuple[float, float] | None
    savings: tuple[tuple[float, float], ...]
    """For each level asked."""


def spread(
    scores: Array, pairs: Pairs, levels: tuple[float, ...], draw: np.random.Generator, same: Places | None = None
) -> Spread:
    """Return 95 % intervals by the bootstrap: rows are drawn again with replacement, scores stay as they are.

    Rows of one number in ``same`` are drawn together; without it each by itself.
    """
    curves = _drawn(scores, pairs, np.arange(len(scores)) if same is None else same, draw)
    savings = [[item.saving(level) for item in curves] for level in levels]
    return Spread(apgr=_apgr_interval(curves), savings=tuple(_interval(values) for values in savings))


def apgr_by_task(rankings: Sequence[Array], pairs: Pairs, draw: np.random.Generator) -> tuple[float, float] | None:
    """Return the 95 % interval of the APGR of some rankings over draws of whole tasks; None where it says nothing."""
    _, task = np.unique(pairs.task, return_inverse=True)
    return _apgr_interval([item for scores in rankings for item in _drawn(scores, pairs, task, draw)])


def _drawn(scores: Array, pairs: Pairs, same: Places, draw: np.random.Generator) -> list[Curve]:
    """Return the curves of draws of the rows; rows of one number come together."""
    count = int(same.max()) + 1
    groups = min(count, MOST_GROUPS)
    sums = _sums(steps_of(scores), pairs, (draw.permutation(count) % groups)[same])
    flat = sums.reshape(groups, -1)
    weights = draw.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS).astype(float)
    return [_curve(item) for item in (weights @ flat).reshape(DRAWS, *sums.shape[1:])]


def _apgr_interval(curves: list[Curve]) -> tuple[float, float] | None:
    apgrs = [found for item in curves if (found := item.apgr()) is not None]
    return _interval(apgrs) if len(apgrs) >= (1 - _MOST_UNDEFINED) * len(curves) else None


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, _INTERVAL)
    return float(low), float(high)


def _sums(steps: Places, pairs: Pairs, group: Places) -> Array:
    """Return by group and step: rows, weak score, gain, weak cost, what strong costs more."""
    wide = int(steps.max()) + 1
    cell = group * wide + steps
    size = (int(group.max()) + 1) * wide
    parts: tuple[Any, ...] = (
        None, pairs.weak, pairs.gain, pairs.weak_cost, pairs.strong_cost - pairs.weak_cost,
    )  # fmt: skip
    table = np.stack([np.bincount(cell, weights=part, minlength=size) for part in parts], axis=-1)
    return table.reshape(-1, wide, len(parts)).astype(float)


def _curve(sums: Array) -> Curve:
    """Return the curve of sums by step."""
    rows, weak, gain, weak_cost, more_cost = sums.T
    total = max(float(rows.sum()), 1e-12)
    start = np.zeros(1)
    return Curve(
        strong_fraction=np.concatenate([start, np.cumsum(rows)]) / total,
        cost=(weak_cost.sum() + np.concatenate([start, np.cumsum(more_cost)])) / total,
        quality=(weak.sum() + np.concatenate([start, np.cumsum(gain)])) / total,
    )
