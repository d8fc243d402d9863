"""How many nodes of a pool pay, and what its nights are worth, from what it and the API beside it served hour by hour.

What does not fit on the nodes goes to the API, at what a second of node time is worth there: the API's price of what
the pool serves over the node time that it takes.  Days are drawn again with replacement, so that a figure that rests on
two busy days says so; days are taken for independent, so weeks that differ make it too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.economics.ahead import resampled_means
from breakeven.quantities import DAYS_PER_MONTH
from breakeven.studies.advice.advice import Gain

if TYPE_CHECKING:
    from breakeven.quantities import Array

HOURS_PER_DAY: Final = 24
NIGHT_HOURS: Final = 8
DRAWS: Final = 2000
SEED: Final = 1
_HOUR_S: Final = 3600.0


class PoolHours(NamedTuple):
    """Whole days of a pool, hour by hour; arrays of (days, 24)."""

    served_s: Array
    """Node time of what it served."""

    overflow_s: Array
    """Node time that what the API answered of the same models would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """A pool's nodes, and what they and the API cost."""

    count: int
    usd_per_hour: float
    """Of one node."""

    fixed_usd_per_hour: float
    """People, infrastructure and reliability with one node."""

    further_usd_per_hour: float
    """What each further node adds to that."""

    api_usd_per_s: float
    """What a second of node time costs at the API, by the tokens that it serves."""

    hourly_most_s: float
    """Node time that a node can give in an hour: at the utilisation assumed, or more where more was seen."""


def most_seconds(hours: PoolHours, nodes_count: int, utilisation_fraction: float) -> float:
    """Return the node time that a node gives in an hour: what is assumed, or the busiest hundredth that was seen."""
    seen = float(np.quantile(hours.served_s, 0.99)) / max(nodes_count, 1) if hours.served_s.size else 0.0
    return min(max(utilisation_fraction * _HOUR_S, seen), _HOUR_S)


def with_nodes(hours: PoolHours, nodes: Nodes, count: int) -> Array:
    """Return what each day would cost with so many nodes: nodes, fixed lines, and the API for the rest; (days,)."""
    room_s = count * nodes.hourly_most_s
    left_s = np.maximum(hours.served_s + hours.overflow_s - room_s, 0.0)
    fixed = nodes.fixed_usd_per_hour + nodes.further_usd_per_hour * (count - 1) if count else 0.0
    hourly = count * nodes.usd_per_hour + fixed + nodes.api_usd_per_s * left_s
    return np.asarray(hourly.sum(axis=1))


def gain_of(daily_usd: Array) -> Gain:
    """Return what daily savings come to in a month, from samples of whole days."""
    generator = np.random.default_rng(SEED)
    months = resampled_means(daily_usd.reshape(-1, 1), count=DRAWS, generator=generator)[:, 0] * DAYS_PER_MONTH
    low, high = np.quantile(months, (0.1, 0.9))
    likely = float(daily_usd.mean()) * DAYS_PER_MONTH
    return Gain(float(low), likely, float(high), float((months > 0).mean()))


def node_gain(hours: PoolHours, nodes: Nodes, count: int) -> Gain:
    """Return what another number of nodes would save."""
    return gain_of(with_nodes(hours, nodes, nodes.count) - with_nodes(hours, nodes, count))


def best_count(hours: PoolHours, nodes: Nodes) -> int:
    """Return the number of nodes, one more at most, with which the days cost least; 0: none at all."""
    return min(range(nodes.count + 2), key=lambda count: float(with_nodes(hours, nodes, count).sum()))


def quiet_hours(hours: PoolHours) -> tuple[int, ...]:
    """Return the hours of the day (UTC), next to each other, in which least is asked for."""
    by_hour = (hours.served_s + hours.overflow_s).sum(axis=0)
    sums = [by_hour.take(range(start, start + NIGHT_HOURS), mode="wrap").sum() for start in range(HOURS_PER_DAY)]
    start = int(np.argmin(sums))
    return tuple((start + step) % HOURS_PER_DAY for step in range(NIGHT_HOURS))


def nights_off_gain(hours: PoolHours, nodes: Nodes, night: tuple[int, ...]) -> Gain:
    """Return what it would save to give the nodes back in these hours; the fixed lines stay."""
    at_night = list(night)
    room_s = nodes.count * nodes.hourly_most_s
    served_s = np.minimum((hours.served_s + hours.overflow_s)[:, at_night], room_s)
    saved = nodes.count * nodes.usd_per_hour * len(night) - nodes.api_usd_per_s * served_s.sum(axis=1)
    return gain_of(saved)


def night_batches_gain(hours: PoolHours, nodes: Nodes, night: tuple[int, ...], batchable_fraction: float) -> Gain:
    """Return what it would save to serve at night what the API answered by day and what can wait.

    As much as there is room for; the nodes are paid anyway.
    """
    at_night = np.isin(np.arange(HOURS_PER_DAY), night)
    room_s = np.maximum(nodes.count * nodes.hourly_most_s - hours.served_s[:, at_night], 0.0).sum(axis=1)
    waits_s = batchable_fraction * hours.overflow_s[:, ~at_night].sum(axis=1)
    return gain_of(nodes.api_usd_per_s * np.minimum(room_s, waits_s))
