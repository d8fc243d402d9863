"""Turns an option into figures: intervals, line by line, drivers, bases and break-even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakeven.economics.breakeven import BreakEven, FlatCost, StairCost, break_even, break_even_utilisation
from breakeven.economics.sensitivity import corner, likely_values, swings
from breakeven.quantities import Interval
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.pool_option import PoolOption
from breakeven.studies.verdict.result import Bases, CrossingResult, LineInput, LineResult, Nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.economics.sensitivity import Swing
    from breakeven.economics.stack import CostStack, StackLine
    from breakeven.studies.verdict.workload import Workload

Option = ApiOption | PoolOption


@dataclass(frozen=True, slots=True, kw_only=True)
class Corners:
    """The assumptions' values at which an option is cheapest, likely and dearest."""

    low: Mapping[str, float]
    likely: Mapping[str, float]
    high: Mapping[str, float]
    swings: tuple[Swing, ...]


def corners_of(option: Option, assumptions: Mapping[str, Interval]) -> Corners:
    """Find the ends of every assumption that make the option's bill lowest and highest."""
    moved = swings(lambda values: option.bill(values).usd_per_month, assumptions)
    return Corners(
        low=corner(assumptions, moved, lowest=True),
        likely=likely_values(assumptions),
        high=corner(assumptions, moved, lowest=False),
        swings=moved,
    )


def interval(low: float, likely: float, high: float) -> Interval:
    """Return an interval from three corners; a step between nodes may put the likely value outside."""
    return Interval(low=min(low, likely), likely=likely, high=max(high, likely))


def line_results(option: Option, corners: Corners) -> tuple[LineResult, ...]:
    """Return the bill's lines at the three corners; at each corner they add up to its total."""
    stacks = [option.bill(values) for values in (corners.low, corners.likely, corners.high)]
    found: list[LineResult] = []
    for key in dict.fromkeys(item.key for stack in stacks for item in stack.lines):
        low, likely, high = (_line(stack, key) for stack in stacks)
        shown = likely or high or low
        assert shown is not None
        amounts = [item.usd_per_month if item else 0.0 for item in (low, likely, high)]
        found.append(
            LineResult(
                key=key,
                layer=shown.layer,
                usd_per_month=Interval(low=min(amounts), likely=amounts[1], high=max(amounts)),
                formula=shown.formula,
                inputs=tuple(LineInput(name=name, value=value) for name, value in shown.inputs.items()),
                drain=shown.drain,
                sunk=shown.sunk,
            )
        )
    return tuple(found)


def bases(option: Option, values: Mapping[str, float], workload: Workload) -> Bases:
    """Return the cost of a million of today's tokens on each basis (DESIGN, cost model 4)."""
    stack = option.bill(values)
    volume = workload.month(values).volume_mtok
    direct = sum(stack.layer_usd_per_month(layer) for layer in ("tokens", "compute", "standby"))
    marginal = direct
    if isinstance(option, PoolOption):
        marginal = option.marginal_usd_per_month(values)
    if isinstance(option, ServerlessOption):
        marginal = stack.lines[0].usd_per_month
    sunk = sum(item.usd_per_month for item in stack.lines if item.sunk)
    return Bases(
        marginal_usd_per_mtok=marginal / volume,
        allocated_usd_per_mtok=direct / volume,
        fully_loaded_usd_per_mtok=stack.usd_per_month / volume,
        avoidable_usd_per_mtok=(stack.usd_per_month - sunk) / volume,
    )


def nodes_of(option: PoolOption, corners: Corners) -> Nodes:
    """Return the pool's size at likely values, and how its utilisation varies."""
    sizes = [option.sizing(values) for values in (corners.low, corners.likely, corners.high)]
    used = [size.utilisation_fraction for size in sizes]
    return Nodes(
        serving_nodes=sizes[1].serving_nodes,
        standby_nodes=sizes[1].standby_nodes,
        gpus_per_node=option.gpus_per_node,
        gpu=option.gpu,
        sized_by=sizes[1].sized_by,
        utilisation_fraction=Interval(low=min(used), likely=used[1], high=max(used)),
    )


def crossing(
    option: PoolOption, rival: ApiOption, assumptions: Mapping[str, Interval], workload: Workload
) -> CrossingResult:
    """Solve break-even of a pool against an API at three corners of their *difference*.

    An assumption that moves both bills is taken at the end that favours the pool over the rival.
    """

    def difference(values: Mapping[str, float]) -> float:
        return option.bill(values).usd_per_month - rival.bill(values).usd_per_month

    moved = swings(difference, assumptions)
    good = corner(assumptions, moved, lowest=True)
    bad = corner(assumptions, moved, lowest=False)
    likely = likely_values(assumptions)
    pool, flat = _stair(option, likely), _flat(rival, likely, workload)
    size = option.sizing(likely)
    paid_nodes = size.serving_nodes + size.standby_nodes
    full_mtok = size.node_mtok_per_month * paid_nodes / _busy_at_capacity(option, likely)
    utilisation = None
    if flat.usd_per_mtok > 0:
        utilisation = break_even_utilisation(
            pool_usd_per_month=pool.step_usd_per_month(size.serving_nodes) - flat.fixed_usd_per_month,
            full_capacity_mtok_per_month=full_mtok,
            api_usd_per_mtok=flat.usd_per_mtok,
        )
    return CrossingResult(
        against=rival.id,
        favourable=_solve(option, rival, good, workload),
        likely=break_even(pool, flat),
        unfavourable=_solve(option, rival, bad, workload),
        utilisation_fraction=max(0.0, utilisation) if utilisation is not None else None,
        pool=pool,
        api=flat,
    )


def _solve(option: PoolOption, rival: ApiOption, values: Mapping[str, float], workload: Workload) -> BreakEven:
    return break_even(_stair(option, values), _flat(rival, values, workload))


def _busy_at_capacity(option: PoolOption, values: Mapping[str, float]) -> float:
    """Return the share of time that a pool sized for its peak is busy at the volume it was sized for."""
    size = option.sizing(values)
    volume = option.workload.month(values).volume_mtok
    return size.mean_busy_nodes * size.node_mtok_per_month / volume


def _stair(option: PoolOption, values: Mapping[str, float]) -> StairCost:
    """Return the pool's bill as a staircase over volume, all else equal."""
    size = option.sizing(values)
    node_usd = option.node_usd_per_month(values)
    total_nodes = size.serving_nodes + size.standby_nodes
    return StairCost(
        fixed_usd_per_month=option.bill(values).usd_per_month - node_usd * total_nodes,
        node_usd_per_month=node_usd,
        node_mtok_per_month=size.node_mtok_per_month,
        standby_nodes=size.standby_nodes,
        min_nodes=option.min_nodes,
    )


def _flat(rival: ApiOption, values: Mapping[str, float], workload: Workload) -> FlatCost:
    """Return the API's bill as a price per million of today's tokens, and what does not grow with it.

    What a commitment leaves unused is no part of it: it melts as volume grows.
    """
    tokens_usd = sum(item.usd_per_month for item in rival.token_lines(values))
    return FlatCost(
        fixed_usd_per_month=sum(item.usd_per_month for item in rival.bill(values).lines if item.layer != "tokens"),
        usd_per_mtok=tokens_usd / workload.month(values).volume_mtok,
    )


def _line(stack: CostStack, key: str) -> StackLine | None:
    return next((item for item in stack.lines if item.key == key), None)
