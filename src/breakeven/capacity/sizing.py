"""How many nodes to hold when what they cannot serve overflows to an API that is paid by the token.

The newsvendor's problem: a node is paid whether it is used or not, and each further one serves only what those before
it leave.  So the k-th pays as long as what it saves at the overflow's price covers its cost, and all of them are held
only if together they save more than having any costs.  Nothing here queues: a window's work is served within the
window, or overflows.  Money is in US dollars an hour, averaged over the time that the windows cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from breakeven.quantities import Array, Number

    Ints = np.ndarray[tuple[int], np.dtype[np.int64]]

HOURS_PER_WEEK: Final = 168
NOT_IN_DOUBT: Final = np.ones(1)
"""Ratios of a demand that will be just what was seen."""

_MANY: Final = 20_000
_SHARES: Final = np.linspace(0.0, 1.0, 2001)
"""Stand for more windows than that where each is multiplied by every demand."""

_ROUNDING: Final = 1e-9
"""Of a dollar: a node that saves exactly what it costs is held."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the windows of a trace ask of nodes, and what the same costs elsewhere; arrays of shape (n,), n windows.

    ``busy_nodes``: the nodes that the window's work would keep busy, at the capacity that keeps the SLO; 0 for
    an empty window, which counts too.  ``node_hour_usd``: what the overflow asks for the work of one node-hour, at
    the window's own mix of tokens.  ``hour_of_week``: from Monday 00:00 UTC, 0 to 167.
    """

    busy_nodes: Array
    node_hour_usd: Array
    hour_of_week: Ints

    def __post_init__(self) -> None:
        count = len(self.busy_nodes)
        if not count or count != len(self.node_hour_usd) or count != len(self.hour_of_week):
            shapes = f"{count}, {len(self.node_hour_usd)} and {len(self.hour_of_week)}"
            raise ValueError(f"work needs one value of each kind for every window, got {shapes}")

    @property
    def mean_nodes(self) -> float:
        """Nodes busy on average."""
        return float(self.busy_nodes.mean())

    @property
    def all_overflow_usd_per_hour(self) -> float:
        """What everything costs at the overflow."""
        return float((self.busy_nodes * self.node_hour_usd).mean())

    @property
    def mean_node_hour_usd(self) -> float:
        """What the overflow asks for the work of a node-hour, over all work; 0 without work."""
        return self.all_overflow_usd_per_hour / self.mean_nodes if self.mean_nodes else 0.0

    @cached_property
    def saved(self) -> Curve:
        """What nodes save of the overflow's bill, US dollars an hour."""
        return curve(self.busy_nodes, self.node_hour_usd)

    @cached_property
    def served(self) -> Curve:
        """What nodes serve, in nodes busy."""
        return curve(self.busy_nodes, np.ones(len(self.busy_nodes)))

    def scaled(self, ratio: float) -> Work:
        """Return so many times the work, at the same prices and times."""
        return Work(
            busy_nodes=self.busy_nodes * ratio, node_hour_usd=self.node_hour_usd, hour_of_week=self.hour_of_week
        )

    def at_windows(self, chosen: Ints | slice) -> Work:
        """Return only these windows."""
        return Work(
            busy_nodes=self.busy_nodes[chosen],
            node_hour_usd=self.node_hour_usd[chosen],
            hour_of_week=self.hour_of_week[chosen],
        )

    def peak_nodes(self, quantile_fraction: float, ratios: Array = NOT_IN_DOUBT) -> float:
        """Return the load that this share of windows does not exceed, over all demands that may come."""
        levels = np.quantile(self.busy_nodes, _SHARES, method="inverted_cdf") if len(self.busy_nodes) > _MANY else None
        seen = self.busy_nodes if levels is None else levels
        return float(np.quantile(np.outer(ratios, seen), quantile_fraction, method="inverted_cdf"))


@dataclass(frozen=True, slots=True)
class Curve:
    """The mean over windows of weight x min(work, n), for any number of nodes n: piecewise linear and concave."""

    levels: Array
    """(n,) the windows' work, ascending."""

    weighted_below: Array
    """(n + 1,) sums of weight x work over the lowest windows, over the number of all."""

    weight_below: Array
    """(n + 1,) likewise of the weights."""

    def at(self, nodes: Array) -> Array:
        """Return the mean at each number of nodes."""
        below = np.searchsorted(self.levels, nodes, side="right")
        return np.asarray(self.weighted_below[below] + nodes * (self.weight_below[-1] - self.weight_below[below]))

    def expected(self, nodes: Array, ratios: Array) -> Array:
        """Return the mean over demands of so many times the work: r x the curve at n / r, since min(r d, n) is that."""
        return np.asarray((ratios[:, None] * self.at(nodes[None, :] / ratios[:, None])).mean(axis=0))


def curve(work: Array, weight: Array) -> Curve:
    """Return the mean of weight x min(work, n) as a function of n, for windows of that work and weight."""
    order = np.argsort(work, kind="stable")
    levels, weights = work[order], weight[order] / len(work)
    return Curve(
        levels=levels,
        weighted_below=np.concatenate([[0.0], np.cumsum(levels * weights)]),
        weight_below=np.concatenate([[0.0], np.cumsum(weights)]),
    )


def breakeven_utilisation_fraction(node_usd_per_hour: Number, *, overflow_usd_per_node_hour: Number) -> Number:
    """Return u*, the utilisation at which a node saves what it costs: above 1 no node ever pays.

    Node cost / (node capacity x the overflow's price of the tokens displaced), both of one hour (DESIGN 7).
    """
    return node_usd_per_hour / np.maximum(overflow_usd_per_node_hour, 1e-300)


def node_utilisations(work: Work, most_nodes: int, ratios: Array = NOT_IN_DOUBT) -> Array:
    """Return the share of its time in which each node serves what those before it do not: shape (most_nodes,).

    u_k = E[min(1, max(0, d - (k - 1)))], d the work of a window in nodes.  It falls with k.
    """
    return np.diff(work.served.expected(np.arange(most_nodes + 1.0), ratios))


def node_savings_usd_per_hour(work: Work, most_nodes: int, ratios: Array = NOT_IN_DOUBT) -> Array:
    """Return what each node saves at the overflow's price, beside those before it: shape (most_nodes,)."""
    return np.diff(work.saved.expected(np.arange(most_nodes + 1.0), ratios))


def marginal_nodes(savings_usd_per_hour: Array, node_usd_per_hour: float) -> int:
    """Return how many nodes pay for themselves: the k-th does iff it saves at least what it costs.

    Equal to utilisation u_k >= u* where the overflow's price of a node-hour is the same in all windows.  Source: the
    newsvendor's critical ratio (Arrow, Harris and Marschak 1951), with DESIGN 7's costs.
    """
    return int(np.sum(savings_usd_per_hour >= node_usd_per_hour - _ROUNDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """The bill against the number of nodes, from none on: arrays of shape (most_nodes + 1,)."""

    nodes_usd_per_hour: Array
    overflow_usd_per_hour: Array
    fixed_usd_per_hour: float
    """What any pool costs before its nodes: paid from the first node on."""

    @property
    def usd_per_hour(self) -> Array:
        """The whole bill."""
        any_pool = np.arange(len(self.nodes_usd_per_hour)) > 0
        return np.asarray(self.nodes_usd_per_hour + self.overflow_usd_per_hour + any_pool * self.fixed_usd_per_hour)

    @property
    def best_with_a_pool(self) -> int:
        """The cheapest number of nodes, of one and more; the smallest where several cost the same."""
        return 1 + int(np.argmin(self.usd_per_hour[1:])) if len(self.nodes_usd_per_hour) > 1 else 0

    @property
    def best(self) -> int:
        """The cheapest number of nodes: none unless all of them save more than any pool costs."""
        held, bill = self.best_with_a_pool, self.usd_per_hour
        return held if bill[held] < bill[0] else 0


def staircase(
    work: Work,
    *,
    node_usd_per_hour: float,
    fixed_usd_per_hour: float = 0.0,
    most_nodes: int | None = None,
    ratios: Array = NOT_IN_DOUBT,
) -> Staircase:
    """Return the expected bill for every number of nodes: nodes, what overflows, and what any pool costs.

    ``ratios`` are draws of the demand to come over the demand seen: the expectation is over them.  ``most_nodes``
    defaults to the largest window of the largest demand, beyond which nothing is left to serve.
    """
    if most_nodes is None:
        most_nodes = enough_nodes(work, ratios)
    counts = np.arange(most_nodes + 1.0)
    everything = work.all_overflow_usd_per_hour * float(ratios.mean())
    return Staircase(
        nodes_usd_per_hour=counts * node_usd_per_hour,
        overflow_usd_per_hour=np.maximum(everything - work.saved.expected(counts, ratios), 0.0),
        fixed_usd_per_hour=fixed_usd_per_hour,
    )


def enough_nodes(work: Work, ratios: Array = NOT_IN_DOUBT) -> int:
    """Return the whole nodes that the largest window needs at the largest demand: more serve nothing."""
    return max(1, int(np.ceil(work.busy_nodes.max() * ratios.max() - _ROUNDING)))


def representative_ratios(ratios: Array, count: int) -> Array:
    """Return so many draws in place of many: the middles of equally likely parts, their mean kept."""
    if len(ratios) <= count:
        return ratios
    middles = np.quantile(ratios, (np.arange(count) + 0.5) / count)
    return np.asarray(middles * (ratios.mean() / middles.mean()))


def daily_shape(peak_to_mean_ratio: float, count: int = 24) -> Array:
    """Return a day of ``count`` parts as multiples of its mean, for traffic of which only an hour was seen.

    1 + (p - 1) cos: the plainest day with that ratio of its busiest hour to its mean; at 2 and above night is empty.
    """
    swing = min(peak_to_mean_ratio - 1.0, 1.0)
    return np.asarray(1.0 + swing * np.cos(2 * np.pi * np.arange(count) / count))
