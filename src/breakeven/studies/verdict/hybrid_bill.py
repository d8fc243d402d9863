"""A hybrid's bill over volume: as many nodes as pay for themselves, tokens for what overflows, or tokens alone.

Fields are single values, or arrays that broadcast against the volumes asked for: shape (draws,) or (draws, 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from breakeven.capacity.overflow import OverflowTables
    from breakeven.capacity.service import Service
    from breakeven.quantities import Array, Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a month's work is divided, and what it costs with nodes and without any.

    ``nodes`` are the best number of at least the fewest that can be held, whether or not they pay for the fixed
    lines of a pool; ``overflow_fraction`` is the share of the work that they do not carry.
    """

    nodes: Array
    mean_nodes: Array
    overflow_fraction: Array
    with_nodes_usd_per_month: Array
    without_usd_per_month: Array

    @property
    def pays(self) -> Array:
        """Whether holding nodes costs less than buying every token: 1 or 0."""
        return np.asarray(self.with_nodes_usd_per_month < self.without_usd_per_month, dtype=float)

    @property
    def usd_per_month(self) -> Array:
        """The bill: with nodes where they pay, else without."""
        return np.minimum(self.with_nodes_usd_per_month, self.without_usd_per_month)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridBill:
    """What a hybrid costs at any volume, the mix of traffic and its shape over time unchanged.

    cost(V) = min(api_fixed + p V, pool_fixed + node_usd K + max(p V overflow(K), committed)).  K is the most nodes of
    which each is busy at least the share u* = node_usd x busy_nodes_per_mtok / p of its time.  ``pool_fixed`` is all
    that having nodes costs besides them, the API's engineers included.
    """

    pool_fixed_usd_per_month: Number
    api_fixed_usd_per_month: Number
    node_usd_per_month: Number
    usd_per_mtok: Number
    committed_usd_per_month: float
    busy_nodes_per_mtok: Number
    spread_ratio: Number
    min_nodes: int
    service: Service
    tables: OverflowTables

    @property
    def paying_fraction(self) -> Array:
        """u*: the share of its time that a node must be busy for to cost what it saves; above 1 none ever does."""
        price = np.asarray(self.usd_per_mtok, dtype=float)
        costs = np.asarray(self.node_usd_per_month * self.busy_nodes_per_mtok)
        return np.where(price > 0, costs / np.where(price > 0, price, 1.0), np.inf)

    def columns(self, count: int, rows: slice = slice(None)) -> HybridBill:
        """Return these draws' bills with fields of shape (draws, 1), to ask for several volumes of each."""

        def column(value: Number) -> Array:
            return np.broadcast_to(value, count)[rows, None]

        return replace(
            self,
            pool_fixed_usd_per_month=column(self.pool_fixed_usd_per_month),
            api_fixed_usd_per_month=column(self.api_fixed_usd_per_month),
            node_usd_per_month=column(self.node_usd_per_month),
            usd_per_mtok=column(self.usd_per_mtok),
            busy_nodes_per_mtok=column(self.busy_nodes_per_mtok),
            spread_ratio=column(self.spread_ratio),
        )

    def at(self, volume_mtok: Number) -> Split:
        """Divide a month of that volume."""
        mean = np.asarray(self.busy_nodes_per_mtok * volume_mtok)
        paying = self.tables.paying_nodes(
            self.service, mean_nodes=mean, paying_fraction=self.paying_fraction, spread_ratio=self.spread_ratio
        )
        nodes = np.maximum(paying, self.min_nodes)
        carried = self.tables.carried_fraction(
            self.service, nodes=nodes, mean_nodes=mean, spread_ratio=self.spread_ratio
        )
        overflow = np.asarray(1.0 - np.minimum(carried, 1.0))
        tokens_usd = np.asarray(self.usd_per_mtok * volume_mtok)
        bought = np.maximum(tokens_usd * overflow, self.committed_usd_per_month)
        return Split(
            nodes=np.asarray(nodes),
            mean_nodes=mean,
            overflow_fraction=overflow,
            with_nodes_usd_per_month=np.asarray(
                self.pool_fixed_usd_per_month + self.node_usd_per_month * nodes + bought
            ),
            without_usd_per_month=np.asarray(
                self.api_fixed_usd_per_month + np.maximum(tokens_usd, self.committed_usd_per_month)
            ),
        )

    def usd_per_month(self, volume_mtok: Number) -> Array:
        """Return the bills at monthly volumes."""
        return self.at(volume_mtok).usd_per_month
