"""How far break-even is, pool by pool, and what the month will have cost: facts of the ledger's days in, draws out.

All figures are floats with intervals: they say what may come.  What was saved is ``savings``' to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.ahead import month_end_usd, monthly_trend_fraction, reached_days, resampled_means
from breakeven.economics.breakeven import FlatCost, StairCost, break_even
from breakeven.economics.forecast import PredictedBill, volume_paths, volume_ratios
from breakeven.quantities import DAYS_PER_MONTH, Interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from breakeven.economics.forecast import DailyPrior
    from breakeven.quantities import Array

HORIZON_DAYS: Final = 180
PATH_DAYS: Final = 56
"""Days that paths go on from: the time that they take grows with the cube of all days, and eight weeks show a trend."""

RECENT_DAYS: Final = 28
"""Days from which prices, mix and volume are taken: a month of them."""

HOURS_PER_MONTH: Final = 730.0
_SECONDS_PER_HOUR: Final = 3600.0
_NEVER_SHARE: Final = 0.5
"""Of the draws: where more of them never pay, no volume is said to be needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDay:
    """A whole day of a pool."""

    day: date
    served_mtok: float
    """Input and output together, that its nodes served or would have."""

    watched_mtok: float
    """Of the models it serves, wherever they were answered."""

    would_usd: float
    """What the tokens that it served cost, or would have, at the API."""

    node_seconds: float | None
    """That they take of nodes in full batches; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """A pool as it is rented now, or would be, and its days, oldest first."""

    name: str
    is_virtual: bool
    nodes_count: int
    node_usd_per_hour: float
    fixed_usd_per_hour: float
    """People, infrastructure and reliability with one node."""

    further_node_usd_per_hour: float
    days: tuple[PoolDay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payments:
    """One way to pay, day by day."""

    id: str
    title: str
    daily_usd: tuple[float, ...]
    """That follows the traffic, of whole days before today, oldest first."""

    so_far_usd: float
    """This month, in whole days, everything."""

    scheduled_usd: float
    """From today to the month's end, whatever comes: nodes that are rented, and what goes with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthFacts:
    """The month as far as it is known."""

    today: date
    """The first day that is not over."""

    ends: date
    payments: tuple[Payments, ...]
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """When the volume is expected to be enough; a day is None where it lies beyond ``HORIZON_DAYS``."""

    likely: date | None
    low: date | None
    high: date | None
    """10th and 90th percentile of the draws."""

    within_fraction: float
    """The chance that it is reached within ``HORIZON_DAYS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOutlook:
    """Where a pool stands against the API it replaces."""

    name: str
    is_virtual: bool
    nodes_count: int
    days_count: int
    """Whole days that this rests on."""

    pool_usd_per_month: float
    """Nodes as they are now, people, infrastructure and reliability counted."""

    api_usd_per_mtok: float | None
    """What the tokens that it serves cost at the API, on average; None: it served none."""

    needed_mtok_per_month: Interval | None
    """The smallest volume at which it costs no more than the API; None: no volume does, or it is not known."""

    capacity_mtok_per_month: float | None
    """What its nodes serve in a month at the mix seen and the utilisation assumed; None: not known."""

    seen_mtok_per_month: float
    watched_mtok_per_month: float
    trend_per_month: float | None
    """Growth a month that the days show; None under a week of them."""

    reached_fraction: float
    """The chance that the volume seen is enough already, prices and mix in doubt."""

    crossing: Crossing | None
    saved_usd_per_month: float | None
    """At the volume seen, everything counted; below 0: the API would be cheaper."""

    note: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the volume seen is more likely enough than not."""
        return self.reached_fraction >= _NEVER_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthBill:
    """One way to pay, at the month's end."""

    id: str
    title: str
    so_far_usd: float
    scheduled_usd: float
    bill: PredictedBill
    over_budget_fraction: float | None
    """The chance that it passes the budget; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is ahead."""

    today: date
    month_ends: date
    left_days: int
    known_days: int
    """Whole days that the forecast rests on."""

    bills: tuple[MonthBill, ...]
    budget_usd: float | None
    pools: tuple[PoolOutlook, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How many futures are drawn, and from what."""

    prior: DailyPrior
    utilisation_fraction: float
    count: int = 2000
    seed: int = 1


def month_bills(facts: MonthFacts, chance: Chance) -> tuple[MonthBill, ...]:
    """Return each way's bill at the month's end; those without a day of payments are exact where nothing is left.

    A way of which no whole day is known, and of which traffic has to be paid, is left out.
    """
    left = (facts.ends - facts.today).days
    found = []
    for payments in facts.payments:
        usd = _month_end(payments, left, chance)
        if usd is None:
            continue
        over = None if facts.budget_usd is None else float((usd > facts.budget_usd).mean())
        found.append(
            MonthBill(
                id=payments.id,
                title=payments.title,
                so_far_usd=payments.so_far_usd,
                scheduled_usd=payments.scheduled_usd,
                bill=PredictedBill.of(usd),
                over_budget_fraction=over,
            )
        )
    return tuple(found)


def _month_end(payments: Payments, left: int, chance: Chance) -> Array | None:
    daily = np.array(payments.daily_usd, dtype=np.float64)
    known = payments.so_far_usd, payments.scheduled_usd
    if not left or (len(daily) and not daily.any()):
        return month_end_usd(*known, 0.0, np.ones(chance.count), left_days=left)
    if not len(daily):
        return None
    generator = np.random.default_rng(chance.seed)
    ratios = volume_ratios(daily, prior=chance.prior, horizon_days=left, count=chance.count, generator=generator)
    return month_end_usd(*known, float(daily.mean()), ratios, left_days=left)


def _once_begun(daily: Array) -> Array:
    """Return the days from the first on with half of the mean: how a pool was taken up is a step, and no trend."""
    return daily[int(np.argmax(daily >= daily.mean() / 2)) :] if len(daily) else daily


def pool_outlook(facts: PoolFacts, chance: Chance) -> PoolOutlook:
    """Return where one pool stands, from its last ``RECENT_DAYS`` whole days and the trend of all."""
    recent = facts.days[-RECENT_DAYS:]
    column = _columns(recent)
    served = float(column[:, 0].mean()) if len(recent) else 0.0
    watched = float(column[:, 1].mean()) if len(recent) else 0.0
    stair = _stair(facts, _seconds_per_mtok(column), chance)
    volume = np.array([item.watched_mtok if facts.is_virtual else item.served_mtok for item in facts.days])
    seen = (watched if facts.is_virtual else served) * DAYS_PER_MONTH
    price = float(column[:, 2].sum() / column[:, 0].sum()) if served else None
    needed = _needed(facts, column, chance) if served else np.full(chance.count, np.inf)
    paying = np.isfinite(needed)
    bill_usd = stair.step_usd_per_month(facts.nodes_count)
    many = served * DAYS_PER_MONTH
    return PoolOutlook(
        name=facts.name,
        is_virtual=facts.is_virtual,
        nodes_count=facts.nodes_count,
        days_count=len(recent),
        pool_usd_per_month=bill_usd,
        api_usd_per_mtok=price,
        needed_mtok_per_month=_interval(needed[paying]) if paying.mean() >= _NEVER_SHARE else None,
        capacity_mtok_per_month=stair.node_mtok_per_month * facts.nodes_count
        if np.isfinite(stair.node_mtok_per_month)
        else None,
        seen_mtok_per_month=seen,
        watched_mtok_per_month=watched * DAYS_PER_MONTH,
        trend_per_month=monthly_trend_fraction(_once_begun(volume[-RECENT_DAYS:])),
        reached_fraction=float((seen >= needed).mean()),
        crossing=_crossing(facts, volume, needed, chance) if served and paying.any() else None,
        saved_usd_per_month=None if price is None else price * many - bill_usd,
        note=_note(facts, recent, served, paying),
    )


def _columns(days: Sequence[PoolDay]) -> Array:
    """Return served and watched Mtok, dollars at the API and node-seconds, a row a day; NaN where not known."""
    return np.array(
        [
            (d.served_mtok, d.watched_mtok, d.would_usd, np.nan if d.node_seconds is None else d.node_seconds)
            for d in days
        ],
        dtype=np.float64,
    ).reshape(-1, 4)


def _seconds_per_mtok(column: Array) -> float:
    """Return what a million tokens take of a node; NaN where it is not known."""
    served = column[:, 0].sum()
    return float(column[:, 3].sum() / served) if served else float("nan")


def _stair(facts: PoolFacts, seconds_per_mtok: float, chance: Chance) -> StairCost:
    """Return a pool's bill over volume: nodes as rented now or more; without limit where node time is not known."""
    known = seconds_per_mtok > 0
    node_s = HOURS_PER_MONTH * _SECONDS_PER_HOUR * chance.utilisation_fraction
    return StairCost(
        fixed_usd_per_month=(facts.fixed_usd_per_hour - facts.further_node_usd_per_hour) * HOURS_PER_MONTH,
        node_usd_per_month=(facts.node_usd_per_hour + facts.further_node_usd_per_hour) * HOURS_PER_MONTH,
        node_mtok_per_month=node_s / seconds_per_mtok if known else float("inf"),
        min_nodes=max(facts.nodes_count, 1),
    )


def _needed(facts: PoolFacts, column: Array, chance: Chance) -> Array:
    """Return draws of the volume a month from which the pool pays; infinite where none does.

    Days are drawn again with replacement: the price and the node time of an average token follow from each sample.
    """
    generator = np.random.default_rng(chance.seed)
    means = resampled_means(column, count=chance.count, generator=generator)
    found = np.full(chance.count, np.inf)
    for number, (served, _, would_usd, node_seconds) in enumerate(means.tolist()):
        if served <= 0 or would_usd <= 0:
            continue
        stair = _stair(facts, node_seconds / served, chance)
        api = FlatCost(fixed_usd_per_month=0.0, usd_per_mtok=would_usd / served)
        if not np.isfinite(stair.node_mtok_per_month):
            found[number] = stair.step_usd_per_month(stair.min_nodes) / api.usd_per_mtok
            continue
        first = break_even(stair, api).first_mtok
        found[number] = np.inf if first is None else first
    return found


def _crossing(facts: PoolFacts, volume: Array, needed: Array, chance: Chance) -> Crossing | None:
    if not volume.any():
        return None
    daily = needed / DAYS_PER_MONTH
    days = reached_days(volume, np.zeros((chance.count, 0)), daily)
    if not np.isfinite(days).all():
        generator = np.random.default_rng(chance.seed)
        paths = volume_paths(
            volume[-PATH_DAYS:], prior=chance.prior, horizon_days=HORIZON_DAYS, count=chance.count, generator=generator
        )
        days = reached_days(volume, paths * volume[-PATH_DAYS:].mean(), daily)
    last = facts.days[-1].day

    def at(fraction: float) -> date | None:
        day = float(np.quantile(days, fraction, method="inverted_cdf"))
        return last + timedelta(days=int(day)) if np.isfinite(day) else None

    return Crossing(likely=at(0.5), low=at(0.1), high=at(0.9), within_fraction=float(np.isfinite(days).mean()))


def _interval(draws: Array) -> Interval:
    low, middle, high = np.quantile(draws, (0.1, 0.5, 0.9)).tolist()
    return Interval(low=low, likely=middle, high=high)


def _note(facts: PoolFacts, recent: Sequence[PoolDay], served: float, paying: Array) -> str:
    if not recent:
        return "No whole day of it is known yet."
    if not served:
        return "It served nothing, so nobody knows what its tokens would cost at the API."
    if paying.mean() < _NEVER_SHARE:
        return (
            "No volume pays: what a node serves in a month costs less at the API than the node does, at the mix and "
            "the prices seen."
        )
    if any(item.node_seconds is None for item in recent):
        return "What its nodes can serve is not known, so the volume that is needed may be more than they can."
    few = len(facts.days)
    return (
        f"Only {few} whole day{'' if few == 1 else 's'}: weeks and growth are assumed."
        if few < RECENT_DAYS // 2
        else ""
    )
