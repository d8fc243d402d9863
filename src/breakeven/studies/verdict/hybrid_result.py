"""What a report shows of a hybrid besides its bill: nodes held, what overflows where, hour by hour of the week."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.overflow import split_by_hour
from breakeven.quantities import SECONDS_PER_DAY, SECONDS_PER_HOUR
from breakeven.studies.verdict.evaluate import spread
from breakeven.studies.verdict.result import HourOfWeek, Overflow

if TYPE_CHECKING:
    from datetime import datetime

    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.hybrid_option import HybridOption

WEEK_DAYS: Final = 6.9
"""From so many days on a trace shows every hour of a week: seven, less a quiet end."""


def overflow_of(option: HybridOption, case: Case) -> Overflow:
    """Return what overflows at likely values and over the draws."""
    likely, drawn = option.split(case.likely), option.split(case.drawn)
    paying = option.over_volume(case.drawn).paying_fraction
    return Overflow(
        target=option.api.price_list.target,
        model=option.api.model,
        held_nodes=spread(drawn.nodes * drawn.pays, likely.nodes * likely.pays),
        held_fraction=float(np.mean(drawn.pays)),
        overflow_fraction=spread(option.overflow_fraction(case.drawn), option.overflow_fraction(case.likely)),
        paying_fraction=spread(paying, option.over_volume(case.likely).paying_fraction),
        week=_week(option, float(likely.mean_nodes), float(likely.nodes)),
    )


def _week(option: HybridOption, mean_nodes: float, nodes: float) -> tuple[HourOfWeek, ...]:
    times, tables = option.workload.profile.times, option.workload.overflow
    assert times is not None
    assert tables is not None
    if times.span_days < WEEK_DAYS or times.window_s > SECONDS_PER_HOUR:
        return ()
    shape = tables.shape(option.pool.service)
    hours = split_by_hour(
        shape, mean_nodes, nodes, window_s=times.window_s, first_hour=_hours_since_monday(times.first_at)
    )
    return tuple(
        HourOfWeek(carried_nodes=None, overflow_nodes=None)
        if np.isnan(carried)
        else HourOfWeek(carried_nodes=float(carried), overflow_nodes=float(left))
        for carried, left in hours
    )


def _hours_since_monday(at: datetime) -> float:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return (at.weekday() * SECONDS_PER_DAY + (at - midnight).total_seconds()) / SECONDS_PER_HOUR
