"""How a trace loads a pool: the busy nodes of each time window, and the nodes that its peaks need."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from breakeven.capacity.service import Service
    from breakeven.quantities import Array, Number
    from breakeven.records import TrafficTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The token sums of a trace's non-empty windows as arrays, built once and read many times.

    ``sums`` has shape (n, 4): input, output, input x output and output x output, in tokens;
    ``index`` has shape (n,): which of the ``window_count`` windows each row is.
    """

    sums: Array
    index: np.ndarray[tuple[int], np.dtype[np.int64]]
    window_count: int
    window_s: float
    span_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Busy nodes in each non-empty window of a trace, as observed (not yet scaled to a month)."""

    busy_nodes: Array
    windows: Windows

    @property
    def mean_nodes(self) -> float:
        """The average of busy nodes over the observed time."""
        return float(self.busy_nodes.sum()) * self.windows.window_s / self.windows.span_s

    def peak_nodes(self, quantile_fraction: float) -> float:
        """Return the load that this share of all windows (empty ones too) does not exceed.

        The smallest observed value that does it: never interpolated below a real window.
        """
        if not 0 < quantile_fraction <= 1:
            raise ValueError(f"a quantile is above 0 and at most 1, got {quantile_fraction}")
        rank = ceil(quantile_fraction * self.windows.window_count - 1e-9) - 1
        empty = self.windows.window_count - len(self.busy_nodes)
        if rank < empty:
            return 0.0
        return float(np.partition(self.busy_nodes, rank - empty)[rank - empty])

    def started_nodes(self, mean_nodes: Array) -> tuple[Array, Array]:
        """Return what scale-to-zero pays for at mean loads (n,): mean nodes up, and starts of a node per hour.

        In each window the whole nodes that its load needs are up; a rise over the window before is
        a start (the trace is taken as a cycle).  Node-seconds between requests inside a window are
        paid, as keep-alive is.
        """
        up = np.zeros((len(mean_nodes), self.windows.window_count))
        scales = mean_nodes / self.mean_nodes if self.mean_nodes else np.zeros(len(mean_nodes))
        up[:, self.windows.index] = np.ceil(self.busy_nodes * scales[:, None] - 1e-9)
        starts = np.clip(np.diff(up, axis=1, prepend=up[:, -1:]), 0, None).sum(axis=1)
        hours = self.windows.window_count * self.windows.window_s / SECONDS_PER_HOUR
        return up.mean(axis=1), starts / hours


def windows_of(times: TrafficTimes) -> Windows:
    """Return the windows of a trace as arrays."""
    moments = [window.moments for window in times.windows]
    sums = [(m.input_tokens, m.output_tokens, m.input_output_tokens2, m.output_output_tokens2) for m in moments]
    return Windows(
        sums=np.array(sums, dtype=float).reshape(-1, 4),
        index=np.array([window.index for window in times.windows], dtype=np.int64),
        window_count=times.window_count,
        window_s=times.window_s,
        span_s=times.span_s,
    )


def load(windows: Windows, service: Service, *, input_ratio: float = 1.0, output_ratio: float = 1.0) -> Load:
    """Return how these windows load nodes of that service, with token counts rescaled."""
    weights = np.array(
        [
            service.input_node_seconds * input_ratio,
            service.output_node_seconds * output_ratio,
            service.kv_node_seconds * input_ratio * output_ratio,
            service.kv_node_seconds * output_ratio**2 / 2,
        ]
    )
    # The last window may be cut short by the end of the trace: it counts as a whole one.
    return Load(busy_nodes=windows.sums @ weights / windows.window_s, windows=windows)


def serving_nodes(peak_nodes: Number, *, min_nodes: int = 1) -> Number:
    """Return the whole nodes that carry a peak load, at least ``min_nodes``."""
    return np.maximum(min_nodes, np.ceil(peak_nodes * (1 - 1e-12)))
