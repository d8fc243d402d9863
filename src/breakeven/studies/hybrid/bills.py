"""A month's bill of each way to serve the traffic, by line, with nodes fast and cheap, likely, and slow and dear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from breakeven.quantities import Interval
from breakeven.studies.hybrid.result import BillLine, Way
from breakeven.studies.hybrid.sides import WORLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.capacity.sizing import Staircase
    from breakeven.economics.stack import StackLine
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.sides import Sided, World

    Lines = dict[str, float]
    """US dollars an hour, by line."""


def way(found: Sizing, name: str, nodes: int, lines: Callable[[World], Lines]) -> Way:
    """Return a way to serve the traffic, its lines asked for in each world."""
    by_world = {world: lines(world) for world in WORLDS}
    hours = found.likely.hours_per_month
    return Way(
        name=name,
        nodes=nodes,
        usd_per_month=by_worlds([sum(by_world[world].values()) * hours for world in WORLDS]),
        lines=tuple(
            BillLine(key=key, usd_per_month=by_worlds([by_world[world].get(key, 0.0) * hours for world in WORLDS]))
            for key in by_world["likely"]
        ),
    )


def hybrid_lines(side: Sided, nodes_usd_per_hour: float, overflow_usd_per_hour: float, *, any_nodes: bool) -> Lines:
    """Return the lines of nodes with an overflow behind them; without any nodes, those of the API alone."""
    lines = {"overflow tokens" if any_nodes else "tokens": overflow_usd_per_hour}
    if any_nodes:
        lines |= {"nodes": nodes_usd_per_hour} | by_layer(side.pool_lines, side.hours_per_month, "pool")
    beside = side.api_lines if any_nodes else (*side.api_lines, *side.api_alone_lines)
    return lines | by_layer(beside, side.hours_per_month, "API")


def stairs_lines(side: Sided, stairs: Staircase, nodes: int) -> Lines:
    """Return the lines of so many nodes on a staircase; those beyond its end serve nothing and are paid."""
    held = min(nodes, len(stairs.nodes_usd_per_hour) - 1)
    return hybrid_lines(
        side, nodes * side.node_usd_per_hour, float(stairs.overflow_usd_per_hour[held]), any_nodes=nodes > 0
    )


def pool_lines(found: Sizing, world: World) -> Lines:
    """Return the lines of nodes for the peak, with no API at all."""
    side = found.worlds[world]
    lines = (*side.standby_lines, *side.pool_lines)
    nodes_usd = peak_nodes(found, world) * side.node_usd_per_hour
    return {"nodes": nodes_usd} | by_layer(lines, side.hours_per_month, "pool")


def peak_nodes(found: Sizing, world: World) -> int:
    """Return the nodes that serve the stated share of windows with no overflow, over all demands that may come."""
    quantile = found.context.likely()["peak_quantile_fraction"]
    work = found.worlds[world].work
    need = max(work.peak_nodes(quantile, found.ratios), work.mean_nodes * float(found.ratios.mean()))
    return max(1, int(np.ceil(need - 1e-9)))


def by_layer(lines: Sequence[StackLine], hours_per_month: float, side: str) -> Lines:
    """Return the sums of a stack's layers that are not nothing."""
    sums: Lines = {}
    for item in lines:
        key = f"{item.layer}, {side}"
        sums[key] = sums.get(key, 0.0) + float(np.asarray(item.usd_per_month)) / hours_per_month
    return {key: usd for key, usd in sums.items() if usd}


def by_worlds(values: list[float]) -> Interval:
    """Return figures in the order of ``WORLDS`` as an interval."""
    return Interval(low=min(values), likely=values[WORLDS.index("likely")], high=max(values))
