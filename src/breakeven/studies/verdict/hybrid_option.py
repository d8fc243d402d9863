"""Options that hold nodes for the base of the load and buy tokens for what overflows: hybrids (DESIGN, cost model 7).

The pool's lines are a pool's, the tokens' lines an API's; what is decided here is how many nodes to hold.  No node
stands by: the API does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.stack import CostStack
from breakeven.studies.verdict.hybrid_bill import HybridBill
from breakeven.studies.verdict.lines import engineering_lines, reliability_lines
from breakeven.studies.verdict.pool_option import Sizing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.economics.stack import StackLine
    from breakeven.quantities import Array, Number, Values
    from breakeven.studies.verdict.api_option import ApiOption
    from breakeven.studies.verdict.hybrid_bill import Split
    from breakeven.studies.verdict.pool_option import PoolOption
    from breakeven.studies.verdict.workload import Workload


@dataclass(frozen=True, kw_only=True)
class HybridOption:
    """Nodes of a pool as long as each pays for itself, and an API for what they cannot carry.

    In a world in which no number of nodes covers the fixed lines of a pool none is held: the bill is the API's.
    """

    pool: PoolOption
    api: ApiOption
    _last: list[tuple[Values, Split]] = field(default_factory=list, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The pool's id and the API's target."""
        return f"hybrid:{self.pool.id}+{self.api.price_list.target}"

    @property
    def title(self) -> str:
        """What it is, in words."""
        target = self.api.price_list
        seller = target.provider if self.api.model == self.pool.model else target.target
        return f"{self.pool.title}, overflow to {seller}"

    @property
    def model(self) -> str:
        """The model that the nodes run."""
        return self.pool.model

    @property
    def workload(self) -> Workload:
        """What is planned for."""
        return self.pool.workload

    @property
    def price_moves(self) -> bool:
        """Whether the nodes' price follows the market."""
        return self.pool.price_moves

    def split(self, values: Values) -> Split:
        """Divide the month's work between the nodes that pay for themselves and the API."""
        if not self._last or self._last[0][0] is not values:
            volume = self.workload.month(values).volume_mtok
            self._last[:] = [(values, self.over_volume(values).at(volume))]
        return self._last[0][1]

    def over_volume(self, values: Values, *, moving: bool = True) -> HybridBill:
        """Return the bill at any volume; without the cost of moving where ``moving`` is false."""
        pool, api, tables = self.pool, self.api, self.workload.overflow
        assert tables is not None, "without times a hybrid cannot be sized"
        month = self.workload.month(values)
        around_nodes = [*pool.overhead_lines(values, 1), *self._api_lines(values)]
        around_tokens = [*self._api_lines(values), *reliability_lines(values, "api")]
        return HybridBill(
            pool_fixed_usd_per_month=_sum(around_nodes, moving=moving) - pool.node_engineering_usd(values),
            api_fixed_usd_per_month=_sum(around_tokens, moving=moving),
            node_usd_per_month=pool.node_usd_per_month(values),
            usd_per_mtok=_sum(api.token_lines(values)) / month.volume_mtok,
            committed_usd_per_month=api.committed_usd_per_month,
            busy_nodes_per_mtok=pool.mean_busy_nodes(values) / month.volume_mtok,
            spread_ratio=self.workload.spread_ratio(values),
            min_nodes=max(1, pool.min_nodes),
            service=pool.service,
            tables=tables,
        )

    def sizing(self, values: Values) -> Sizing:
        """Return the nodes held, none where the API alone costs less, and how much of their time is used."""
        split = self.split(values)
        nodes = split.nodes * split.pays
        return Sizing(
            serving_nodes=nodes,
            standby_nodes=0,
            mean_busy_nodes=split.mean_nodes * (1 - split.overflow_fraction) * split.pays,
            node_mtok_per_month=self.workload.month(values).volume_mtok / np.maximum(split.mean_nodes, 1e-9),
            sized_by="the marginal rule",
        )

    def overflow_fraction(self, values: Values) -> Array:
        """Return the share of the work that is bought: all of it where no node is held."""
        split = self.split(values)
        return np.where(split.pays > 0, split.overflow_fraction, 1.0)

    def bill(self, values: Values) -> CostStack:
        """Return the month's bill, fully loaded."""
        size, pays = self.sizing(values), self.split(values).pays
        tokens = self.overflow_lines(values)
        held = [item for item in self.pool.node_lines(values, size) if item.layer != "standby"]
        return CostStack(
            lines=(
                *tokens,
                *self.api.commitment_lines(tokens),
                *held,
                *_where(self.pool.overhead_lines(values, np.maximum(size.serving_nodes, 1)), pays),
                *_of_the_api(self._api_lines(values)),
                *_of_the_api(_where(reliability_lines(values, "api"), 1 - pays)),
            ),
            partial=self.api.partial,
        )

    def overflow_lines(self, values: Values) -> tuple[StackLine, ...]:
        """Return the API's token lines for what overflows, by type."""
        share = self.overflow_fraction(values)
        return tuple(
            replace(
                item,
                usd_per_month=item.usd_per_month * share,
                formula=f"({item.formula}) x overflow_fraction",
                inputs={**item.inputs, "overflow_fraction": share},
            )
            for item in self.api.token_lines(values)
        )

    def marginal_usd_per_month(self, values: Values) -> Number:
        """Return what moves with the next token: metered power of the busy share, and the tokens that overflow."""
        power = [item for item in self.pool.node_parts_usd(values) if item.key == "power"]
        busy = self.sizing(values).mean_busy_nodes
        return _sum(power) * busy + _sum(self.overflow_lines(values))

    def competing_usd_per_month(self, values: Values) -> Array:
        """Return the bill where nodes are held; infinite elsewhere, where it is the API's own bill, not another."""
        return np.where(self.split(values).pays > 0, self.bill(values).usd_per_month, np.inf)

    def moving_usd_per_month(self, values: Values) -> Number:
        """Return the cost of moving, spread over the horizon: to nodes, and to the API where that is new."""
        lines = [*self.pool.overhead_lines(values, 1), *self._api_lines(values)]
        return _sum(item for item in lines if item.layer == "one-off")

    @property
    def migration_keys(self) -> tuple[str, ...]:
        """The assumptions that say how many weeks the moves take."""
        return tuple(key for key in (self.pool.migration_key, self.api.migration_key) if key)

    def _api_lines(self, values: Values) -> tuple[StackLine, ...]:
        """Return what the API costs besides tokens with nodes and without: its engineers, training, the move to it."""
        return (*engineering_lines(values, "api_engineering_fte"), *self.api.once_lines(values))


def _sum(lines: Iterable[StackLine], *, moving: bool = True) -> Number:
    return sum(item.usd_per_month for item in lines if moving or item.layer != "one-off")


def _where(lines: Iterable[StackLine], holds: Array) -> tuple[StackLine, ...]:
    """Return lines where 1 holds and 0 elsewhere; none where it holds nowhere."""
    if np.all(holds > 0):
        return tuple(lines)
    return tuple(replace(item, usd_per_month=item.usd_per_month * holds) for item in lines) if np.any(holds > 0) else ()


def _of_the_api(lines: Iterable[StackLine]) -> tuple[StackLine, ...]:
    """Return lines under a name of their own beside the pool's."""
    return tuple(replace(item, key=f"{item.key}, API") for item in lines)
