"""Turns an option into figures: at likely values, and over all draws of the assumptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.breakeven import FlatCost, StairCost, break_even, break_even_utilisation
from breakeven.economics.crossing import FlatDraws, StairDraws, first_crossing_mtok
from breakeven.economics.levers import LeverBill, Levers
from breakeven.quantities import Interval
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.pool_option import PoolOption
from breakeven.studies.verdict.result import Bases, CrossingResult, LineInput, LineResult, Nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.economics.stack import CostStack
    from breakeven.quantities import Array, Number, Values
    from breakeven.studies.verdict.hybrid_bill import HybridBill
    from breakeven.studies.verdict.pool_option import Sizing
    from breakeven.studies.verdict.workload import Workload

Option = ApiOption | PoolOption | HybridOption

LOW_FRACTION: Final = 0.1
HIGH_FRACTION: Final = 0.9
"""Intervals run from the 10th to the 90th percentile, as the assumptions' own do."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An option with the values of its assumptions, at their likely ones and over the draws, and its bills there.

    Each array in ``drawn`` has shape (draws,); draw i is the same world for every option.
    """

    option: Option
    likely: Mapping[str, float]
    drawn: Mapping[str, Array]

    @cached_property
    def likely_bill(self) -> CostStack:
        """The bill at likely values."""
        return self.option.bill(self.likely)

    @cached_property
    def drawn_bill(self) -> CostStack:
        """The bill in every draw."""
        return self.option.bill(self.drawn)

    @cached_property
    def stairs(self) -> StairDraws:
        """A pool's bills as staircases over volume, one for each draw."""
        option, values = self.option, self.drawn
        assert isinstance(option, PoolOption)
        size = option.sizing(values)
        fixed, node_usd = _stair_parts(option, values, self.drawn_bill, size)
        count = len(next(iter(values.values())))
        return StairDraws(
            fixed_usd_per_month=np.broadcast_to(fixed, count),
            node_usd_per_month=np.broadcast_to(node_usd, count),
            node_mtok_per_month=np.broadcast_to(size.node_mtok_per_month, count),
            standby_nodes=np.broadcast_to(size.standby_nodes, count),
            min_nodes=option.min_nodes,
        )

    @cached_property
    def standing_usd_per_month(self) -> Number:
        """What a serverless option costs however little runs, without the move towards it, in every draw."""
        option = self.option
        assert isinstance(option, ServerlessOption)
        lines = option.overhead_lines(self.drawn, 0)
        return sum(item.usd_per_month for item in lines if item.layer != "one-off")

    @cached_property
    def hybrid(self) -> HybridBill:
        """A hybrid's bills over volume, one for each draw, without the cost of moving."""
        option = self.option
        assert isinstance(option, HybridOption)
        return option.over_volume(self.drawn, moving=False)

    @cached_property
    def flat(self) -> FlatDraws:
        """An API's bills as lines over volume, one for each draw."""
        option = self.option
        assert isinstance(option, ApiOption)
        fixed, price = _flat_parts(option, self.drawn, self.drawn_bill)
        count = len(next(iter(self.drawn.values())))
        return FlatDraws(
            fixed_usd_per_month=np.broadcast_to(fixed, count),
            usd_per_mtok=np.broadcast_to(price, count),
            committed_usd_per_month=option.committed_usd_per_month,
        )


def spread(drawn: Number, likely: Number) -> Interval:
    """Return the 10th and 90th percentile of draws, widened to hold the value at likely assumptions.

    Skewed assumptions can put that value outside: it is the most likely of each, not the middle of all.
    """
    middle = low = high = float(likely)
    if isinstance(drawn, np.ndarray) and drawn.ndim:
        ranks = [ceil(share * len(drawn)) - 1 for share in (LOW_FRACTION, HIGH_FRACTION)]
        low, high = np.partition(drawn, ranks)[ranks]  # as np.quantile's inverted_cdf, at a third of its time
    return Interval(low=min(float(low), middle), likely=middle, high=max(float(high), middle))


def line_results(likely: CostStack, drawn: CostStack) -> tuple[LineResult, ...]:
    """Return the bill's lines; at likely values they add up to its total."""
    amounts = {item.key: item.usd_per_month for item in drawn.lines}
    return tuple(
        LineResult(
            key=item.key,
            layer=item.layer,
            usd_per_month=spread(amounts.get(item.key, item.usd_per_month), item.usd_per_month),
            formula=item.formula,
            inputs=tuple(LineInput(name=name, value=float(value)) for name, value in item.inputs.items()),
            drain=item.drain,
            sunk=item.sunk,
        )
        for item in likely.lines
    )


def bases(option: Option, values: Mapping[str, float], workload: Workload) -> Bases:
    """Return the cost of a million of today's tokens on each basis (DESIGN, cost model 4)."""
    stack = option.bill(values)
    volume = workload.month(values).volume_mtok
    direct = sum(stack.layer_usd_per_month(layer) for layer in ("tokens", "compute", "standby"))
    marginal = direct
    if isinstance(option, PoolOption | HybridOption):
        marginal = option.marginal_usd_per_month(values)
    if isinstance(option, ServerlessOption):
        marginal = stack.lines[0].usd_per_month
    sunk = sum(item.usd_per_month for item in stack.lines if item.sunk)
    return Bases(
        marginal_usd_per_mtok=float(marginal / volume),
        allocated_usd_per_mtok=float(direct / volume),
        fully_loaded_usd_per_mtok=float(stack.usd_per_month / volume),
        avoidable_usd_per_mtok=float((stack.usd_per_month - sunk) / volume),
    )


def nodes_of(option: PoolOption | HybridOption, case: Case) -> Nodes:
    """Return the pool's size at likely values, and how its utilisation varies."""
    likely, drawn = option.sizing(case.likely), option.sizing(case.drawn)
    used, pool = drawn.utilisation_fraction, option.pool if isinstance(option, HybridOption) else option
    if isinstance(used, np.ndarray) and isinstance(option, HybridOption):
        # Of the draws in which nodes are held: what is not there is not idle.
        used = used[np.broadcast_to(drawn.serving_nodes, used.shape) > 0]
    return Nodes(
        serving_nodes=int(likely.serving_nodes),
        standby_nodes=int(likely.standby_nodes),
        gpus_per_node=pool.gpus_per_node,
        gpu=pool.gpu,
        sized_by=likely.sized_by,
        utilisation_fraction=spread(used, likely.utilisation_fraction),
    )


def crossing(pool: Case, rival: Case) -> CrossingResult:
    """Solve break-even of a pool against an API, at likely values and anew for every draw."""
    option, api = pool.option, rival.option
    assert isinstance(option, PoolOption)
    assert isinstance(api, ApiOption)
    stair, flat = likely_stair(pool), likely_flat(rival)
    first = first_crossing_mtok(pool.stairs, rival.flat)
    low, high = ordered_quantiles(first, (LOW_FRACTION, HIGH_FRACTION))
    return CrossingResult(
        against=api.id,
        likely=break_even(stair, flat),
        low_mtok=low,
        high_mtok=high,
        never_fraction=float(np.mean(np.isinf(first))),
        utilisation_fraction=_break_even_utilisation(option, pool.likely, stair, flat),
        pool=stair,
        api=flat,
    )


def ordered_quantiles(values: Array, shares: Sequence[float]) -> list[float | None]:
    """Return quantiles of volumes of which some are infinite: observed ones, or None for never."""
    ranks = [ceil(share * len(values)) - 1 for share in shares]
    found = np.partition(values, ranks)[ranks].tolist()
    return [value if isfinite(value) else None for value in found]


def lever_bill(case: Case) -> LeverBill | None:
    """Take the bill at likely values apart into what volume, utilisation, prices and engineers move."""
    option, values, bill = case.option, case.likely, case.likely_bill
    if isinstance(option, ServerlessOption | HybridOption):
        return None
    tokens = committed = node_usd = node_engineering = needed = 0.0
    min_nodes = standby = 0
    if isinstance(option, ApiOption):
        tokens = float(sum(item.usd_per_month for item in option.token_lines(values)))
        committed = option.committed_usd_per_month
    else:
        size = option.sizing(values)
        node_engineering = float(option.node_engineering_usd(values))
        node_usd = float(option.node_usd_per_month(values)) - node_engineering
        needed = float(option.workload.month(values).volume_mtok / size.node_mtok_per_month)
        min_nodes, standby = option.min_nodes, int(size.standby_nodes)
    parts = LeverBill(
        tokens_usd_per_month=tokens,
        committed_usd_per_month=committed,
        node_usd_per_month=node_usd,
        node_engineering_usd_per_month=node_engineering,
        needed_nodes=needed,
        min_nodes=min_nodes,
        standby_nodes=standby,
    )
    nodes = parts.nodes(Levers()) + standby
    engineering = float(bill.layer_usd_per_month("engineering")) - node_engineering * nodes
    rest = float(bill.usd_per_month) - parts.usd_per_month(Levers()) - engineering
    return replace(parts, engineering_usd_per_month=engineering, other_usd_per_month=rest)


def _break_even_utilisation(
    option: PoolOption, values: Mapping[str, float], pool: StairCost, api: FlatCost
) -> float | None:
    size = option.sizing(values)
    if api.usd_per_mtok <= 0 or not size.mean_busy_nodes:
        return None
    # A pool sized for its peak is busy this share of the time at the volume it was sized for.
    busy = size.mean_busy_nodes * size.node_mtok_per_month / option.workload.month(values).volume_mtok
    found = break_even_utilisation(
        pool_usd_per_month=pool.step_usd_per_month(int(size.serving_nodes)) - api.fixed_usd_per_month,
        full_capacity_mtok_per_month=float(
            size.node_mtok_per_month * (size.serving_nodes + size.standby_nodes) / busy,
        ),
        api_usd_per_mtok=api.usd_per_mtok,
    )
    return max(0.0, found)


def likely_stair(case: Case) -> StairCost:
    """Return a pool's bill as a staircase over volume, at likely values."""
    option = case.option
    assert isinstance(option, PoolOption)
    size = option.sizing(case.likely)
    fixed, node_usd = _stair_parts(option, case.likely, case.likely_bill, size)
    return StairCost(
        fixed_usd_per_month=float(fixed),
        node_usd_per_month=float(node_usd),
        node_mtok_per_month=float(size.node_mtok_per_month),
        standby_nodes=int(size.standby_nodes),
        min_nodes=option.min_nodes,
    )


def likely_flat(case: Case) -> FlatCost:
    """Return an API's bill as a line over volume, at likely values."""
    option = case.option
    assert isinstance(option, ApiOption)
    fixed, price = _flat_parts(option, case.likely, case.likely_bill)
    return FlatCost(fixed_usd_per_month=float(fixed), usd_per_mtok=float(price))


def _stair_parts(option: PoolOption, values: Values, bill: CostStack, size: Sizing) -> tuple[Number, Number]:
    """Return what does not grow with volume, and what a node costs."""
    node_usd = option.node_usd_per_month(values)
    return bill.usd_per_month - node_usd * (size.serving_nodes + size.standby_nodes), node_usd


def _flat_parts(option: ApiOption, values: Values, bill: CostStack) -> tuple[Number, Number]:
    """Return what does not grow with volume, and the price of a million of today's tokens.

    What a commitment leaves unused is no part of either: it melts as volume grows.
    """
    tokens_usd = sum(item.usd_per_month for item in option.token_lines(values))
    fixed = sum(item.usd_per_month for item in bill.lines if item.layer != "tokens")
    return fixed, tokens_usd / option.workload.month(values).volume_mtok
