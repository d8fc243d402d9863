"""A confidence sequence for the mean of bounded differences: an interval that holds however often one looks.

The empirical Bernstein process of Howard, Ramdas, McAuliffe and Sekhon (2021, https://arxiv.org/abs/1810.08240, theorem
4), on differences between -1 and 1, mixed over a few rates.  It is an interval for the mean of what was expected of the
pairs so far, each given those before it: where the mix of requests or a model changes on the way, it follows, and lies
around the mean that is shown.  Its state is two sums, so it survives a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log, log1p
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

RATES: Final = tuple(0.5 * 0.4**place for place in range(6))
"""At which the process is mixed: from tens of pairs to a million, the best is near one of them."""

WEIGHTS: Final = tuple(0.5**place / (2 - 0.5 ** (len(RATES) - 1)) for place in range(len(RATES)))
"""Of each rate; 1 in sum.  Most is on those that hundreds of pairs want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSequence:
    """What an interval for the mean rests on; ``low_score`` and ``high_score`` are its ends.

    The chance that the interval ever leaves out the mean is at most ``alpha_fraction``.  The sums are of differences
    brought to the range from 0 to 1, and of squares of what each differs from the mean before it.
    """

    alpha_fraction: float = 0.05
    pairs_count: int = 0
    sum_score: float = 0.0
    spread_sum_score: float = 0.0

    @property
    def mean_score(self) -> float:
        """The mean difference so far, 0 before the first."""
        return 2 * self.sum_score / self.pairs_count - 1 if self.pairs_count else 0.0

    @property
    def low_score(self) -> float:
        """The lower end now, -1 or more."""
        return max(self.mean_score - self._radius_score(), -1.0)

    @property
    def high_score(self) -> float:
        """The upper end now, 1 or less."""
        return min(self.mean_score + self._radius_score(), 1.0)

    def after(self, differences: Iterable[float]) -> MeanSequence:
        """Return the sequence after further differences, each between -1 and 1."""
        count, total, spread = self.pairs_count, self.sum_score, self.spread_sum_score
        for difference in differences:
            value = (difference + 1) / 2
            spread += (value - (0.5 + total) / (count + 1)) ** 2
            total += value
            count += 1
        return replace(self, pairs_count=count, sum_score=total, spread_sum_score=spread)

    def _radius_score(self) -> float:
        if not self.pairs_count:
            return 2.0
        return 2 * _furthest_sum(self.spread_sum_score, log(2 / self.alpha_fraction)) / self.pairs_count


_MIX: Final = tuple((rate, -log1p(-rate) - rate, log(weight)) for rate, weight in zip(RATES, WEIGHTS, strict=True))
_LEAST_STEP: Final = 1e-12
_STEPS_COUNT: Final = 60


def _furthest_sum(spread: float, sureness_nats: float) -> float:
    """Return s where the weighted mean of exp(rate s - penalty spread) over the rates comes to exp(sureness).

    That mean is at most 1 on average for s the sum of what differs from the expected one, so that it ever gets there
    has a chance of at most exp(-sureness).  Its logarithm is convex and rises in s: Newton's steps from beyond the
    root, the least of what each rate needs alone, come down to it.
    """
    found = min((sureness_nats - weight + penalty * spread) / rate for rate, penalty, weight in _MIX)
    for _ in range(_STEPS_COUNT):
        nats = [weight + rate * found - penalty * spread for rate, penalty, weight in _MIX]
        most = max(nats)
        parts = [exp(value - most) for value in nats]
        whole = sum(parts)
        slope = sum(rate * part for rate, part in zip(RATES, parts, strict=True)) / whole
        step = (most + log(whole) - sureness_nats) / slope
        found -= step
        if step <= _LEAST_STEP * found:
            break
    return found
