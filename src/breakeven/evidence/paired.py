"""Paired comparisons on a number of pairs that was not chosen by looking: mean differences and ratios of means.

For reports.  What decides while pairs come in is ``betting``: these intervals hold for one look.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import pi, sqrt, tan
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from breakeven.quantities import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LEAST_PAIRS_COUNT: Final = 2
INTERVAL_CONFIDENCE_FRACTION: Final = 0.8
"""Of an assumption's ends: the 10th and the 90th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean or a ratio with the ends of its confidence interval, in the unit of what was compared."""

    value: float
    low: float
    high: float
    pairs_count: int
    confidence_fraction: float

    def interval(self) -> Interval:
        """Return it as the interval of an assumption; made for an estimate of ``INTERVAL_CONFIDENCE_FRACTION``."""
        return Interval(low=self.low, likely=self.value, high=self.high)


def mean_difference(
    candidate: Sequence[float], incumbent: Sequence[float], *, confidence_fraction: float = 0.95
) -> Estimate | None:
    """Return the mean of candidate less incumbent, pair by pair, with Student's interval; None of fewer than 2 pairs.

    mean +- t(n - 1) x sd / sqrt(n).  Raises ``ValueError`` where the two are not of one length.
    """
    differences = [ours - theirs for ours, theirs in zip(candidate, incumbent, strict=True)]
    count = len(differences)
    if count < LEAST_PAIRS_COUNT:
        return None
    mean = sum(differences) / count
    spread = sqrt(sum((difference - mean) ** 2 for difference in differences) / (count - 1))
    return _estimate(mean, spread / sqrt(count), count, confidence_fraction)


def ratio_of_means(
    candidate: Sequence[float], incumbent: Sequence[float], *, confidence_fraction: float = 0.95
) -> Estimate | None:
    """Return sum of the candidate's over sum of the incumbent's with an interval; None of fewer than 2 pairs, or of 0.

    R = sum c / sum i; its standard error is that of the mean of c - R i, over the mean of i (the ratio estimator of
    surveys: Cochran, Sampling Techniques, 1977, section 6.4).  The ratio of means and not the mean of ratios: it is
    what a bill is multiplied by.  Values are at or above 0.
    """
    count = len(incumbent)
    below = sum(incumbent)
    if count < LEAST_PAIRS_COUNT or below <= 0:
        return None
    ratio = sum(candidate) / below
    left = [ours - ratio * theirs for ours, theirs in zip(candidate, incumbent, strict=True)]
    spread = sqrt(sum(residual * residual for residual in left) / (count - 1))
    found = _estimate(ratio, spread / sqrt(count) / (below / count), count, confidence_fraction)
    return Estimate(
        value=ratio,
        low=max(found.low, 0.0),
        high=found.high,
        pairs_count=count,
        confidence_fraction=confidence_fraction,
    )


def by_task(
    rows: Iterable[tuple[str, float, float]], *, confidence_fraction: float = 0.95
) -> Mapping[str, Estimate | None]:
    """Return the mean difference of each task, from rows of task, candidate's value and incumbent's value."""
    ours: defaultdict[str, list[float]] = defaultdict(list)
    theirs: defaultdict[str, list[float]] = defaultdict(list)
    for task, candidate, incumbent in rows:
        ours[task].append(candidate)
        theirs[task].append(incumbent)
    return {
        task: mean_difference(ours[task], theirs[task], confidence_fraction=confidence_fraction)
        for task in sorted(ours)
    }


def t_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t with that many degrees of freedom (1 or more), 0 < probability < 1.

    1 and 2 exactly, else Hill's expansion of the normal's quantile (Abramowitz and Stegun, 26.7.5): off by under 1 %
    from 3 degrees on, by 0.01 % from 10 on, in the range from 0.005 to 0.995.
    """
    if degrees == 1:
        return -1 / tan(pi * probability)
    if degrees == 2:
        return (2 * probability - 1) / sqrt(2 * probability * (1 - probability))
    z = _NORMAL.inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, 1))


_NORMAL: Final = NormalDist()


def _estimate(value: float, error: float, count: int, confidence_fraction: float) -> Estimate:
    width = t_quantile((1 + confidence_fraction) / 2, count - 1) * error
    return Estimate(
        value=value,
        low=value - width,
        high=value + width,
        pairs_count=count,
        confidence_fraction=confidence_fraction,
    )
