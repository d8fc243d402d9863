"""What K nodes carry of a load that moves, and what overflows: for one value exactly, for thousands of draws by tables.

The load of a window is the mean x its shape: busy nodes over their mean, as the trace shows them.  Nodes are counted
over the mean load too, so one curve answers for every volume: with shape s and held = K / mean load,

    carried share of the work = mean over windows of min(s, held).

Where a trace is too short to show its days, each of its windows is met in twelve parts of a day, whose loads over the
mean are lognormal with ``spread_ratio`` at the 99th percentile.  A load that overflows does so within its
window, request by request: it is never carried into the next, and the nodes have no queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr, ndtri

from breakeven.capacity.load import load
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.capacity.load import Windows
    from breakeven.capacity.service import Service
    from breakeven.quantities import Array, Number

    Counts = np.ndarray[tuple[int], np.dtype[np.int64]]

_SHARES: Final = np.array([0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.97, 0.985, 0.995, 1.0])
PART_WEIGHTS: Final = np.diff(_SHARES)
"""How long each part of a day is, as a share of it: the higher the load, the shorter."""

_CUTS: Final = ndtri(_SHARES)
_PEAK_SCORE: Final = float(ndtri(0.99))
_MOST_SPREAD: Final = 10.0

FEW_VALUES: Final = 256
"""So many values are computed each by itself; more of them by a table."""

SPREAD_POINTS: Final = 5
_HALVINGS: Final = 40
_NOISE: Final = 1e-9
HELD_POINTS: Final = 2048
LEAST_HELD: Final = 1e-3
"""Of fewer nodes than a thousandth of the mean load each is as busy as the first."""


def parts_of_day(spread_ratio: Number) -> Array:
    """Return the loads of twelve parts of a day over its mean, rising, shape (..., 12); see ``PART_WEIGHTS``.

    Means of a lognormal distribution's parts, whose 99th percentile is ``spread_ratio``; all 1 from 1 downwards.
    """
    logs = np.log(np.clip(np.asarray(spread_ratio, dtype=float), 1.0, _MOST_SPREAD))
    sigma = _PEAK_SCORE - np.sqrt(_PEAK_SCORE**2 - 2 * logs)
    return np.asarray(np.diff(ndtr(_CUTS - sigma[..., None]), axis=-1) / PART_WEIGHTS)


def _weighed(spread_ratio: Number) -> Iterator[tuple[float, Array]]:
    return zip(PART_WEIGHTS.tolist(), np.moveaxis(parts_of_day(spread_ratio), -1, 0), strict=True)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The loads of a trace's non-empty windows over the mean of all, in rising order, and their running sums.

    ``in_time`` are the same loads in the order of time, at the windows of ``index``.
    """

    ratios: Array
    sums: Array
    in_time: Array
    index: Counts
    window_count: int

    def carried_fraction(self, held_ratio: Array, spread_ratio: Number = 1.0) -> Array:
        """Return the share of the work that so many nodes over the mean load carry; exact."""
        if np.all(np.asarray(spread_ratio) <= 1):
            return self._carried(held_ratio)
        return np.asarray(sum(w * part * self._carried(held_ratio / part) for w, part in _weighed(spread_ratio)))

    def exceeded_fraction(self, held_ratio: Array, parts: Array | None = None) -> Array:
        """Return the share of time in which the load is above so many nodes over the mean load.

        ``parts`` are the loads of a day's parts, shape (..., 12); None: the day has one load.
        """
        if parts is None:
            return self._exceeded(held_ratio)
        weighed = PART_WEIGHTS * self._exceeded(held_ratio[..., None] / parts)
        return np.asarray(np.cumsum(weighed, axis=-1)[..., -1])

    def _carried(self, held_ratio: Array) -> Array:
        below = np.searchsorted(self.ratios, held_ratio)
        return np.asarray((self.sums[below] + held_ratio * (len(self.ratios) - below)) / self.window_count)

    def _exceeded(self, held_ratio: Array) -> Array:
        above = len(self.ratios) - np.searchsorted(self.ratios, held_ratio, side="right")
        return np.asarray(above / self.window_count)


def shape_of(windows: Windows, service: Service) -> Shape:
    """Return how far the windows of a trace lie from their mean, as nodes of that service feel it."""
    busy = load(windows, service).busy_nodes
    total = float(busy.sum())
    in_time = busy * (windows.window_count / total) if total else busy
    ratios = np.sort(in_time)
    return Shape(
        ratios=ratios,
        sums=np.concatenate([[0.0], np.cumsum(ratios)]),
        in_time=in_time,
        index=windows.index,
        window_count=windows.window_count,
    )


class OverflowTables:
    """The windows of one trace, asked what nodes of a service carry; shapes and tables are made once."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._shapes: dict[Service, Shape] = {}
        self._tables: dict[Service, _Table] = {}

    def shape(self, service: Service) -> Shape:
        """Return how the load on nodes of that service moves around its mean."""
        if service not in self._shapes:
            self._shapes[service] = shape_of(self._windows, service)
        return self._shapes[service]

    def carried_fraction(
        self, service: Service, *, nodes: Number, mean_nodes: Number, spread_ratio: Number = 1.0
    ) -> Number:
        """Return the share of the work that ``nodes`` carry at a mean load: mean of min(load, nodes) / mean load.

        All of it where there is no load.
        """
        mean = np.asarray(mean_nodes, dtype=float)
        held = np.asarray(nodes) / np.where(mean > 0, mean, 1.0)
        found = np.where(mean > 0, self._carried(service, held, spread_ratio), 1.0)
        return found if found.ndim else float(found)

    def paying_nodes(
        self, service: Service, *, mean_nodes: Number, paying_fraction: Number, spread_ratio: Number = 1.0
    ) -> Number:
        """Return the most nodes of which each is busy for at least that share of the time: the marginal rule.

        The k-th node's share is carried(k) - carried(k - 1), which falls with k and lies between the shares of time
        in which the load exceeds k and k - 1.  So where the load is exceeded for ``paying_fraction`` of the time, all
        whole nodes below pay, and of those above only the next can: its own share decides.
        """
        mean, least = np.asarray(mean_nodes, dtype=float), np.asarray(paying_fraction, dtype=float)
        below = np.floor(mean * self._exceeded_at(service, least, np.asarray(spread_ratio, dtype=float)))
        held = [np.where(mean > 0, count / np.where(mean > 0, mean, 1.0), 0.0) for count in (below, below + 1)]
        before, after = (self._carried(service, ratio, spread_ratio) for ratio in held)
        found = np.where(mean * (after - before) >= least, below + 1, below)
        return found if found.ndim else float(found)

    def _carried(self, service: Service, held: Array, spread: Number) -> Array:
        if max(np.size(held), np.size(spread)) <= FEW_VALUES:
            return self.shape(service).carried_fraction(held, spread)
        return self._table(service, np.asarray(spread, dtype=float)).carried_fraction(held, spread)

    def _exceeded_at(self, service: Service, fraction: Array, spread: Array) -> Array:
        """Return the nodes over the mean load that the load exceeds for that share of the time."""
        if max(fraction.size, spread.size) > FEW_VALUES:
            return self._table(service, spread).exceeded_at(fraction, spread)
        return _exceeded_at(self.shape(service), fraction, spread)

    def _table(self, service: Service, spread: Array) -> _Table:
        known = self._tables.get(service)
        low, high = max(float(spread.min()), 1.0), max(float(spread.max()), 1.0)
        if known is None or low < known.spreads[0] * (1 - _NOISE) or high > known.spreads[-1] * (1 + _NOISE):
            known = self._tables[service] = _table_of(self.shape(service), low, high)
        return known


def _exceeded_at(shape: Shape, fraction: Array, spread: Array) -> Array:
    """Return the least load over the mean that is exceeded for at most that share of the time, by halving."""
    fraction, spread = np.broadcast_arrays(fraction, spread)
    parts = parts_of_day(spread)
    low, high = np.zeros(fraction.shape), _highest(shape) * parts[..., -1]
    several = None if np.all(spread <= 1) else parts
    for _ in range(_HALVINGS):
        middle = np.asarray((low + high) / 2)
        enough = shape.exceeded_fraction(middle, several) <= fraction
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)


def _highest(shape: Shape) -> float:
    return float(shape.ratios[-1]) if len(shape.ratios) else 0.0


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Carried shares over nodes held, and nodes over shares of time, for a few spreads of a day."""

    spreads: Array
    held_logs: Array
    carried: Array
    exceeded: Array

    def carried_fraction(self, held_ratio: Array, spread_ratio: Number) -> Array:
        """Return the share of the work carried, linear between the marks of the table."""
        first, last, count = self.held_logs[0], self.held_logs[-1], len(self.held_logs)
        place = (np.log(np.maximum(held_ratio, LEAST_HELD)) - first) * ((count - 1) / (last - first))
        found = self._between(self.carried, np.clip(place, 0.0, count - 1.0), spread_ratio)
        return np.where(held_ratio < LEAST_HELD, found * held_ratio / LEAST_HELD, found)

    def exceeded_at(self, fraction: Array, spread_ratio: Number) -> Array:
        """Return the nodes over the mean load that are exceeded for that share of the time."""
        place = np.clip(fraction, 0.0, 1.0) * (HELD_POINTS - 1)
        return self._between(self.exceeded, place, spread_ratio)

    def _between(self, table: Array, place: Array, spread_ratio: Number) -> Array:
        left = np.minimum(place.astype(np.int64), table.shape[1] - 2)
        share = place - left
        if len(self.spreads) == 1:
            row = table[0]
            return np.asarray(row[left] + share * (row[left + 1] - row[left]))
        rank = np.interp(spread_ratio, self.spreads, np.arange(len(self.spreads), dtype=float))
        lower = np.minimum(rank.astype(np.int64), len(self.spreads) - 2)
        low, high = (table[row, left] + share * (table[row, left + 1] - table[row, left]) for row in (lower, lower + 1))
        return np.asarray(low + (rank - lower) * (high - low))


def _table_of(shape: Shape, low: float, high: float) -> _Table:
    spreads = np.unique(np.geomspace(low, high, SPREAD_POINTS))
    most = max(_highest(shape) * float(parts_of_day(high)[-1]), 2 * LEAST_HELD)
    held_logs = np.linspace(np.log(LEAST_HELD), np.log(most), HELD_POINTS)
    held, shares = np.exp(held_logs), np.linspace(0.0, 1.0, HELD_POINTS)
    return _Table(
        spreads=spreads,
        held_logs=held_logs,
        carried=np.array([shape.carried_fraction(held, float(spread)) for spread in spreads]),
        exceeded=np.array([_exceeded_at(shape, shares, np.asarray(spread)) for spread in spreads]),
    )


def split_by_hour(shape: Shape, mean_nodes: float, nodes: float, *, window_s: float, first_hour: float) -> Array:
    """Return nodes kept busy and nodes' work that overflows, means by hour of the week: shape (168, 2).

    ``first_hour`` is when the first window begins, in hours from Monday 00:00.  NaN for hours that were not observed.
    """
    loads = np.zeros(shape.window_count)
    loads[shape.index] = shape.in_time * mean_nodes
    starts = first_hour + np.arange(shape.window_count) * (window_s / SECONDS_PER_HOUR)
    hours = np.floor(starts).astype(np.int64) % 168
    seen = np.bincount(hours, minlength=168).astype(float)
    seen[seen == 0] = np.nan
    carried = np.minimum(loads, nodes)
    sums = [np.bincount(hours, weights=part, minlength=168) for part in (carried, loads - carried)]
    return np.asarray(np.stack(sums, axis=1) / seen[:, None])
