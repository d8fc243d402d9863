"""Sizes a hybrid for the month to come: the marginal rule over a forecast, fully loaded, in words and figures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from breakeven.capacity.sizing import breakeven_utilisation_fraction, node_savings_usd_per_hour, node_utilisations
from breakeven.studies.hybrid.bills import by_worlds, peak_nodes, pool_lines, stairs_lines, way
from breakeven.studies.hybrid.patience import patience_of, patient_staircase
from breakeven.studies.hybrid.result import HybridSize, Step
from breakeven.studies.hybrid.schedules import scheduled_way
from breakeven.studies.hybrid.sides import WORLDS
from breakeven.studies.hybrid.words import reasons_of, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.capacity.sizing import Staircase
    from breakeven.quantities import Interval
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.result import MixedPools, SloRun, Way
    from breakeven.studies.hybrid.sides import Sided, World

STEPS_BEYOND: Final = 6
ALL_API: Final = "all API"
ALL_POOL: Final = "all nodes, for the peak"
HYBRID: Final = "hybrid, always up"
SCHEDULED: Final = "hybrid, by the hour of the week"
WAITING: Final = "hybrid, batchable work in the troughs"


def sized(
    found: Sizing, *, slo: Sequence[SloRun] = (), mix: MixedPools | None = None, notes: Sequence[str] = ()
) -> HybridSize:
    """Return the answer, with the runs of an SLO and the mix of pools where there were any."""
    stairs = {world: found.stairs(world) for world in WORLDS}
    nodes = _with_slo(stairs["likely"].best, slo)
    plan, held = scheduled_way(found, SCHEDULED)
    counts = [stairs[world].best for world in WORLDS]
    option = found.candidates[0].option
    result = HybridSize(
        pool=option.title.removesuffix(" (your figures)"),
        basis=option.service.basis,
        overflow=found.question.overflow.target,
        nodes=nodes,
        least_count=min(*counts, nodes),
        most_count=max(*counts, nodes),
        busy_nodes=_interval(found, lambda item: item.work.mean_nodes * float(found.ratios.mean())),
        demand_ratio=found.demand_ratio,
        node_usd_per_hour=_interval(found, lambda item: item.node_usd_per_hour),
        overflow_node_hour_usd=_interval(found, lambda item: item.work.mean_node_hour_usd),
        breakeven_utilisation_fraction=_interval(found, _u_star),
        capacity_fraction=found.capacity_fraction or found.context.likely()["slo_capacity_fraction"],
        overflow_fraction=_overflow_fraction(found, stairs["likely"], nodes),
        steps=_steps(found, stairs["likely"], nodes),
        ways=(*_ways(found, stairs, nodes), plan),
        held=held,
        slo=tuple(slo),
        mix=mix,
        reasons=(),
        warnings=(*warnings_of(found), *notes),
    )
    return replace(result, reasons=reasons_of(result, found))


def _ways(found: Sizing, stairs: Mapping[World, Staircase], nodes: int) -> list[Way]:
    """Return the ways to serve the traffic; the nodes are those chosen at likely values, in every world."""
    held = nodes or stairs["likely"].best_with_a_pool
    ways = [
        way(found, ALL_API, 0, lambda world: stairs_lines(found.worlds[world], stairs[world], 0)),
        way(found, ALL_POOL, peak_nodes(found, "likely"), lambda world: pool_lines(found, world)),
        way(found, HYBRID, held, lambda world: stairs_lines(found.worlds[world], stairs[world], held)),
    ]
    patience = patience_of(found)
    if patience is not None:
        patient = {world: patient_staircase(found, world, patience) for world in WORLDS}
        best = patient["likely"].best_with_a_pool
        ways.append(way(found, WAITING, best, lambda world: stairs_lines(found.worlds[world], patient[world], best)))
    return ways


def _steps(found: Sizing, stairs: Staircase, nodes: int) -> tuple[Step, ...]:
    most = min(len(stairs.usd_per_hour) - 1, max(nodes, stairs.best_with_a_pool) + STEPS_BEYOND)
    side = found.likely
    hours = side.hours_per_month
    busy = [0.0, *node_utilisations(side.work, most, found.ratios).tolist()]
    saved = [0.0, *node_savings_usd_per_hour(side.work, most, found.ratios).tolist()]
    return tuple(
        Step(
            nodes=count,
            utilisation_fraction=busy[count],
            saved_usd_per_month=saved[count] * hours,
            overflow_fraction=_overflow_fraction(found, stairs, count),
            usd_per_month=(float(stairs.usd_per_hour[count]) + side.api_fixed_usd_per_hour) * hours,
        )
        for count in range(most + 1)
    )


def _u_star(side: Sided) -> float:
    value_usd = side.work.mean_node_hour_usd
    return float(breakeven_utilisation_fraction(side.node_usd_per_hour, overflow_usd_per_node_hour=value_usd))


def _overflow_fraction(found: Sizing, stairs: Staircase, nodes: int) -> float:
    """Return the share of the work's price that overflows."""
    everything = found.likely.work.all_overflow_usd_per_hour * float(found.ratios.mean())
    held = min(nodes, len(stairs.overflow_usd_per_hour) - 1)
    return float(stairs.overflow_usd_per_hour[held]) / everything if everything else 0.0


def _with_slo(nodes: int, slo: Sequence[SloRun]) -> int:
    """Return the cheapest number of nodes that kept the SLO; what the rule says where none was simulated or kept it."""
    kept = [run for run in slo if run.keeps_slo]
    return min(kept, key=lambda run: run.usd_per_month).nodes if kept else nodes


def _interval(found: Sizing, figure: Callable[[Sided], float]) -> Interval:
    return by_worlds([figure(found.worlds[world]) for world in WORLDS])
