"""A question about a hybrid, with all that has to be found out before it can be answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.sizing import representative_ratios, staircase
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_DAY, SECONDS_PER_HOUR, Interval
from breakeven.studies.hybrid.demand import (
    HORIZON_DAYS,
    OverflowPrice,
    is_forecast,
    ratios_to_come,
    shape_to_come,
    with_the_seen_again,
)
from breakeven.studies.hybrid.sides import WORLDS, Sided, World, candidates_of, sided
from breakeven.studies.verdict.token_price import price_traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.capacity.sizing import Staircase
    from breakeven.catalog.rate_card import PriceList
    from breakeven.quantities import Array
    from breakeven.sources.scenario import Pool
    from breakeven.studies.verdict.candidates import Candidate
    from breakeven.studies.verdict.context import Context

DEMANDS: Final = 100
"""Equally likely demands over which the expectation is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is sized."""

    pool: Pool
    overflow: PriceList
    batchable_fraction: float | None = None
    """Share of the work that may wait; None: what the trace says, and none where it does not."""

    seed: int = 1
    horizon_days: int = HORIZON_DAYS
    """For which it is sized; what it costs is told a month all the same."""


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """A question with all that was found out to answer it: each world's costs and work, and the demands to come."""

    question: Question
    context: Context
    candidates: list[Candidate]
    price: OverflowPrice
    worlds: Mapping[World, Sided]
    ratios: Array
    """Demands over that observed, equally likely, for which it is sized."""

    demand_ratio: Interval
    """The forecast alone: its middle, and four fifths around it."""

    seen_again: bool
    """Whether it counts but half, and that the days seen come again the other half."""

    capacity_fraction: float | None
    partial: tuple[str, ...]

    @property
    def likely(self) -> Sided:
        """At likely throughput and prices."""
        return self.worlds["likely"]

    def stairs(self, world: World = "likely", *, most_nodes: int | None = None) -> Staircase:
        """Return the expected bill against nodes in a world, with what any pool costs."""
        side = self.worlds[world]
        return staircase(
            side.work,
            node_usd_per_hour=side.node_usd_per_hour,
            fixed_usd_per_hour=side.pool_fixed_usd_per_hour,
            ratios=self.ratios,
            most_nodes=most_nodes,
        )


def prepare(question: Question, context: Context, *, capacity_fraction: float | None = None) -> Sizing:
    """Price the traffic, find the pool's nodes, and draw the demands to come.

    Raises ``InputError`` for traffic without times or with no work, and where the pool or a price is not known.
    """
    profile = context.workload.profile
    if profile.times is None:
        raise InputError(
            f"{profile.source} has no times, and how many nodes pay depends on when requests come. "
            "Give a log with one row a request, or totals by the hour or finer."
        )
    paid = price_traffic(profile.cells, question.overflow, context.day)
    price = OverflowPrice.of(paid, profile.moments)
    candidates = candidates_of(question.pool, context)
    days = question.horizon_days
    per_day = SECONDS_PER_DAY / profile.times.window_s
    sides = {
        world: sided(candidates, context, price, world=world, capacity_fraction=capacity_fraction) for world in WORLDS
    }
    worlds = {
        world: replace(side, work=shape_to_come(side.work, per_day, horizon_days=days)) for world, side in sides.items()
    }
    if not worlds["likely"].work.mean_nodes:
        raise InputError(f"{profile.source} asks for no work of nodes: there are no tokens in it to size for.")
    generator = np.random.default_rng(question.seed)
    assumptions = context.book.assumptions
    ratios = _stated_ratio(context)
    if ratios is None:
        service = candidates[0].option.service
        ratios = ratios_to_come(profile, service, assumptions, generator, horizon_days=days)
    seen_again = len(ratios) > 1 and is_forecast(profile, assumptions)
    return Sizing(
        question=question,
        context=context,
        candidates=candidates,
        price=price,
        worlds=worlds,
        ratios=representative_ratios(with_the_seen_again(ratios) if seen_again else ratios, DEMANDS),
        demand_ratio=_quantiles(ratios),
        seen_again=seen_again,
        capacity_fraction=capacity_fraction,
        partial=paid.partial,
    )


def _quantiles(ratios: Array) -> Interval:
    """Return the middle of the demands to come and four fifths around it."""
    low, likely, high = np.quantile(ratios, (0.1, 0.5, 0.9)).tolist()
    return Interval(low=low, likely=likely, high=high)


def _stated_ratio(context: Context) -> Array | None:
    """Return the stated month's load over the load observed, where the volume is stated."""
    stated = context.workload.total_tokens_per_month
    profile = context.workload.profile
    if stated is None or profile.times is None:
        return None
    month_s = context.likely()["hours_per_month"] * SECONDS_PER_HOUR
    return np.array([stated / (profile.usage.total_tokens * month_s / profile.times.span_s)])
