"""Break-even for thousands of draws at once: the staircase and the straight bill, one of each for every draw.

The arithmetic is that of ``breakeven``, on arrays; where that lists every range at which a pool is cheaper, this
gives the first crossing.  Fields broadcast against each other:
shape (draws, 1) for what holds all along, (draws, months) for what moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from breakeven.quantities import Array

_NOISE = 1e-9
"""Steps are forgiven this share of float noise, as in ``breakeven``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatDraws:
    """Bills that grow in proportion to volume, and never fall below a commitment to spend."""

    fixed_usd_per_month: Array
    usd_per_mtok: Array
    committed_usd_per_month: float = 0.0

    def usd_per_month(self, volume_mtok: Array) -> Array:
        """Return the bills at monthly volumes."""
        tokens_usd = self.usd_per_mtok * volume_mtok
        if self.committed_usd_per_month:
            tokens_usd = np.maximum(tokens_usd, self.committed_usd_per_month)
        return self.fixed_usd_per_month + tokens_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class StairDraws:
    """Bills of whole nodes; see ``breakeven.StairCost``."""

    fixed_usd_per_month: Array
    node_usd_per_month: Array
    node_mtok_per_month: Array
    standby_nodes: Array
    min_nodes: int = 1

    def nodes(self, volume_mtok: Array) -> Array:
        """Return the serving nodes that volumes need, standby not counted."""
        return np.maximum(np.ceil(volume_mtok / self.node_mtok_per_month * (1 - 1e-12)), self.min_nodes)

    def usd_per_month(self, volume_mtok: Array) -> Array:
        """Return the bills at monthly volumes."""
        return self.step_usd_per_month(self.nodes(volume_mtok))

    def step_usd_per_month(self, nodes: Array | int) -> Array:
        """Return the bills of pools with that many serving nodes."""
        return self.fixed_usd_per_month + self.node_usd_per_month * (nodes + self.standby_nodes)


def first_crossing_mtok(pool: StairDraws, api: FlatDraws) -> Array:
    """Return the first volume at which cost_pool(V) <= cost_api(V), for every draw; infinite where there is none.

    In millions of tokens a month.  A commitment is no part of it, as it melts with volume.  See
    ``breakeven.break_even`` for the derivation: with margin = price x node_mtok - node_usd and head = C(0) -
    fixed_api, the first step with a cheaper part is ceil(head / margin).
    """
    margin_usd = api.usd_per_mtok * pool.node_mtok_per_month - pool.node_usd_per_month
    head_usd = pool.step_usd_per_month(0) - api.fixed_usd_per_month
    pays = margin_usd > 0
    first_step = np.maximum(pool.min_nodes, _at_least(head_usd / np.where(pays, margin_usd, 1.0)))
    # With margin <= 0 a further node never pays for itself: only a head start can, and it melts.
    last_step = np.floor(-head_usd / np.where(pays, 1.0, np.maximum(-margin_usd, 1e-12)))
    starts_cheaper = (head_usd <= 0) & (api.usd_per_mtok > 0) & (last_step >= pool.min_nodes)
    crossed = _cheaper_from(pool, api, np.where(pays, first_step, pool.min_nodes))
    return np.where(pays | starts_cheaper, crossed, np.inf)


def _at_least(steps: Array) -> Array:
    return np.ceil(steps - _NOISE * np.maximum(1.0, np.abs(steps)))


def _cheaper_from(pool: StairDraws, api: FlatDraws, nodes: Array) -> Array:
    """Return where on a step the pool becomes cheaper, given that it does."""
    excess_usd = pool.step_usd_per_month(nodes) - api.fixed_usd_per_month
    price_usd = np.where(api.usd_per_mtok > 0, api.usd_per_mtok, 1.0)
    step_start = np.where(nodes <= pool.min_nodes, 0.0, (nodes - 1) * pool.node_mtok_per_month)
    return np.maximum(np.maximum(excess_usd, 0.0) / price_usd, step_start)
