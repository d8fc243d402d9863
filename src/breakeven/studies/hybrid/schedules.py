"""Nodes by hour of the week and way to buy them, as a way to serve the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.capacity.schedule import best_schedule
from breakeven.quantities import Interval
from breakeven.studies.hybrid.bills import by_worlds, hybrid_lines, way
from breakeven.studies.hybrid.result import Held
from breakeven.studies.hybrid.sides import WORLDS

if TYPE_CHECKING:
    from breakeven.capacity.schedule import Schedule
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.result import Way
    from breakeven.studies.hybrid.sides import World


def scheduled_way(found: Sizing, name: str) -> tuple[Way, tuple[Held, ...]]:
    """Return the best schedule's bill, solved anew in each world, and what it holds at likely values."""
    plans: dict[World, Schedule] = {
        world: best_schedule(found.worlds[world].work, found.worlds[world].terms, ratios=found.ratios)
        for world in WORLDS
    }
    likely = plans["likely"]

    def lines(world: World) -> dict[str, float]:
        plan = plans[world]
        return hybrid_lines(
            found.worlds[world],
            plan.nodes_usd_per_hour,
            plan.overflow_usd_per_hour,
            any_nodes=bool(plan.up_nodes.any()),
        )

    return way(found, name, int(likely.up_nodes.max()), lines), _held(found, likely)


def _held(found: Sizing, plan: Schedule) -> tuple[Held, ...]:
    held = []
    for index, item in enumerate(plan.terms):
        up = plan.nodes[index]
        if up.any():
            prices = [found.worlds[world].terms[index].node_usd_per_hour for world in WORLDS]
            same = all(found.worlds[world].terms[index].name == item.name for world in WORLDS)
            price = by_worlds(prices) if same else Interval.exact(item.node_usd_per_hour)
            held.append(
                Held(
                    purchase=item.name,
                    node_usd_per_hour=price,
                    least_count=int(up.min()),
                    most_count=int(up.max()),
                    mean_nodes=float(up.mean()),
                    by_hour_of_week=tuple(up.tolist()),
                )
            )
    return tuple(held)
