"""What the draws say: who is cheapest how often, what decides it, and what a move is worth month by month.

Every draw is one world, the same for all options; in each world and month the ranking is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.crossing import first_crossing_mtok
from breakeven.economics.horizon import npv_usd, payback_months
from breakeven.quantities import Interval
from breakeven.studies.verdict.answer import POOL_KINDS
from breakeven.studies.verdict.course import Course, course_of, monthly_one_off_usd, moved_fraction, outlay_usd
from breakeven.studies.verdict.evaluate import HIGH_FRACTION, LOW_FRACTION, ordered_quantiles
from breakeven.studies.verdict.result import Driver, MonthAhead, Outlook, Projection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.quantities import Array
    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.result import OptionResult
    from breakeven.studies.verdict.workload import Workload

SHARES: Final = (LOW_FRACTION, 0.5, HIGH_FRACTION)
LISTED_DRIVERS: Final = 10
MOSTLY_FRACTION: Final = 0.5
"""A time to pay back is told where at least this share of the draws pays back."""

WEAK_CORRELATION: Final = 0.05
"""Below this an assumption decides nothing that could be told from chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An option that no constraint excludes, and whether it may be recommended."""

    case: Case
    result: OptionResult
    allowed: bool
    success_fraction: Array | float = 1.0
    """The share of its answers that do their job, in every draw; bills are divided by it before they are ranked."""

    @property
    def runs_a_model(self) -> bool:
        """Whether it runs a model on GPUs rather than buying tokens."""
        return self.result.kind in POOL_KINDS


class _Contest:
    """The lowest bills so far of running a model and of buying tokens, in every draw and month."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.running, self.buying = np.full(shape, np.inf), np.full(shape, np.inf)

    def admit(self, contender: Contender, usd_per_month: Array) -> None:
        """Take an option in."""
        lowest = self.running if contender.runs_a_model else self.buying
        np.minimum(lowest, usd_per_month, out=lowest)

    @property
    def is_one(self) -> bool:
        """Whether both sides have an option."""
        return bool(np.isfinite(self.running[0, 0]) and np.isfinite(self.buying[0, 0]))

    @property
    def won_fraction(self) -> Array:
        """The share of draws in which running a model is cheaper, by month."""
        return np.asarray((self.running < self.buying).mean(axis=0))


def outlook(contenders: Sequence[Contender], today: Case, workload: Workload, *, seed: int) -> Outlook:
    """Return what the draws say, now and month by month."""
    month_count = max(1, round(today.likely["horizon_months"]))
    course = course_of(today.drawn, workload, month_count=month_count)
    shape = course.volume_mtok.shape
    allowed, anyone = _Contest(shape), _Contest(shape)
    followed, leading = _followed(contenders), _leading(contenders)
    now: dict[str, Array] = {}
    paths: dict[str, Array] = {today.option.id: course.usd_per_month(today)}
    for item in contenders:
        path, is_own = course.path(item.case)
        if item in followed:
            paths[item.result.id] = path
        loaded = _loaded(item, path, is_own)
        anyone.admit(item, loaded)
        if item.allowed:
            allowed.admit(item, loaded)
            now[item.result.id] = loaded[:, 0].copy()
    deciding = allowed if allowed.is_one else anyone
    return Outlook(
        draw_count=shape[0],
        seed=seed,
        win_fractions=_win_fractions(now),
        self_hosting_wins_fraction=float(allowed.won_fraction[0]),
        if_good_enough_fraction=float(anyone.won_fraction[0]),
        drivers=_drivers(deciding, contenders, leading.case if leading else today) if deciding.is_one else (),
        months=_months(course, allowed.won_fraction, leading, today),
        projections=tuple(_projection(item, paths, today) for item in followed),
        leading_pool=leading.result.id if leading else None,
    )


def _loaded(item: Contender, path: Array, is_own: Array) -> Array:
    """Return bills as the verdict ranks them: fully loaded, with the migration spread over the horizon.

    Where a hybrid holds no node its bill is the API's, which is among the contenders already.
    """
    loaded = path + np.broadcast_to(monthly_one_off_usd(item.case), len(path))[:, None]
    if item.result.kind == "hybrid":
        loaded = np.where(is_own > 0, loaded, np.inf)
    if np.any(np.asarray(item.success_fraction) != 1):
        loaded /= np.broadcast_to(item.success_fraction, len(path))[:, None]
    return np.asarray(loaded)


def _followed(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the options to follow by month: today's, the same used better, the best bought and run ones."""
    found = [item for item in contenders if item.result.kind in ("today", "today-optimised")]
    for runs in (False, True):
        best = next((item for item in contenders if item.allowed and item.runs_a_model == runs), None)
        found += [best] if best is not None and best not in found else []
    leading = _leading(contenders)
    return found + ([leading] if leading is not None and leading not in found else [])


def _leading(contenders: Sequence[Contender]) -> Contender | None:
    """Return the cheapest pool with a break-even, those with evidence of quality first; no hybrid."""
    return next((item for item in contenders if item.result.break_even and item.result.kind != "hybrid"), None)


def _win_fractions(now: Mapping[str, Array]) -> tuple[tuple[str, float], ...]:
    """Return how often each option is the cheapest in the first month; those that never are left out."""
    if not now:
        return ()
    winners = np.stack(list(now.values())).argmin(axis=0)
    shares = np.bincount(winners, minlength=len(now)) / len(winners)
    ranked = sorted(zip(now, shares.tolist(), strict=True), key=lambda pair: -pair[1])
    return tuple((name, share) for name, share in ranked if share > 0)


def _drivers(contest: _Contest, contenders: Sequence[Contender], leading: Case) -> tuple[Driver, ...]:
    """Return the assumptions whose draws go with the saving of running over buying, the strongest first.

    Of those that move some bill: others may only go with one that does.
    """
    moving = dict.fromkeys(swing.key for item in contenders for swing in item.result.swings)
    saving = _scores(contest.buying[:, 0] - contest.running[:, 0])
    found = [
        Driver(key=key, correlation=float(saving @ _scores(leading.drawn[key])) / len(saving))
        for key in moving
        if key in leading.drawn
    ]
    strong = [item for item in found if abs(item.correlation) >= WEAK_CORRELATION]
    return tuple(sorted(strong, key=lambda item: -abs(item.correlation))[:LISTED_DRIVERS])


def _scores(values: Array) -> Array:
    """Return ranks, centred and scaled, so that their mean product is Spearman's correlation."""
    ranks = np.empty(len(values))
    ranks[values.argsort(kind="stable")] = np.arange(len(values))
    centred = ranks - ranks.mean()
    return np.asarray(centred / (centred.std() or 1.0))


def _months(course: Course, won_fraction: Array, leading: Contender | None, today: Case) -> tuple[MonthAhead, ...]:
    first = first_crossing_mtok(course.stairs(leading.case), course.flat(today)) if leading else None
    low, middle, high = np.quantile(course.volume_mtok, SHARES, axis=0)
    found = []
    for month in range(course.volume_mtok.shape[1]):
        marks = ordered_quantiles(first[:, month], SHARES) if first is not None else [None] * len(SHARES)
        found.append(
            MonthAhead(
                month_count=month + 1,
                volume_mtok=Interval(low=float(low[month]), likely=float(middle[month]), high=float(high[month])),
                self_hosting_wins_fraction=float(won_fraction[month]),
                first_mtok=(marks[0], marks[1], marks[2]),
            )
        )
    return tuple(found)


def _projection(item: Contender, paths: Mapping[str, Array], today: Case) -> Projection:
    path, before = paths[item.result.id], paths[today.option.id]
    worth = payback = share = None
    if item.case.option.id != today.option.id:
        outlay = np.broadcast_to(outlay_usd(item.case), len(path))
        saved = (before - path) * moved_fraction(item.case, month_count=path.shape[1])
        rate = item.case.drawn["discount_rate_per_year"]
        worth = _interval(npv_usd(saved, outlay_usd=outlay, discount_rate_per_year=rate))
        months = payback_months(saved, outlay_usd=outlay)
        share = float(np.isfinite(months).mean())
        if share >= MOSTLY_FRACTION:
            payback = _interval(months[np.isfinite(months)])
    return Projection(
        option=item.result.id,
        title=item.result.title,
        usd_per_month=tuple(_interval(path[:, month]) for month in range(path.shape[1])),
        saved_npv_usd=worth,
        payback_months=payback,
        payback_fraction=share,
    )


def _interval(values: Array) -> Interval:
    low, middle, high = np.quantile(values, SHARES).tolist()
    return Interval(low=low, likely=middle, high=high)
