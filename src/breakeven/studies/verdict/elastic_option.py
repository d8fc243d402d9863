"""Options that pay for capacity by use: serverless seconds, and provisioned throughput by the unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from breakeven.capacity.memory import weights_gb
from breakeven.economics.stack import CostStack, StackLine, line
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.studies.verdict.lines import (
    engineering_lines,
    infrastructure_lines,
    one_off_lines,
    reliability_lines,
)
from breakeven.studies.verdict.node_cost import PRICE_KEY
from breakeven.studies.verdict.pool_option import PoolOption

if TYPE_CHECKING:
    from breakeven.quantities import Number, Values
    from breakeven.studies.verdict.pool_option import Sizing

KEEP_ALIVE_S: Final = 60.0
"""How long a serverless node stays up after a request: the width of a trace's windows."""


@dataclass(frozen=True, kw_only=True)
class ServerlessOption(PoolOption):
    """Nodes billed by the second while they run: scale to zero, cold starts, no standby."""

    def _size(self, values: Values) -> Sizing:
        """Return the mean nodes that are up, rounded up, with no standby."""
        return replace(super()._size(values), standby_nodes=0, sized_by="windows, scaled to zero")

    def up_nodes(self, values: Values, *, volume_ratio: Number = 1.0) -> tuple[Number, Number]:
        """Return mean nodes up over a month, and node starts in it, at so many times the month's volume."""
        mean = self.mean_busy_nodes(values) * volume_ratio
        if self.workload.tables is None:
            # Without times, requests are taken as a Poisson stream: a node is up while one is near.
            requests_per_s = self.workload.month(values).requests / (values["hours_per_month"] * SECONDS_PER_HOUR)
            near = -np.expm1(-requests_per_s * volume_ratio * KEEP_ALIVE_S)
            return np.maximum(near, mean / values["target_utilisation_fraction"]), 0.0
        up, starts_per_hour = self.workload.tables.up_nodes(self.service, mean)
        return np.maximum(up, mean), starts_per_hour * values["hours_per_month"]

    def running_usd_per_month(self, values: Values, *, volume_ratio: Number) -> Number:
        """Return what running seconds and cold starts cost at so many times the month's volume."""
        up, starts = self.up_nodes(values, volume_ratio=volume_ratio)
        cold_hours = starts * values["cold_start_s"] / SECONDS_PER_HOUR
        node_usd = self.node_parts_usd(values)[0].usd_per_month
        return node_usd * (up + cold_hours / values["hours_per_month"])

    def bill(self, values: Values) -> CostStack:
        """Return the month's bill: running seconds, cold starts and the lines of a smaller team."""
        up, starts = self.up_nodes(values)
        node_usd = self.node_parts_usd(values)[0].usd_per_month
        mean = np.minimum(self.mean_busy_nodes(values), up)
        cold_hours = starts * values["cold_start_s"] / SECONDS_PER_HOUR
        lines = (
            line(
                "serverless seconds, busy",
                "compute",
                node_usd * mean,
                "usd_per_gpu_hour x gpus_per_node x hours_per_month x mean_busy_nodes",
                {
                    "usd_per_gpu_hour": values[PRICE_KEY],
                    "gpus_per_node": self.gpus_per_node,
                    "hours_per_month": values["hours_per_month"],
                    "mean_busy_nodes": mean,
                },
            ),
            line(
                "idle capacity",
                "compute",
                node_usd * (up - mean),
                "node_usd_per_month x (mean_up_nodes - mean_busy_nodes)",
                {"node_usd_per_month": node_usd, "mean_up_nodes": up, "mean_busy_nodes": mean},
                drain="idle capacity",
            ),
            line(
                "cold starts",
                "compute",
                node_usd / values["hours_per_month"] * cold_hours,
                "node_usd_per_hour x starts_per_month x cold_start_s / 3600",
                {
                    "node_usd_per_hour": node_usd / values["hours_per_month"],
                    "starts_per_month": starts,
                    "cold_start_s": values["cold_start_s"],
                },
            ),
        )
        return CostStack(
            lines=(
                *lines,
                *self.overhead_lines(values, 0),
            )
        )

    def overhead_lines(self, values: Values, nodes: Number) -> tuple[StackLine, ...]:  # noqa: ARG002
        """Return the lines of a smaller team: the platform runs the nodes."""
        return (
            *engineering_lines(values, "serverless_engineering_fte"),
            *infrastructure_lines(values, weights_gb=weights_gb(self.parameters, self.precision)),
            *reliability_lines(values, "self_hosted"),
            *self.tuning_lines(values),
            *one_off_lines(values, self.migration_key),
        )


@dataclass(frozen=True, kw_only=True)
class ProvisionedOption(PoolOption):
    """Throughput reserved at an API by the unit and hour: whole units, sized as nodes are.

    A unit's stated throughput is what the provider guarantees, so no SLO share is taken off it.
    """

    migration_key: ClassVar[str] = "api_switch_weeks"

    unit_usd_per_hour: float

    def _size(self, values: Values) -> Sizing:
        """Return the units that the traffic needs; a provider holds no standby for you."""
        return replace(super()._size(values), standby_nodes=0)

    def slo_capacity_fraction(self, values: Values) -> Number:  # noqa: ARG002 - the pool's signature
        """Return 1: the throughput is guaranteed."""
        return 1.0

    def node_parts_usd(self, values: Values) -> tuple[StackLine, ...]:
        """Return what one unit costs a month."""
        hours = values["hours_per_month"]
        return (
            line(
                "provisioned units",
                "tokens",
                self.unit_usd_per_hour * hours,
                "unit_usd_per_hour x hours_per_month",
                {"unit_usd_per_hour": self.unit_usd_per_hour, "hours_per_month": hours},
            ),
        )

    def overhead_lines(self, values: Values, nodes: Number) -> tuple[StackLine, ...]:  # noqa: ARG002
        """Return an API's people and reliability: the provider runs the nodes."""
        return (
            *engineering_lines(values, "api_engineering_fte"),
            *reliability_lines(values, "api"),
            *one_off_lines(values, self.migration_key),
        )

    def node_engineering_usd(self, values: Values) -> Number:  # noqa: ARG002
        """Return 0: another unit needs no other engineer."""
        return 0.0
