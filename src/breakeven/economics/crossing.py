"""Break-even for thousands of draws at once: the staircase and the straight bill, one of each for every draw.

The arithmetic is that of ``breakeven``, on arrays; where that lists every range at which a pool is cheaper, this
gives the first crossing and the volume from which the pool stays cheaper.  Fields broadcast against each other:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossings:
    """Volumes in millions of tokens a month; infinite where there is none."""

    first_mtok: Array
    stable_mtok: Array


def crossings(pool: StairDraws, api: FlatDraws) -> Crossings:
    """Solve cost_pool(V) <= cost_api(V) for every draw; a commitment is no part of it, as it melts with volume.

    See ``breakeven.break_even`` for the derivation: with margin = price x node_mtok - node_usd and head = C(0) -
    fixed_api, the first step with a cheaper part is ceil(head / margin), and the pool stays cheaper from the step
    at which all of it is, or from the crossing on the step before, which joins it.
    """
    block_usd = api.usd_per_mtok * pool.node_mtok_per_month
    margin_usd = block_usd - pool.node_usd_per_month
    head_usd = pool.step_usd_per_month(0) - api.fixed_usd_per_month
    pays = margin_usd > 0
    slope_usd = np.where(pays, margin_usd, 1.0)
    first_step = np.maximum(pool.min_nodes, _at_least(head_usd / slope_usd))
    whole_step = np.maximum(first_step, _at_least((head_usd + block_usd) / slope_usd))
    joining = np.where(whole_step == pool.min_nodes, whole_step, whole_step - 1)
    joined = np.where(joining >= first_step, _cheaper_from(pool, api, joining), _step_start(pool, whole_step))
    # With margin <= 0 a further node never pays for itself: only a head start can, and it melts.
    last_step = np.floor(-head_usd / np.where(pays, 1.0, np.maximum(-margin_usd, 1e-12)))
    starts_cheaper = (head_usd <= 0) & (api.usd_per_mtok > 0) & (last_step >= pool.min_nodes)
    melting = np.where(starts_cheaper, _cheaper_from(pool, api, np.asarray(float(pool.min_nodes))), np.inf)
    return Crossings(
        first_mtok=np.where(pays, _cheaper_from(pool, api, first_step), melting),
        stable_mtok=np.where(pays, joined, np.inf),
    )


def _at_least(steps: Array) -> Array:
    return np.ceil(steps - _NOISE * np.maximum(1.0, np.abs(steps)))


def _step_start(pool: StairDraws, nodes: Array) -> Array:
    return np.where(nodes <= pool.min_nodes, 0.0, (nodes - 1) * pool.node_mtok_per_month)


def _cheaper_from(pool: StairDraws, api: FlatDraws, nodes: Array) -> Array:
    """Return where on a step the pool becomes cheaper, given that it does."""
    excess_usd = pool.step_usd_per_month(nodes) - api.fixed_usd_per_month
    price_usd = np.where(api.usd_per_mtok > 0, api.usd_per_mtok, 1.0)
    return np.maximum(np.maximum(excess_usd, 0.0) / price_usd, _step_start(pool, nodes))
