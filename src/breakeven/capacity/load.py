"""How a trace loads a pool: the busy nodes of each time window, and the nodes that its peaks need."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from breakeven.capacity.service import Service
    from breakeven.records import TrafficTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Busy nodes in each non-empty window of a trace, as observed (not yet scaled to a month).

    ``busy_nodes`` has one entry for each of the ``len`` non-empty windows of ``window_count``.
    """

    busy_nodes: np.ndarray[tuple[int], np.dtype[np.float64]]
    window_count: int
    window_s: float
    span_s: float

    @property
    def mean_nodes(self) -> float:
        """The average of busy nodes over the observed time."""
        return float(self.busy_nodes.sum()) * self.window_s / self.span_s

    def peak_nodes(self, quantile_fraction: float) -> float:
        """Return the load that this share of all windows (empty ones too) does not exceed.

        The smallest observed value that does it: never interpolated below a real window.
        """
        if not 0 < quantile_fraction <= 1:
            raise ValueError(f"a quantile is above 0 and at most 1, got {quantile_fraction}")
        rank = ceil(quantile_fraction * self.window_count) - 1
        empty = self.window_count - len(self.busy_nodes)
        if rank < empty:
            return 0.0
        return float(np.partition(self.busy_nodes, rank - empty)[rank - empty])

    def started_nodes(self, scale: float) -> tuple[float, float]:
        """Return what scale-to-zero pays for: mean nodes up, and starts of a node per hour.

        In each window the whole nodes that its load needs are up; a rise over the window before is
        a start.  Node-seconds between requests inside a window are paid, as keep-alive is.
        """
        up = np.zeros(self.window_count)
        up[: len(self.busy_nodes)] = np.ceil(self.busy_nodes * scale - 1e-9)
        starts = float(np.clip(np.diff(up, prepend=up[-1]), 0, None).sum())
        hours = self.window_count * self.window_s / 3600
        return float(up.mean()), starts / hours


def load(
    times: TrafficTimes, service: Service, *, input_ratio: float = 1.0, output_ratio: float = 1.0
) -> Load:
    """Return how these windows load nodes of that service, with token counts rescaled."""
    moments = np.array(
        [
            (m.input_tokens, m.output_tokens, m.input_output_tokens2, m.output_output_tokens2)
            for m in (window.moments for window in times.windows)
        ],
        dtype=float,
    ).reshape(-1, 4)
    weights = np.array(
        [
            service.input_node_seconds * input_ratio,
            service.output_node_seconds * output_ratio,
            service.kv_node_seconds * input_ratio * output_ratio,
            service.kv_node_seconds * output_ratio**2 / 2,
        ]
    )
    # The last window is cut short by the end of the trace; its load is that of a whole one.
    return Load(
        busy_nodes=moments @ weights / times.window_s,
        window_count=times.window_count,
        window_s=times.window_s,
        span_s=times.span_s,
    )


def serving_nodes(peak_nodes: float, *, min_nodes: int = 1) -> int:
    """Return the whole nodes that carry a peak load, at least ``min_nodes``."""
    return max(min_nodes, ceil(peak_nodes * (1 - 1e-12)))
