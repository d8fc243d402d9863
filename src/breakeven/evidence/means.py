"""A confidence sequence for the mean of bounded differences: an interval that holds however often one looks.

The empirical Bernstein sequence of Waudby-Smith and Ramdas (2023, https://arxiv.org/abs/2010.09686, theorem 2), with
their predictable weights, on differences between -1 and 1.  Its state is a handful of sums, so it survives a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, log1p, sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_WEIGHT: Final = 0.5
"""Of one difference: theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSequence:
    """What an interval for the mean rests on; ``low_score`` and ``high_score`` are its ends.

    The chance that the interval ever leaves out the mean is at most ``alpha_fraction``.  The sums are of differences
    brought to the range from 0 to 1, and of their weights.
    """

    alpha_fraction: float = 0.05
    pairs_count: int = 0
    sum_score: float = 0.0
    spread_sum_score: float = 0.0
    weights_sum_ratio: float = 0.0
    weighted_sum_score: float = 0.0
    penalty_sum_nats: float = 0.0
    low_score: float = -1.0
    high_score: float = 1.0

    @property
    def mean_score(self) -> float:
        """The mean difference so far, 0 before the first."""
        return 2 * self.sum_score / self.pairs_count - 1 if self.pairs_count else 0.0

    def after(self, differences: Iterable[float]) -> MeanSequence:
        """Return the sequence after further differences, each between -1 and 1."""
        count, total, spread = self.pairs_count, self.sum_score, self.spread_sum_score
        weights, weighted, penalty = self.weights_sum_ratio, self.weighted_sum_score, self.penalty_sum_nats
        low, high = self.low_score, self.high_score
        mean, variance = (0.5 + total) / (count + 1), (0.25 + spread) / (count + 1)
        sureness, scale = log(2 / self.alpha_fraction), 2 * log(2 / self.alpha_fraction)
        for difference in differences:
            value = (difference + 1) / 2
            count += 1
            weight = min(sqrt(scale / (variance * count * log1p(count))), MOST_WEIGHT)
            weights += weight
            weighted += weight * value
            penalty += (value - mean) ** 2 * (-log1p(-weight) - weight)
            radius = (sureness + penalty) / weights
            low = max(low, 2 * (weighted / weights - radius) - 1)
            high = min(high, 2 * (weighted / weights + radius) - 1)
            total += value
            mean = (0.5 + total) / (count + 1)
            spread += (value - mean) ** 2
            variance = (0.25 + spread) / (count + 1)
        return replace(
            self,
            pairs_count=count,
            sum_score=total,
            spread_sum_score=spread,
            weights_sum_ratio=weights,
            weighted_sum_score=weighted,
            penalty_sum_nats=penalty,
            low_score=low,
            high_score=high,
        )
