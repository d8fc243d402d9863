"""An option's bill month by month, for every draw.

An option is reduced to its bill over volume, a staircase or a line for each draw; months move volume and prices
along it.  So 10,000 draws of 36 months cost a few array operations an option, with the arithmetic of the bill itself.
Arrays have shape (draws, months).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.horizon import decline_ratios, growth_ratios
from breakeven.quantities import MONTHS_PER_YEAR
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.hybrid_option import HybridOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.economics.crossing import FlatDraws, StairDraws
    from breakeven.quantities import Array, Number
    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.hybrid_bill import HybridBill
    from breakeven.studies.verdict.pool_option import PoolOption
    from breakeven.studies.verdict.workload import Workload

WEEKS_PER_MONTH: Final = 52 / MONTHS_PER_YEAR
BLOCK_DRAWS: Final = 1000
"""Draws that are computed together: their arrays stay in a core's cache."""

ALL: Final = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What moves by the month: the volume, and growth and prices over those of the first month."""

    volume_mtok: Array
    growth_ratio: Array
    api_price_ratio: Array
    gpu_price_ratio: Array

    def usd_per_month(self, case: Case) -> Array:
        """Return an option's bills, without the migration towards it."""
        return self.path(case)[0]

    def path(self, case: Case) -> tuple[Array, Array]:
        """Return an option's bills, and whether it is an option of its own: 0 where a hybrid holds no node."""
        shape = self.volume_mtok.shape
        found = np.empty(shape)
        is_own = np.empty(shape) if isinstance(case.option, HybridOption) else np.broadcast_to(np.ones(()), shape)
        for start in range(0, len(found), BLOCK_DRAWS):
            rows = slice(start, start + BLOCK_DRAWS)
            if isinstance(case.option, HybridOption):
                split = self.hybrid(case, rows).at(self.volume_mtok[rows])
                found[rows], is_own[rows] = split.usd_per_month, split.pays
            else:
                found[rows] = self._block(case, rows)
        return found, is_own

    def flat(self, case: Case, rows: slice = ALL) -> FlatDraws:
        """Return an API's bill over volume, month by month."""
        now = case.flat
        return replace(
            now,
            fixed_usd_per_month=(now.fixed_usd_per_month - monthly_one_off_usd(case))[rows, None],
            usd_per_mtok=now.usd_per_mtok[rows, None] * self.api_price_ratio[rows],
        )

    def stairs(self, case: Case, rows: slice = ALL) -> StairDraws:
        """Return a pool's bill over volume, month by month; engineers do not get cheaper with GPUs."""
        option, now = case.option, case.stairs
        assert not isinstance(option, ApiOption | HybridOption)
        people = option.node_engineering_usd(case.drawn)
        node_usd = (now.node_usd_per_month - people)[rows, None] * self._node_price(option, rows)
        return replace(
            now,
            fixed_usd_per_month=(now.fixed_usd_per_month - monthly_one_off_usd(case))[rows, None],
            node_usd_per_month=node_usd + np.broadcast_to(people, len(self.volume_mtok))[rows, None],
            node_mtok_per_month=now.node_mtok_per_month[rows, None],
            standby_nodes=now.standby_nodes[rows, None],
        )

    def hybrid(self, case: Case, rows: slice = ALL) -> HybridBill:
        """Return a hybrid's bill over volume, month by month; it divides the work anew in each."""
        option, count = case.option, len(self.volume_mtok)
        assert isinstance(option, HybridOption)
        now = case.hybrid.columns(count, rows)
        people = np.broadcast_to(option.pool.node_engineering_usd(case.drawn), count)[rows, None]
        return replace(
            now,
            node_usd_per_month=(now.node_usd_per_month - people) * self._node_price(option, rows) + people,
            usd_per_mtok=now.usd_per_mtok * self.api_price_ratio[rows],
        )

    def _block(self, case: Case, rows: slice) -> Array:
        if isinstance(case.option, ServerlessOption):
            return self._serverless(case, case.option, rows)
        bill = self.flat(case, rows) if isinstance(case.option, ApiOption) else self.stairs(case, rows)
        return bill.usd_per_month(self.volume_mtok[rows])

    def _serverless(self, case: Case, option: ServerlessOption, rows: slice) -> Array:
        columns = {key: value[rows, None] for key, value in case.drawn.items()}
        running = option.running_usd_per_month(columns, volume_ratio=self.growth_ratio[rows])
        standing = np.broadcast_to(case.standing_usd_per_month, len(self.volume_mtok))[rows, None]
        return np.asarray(running * self._node_price(option, rows) + standing)

    def _node_price(self, option: PoolOption | HybridOption, rows: slice) -> Array | float:
        return self.gpu_price_ratio[rows] if option.price_moves else 1.0


def course_of(values: Mapping[str, Array], workload: Workload, *, month_count: int) -> Course:
    """Return how volume and prices move over the months, in every draw of the shared assumptions."""
    growth = growth_ratios(values["traffic_growth_per_month"], month_count=month_count)
    return Course(
        volume_mtok=np.broadcast_to(workload.month(values).volume_mtok, len(growth))[:, None] * growth,
        growth_ratio=growth,
        api_price_ratio=decline_ratios(values["api_price_decline_per_year"], month_count=month_count),
        gpu_price_ratio=decline_ratios(values["gpu_price_decline_per_year"], month_count=month_count),
    )


def monthly_one_off_usd(case: Case) -> Number:
    """Return the migration's share of a month's bill, for every draw; a hybrid's where it holds nodes."""
    if isinstance(case.option, HybridOption):
        return case.option.moving_usd_per_month(case.drawn)
    return sum(item.usd_per_month for item in case.drawn_bill.lines if item.layer == "one-off")


def outlay_usd(case: Case) -> Number:
    """Return what the move costs at its start, for every draw."""
    return monthly_one_off_usd(case) * case.drawn["horizon_months"]


def moved_fraction(case: Case, *, month_count: int) -> Array:
    """Return the share of each month in which the option serves: until the move is done, today's does.

    The move takes its engineer weeks, by one engineer; the new bill begins when it is done.
    """
    option = case.option
    keys = option.migration_keys if isinstance(option, HybridOption) else (option.migration_key,)
    weeks = sum((case.drawn[key] for key in keys if key), start=np.zeros(1))
    return np.clip(np.arange(1, month_count + 1) - weeks[:, None] / WEEKS_PER_MONTH, 0.0, 1.0)
