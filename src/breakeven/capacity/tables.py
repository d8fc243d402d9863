"""A trace's peaks and up-times for many draws at once.

One value is computed exactly from the windows.  For thousands of draws a few exact values span a table, and the
draws are interpolated in it: peaks come within a percent, up-times within 0.2 and starts within 5 percent
(tested), far inside the doubt that the draws carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.capacity.load import Load, Windows
    from breakeven.capacity.service import Service
    from breakeven.quantities import Array, Number

RATIO_POINTS: Final = 5
FEW_VALUES: Final = 50
UPTIME_CELLS: Final = 2_000_000
MOST_UPTIME_POINTS: Final = 1025
"""Up-time climbs in steps of whole nodes, so its table is as fine as this many windows x points allow."""

_TINY: Final = 1e-12
"""Stands for 0 in a logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uptimes:
    """Nodes up and starts at rising mean loads."""

    mean_nodes: Array
    up_nodes: Array
    starts_per_hour: Array


class LoadTables:
    """The windows of one trace, asked for peaks and up-times of services; every table is made once."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._peaks: dict[tuple[Service, int], tuple[tuple[Number, ...], Number]] = {}
        self._uptimes: dict[Service, _Uptimes] = {}
        self._loads: dict[Service, Load] = {}

    def peak_nodes(
        self, service: Service, *, quantile_fraction: Number, input_ratio: Number, output_ratio: Number
    ) -> Number:
        """Return the busy nodes that this share of windows does not exceed, with token counts rescaled.

        As observed, not yet scaled to a month.  See ``Load.peak_nodes``.  Options of one service ask with the
        same draws, so the last answer for each service and number of values is kept.
        """
        asked = (quantile_fraction, input_ratio, output_ratio)
        kept_as = service, max(np.size(value) for value in asked)
        known = self._peaks.get(kept_as)
        if known is None or any(given is not kept for given, kept in zip(asked, known[0], strict=True)):
            axes = [_points(value, RATIO_POINTS) for value in asked]
            table = self._peak_table(service, axes)
            known = asked, float(table.flat[0]) if table.size == 1 else _between(axes, table, asked)
            self._peaks[kept_as] = known
        return known[1]

    def up_nodes(self, service: Service, mean_nodes: Number) -> tuple[Number, Number]:
        """Return mean nodes up and starts an hour of nodes that scale to zero, at a mean load.

        The load keeps the shape over time that was observed.  See ``Load.started_nodes``.
        """
        if isinstance(mean_nodes, float | int):
            up, starts = self._load(service).started_nodes(np.array([float(mean_nodes)]))
            return float(up[0]), float(starts[0])
        table = self._uptimes.get(service)
        if table is None or mean_nodes.min() < table.mean_nodes[0] or mean_nodes.max() > table.mean_nodes[-1]:
            table = self._uptimes[service] = self._uptime_table(service, mean_nodes)
        return (
            np.interp(mean_nodes, table.mean_nodes, table.up_nodes),
            np.interp(mean_nodes, table.mean_nodes, table.starts_per_hour),
        )

    def _uptime_table(self, service: Service, mean_nodes: Array) -> _Uptimes:
        """Return up-times from half the smallest to twice the largest mean: months to come ask for more."""
        count = min(MOST_UPTIME_POINTS, max(9, UPTIME_CELLS // self._windows.window_count))
        grid = np.geomspace(mean_nodes.min() / 2, mean_nodes.max() * 2, count)
        up, starts = self._load(service).started_nodes(grid)
        return _Uptimes(mean_nodes=grid, up_nodes=up, starts_per_hour=starts)

    def _load(self, service: Service) -> Load:
        if service not in self._loads:
            self._loads[service] = load(self._windows, service)
        return self._loads[service]

    def _peak_table(self, service: Service, axes: Sequence[Array]) -> Array:
        quantiles, inputs, outputs = axes
        table = np.empty([len(axis) for axis in axes])
        for i, into in enumerate(inputs):
            for j, out in enumerate(outputs):
                observed = load(self._windows, service, input_ratio=float(into), output_ratio=float(out))
                table[:, i, j] = [observed.peak_nodes(float(quantile)) for quantile in quantiles]
        return table


def _points(values: Number, count: int) -> Array:
    """Return the few distinct values, or that many between the smallest and the largest."""
    if isinstance(values, float | int):
        return np.array([float(values)])
    some = np.unique(values[:FEW_VALUES])
    distinct = some if len(some) > count else np.unique(values)  # draws differ from the first few on
    return distinct if len(distinct) <= count else np.geomspace(values.min(), values.max(), count)


def _between(axes: Sequence[Array], table: Array, values: Sequence[Number]) -> Array:
    """Interpolate linearly in logarithms along the axes that have more than one point."""
    log: Callable[[Number], Array] = lambda value: np.log(np.maximum(value, _TINY))  # noqa: E731
    wide = [index for index, axis in enumerate(axes) if len(axis) > 1]
    asked = [log(np.clip(values[index], axes[index][0], axes[index][-1])) for index in wide]
    return np.exp(_linear([log(axes[index]) for index in wide], log(np.squeeze(table)), asked))


def _linear(axes: Sequence[Array], table: Array, asked: Sequence[Array]) -> Array:
    """Return what a table says between its marks, linear along each of its axes; ``asked`` lies within them.

    To the last bit what ``scipy.interpolate.RegularGridInterpolator`` says, whose import takes as long as all else
    that a plan does with its tables.
    """
    places = [
        np.clip(np.searchsorted(axis, at, "right") - 1, 0, len(axis) - 2) for axis, at in zip(axes, asked, strict=True)
    ]
    shares = [
        (at - axis[place]) / (axis[place + 1] - axis[place])
        for axis, at, place in zip(axes, asked, places, strict=True)
    ]
    found: Array = np.zeros(())
    for corner in product((0, 1), repeat=len(axes)):
        mark = table[tuple(place + step for place, step in zip(places, corner, strict=True))]
        weights = [share if step else 1 - share for share, step in zip(shares, corner, strict=True)]
        # scipy has a way of its own for two axes, and each order of multiplication has last bits of its own.
        found = found + (mark * weights[0] * weights[1] if len(weights) == 2 else mark * prod(weights))
    return found
