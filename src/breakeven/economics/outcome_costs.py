"""What a success cost, from episodes that were paid for and known, or not known, to have done their job.

A subject is an episode, or a request that belongs to none.  Everything follows from a few sums over subjects, so
groups can be added up in any order and no subject has to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

Z_95: Final = 1.959963984540054
"""Of the standard normal: 95 % lie within that many standard deviations of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSums:
    """Sums over subjects; ``known`` are those of which it is known whether they were a success."""

    subject_count: int = 0
    known_count: int = 0
    success_count: int = 0
    cost_usd: float = 0.0
    cost_usd2: float = 0.0
    """Sum of squares."""

    known_cost_usd: float = 0.0
    success_cost_usd: float = 0.0
    """Of the successes alone."""

    def plus(self, cost_usd: float, success: bool | None) -> OutcomeSums:  # noqa: FBT001 - a fact of three values
        """Add a subject."""
        known, good = success is not None, success is True
        return OutcomeSums(
            subject_count=self.subject_count + 1,
            known_count=self.known_count + known,
            success_count=self.success_count + good,
            cost_usd=self.cost_usd + cost_usd,
            cost_usd2=self.cost_usd2 + cost_usd * cost_usd,
            known_cost_usd=self.known_cost_usd + known * cost_usd,
            success_cost_usd=self.success_cost_usd + good * cost_usd,
        )

    @property
    def unknown_count(self) -> int:
        """Subjects of which nobody knows."""
        return self.subject_count - self.known_count

    @property
    def success_fraction(self) -> float | None:
        """Successes among the known; None where none is known."""
        return self.success_count / self.known_count if self.known_count else None

    @property
    def usd_per_subject(self) -> float | None:
        """Mean cost, whatever came of it; None without subjects."""
        return self.cost_usd / self.subject_count if self.subject_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with the interval that chance alone leaves, in the unit that its maker says."""

    likely: float
    low: float
    high: float | None
    """None: no upper end, because too few successes are known to exclude that there are next to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownBounds:
    """Cost of a success if every unknown outcome were one, and if none were; None: then there is no success at all."""

    all_good_usd: float | None
    none_good_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePrice:
    """What a failure may cost before the cheaper way stops being cheaper; all None: it stays cheaper at any price.

    ``likely_usd`` None with a ``low_usd``: as seen it stays cheaper, and chance alone does not exclude that it would
    stop from ``low_usd`` on.
    """

    likely_usd: float | None
    low_usd: float | None
    high_usd: float | None
    """None: no upper end."""


def success_interval(success_count: int, known_count: int, z: float = Z_95) -> Estimate | None:
    """Return the share of successes among the known, with Wilson's interval; None where none is known."""
    if not known_count:
        return None
    low, high = wilson_ends(success_count, known_count, z)
    return Estimate(likely=success_count / known_count, low=low, high=high)


def wilson_ends(success_count: int, known_count: int, z: float = Z_95) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a share, of one known or more."""
    share, part = success_count / known_count, z * z / known_count
    middle = (share + part / 2) / (1 + part)
    half = sqrt(part * (share * (1 - share) + part / 4)) / (1 + part)
    return max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0)


def usd_per_known_success(sums: OutcomeSums, z: float = Z_95) -> Estimate | None:
    """Return the cost of one success: mean cost of all subjects / share of successes among the known.

    So an unknown subject is taken to succeed as often as a known one, which lies between ``unknown_bounds``; with
    nothing unknown it is all that was paid / successes.  The interval is Fieller's for the ratio of two means; the two
    vary together, since failures may cost more.  None where no success is known.
    """
    if not sums.success_count:
        return None
    mean_usd, share = _means(sums)
    variance_usd, between, variance = _variances(sums)
    low, high = ratio_interval(mean_usd, share, (variance_usd, between, variance), z)
    likely = mean_usd / share
    return Estimate(likely=likely, low=min(low, likely), high=high if high is None else max(high, likely))


def unknown_bounds(sums: OutcomeSums) -> UnknownBounds:
    """Return the cost of a success with all unknown outcomes taken as good, and with none."""
    most = sums.success_count + sums.unknown_count
    return UnknownBounds(
        all_good_usd=sums.cost_usd / most if most else None,
        none_good_usd=sums.cost_usd / sums.success_count if sums.success_count else None,
    )


def usd_with_failures(sums: OutcomeSums, failure_usd: float) -> float | None:
    """Return what a subject costs with what its failing costs: c + H (1 - p); None where no outcome is known."""
    if sums.success_fraction is None:
        return None
    return sums.cost_usd / sums.subject_count + failure_usd * (1 - sums.success_fraction)


def failure_price(cheaper: OutcomeSums, dearer: OutcomeSums, z: float = Z_95) -> FailurePrice | None:
    """Return H* = (c_d - c_c) / (p_d - p_c), the price of a failure at which two ways cost the same a subject.

    Below it the cheaper is cheaper, above it the dearer.  The interval is Fieller's; it has no upper end where chance
    alone does not exclude that both are equally good.  None where either has no known outcome.
    Raises ``ValueError`` where the first costs more.
    """
    if not cheaper.known_count or not dearer.known_count:
        return None
    (cheap_usd, cheap_share), (dear_usd, dear_share) = _means(cheaper), _means(dearer)
    more_usd, better = dear_usd - cheap_usd, dear_share - cheap_share
    if more_usd < 0:
        raise ValueError(f"the cheaper of two ways costs {cheap_usd}, more than {dear_usd}")
    first, second = _variances(cheaper), _variances(dearer)
    spread = (first[0] + second[0], first[1] + second[1], first[2] + second[2])
    if better <= 0 and better * better >= z * z * spread[2]:
        return FailurePrice(likely_usd=None, low_usd=None, high_usd=None)
    low, high = ratio_interval(more_usd, better, spread, z)
    likely = more_usd / better if better > 0 else None
    return FailurePrice(likely_usd=likely, low_usd=low, high_usd=high)


def ratio_interval(
    above: float, below: float, variances: tuple[float, float, float], z: float = Z_95
) -> tuple[float, float | None]:
    """Return Fieller's interval for the ratio of two means, from 0 on: all R with (a - R b)^2 <= z^2 var(a - R b).

    ``variances`` are those of the upper mean, between the two, and of the lower one.  The upper end is None where the
    lower mean is not told from 0; then no finite interval covers as often as it should (Gleser and Hwang 1987).
    """
    of_above, between, of_below = (z * z * value for value in variances)
    square, half, constant = below**2 - of_below, above * below - between, above**2 - of_above
    root = sqrt(max(half**2 - square * constant, 0.0))
    if square > 0:
        return max((half - root) / square, 0.0), (half + root) / square
    if constant <= 0:
        return 0.0, None
    if square == 0:
        return max(constant / (2 * half), 0.0) if half > 0 else 0.0, None
    return max((half - root) / square, 0.0), None


def _means(sums: OutcomeSums) -> tuple[float, float]:
    return sums.cost_usd / sums.subject_count, sums.success_count / sums.known_count


def _variances(sums: OutcomeSums) -> tuple[float, float, float]:
    """Return the variance of the mean cost, its covariance with the share of successes, and the latter's variance.

    Costs are averaged over all subjects and successes over the known among them, so the two share these alone.  Two
    successes and two failures are added to the share's variance (Agresti and Coull 1998) where that makes it larger:
    five of five known is no certainty.
    """
    every, known = sums.subject_count, sums.known_count
    mean_usd, share = _means(sums)
    of_cost = max(sums.cost_usd2 / every - mean_usd**2, 0.0) / max(every - 1, 1)
    added = (sums.success_count + 2) / (known + 4)
    of_share = max(share * (1 - share) / max(known - 1, 1), added * (1 - added) / (known + 4))
    together = sums.success_cost_usd / known - sums.known_cost_usd / known * share
    return of_cost, together / every * (known / max(known - 1, 1)), of_share
