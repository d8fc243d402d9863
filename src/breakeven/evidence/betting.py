"""Whether a candidate is as good as an incumbent, from pairs of answers: a test by betting, valid at every look.

A pair gives a difference D, the candidate's score less the incumbent's, between -1 and 1.  The claim to be refuted is
that the candidate is worse by the margin or more, E[D] <= -margin.  A wealth of 1 is bet against it:

    wealth = product of 1 + b (D + margin), 0 <= b <= 0.5 / (1 - margin), b from earlier pairs alone

If the claim holds, no bet gains on average, so the chance that the wealth ever reaches 1 / alpha is at most alpha
(Ville's inequality), however often one looks and whenever one stops.  A second wealth bets the other way, against
E[D] >= -margin, and calls for going back.

Source: Waudby-Smith and Ramdas (2023), https://arxiv.org/abs/2010.09686.  Ours: how much is bet, see ``Wealth``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, erfc, exp, log, log1p, sqrt
from typing import TYPE_CHECKING, Final

from breakeven.evidence.means import MeanSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_STAKE_FRACTION: Final = 0.5
"""Of the wealth, that one pair may take."""

PRIOR_PAIRS_COUNT: Final = 500
"""Pairs that the expectation "as good as the incumbent" weighs as much as, in what is bet for the candidate."""

PRIOR_REVERSE_PAIRS_COUNT: Final = 20
"""Likewise for going back, where the expectation is a candidate worse by ``PRIOR_REVERSE_SCORE`` beyond the margin."""

PRIOR_REVERSE_SCORE: Final = 0.1
PRIOR_SQUARE_SCORE: Final = 0.25
"""Mean square of D + margin before any pair: answers that differ in a quarter of the pairs."""

PRIOR_SQUARE_PAIRS_COUNT: Final = 20
LIKELY_QUANTILE: Final = 0.5
HIGH_QUANTILE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """A wealth that was bet on gains, each between -1 and 2; ``nats`` is its logarithm, 0 at first.

    Before each pair the bet is the best one for the gains seen so far (mean over mean square, Kelly's to second
    order), to which an expectation is added that weighs ``expected_pairs_count`` pairs.  Any bet made from earlier
    pairs keeps the test valid; a good expectation only makes it shorter.
    """

    expected_score: float
    expected_pairs_count: int
    most_bet_ratio: float
    pairs_count: int = 0
    sum_score: float = 0.0
    squares_sum_score: float = 0.0
    nats: float = 0.0
    peak_nats: float = 0.0

    @property
    def e_value(self) -> float:
        """The wealth now: at most 1 on average if the claim bet against holds, so that large speaks against it."""
        return exp(min(self.nats, _MOST_NATS))

    @property
    def peak_e_value(self) -> float:
        """The largest wealth so far; 1 over it is a p-value that holds at every look."""
        return exp(min(self.peak_nats, _MOST_NATS))

    @property
    def bet_ratio(self) -> float:
        """What will be bet on the next pair."""
        mean = (self.expected_score * self.expected_pairs_count + self.sum_score) / (
            self.expected_pairs_count + self.pairs_count
        )
        return min(max(mean / self._mean_square(), 0.0), self.most_bet_ratio)

    def after(self, gains: Iterable[float]) -> Wealth:
        """Return the wealth after further gains."""
        count, total, squares = self.pairs_count, self.sum_score, self.squares_sum_score
        nats, peak, most = self.nats, self.peak_nats, self.most_bet_ratio
        prior, weight = self.expected_score * self.expected_pairs_count, self.expected_pairs_count
        for gain in gains:
            mean_square = (_PRIOR_SQUARES + squares) / (PRIOR_SQUARE_PAIRS_COUNT + count)
            bet = (prior + total) / (weight + count) / mean_square
            if bet > 0.0:
                nats += log1p(min(bet, most) * gain)
                peak = max(nats, peak)
            count += 1
            total += gain
            squares += gain * gain
        return replace(self, pairs_count=count, sum_score=total, squares_sum_score=squares, nats=nats, peak_nats=peak)

    def _mean_square(self) -> float:
        return (_PRIOR_SQUARES + self.squares_sum_score) / (PRIOR_SQUARE_PAIRS_COUNT + self.pairs_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Betting:
    """All that a task's pairs have shown: begin with ``begin``, go on with ``after``; all numbers, so JSON holds it.

    A fold: what it says depends on the differences and their order alone, not on how they were portioned.
    """

    margin_fraction: float
    alpha_fraction: float
    promote: Wealth
    """Bet against "worse by the margin or more"."""

    reverse: Wealth
    """Bet against "not worse than by the margin", since ``begin`` or the last ``with_new_reverse``."""

    mean: MeanSequence = field(default_factory=MeanSequence)
    differing_count: int = 0
    """Pairs with a difference other than 0."""

    @property
    def pairs_count(self) -> int:
        """Pairs seen."""
        return self.promote.pairs_count

    @property
    def differing_fraction(self) -> float:
        """Share of the pairs whose scores differ (discordance), 0 before the first."""
        return self.differing_count / self.pairs_count if self.pairs_count else 0.0

    @property
    def is_as_good(self) -> bool:
        """Whether the wealth ever reached 1 / alpha: wrong at most once in 1 / alpha times."""
        return self.promote.peak_nats >= -log(self.alpha_fraction)

    @property
    def is_worse(self) -> bool:
        """Whether the other wealth did."""
        return self.reverse.peak_nats >= -log(self.alpha_fraction)

    def after(self, differences: Iterable[float]) -> Betting:
        """Return what is known after further differences, in the order of the pairs.

        Raises ``ValueError`` for one that is not between -1 and 1.
        """
        known = list(differences)
        for difference in known:
            if not -1 <= difference <= 1:
                raise ValueError(f"a difference of scores lies between -1 and 1, got {difference}")
        margin = self.margin_fraction
        return replace(
            self,
            promote=self.promote.after(difference + margin for difference in known),
            reverse=self.reverse.after(-difference - margin for difference in known),
            mean=self.mean.after(known),
            differing_count=self.differing_count + sum(1 for difference in known if difference),
        )

    def with_new_reverse(self) -> Betting:
        """Return the same with the bet for going back begun anew, as at each step of a shift.

        A wealth that long good times have made small would answer late to bad ones.
        """
        return replace(self, reverse=_reverse(self.margin_fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsNeeded:
    """Further pairs until the wealth reaches 1 / alpha, if those to come are like those seen."""

    likely_count: int
    """Enough in half of the cases."""

    high_count: int
    """Enough in four of five."""


def begin(*, margin_fraction: float, alpha_fraction: float = 0.05) -> Betting:
    """Return what is known before the first pair.

    ``margin_fraction``: by how much worse the candidate may be (0.03: three points), above 0 and below 1.
    ``alpha_fraction``: the chance of a false answer, above 0 and below 1.  Raises ``ValueError``.
    """
    if not 0 < margin_fraction < 1:
        raise ValueError(f"a margin lies between 0 and 1 (0.03 is three points), got {margin_fraction}")
    if not 0 < alpha_fraction < 1:
        raise ValueError(f"a chance of a false answer lies between 0 and 1, got {alpha_fraction}")
    return Betting(
        margin_fraction=margin_fraction,
        alpha_fraction=alpha_fraction,
        promote=Wealth(
            expected_score=margin_fraction,
            expected_pairs_count=PRIOR_PAIRS_COUNT,
            most_bet_ratio=MOST_STAKE_FRACTION / (1 - margin_fraction),
        ),
        reverse=_reverse(margin_fraction),
        mean=MeanSequence(alpha_fraction=alpha_fraction),
    )


def pairs_needed(betting: Betting) -> PairsNeeded | None:
    """Return how many pairs more it takes; None where those seen (and the expectation) do not lead there at all.

    The logarithm of the wealth is taken for a random walk with the drift g = b m - b^2 s / 2 of the present bet b, mean
    m and mean square s of D + margin, each with the expectation that the bets rest on, and the variance b^2 (s - m^2):
    the first time that it reaches ln(1 / alpha) is then inverse Gaussian (Schroedinger 1915,
    https://en.wikipedia.org/wiki/Inverse_Gaussian_distribution).  0 and 0 where it is there already.
    """
    missing = -log(betting.alpha_fraction) - betting.promote.nats
    if missing <= 0 or betting.is_as_good:
        return PairsNeeded(likely_count=0, high_count=0)
    wealth = betting.promote
    bet = wealth.bet_ratio
    mean = (wealth.expected_score * _DOUBT_PAIRS_COUNT + wealth.sum_score) / (_DOUBT_PAIRS_COUNT + wealth.pairs_count)
    square = (_PRIOR_SQUARES + wealth.squares_sum_score) / (PRIOR_SQUARE_PAIRS_COUNT + wealth.pairs_count)
    drift = bet * mean - bet * bet * square / 2
    if drift <= 0:
        return None
    variance = bet * bet * max(square - mean * mean, _LEAST_VARIANCE_SCORE)
    likely, high = (_first_passage(missing, drift, variance, quantile) for quantile in (LIKELY_QUANTILE, HIGH_QUANTILE))
    return PairsNeeded(likely_count=likely, high_count=high)


def e_bh(e_values: Sequence[float], *, alpha_fraction: float = 0.05) -> tuple[bool, ...]:
    """Return which of several claims are refuted such that at most that share of them is so falsely, on average.

    The k largest are, for the largest k with k x (k-th largest) / n >= 1 / alpha; the e-values may depend on each
    other in any way.  Source: Wang and Ramdas (2022), https://arxiv.org/abs/2009.02824.
    """
    ranked = sorted(range(len(e_values)), key=lambda index: -e_values[index])
    most = 0
    for place, index in enumerate(ranked, 1):
        if place * e_values[index] >= len(e_values) / alpha_fraction:
            most = place
    refuted = frozenset(ranked[:most])
    return tuple(index in refuted for index in range(len(e_values)))


_MOST_NATS: Final = 700.0
"""Beyond this a wealth is no number any more."""

_PRIOR_SQUARES: Final = PRIOR_SQUARE_SCORE * PRIOR_SQUARE_PAIRS_COUNT
_DOUBT_PAIRS_COUNT: Final = 100
"""Weight of the expectation in what is foretold: less than in the bets, so that a bad start is told soon."""

_LEAST_VARIANCE_SCORE: Final = 1e-6
_BISECTIONS: Final = 60
_ROOT_2: Final = sqrt(2)


def _reverse(margin_fraction: float) -> Wealth:
    return Wealth(
        expected_score=PRIOR_REVERSE_SCORE,
        expected_pairs_count=PRIOR_REVERSE_PAIRS_COUNT,
        most_bet_ratio=MOST_STAKE_FRACTION / (1 + margin_fraction),
    )


def _first_passage(distance: float, drift: float, variance: float, quantile: float) -> int:
    """Return the quantile of the first time that a walk reaches a distance, rounded up."""
    shape = distance * distance / variance
    mean = distance / drift
    low, high = 0.0, mean
    while _passed(high, mean, shape) < quantile:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _passed(middle, mean, shape) < quantile else (low, middle)
    return ceil(high)


def _passed(time: float, mean: float, shape: float) -> float:
    """Return the chance of having passed by then: the inverse Gaussian's distribution function."""
    if time <= 0:
        return 0.0
    root = sqrt(shape / time)
    beyond = _normal(-root * (time / mean + 1))
    return _normal(root * (time / mean - 1)) + (exp(2 * shape / mean + log(beyond)) if beyond > 0 else 0.0)


def _normal(value: float) -> float:
    """Return the normal law's distribution function, exact far below zero too, where the standard library's is not."""
    return erfc(-value / _ROOT_2) / 2
