"""Volumes of whole days from a trace's windows, in the unit that a bill grows with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.quantities import SECONDS_PER_DAY
from breakeven.records import Moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.quantities import Array
    from breakeven.records import TrafficTimes

    VolumeOf = Callable[[Moments], float]
    """What some requests weigh in a bill, linear in their sums: dollars on an API, node-seconds on a pool."""

QUIET_END_FRACTION: Final = 0.05
"""A last day that lacks no more than this is whole: a trace ends with its last request, not at midnight."""


def daily_volumes(times: TrafficTimes, volume_of: VolumeOf) -> Array:
    """Return the volume of each whole day, oldest first, counted from the first request.

    The last day is scaled up by the little that it lacks; one that lacks more is left out.  Windows longer
    than a day give no days.
    """
    if times.window_s > SECONDS_PER_DAY:
        return np.zeros(0)
    whole = int(times.span_days + QUIET_END_FRACTION)
    volumes = np.zeros(whole)
    for day, moments in _days(times).items():
        if day < whole:
            volumes[day] = volume_of(moments)
    if whole > times.span_days:
        volumes[-1] /= 1 - (whole - times.span_days)
    return volumes


def total_volume(times: TrafficTimes, volume_of: VolumeOf) -> float:
    """Return the volume of the whole trace."""
    return sum(volume_of(moments) for moments in _days(times).values())


def _days(times: TrafficTimes) -> dict[int, Moments]:
    """Sum windows by the day in which they begin."""
    sums: dict[int, list[float]] = {}
    for window in times.windows:
        seen = window.moments
        row = (
            seen.requests,
            seen.input_tokens,
            seen.output_tokens,
            seen.input_output_tokens2,
            seen.output_output_tokens2,
        )
        total = sums.setdefault(int(window.index * times.window_s // SECONDS_PER_DAY), [0, 0, 0, 0.0, 0.0])
        total[:] = [before + more for before, more in zip(total, row, strict=True)]
    return {
        day: Moments(
            requests=int(total[0]),
            input_tokens=int(total[1]),
            output_tokens=int(total[2]),
            input_output_tokens2=total[3],
            output_output_tokens2=total[4],
        )
        for day, total in sorted(sums.items())
    }
