"""The days of a trace: sums of whole days from its windows, to be weighed as a bill weighs them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.quantities import SECONDS_PER_DAY
from breakeven.records import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breakeven.quantities import Array
    from breakeven.records import TrafficTimes

    VolumeOf = Callable[[Moments], float]
    """What some requests weigh in a bill, linear in their sums: dollars on an API, node-seconds on a pool."""

QUIET_END_FRACTION: Final = 0.05
"""A last day that lacks no more than this is whole: a trace ends with its last request, not at midnight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A trace by whole days, oldest first, counted from its first request.

    A last day that lacks little is scaled up by what it lacks; one that lacks more is in ``total`` alone.
    Windows longer than a day give no days.
    """

    whole: tuple[Moments, ...]
    last_day_fraction: float
    total: Moments
    span_days: float

    @classmethod
    def of(cls, times: TrafficTimes) -> Days:
        """Sum windows by the day in which they begin."""
        count = int(times.span_days + QUIET_END_FRACTION) if times.window_s <= SECONDS_PER_DAY else 0
        by_day: list[list[Moments]] = [[] for _ in range(count)]
        for window in times.windows:
            day = int(window.index * times.window_s // SECONDS_PER_DAY)
            if day < count:
                by_day[day].append(window.moments)
        return cls(
            whole=tuple(_sum(moments) for moments in by_day),
            last_day_fraction=min(1.0, 1 - (count - times.span_days)),
            total=_sum(window.moments for window in times.windows),
            span_days=times.span_days,
        )

    def volumes(self, volume_of: VolumeOf) -> Array:
        """Return the volume of each whole day."""
        volumes = np.array([volume_of(moments) for moments in self.whole], dtype=np.float64)
        if len(volumes):
            volumes[-1] /= self.last_day_fraction
        return volumes

    def mean_volume(self, volume_of: VolumeOf) -> float:
        """Return the volume of an average day of all that was observed."""
        return volume_of(self.total) / self.span_days


def _sum(moments: Iterable[Moments]) -> Moments:
    rows = list(moments)
    return Moments(**{item.name: sum(getattr(row, item.name) for row in rows) for item in fields(Moments)})
