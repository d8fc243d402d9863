"""Nodes by hour of the week, and how each is bought: reserved for always, on demand or on spot for the hours that pay.

Nodes are taken one upon the other: each serves what those below leave.  Costs are then a sum over nodes and hours, so
each node can be decided by itself, and the whole is the optimum (where starts are free and prices linear).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from breakeven.capacity.sizing import HOURS_PER_WEEK, NOT_IN_DOUBT, Work, curve, enough_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.sizing import Ints
    from breakeven.quantities import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A way to buy a node.

    ``by_the_hour``: paid only in the hours in which it is up; else always.  ``interruption_fraction`` of the paid
    time is lost, and what the node would have served then overflows.  Each start of a node that is bought by the
    hour pays ``start_hours`` without serving.
    """

    name: str
    node_usd_per_hour: float
    by_the_hour: bool
    interruption_fraction: float = 0.0
    start_hours: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.interruption_fraction < 1 or self.node_usd_per_hour < 0 or self.start_hours < 0:
            told = f"{self.interruption_fraction}, {self.node_usd_per_hour} and {self.start_hours}"
            raise ValueError(f"need an interrupted share in [0, 1), a price and start hours of 0 or more, got {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Nodes by way to buy them and hour of the week, with what they and the overflow come to."""

    terms: tuple[Terms, ...]
    nodes: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    """(terms, 168): nodes up."""

    nodes_usd_per_hour: float
    overflow_usd_per_hour: float
    week_starts_count: float

    @property
    def usd_per_hour(self) -> float:
        """Nodes and overflow, without what any pool costs."""
        return self.nodes_usd_per_hour + self.overflow_usd_per_hour

    @property
    def up_nodes(self) -> Ints:
        """(168,): nodes up by hour of the week, however bought."""
        return np.asarray(self.nodes.sum(axis=0))


@dataclass(frozen=True, slots=True)
class _Layer:
    """How the k-th node is bought: the index of its terms in each hour, -1 where it is not up."""

    gain_usd_per_hour: float
    chosen: Ints
    paid_usd_per_hour: float
    starts_count: int


def best_schedule(
    work: Work, terms: Sequence[Terms], *, most_nodes: int | None = None, ratios: Array = NOT_IN_DOUBT
) -> Schedule:
    """Return the cheapest nodes by hour of the week and way to buy them.

    Node k in hour h saves s(h, k), the mean over that hour's windows of price x min(1, max(0, d - (k - 1))).  Bought
    for always it gains (1 - f) mean of s over hours - price; by the hour it is up where (1 - f) s(h, k) - price is
    above 0, and a stretch of hours is kept if it gains more than its start costs.  Spot nodes are counted one
    by one: that a node above could take the work of one that is interrupted is left out, so spot is judged a little
    too hard.  Hours that the trace does not show weigh nothing and get no node bought by the hour.
    """
    count = enough_nodes(work, ratios) if most_nodes is None else most_nodes
    weights, savings = _by_hour(work, count, ratios)
    layers = [_layer(savings[:, node], weights, terms) for node in range(count)]
    nodes = np.zeros((len(terms), HOURS_PER_WEEK), dtype=np.int64)
    for layer in layers:
        for hour in np.flatnonzero(layer.chosen >= 0):
            nodes[layer.chosen[hour], hour] += 1
    everything = work.all_overflow_usd_per_hour * float(ratios.mean())
    paid = sum(layer.paid_usd_per_hour for layer in layers)
    gained = sum(layer.gain_usd_per_hour for layer in layers)
    return Schedule(
        terms=tuple(terms),
        nodes=nodes,
        nodes_usd_per_hour=paid,
        overflow_usd_per_hour=max(0.0, everything - gained - paid),
        week_starts_count=float(sum(layer.starts_count for layer in layers)),
    )


def schedule_usd_per_hour(schedule: Schedule, work: Work) -> tuple[float, float]:
    """Return what a schedule's nodes and its overflow come to with another demand, in US dollars an hour.

    Nodes of terms with fewer interruptions serve first.
    """
    seen = np.bincount(work.hour_of_week, minlength=HOURS_PER_WEEK) / len(work.hour_of_week)
    served = np.zeros(len(work.busy_nodes))
    below = np.zeros(len(work.busy_nodes))
    paid = 0.0
    for index in np.argsort([item.interruption_fraction for item in schedule.terms], kind="stable"):
        item, up = schedule.terms[index], schedule.nodes[index].astype(float)
        here = np.clip(work.busy_nodes - below, 0.0, up[work.hour_of_week])
        served += here * (1 - item.interruption_fraction)
        below += up[work.hour_of_week]
        weight = seen if item.by_the_hour else np.full(HOURS_PER_WEEK, 1 / HOURS_PER_WEEK)
        starts = _starts(up) * item.start_hours / HOURS_PER_WEEK if item.by_the_hour else 0.0
        paid += item.node_usd_per_hour * (float(up @ weight) + starts)
    overflow = float(((work.busy_nodes - served) * work.node_hour_usd).mean())
    return paid, overflow


def _starts(up: Array) -> float:
    return float(np.clip(np.diff(up, prepend=up[-1]), 0, None).sum())


def _by_hour(work: Work, count: int, ratios: Array) -> tuple[Array, Array]:
    """Return each hour's share of the windows, and (168, count) what each node saves in it."""
    weights = np.bincount(work.hour_of_week, minlength=HOURS_PER_WEEK) / len(work.hour_of_week)
    savings = np.zeros((HOURS_PER_WEEK, count))
    steps = np.arange(count + 1.0)
    for hour in np.flatnonzero(weights):
        here = work.hour_of_week == hour
        saved = curve(work.busy_nodes[here], work.node_hour_usd[here])
        savings[hour] = np.diff(saved.expected(steps, ratios))
    return weights, savings


def _layer(savings: Array, weights: Array, terms: Sequence[Terms]) -> _Layer:
    """Return the best way to buy one node, from what it saves by hour."""
    best = _hourly(savings, weights, terms)
    for index, item in enumerate(terms):
        if item.by_the_hour:
            continue
        gain = (1 - item.interruption_fraction) * float(savings @ weights) - item.node_usd_per_hour
        if gain >= best.gain_usd_per_hour and gain >= 0:
            chosen = np.full(HOURS_PER_WEEK, index, dtype=np.int64)
            best = _Layer(gain, chosen, item.node_usd_per_hour, 0)
    return best


def _hourly(savings: Array, weights: Array, terms: Sequence[Terms]) -> _Layer:
    """Return the node bought by the hour: in the hours that pay, in stretches that pay their start."""
    chosen = np.full(HOURS_PER_WEEK, -1, dtype=np.int64)
    gains = np.zeros(HOURS_PER_WEEK)
    for index, item in enumerate(terms):
        gain = (1 - item.interruption_fraction) * savings - item.node_usd_per_hour
        if item.by_the_hour:
            better = (gain > gains) & (weights > 0)
            chosen[better], gains[better] = index, gain[better]
    total, paid, starts = 0.0, 0.0, 0
    for stretch, wraps in _stretches(chosen >= 0):
        item = terms[chosen[stretch[0]]]
        cost = 0.0 if wraps else item.start_hours * item.node_usd_per_hour / HOURS_PER_WEEK
        gained = float(gains[stretch] @ weights[stretch]) - cost
        if gained <= 0:
            chosen[stretch] = -1
            continue
        prices = np.array([terms[index].node_usd_per_hour for index in chosen[stretch]])
        total, paid, starts = total + gained, paid + float(prices @ weights[stretch]) + cost, starts + (not wraps)
    return _Layer(total, chosen, paid, starts)


def _stretches(up: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[Ints, bool]]:
    """Return the stretches of hours that are up, over the end of the week too, and whether one is the whole week."""
    if up.all():
        return [(np.arange(len(up)), True)]
    if not up.any():
        return []
    first = int(np.flatnonzero(~up)[0])
    hours = (np.arange(len(up)) + first) % len(up)
    cuts = np.flatnonzero(np.diff(up[hours].astype(int))) + 1
    return [(part, False) for part in np.split(hours, cuts) if up[part[0]]]
