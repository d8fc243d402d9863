"""Options that pay for capacity by use: serverless seconds, and provisioned throughput by the unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import expm1
from typing import TYPE_CHECKING, Final

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
    from collections.abc import Mapping

    from breakeven.studies.verdict.pool_option import Sizing

KEEP_ALIVE_S: Final = 60.0
"""How long a serverless node stays up after a request: the width of a trace's windows."""


@dataclass(frozen=True, kw_only=True)
class ServerlessOption(PoolOption):
    """Nodes billed by the second while they run: scale to zero, cold starts, no standby."""

    def sizing(self, values: Mapping[str, float]) -> Sizing:
        """Return the mean nodes that are up, rounded up, with no standby."""
        return replace(super().sizing(values), standby_nodes=0, sized_by="windows, scaled to zero")

    def up_nodes(self, values: Mapping[str, float]) -> tuple[float, float]:
        """Return mean nodes up over the month, and node starts in it."""
        mean = self.mean_busy_nodes(values)
        if self.workload.windows is None:
            # Without times, requests are taken as a Poisson stream: a node is up while one is near.
            requests_per_s = self.workload.month(values).requests / (values["hours_per_month"] * SECONDS_PER_HOUR)
            near = -expm1(-requests_per_s * KEEP_ALIVE_S)
            return max(near, mean / values["target_utilisation_fraction"]), 0.0
        observed = self.load(values)
        scale = mean / observed.mean_nodes if observed.mean_nodes else 0.0
        up, starts_per_hour = observed.started_nodes(scale)
        return max(up, mean), starts_per_hour * values["hours_per_month"]

    def bill(self, values: Mapping[str, float]) -> CostStack:
        """Return the month's bill: running seconds, cold starts and the lines of a smaller team."""
        up, starts = self.up_nodes(values)
        node_usd = self.node_parts_usd(values)[0].usd_per_month
        mean = min(self.mean_busy_nodes(values), up)
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

    def overhead_lines(self, values: Mapping[str, float], nodes: int) -> tuple[StackLine, ...]:  # noqa: ARG002
        """Return the lines of a smaller team: the platform runs the nodes."""
        return (
            *engineering_lines(values, "serverless_engineering_fte"),
            *infrastructure_lines(values, weights_gb=weights_gb(self.parameters, self.precision)),
            *reliability_lines(values, "self_hosted"),
            *one_off_lines(values, "migration_weeks"),
        )


@dataclass(frozen=True, kw_only=True)
class ProvisionedOption(PoolOption):
    """Throughput reserved at an API by the unit and hour: whole units, sized as nodes are.

    A unit's stated throughput is what the provider guarantees, so no SLO share is taken off it.
    """

    unit_usd_per_hour: float

    def sizing(self, values: Mapping[str, float]) -> Sizing:
        """Return the units that the traffic needs; a provider holds no standby for you."""
        return replace(super().sizing(values), standby_nodes=0)

    def slo_capacity_fraction(self, values: Mapping[str, float]) -> float:  # noqa: ARG002 - the pool's signature
        """Return 1: the throughput is guaranteed."""
        return 1.0

    def node_parts_usd(self, values: Mapping[str, float]) -> tuple[StackLine, ...]:
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

    def overhead_lines(self, values: Mapping[str, float], nodes: int) -> tuple[StackLine, ...]:  # noqa: ARG002
        """Return an API's people and reliability: the provider runs the nodes."""
        return (
            *engineering_lines(values, "api_engineering_fte"),
            *reliability_lines(values, "api"),
            *one_off_lines(values, "api_switch_weeks"),
        )

    def node_engineering_usd(self, values: Mapping[str, float]) -> float:  # noqa: ARG002
        """Return 0: another unit needs no other engineer."""
        return 0.0
