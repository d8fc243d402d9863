"""Guards of a shift: whether live requests fail, begin late or cost more with the candidate than with the incumbent.

Live requests are no pairs, so they are compared in blocks: a block ends as soon as it holds a request of each side, and
its difference is the candidate's share of failures in it less the incumbent's.  What hits both sides at one time, an
outage or a busy hour, hits the same block, and cancels.  The differences are bet on as in ``betting``, so a guard may
be looked at after every request.  A guard is *broken* when the test says so, *unsure* when the figures so far are
beyond the limit and the test is open, else *well*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt
from typing import TYPE_CHECKING, Final, Literal

from breakeven.evidence.betting import Wealth
from breakeven.evidence.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterable

GuardState = Literal["well", "unsure", "broken"]
GuardName = Literal["errors", "ttft", "cost"]

SLOW_QUANTILE: Final = 0.95
"""Of the incumbent's times to the first token, that makes the limit: ``slow_limit_s`` takes it."""

MOST_STAKE_FRACTION: Final = 0.8
"""Of the wealth, that one block may take: more than for pairs, so that a candidate that always fails is out soon."""

_PRIOR_COUNT: Final = 20
_PRIOR_SCORE: Final = 0.1
_BEST_AT_COUNT: Final = 500
"""Requests at which the bound on the costs is tightest."""

_LEAST_COSTS_COUNT: Final = 50
"""Costs of each side below which a bound that rests on the normal law says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """By how much the candidate may be worse; None: not guarded."""

    error_fraction: float | None = 0.02
    """Failures: the candidate's share of failed requests less the incumbent's."""

    ttft_ratio: float | None = 1.5
    """Time to the first token: how many times the incumbent's 95th percentile counts as late for the candidate."""

    cost_ratio: float | None = None
    """Mean cost of a request: how many times the incumbent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """One attempt that ended, at the candidate or at the incumbent, mirrored ones included."""

    of_candidate: bool
    failed: bool
    ttft_s: float | None = None
    """Time to the first token; None where there was none."""

    cost_usd: float | None = None
    """None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side has done since the step began."""

    requests_count: int = 0
    failed_count: int = 0
    timed_count: int = 0
    slow_count: int = 0
    priced_count: int = 0
    cost_sum_usd: float = 0.0
    cost_mean_usd: float = 0.0
    cost_deviation_usd2: float = 0.0
    """Sum of squared deviations of the costs from their mean (Welford)."""

    @property
    def failed_fraction(self) -> float:
        """Share of the requests that failed, 0 without any."""
        return self.failed_count / self.requests_count if self.requests_count else 0.0

    @property
    def slow_fraction(self) -> float:
        """Share of the timed requests that began late, 0 without any."""
        return self.slow_count / self.timed_count if self.timed_count else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The requests of one side in a block."""

    requests_count: int = 0
    failed_count: int = 0
    timed_count: int = 0
    slow_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one guard says, with the figures that it rests on, in the unit of the guard."""

    name: GuardName
    state: GuardState
    candidate_ratio: float
    incumbent_ratio: float
    limit_ratio: float
    sureness_nats: float
    """Logarithm of the e-value against "within the limit"; broken from ln(1 / alpha) on.  Of costs: 0, or that."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardWatch:
    """The guards of one task since a step began: begin with ``begin_watch``, go on with ``after``; JSON holds it."""

    limits: GuardLimits
    alpha_fraction: float
    slow_s: float | None
    """The incumbent's 95th percentile before the step; None: not known, so that lateness is not guarded."""

    errors: Wealth
    slowness: Wealth
    candidate: Side = Side()
    incumbent: Side = Side()
    block: tuple[Block, Block] = (Block(), Block())
    """Candidate's and incumbent's requests of the block that is not complete yet."""

    def after(self, requests: Iterable[LiveRequest]) -> GuardWatch:
        """Return what is known after further requests, in the order in which they ended."""
        late_s = None if self.slow_s is None else self.slow_s * (self.limits.ttft_ratio or 1.0)
        candidate, incumbent = _Tally(self.candidate, late_s), _Tally(self.incumbent, self.slow_s)
        most, ours, theirs = self.limits.error_fraction or 0.0, _Part(self.block[0]), _Part(self.block[1])
        failures, lates = [], []
        for request in requests:
            tally, part = (candidate, ours) if request.of_candidate else (incumbent, theirs)
            part.take(failed=request.failed, late=tally.take(request))
            if ours.requests and theirs.requests:
                failures.append(ours.failed / ours.requests - theirs.failed / theirs.requests - most)
                if ours.timed and theirs.timed:
                    lates.append(ours.slow / ours.timed - theirs.slow / theirs.timed)
                ours.clear()
                theirs.clear()
        return replace(
            self,
            errors=self.errors.after(failures),
            slowness=self.slowness.after(lates),
            candidate=candidate.side(),
            incumbent=incumbent.side(),
            block=(ours.block(), theirs.block()),
        )

    def guards(self) -> tuple[Guard, ...]:
        """Return what each guard says that is wanted."""
        found = []
        if self.limits.error_fraction is not None:
            found.append(self._errors(self.limits.error_fraction))
        if self.limits.ttft_ratio is not None and self.slow_s is not None:
            found.append(self._ttft(self.limits.ttft_ratio, self.slow_s))
        if self.limits.cost_ratio is not None:
            found.append(self._cost(self.limits.cost_ratio))
        return tuple(found)

    def _errors(self, limit: float) -> Guard:
        ours, theirs = self.candidate.failed_fraction, self.incumbent.failed_fraction
        return Guard(
            name="errors",
            state=self._state(self.errors, beyond=ours > theirs + limit),
            candidate_ratio=ours,
            incumbent_ratio=theirs,
            limit_ratio=limit,
            sureness_nats=self.errors.peak_nats,
            words=f"{_percent(ours)} of {self.candidate.requests_count:,} requests failed, {_percent(theirs)} of the "
            f"incumbent's {self.incumbent.requests_count:,}; up to {100 * limit:.3g} points more is allowed",
        )

    def _ttft(self, limit: float, slow_s: float) -> Guard:
        ours, theirs = self.candidate.slow_fraction, self.incumbent.slow_fraction
        return Guard(
            name="ttft",
            state=self._state(self.slowness, beyond=ours > theirs),
            candidate_ratio=ours,
            incumbent_ratio=theirs,
            limit_ratio=limit,
            sureness_nats=self.slowness.peak_nats,
            words=f"{_percent(ours)} of {self.candidate.timed_count:,} answers began after {slow_s * limit:.3g} s, "
            f"{_percent(theirs)} of the incumbent's {self.incumbent.timed_count:,} after {slow_s:.3g} s "
            f"(its 95th percentile before; {limit:g} times that is allowed)",
        )

    def _cost(self, limit: float) -> Guard:
        ours, theirs = self.candidate, self.incumbent
        ratio = ours.cost_mean_usd / theirs.cost_mean_usd if theirs.cost_mean_usd > 0 else 0.0
        beyond = ours.cost_mean_usd > limit * theirs.cost_mean_usd
        sure = beyond and _costs_surely_more(ours, theirs, limit, self.alpha_fraction)
        return Guard(
            name="cost",
            state="broken" if sure else "unsure" if beyond else "well",
            candidate_ratio=ratio,
            incumbent_ratio=1.0,
            limit_ratio=limit,
            sureness_nats=-log(self.alpha_fraction) if sure else 0.0,
            words=f"{ours.cost_mean_usd:.3g} USD a request ({ours.priced_count:,}), the incumbent's "
            f"{theirs.cost_mean_usd:.3g} ({theirs.priced_count:,}); {limit:g} times that is allowed",
        )

    def _state(self, wealth: Wealth, *, beyond: bool) -> GuardState:
        if wealth.peak_nats >= -log(self.alpha_fraction):
            return "broken"
        return "unsure" if beyond else "well"


def begin_watch(limits: GuardLimits, *, slow_s: float | None = None, alpha_fraction: float = 0.05) -> GuardWatch:
    """Return the guards at the beginning of a step.

    ``slow_s``: the incumbent's 95th percentile of the time to the first token before the step (``slow_limit_s``).
    ``alpha_fraction``: the chance that a guard ever breaks though the candidate is within its limit.
    """
    return GuardWatch(
        limits=limits,
        alpha_fraction=alpha_fraction,
        slow_s=slow_s,
        errors=_wealth(limits.error_fraction or 0.0),
        slowness=_wealth(0.0),
    )


def slow_limit_s(ttfts_s: Iterable[float], *, least_count: int = 20) -> float | None:
    """Return the 95th percentile of the incumbent's times to the first token; None of fewer than ``least_count``."""
    ranked = sorted(ttfts_s)
    if len(ranked) < least_count:
        return None
    place = SLOW_QUANTILE * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (place - below) * (ranked[above] - ranked[below])


def _percent(fraction: float) -> str:
    """Return a share that was seen, to a tenth of a percent."""
    return percent(round(fraction, 3))


def _wealth(limit: float) -> Wealth:
    return Wealth(
        expected_score=_PRIOR_SCORE,
        expected_pairs_count=_PRIOR_COUNT,
        most_bet_ratio=MOST_STAKE_FRACTION / (1 + limit),
    )


def _costs_surely_more(ours: Side, theirs: Side, limit: float, alpha: float) -> bool:
    """Whether the candidate's mean cost is beyond the limit by the one-sided asymptotic confidence sequence.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), https://arxiv.org/abs/2103.06476, for the difference
    of two means.
    """
    least = min(ours.priced_count, theirs.priced_count)
    if least < _LEAST_COSTS_COUNT:
        return False
    error = sqrt(
        ours.cost_deviation_usd2 / (ours.priced_count - 1) / ours.priced_count
        + limit**2 * theirs.cost_deviation_usd2 / (theirs.priced_count - 1) / theirs.priced_count
    )
    rate = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / _BEST_AT_COUNT
    scale = 2 * (1 + 1 / (least * rate)) * log(1 + sqrt(least * rate + 1) / (2 * alpha))
    return ours.cost_mean_usd - limit * theirs.cost_mean_usd > error * sqrt(scale)


class _Tally:
    """A side while requests are counted: a frozen one for each would cost ten times as much."""

    __slots__ = ("_costs", "_deviation", "_failed", "_limit_s", "_mean", "_requests", "_slow", "_timed", "_total")

    def __init__(self, side: Side, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._requests, self._failed = side.requests_count, side.failed_count
        self._timed, self._slow = side.timed_count, side.slow_count
        self._costs, self._total = side.priced_count, side.cost_sum_usd
        self._mean, self._deviation = side.cost_mean_usd, side.cost_deviation_usd2

    def take(self, request: LiveRequest) -> bool | None:
        """Count a request; return whether it began late, None where that is not known."""
        self._requests += 1
        self._failed += request.failed
        cost = request.cost_usd
        if cost is not None:
            self._costs += 1
            off = cost - self._mean
            self._mean += off / self._costs
            self._deviation += off * (cost - self._mean)
            self._total += cost
        if request.ttft_s is None or self._limit_s is None:
            return None
        late = request.ttft_s > self._limit_s
        self._timed += 1
        self._slow += late
        return late

    def side(self) -> Side:
        return Side(
            requests_count=self._requests,
            failed_count=self._failed,
            timed_count=self._timed,
            slow_count=self._slow,
            priced_count=self._costs,
            cost_sum_usd=self._total,
            cost_mean_usd=self._mean,
            cost_deviation_usd2=self._deviation,
        )


class _Part:
    """A side's requests of a block, likewise."""

    __slots__ = ("failed", "requests", "slow", "timed")

    def __init__(self, block: Block) -> None:
        self.requests, self.failed = block.requests_count, block.failed_count
        self.timed, self.slow = block.timed_count, block.slow_count

    def take(self, *, failed: bool, late: bool | None) -> None:
        self.requests += 1
        self.failed += failed
        if late is not None:
            self.timed += 1
            self.slow += late

    def clear(self) -> None:
        self.requests = self.failed = self.timed = self.slow = 0

    def block(self) -> Block:
        return Block(
            requests_count=self.requests, failed_count=self.failed, timed_count=self.timed, slow_count=self.slow
        )
