"""Where two ways to serve cost the same: volumes on a staircase of whole nodes, and utilisation.

Against a bill that grows with volume, a pool's bill climbs in steps, so break-even is a *set* of
volumes: a first crossing, islands, and the volume from which the pool stays cheaper; or never.
All in closed form; the derivation is in the docs' model chapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

LISTED_ISLANDS = 8
"""How many islands a result lists; it always counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatCost:
    """A bill that grows in proportion to volume: an API's, with its engineering share as fixed part.

    cost(V) = fixed + usd_per_mtok x V.
    """

    fixed_usd_per_month: float
    usd_per_mtok: float

    def usd_per_month(self, volume_mtok: float) -> float:
        """Return the bill at a monthly volume."""
        return self.fixed_usd_per_month + self.usd_per_mtok * volume_mtok


@dataclass(frozen=True, slots=True, kw_only=True)
class StairCost:
    """A pool's bill: whole nodes, sized by ``node_mtok_per_month``, and standby beside them.

    cost(V) = fixed + node_usd x (max(min_nodes, ceil(V / node_mtok)) + standby_nodes).
    """

    fixed_usd_per_month: float
    node_usd_per_month: float
    node_mtok_per_month: float
    standby_nodes: int = 0
    min_nodes: int = 1

    def nodes(self, volume_mtok: float) -> int:
        """Return the serving nodes that a volume needs, standby not counted."""
        return max(self.min_nodes, ceil(volume_mtok / self.node_mtok_per_month * (1 - 1e-12)))

    def usd_per_month(self, volume_mtok: float) -> float:
        """Return the bill at a monthly volume."""
        return self.step_usd_per_month(self.nodes(volume_mtok))

    def step_usd_per_month(self, nodes: int) -> float:
        """Return the bill of a pool with that many serving nodes."""
        return self.fixed_usd_per_month + self.node_usd_per_month * (nodes + self.standby_nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRange:
    """Volumes at which the pool is at most as dear; ``to_mtok`` None has no end."""

    from_mtok: float
    to_mtok: float | None
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The volumes at which self-hosting is cheaper, in millions of tokens a month.

    ``first_mtok`` is the smallest of them and ``stable_mtok`` the volume from which it stays
    cheaper, None for never.  ``islands`` are the ranges below ``stable_mtok`` (the first
    ``LISTED_ISLANDS`` of ``island_count``).
    """

    first_mtok: float | None
    first_nodes: int | None
    stable_mtok: float | None
    stable_nodes: int | None
    islands: tuple[VolumeRange, ...]
    island_count: int
    never_because: str = ""

    @property
    def never(self) -> bool:
        """Whether no volume makes self-hosting cheaper."""
        return self.first_mtok is None


def break_even(pool: StairCost, api: FlatCost) -> BreakEven:
    """Solve cost_pool(V) <= cost_api(V) for all V > 0.

    On the step of n nodes the pool costs a constant C(n), so there it is cheaper from
    V(n) = (C(n) - fixed_api) / price to the step's end, n x node_mtok.  With
    margin = price x node_mtok - node_usd and head = C(0) - fixed_api:

    - some of step n is cheaper iff head <= n x margin, all of it iff head + price x node_mtok <= n x margin;
    - so with margin > 0 there is a first step, then islands, then a step from which all are cheaper;
    - with margin <= 0 a further node never pays for itself: what a head start (head < 0) gained melts.
    """
    if pool.node_mtok_per_month <= 0 or api.usd_per_mtok < 0:
        raise ValueError(f"need a capacity above 0 and a price of at least 0: {pool}, {api}")
    margin_usd = api.usd_per_mtok * pool.node_mtok_per_month - pool.node_usd_per_month
    head_usd = pool.step_usd_per_month(0) - api.fixed_usd_per_month
    if margin_usd <= 0:
        return _melting(pool, api, margin_usd, head_usd)
    first_step = max(pool.min_nodes, _at_least(head_usd / margin_usd))
    whole_step = max(first_step, _at_least((head_usd + api.usd_per_mtok * pool.node_mtok_per_month) / margin_usd))
    # The step before the first whole one is cheaper towards its end, and joins it; on the very first
    # step of all "whole" would mean from no volume at all, which holds only when the crossing is at 0.
    joining = whole_step if whole_step == pool.min_nodes else whole_step - 1
    stable = _cheaper_part(pool, api, joining) if joining >= first_step else None
    stable_mtok = stable.from_mtok if stable else _step_start(pool, whole_step)
    islands = tuple(
        _cheaper_part(pool, api, nodes) for nodes in range(first_step, min(joining, first_step + LISTED_ISLANDS))
    )
    return BreakEven(
        first_mtok=islands[0].from_mtok if islands else stable_mtok,
        first_nodes=islands[0].nodes if islands else (stable.nodes if stable else whole_step),
        stable_mtok=stable_mtok,
        stable_nodes=stable.nodes if stable else whole_step,
        islands=islands,
        island_count=max(0, joining - first_step),
    )


def _at_least(steps: float) -> int:
    """Return the smallest whole number of steps not below ``steps``, forgiving float noise."""
    return ceil(steps - 1e-9 * max(1.0, abs(steps)))


def _step_start(pool: StairCost, nodes: int) -> float:
    return 0.0 if nodes <= pool.min_nodes else (nodes - 1) * pool.node_mtok_per_month


def _cheaper_part(pool: StairCost, api: FlatCost, nodes: int) -> VolumeRange:
    """Return the part of step ``nodes`` on which the pool is at most as dear, given that there is one."""
    excess_usd = pool.step_usd_per_month(nodes) - api.fixed_usd_per_month
    crossing_mtok = excess_usd / api.usd_per_mtok if excess_usd > 0 else 0.0
    return VolumeRange(
        from_mtok=max(crossing_mtok, _step_start(pool, nodes)),
        to_mtok=nodes * pool.node_mtok_per_month,
        nodes=nodes,
    )


def _melting(pool: StairCost, api: FlatCost, margin_usd: float, head_usd: float) -> BreakEven:
    """Solve the case in which a further node costs at least what it saves (margin <= 0)."""
    slope_usd = max(-margin_usd, 1e-12)
    last_step = floor(-head_usd / slope_usd) if head_usd <= 0 and api.usd_per_mtok > 0 else 0
    whole_step = floor((-head_usd - api.usd_per_mtok * pool.node_mtok_per_month) / slope_usd)
    found: list[VolumeRange] = []
    start_step = pool.min_nodes
    if pool.min_nodes < whole_step <= last_step:
        first = _cheaper_part(pool, api, pool.min_nodes)
        end = _cheaper_part(pool, api, whole_step)
        found.append(VolumeRange(from_mtok=first.from_mtok, to_mtok=end.to_mtok, nodes=first.nodes))
        start_step = whole_step + 1
    count = len(found) + max(0, last_step - start_step + 1)
    stop = min(last_step + 1, start_step + LISTED_ISLANDS - len(found))
    found += [_cheaper_part(pool, api, nodes) for nodes in range(start_step, stop)]
    why = (
        f"a node costs {pool.node_usd_per_month:,.0f} USD a month and displaces at most "
        f"{api.usd_per_mtok * pool.node_mtok_per_month:,.0f} USD of the alternative"
    )
    return BreakEven(
        first_mtok=found[0].from_mtok if found else None,
        first_nodes=found[0].nodes if found else None,
        stable_mtok=None,
        stable_nodes=None,
        islands=tuple(found),
        island_count=count,
        never_because=why,
    )


def break_even_utilisation(
    *, pool_usd_per_month: float, full_capacity_mtok_per_month: float, api_usd_per_mtok: float
) -> float:
    """Return the share of a pool's full capacity at which it costs what the API would.

    pool bill / (capacity at 100 % x API price).  With the GPU's rent alone it is 003's 22 %; with
    standby, people and the rest in the bill it is the honest one.  Above 1: never at this size.
    """
    return pool_usd_per_month / (full_capacity_mtok_per_month * api_usd_per_mtok)
