"""Options that run the model on GPUs: rented, reserved, spot or owned nodes, and serverless ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from breakeven.capacity.load import serving_nodes
from breakeven.capacity.memory import weights_gb
from breakeven.economics.stack import CostStack, StackLine, line
from breakeven.quantities import MONTHS_PER_YEAR, SECONDS_PER_HOUR
from breakeven.studies.verdict.lines import (
    engineering_lines,
    infrastructure_lines,
    one_off_lines,
    reliability_lines,
)
from breakeven.studies.verdict.node_cost import owned_parts, rented_parts
from breakeven.studies.verdict.token_price import transfer_ratios
from breakeven.studies.verdict.tuning import pool_tuning_lines

if TYPE_CHECKING:
    from breakeven.capacity.service import Service
    from breakeven.catalog.hardware import Purchase
    from breakeven.quantities import Number, Values
    from breakeven.sources.scenario import Tuning
    from breakeven.studies.verdict.workload import Workload


LEAST_NODES: Final = 1e-9
"""Stands for no work at all, as of inputs without output where only output is said to take time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The nodes that a month's traffic needs, and how busy they are.

    ``mean_busy_nodes`` counts nodes working at the capacity that keeps the SLO.
    """

    serving_nodes: Number
    standby_nodes: Number
    mean_busy_nodes: Number
    node_mtok_per_month: Number
    sized_by: str

    @property
    def busy_fraction(self) -> Number:
        """Share of the serving nodes' time that is used."""
        return np.minimum(1.0, self.mean_busy_nodes / np.maximum(self.serving_nodes, LEAST_NODES))

    @property
    def utilisation_fraction(self) -> Number:
        """Served work over SLO capacity x all paid hours, standby included."""
        return np.minimum(1.0, self.mean_busy_nodes / np.maximum(self.serving_nodes + self.standby_nodes, LEAST_NODES))


@dataclass(frozen=True, kw_only=True)
class PoolOption:
    """Nodes that run one model all month.

    ``price_moves`` says whether the nodes' price follows the market: an hourly rent does, a contract does not.
    """

    migration_key: ClassVar[str] = "migration_weeks"

    id: str
    title: str
    model: str
    gpu: str
    gpus_per_node: int
    precision: str
    engine: str
    purchase: Purchase | Literal["provisioned"]
    provider: str
    parameters: int
    service: Service
    workload: Workload
    same_model: bool
    min_nodes: int = 1
    node_power_w: float | None = None
    modelled_tco: bool = False
    price_moves: bool = False
    hardware_is_sunk: bool = False
    team_is_sunk: bool = False
    tuning: Tuning | None = None
    active_parameters: int = 0
    gpu_tflops: float = 0.0
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    _sized: list[tuple[Values, Sizing]] = field(default_factory=list, repr=False, compare=False)

    @property
    def gpus(self) -> str:
        """What a node is, in words."""
        return f"{self.gpus_per_node}x {self.gpu}"

    def sizing(self, values: Values) -> Sizing:
        """Return the nodes for the month: sized by the peak windows, or by a target utilisation.

        With times: n = ceil(peak load / SLO capacity).  Without: n = ceil(mean load / (SLO capacity x
        target utilisation)).  ``node_mtok_per_month`` is the volume one node carries when sized so.  The last
        two answers are kept: bill, nodes and staircase ask in turn with likely values and with those drawn.
        """
        for asked, known in self._sized:
            if asked is values:
                return known
        found = self._size(values)
        self._sized[:] = [(values, found), *self._sized[:1]]
        return found

    def _size(self, values: Values) -> Sizing:
        month = self.workload.month(values)
        mean = self.mean_busy_nodes(values)
        if self.workload.tables is None:
            needed, sized_by = mean / values["target_utilisation_fraction"], "target utilisation"
        else:
            into, out = transfer_ratios(values, same_model=self.same_model, model=self.model)
            seen = self.workload.tables.peak_nodes(
                self.service,
                quantile_fraction=values["peak_quantile_fraction"],
                input_ratio=into,
                output_ratio=out,
            )
            peak = seen * self.workload.peak_ratio(values) / self.slo_capacity_fraction(values)
            # Rare bursts can leave the chosen quantile below the mean: the mean must fit as well.
            needed, sized_by = np.maximum(peak, mean), "peak windows"
        return Sizing(
            serving_nodes=serving_nodes(needed, min_nodes=self.min_nodes),
            standby_nodes=np.rint(values["standby_count"]),
            mean_busy_nodes=mean,
            node_mtok_per_month=month.volume_mtok / np.maximum(needed, LEAST_NODES),
            sized_by=sized_by,
        )

    def node_parts_usd(self, values: Values) -> tuple[StackLine, ...]:
        """Return what one node costs a month, by part."""
        if self.purchase == "owned" and not self.modelled_tco:
            return owned_parts(values, node_power_w=self.node_power_w or 0.0, hardware_is_sunk=self.hardware_is_sunk)
        return rented_parts(
            values,
            gpus_per_node=self.gpus_per_node,
            spot=self.purchase == "spot",
            modelled_tco=self.modelled_tco,
            hardware_is_sunk=self.hardware_is_sunk,
        )

    def node_usd_per_month(self, values: Values) -> Number:
        """Return what one node adds to the bill: its parts and its share of engineering."""
        parts = sum(item.usd_per_month for item in self.node_parts_usd(values))
        return parts + self.node_engineering_usd(values)

    def bill(self, values: Values) -> CostStack:
        """Return the month's bill, fully loaded."""
        size = self.sizing(values)
        nodes = size.serving_nodes + size.standby_nodes
        return CostStack(lines=(*self.node_lines(values, size), *self.overhead_lines(values, nodes)))

    def node_lines(self, values: Values, size: Sizing) -> tuple[StackLine, ...]:
        """Return what a pool of that size costs a month for its nodes, busy, idle and on standby."""
        parts = self.node_parts_usd(values)
        node_usd = sum(item.usd_per_month for item in parts)
        sunk_usd = sum(item.usd_per_month for item in parts if item.sunk)
        return (
            *(_busy_part(part, size) for part in parts),
            *_unused(size, node_usd - sunk_usd, sunk=False),
            *(_unused(size, sunk_usd, sunk=True) if self.hardware_is_sunk else ()),
        )

    def overhead_lines(self, values: Values, nodes: Number) -> tuple[StackLine, ...]:
        """Return people, infrastructure, reliability and one-off work for a pool of that many nodes."""
        return (
            *engineering_lines(values, "self_hosted_engineering_fte", nodes=nodes, sunk=self.team_is_sunk),
            *infrastructure_lines(values, weights_gb=weights_gb(self.parameters, self.precision)),
            *reliability_lines(values, "self_hosted"),
            *self.tuning_lines(values),
            *one_off_lines(values, self.migration_key),
        )

    def tuning_lines(self, values: Values) -> tuple[StackLine, ...]:
        """Return what fine-tuning this pool's model costs, at the price of its own kind of GPU."""
        if self.tuning is None:
            return ()
        node_usd = sum(item.usd_per_month for item in self.node_parts_usd(values))
        return pool_tuning_lines(
            self.tuning,
            values,
            gpu_usd_per_hour=node_usd / values["hours_per_month"] / self.gpus_per_node,
            active_parameters=self.active_parameters,
            gpu_tflops=self.gpu_tflops,
        )

    def marginal_usd_per_month(self, values: Values) -> Number:
        """Return what serving costs on a pool already paid: power where it is metered, else nothing."""
        power = [p for p in self.node_parts_usd(values) if p.key == "power"]
        size = self.sizing(values)
        return sum(item.usd_per_month for item in power) * size.serving_nodes * size.busy_fraction

    def slo_capacity_fraction(self, values: Values) -> Number:
        """Return the share of the fitted throughput that a node gives while it keeps the SLO."""
        shared = self.tuning is not None and self.tuning.variants > 1
        slowed = values["adapter_slowdown_fraction"] if shared else 0.0
        return values["slo_capacity_fraction"] * values["throughput_ratio"] * (1 - slowed)

    def mean_busy_nodes(self, values: Values) -> Number:
        """Return the nodes that the month's work keeps busy on average, at the capacity that keeps the SLO."""
        into, out = transfer_ratios(values, same_model=self.same_model, model=self.model)
        month = self.workload.month(values, input_ratio=into, output_ratio=out)
        work = self.service.node_seconds(
            input_tokens=month.input_tokens,
            output_tokens=month.output_tokens,
            input_output_tokens2=month.input_output_tokens2,
            output_output_tokens2=month.output_output_tokens2,
        )
        return work / (values["hours_per_month"] * SECONDS_PER_HOUR) / self.slo_capacity_fraction(values)

    def node_engineering_usd(self, values: Values) -> Number:
        """Return what each further node takes of engineers a month."""
        per_node = values["engineering_per_node_fte"] * values["engineer_usd_per_year"] / MONTHS_PER_YEAR
        return per_node * (1 + values["opportunity_cost_fraction"])


def _unused(size: Sizing, node_usd: Number, *, sunk: bool) -> tuple[StackLine, ...]:
    """Return what idle hours and standby nodes cost of that part of a node's bill; the sunk part stands alone."""
    paid = ", already paid" if sunk else ""
    idle_fraction = 1 - size.busy_fraction
    return (
        line(
            f"idle capacity{paid}",
            "compute",
            node_usd * size.serving_nodes * idle_fraction,
            "node_usd_per_month x serving_nodes x idle_fraction",
            {"node_usd_per_month": node_usd, "serving_nodes": size.serving_nodes, "idle_fraction": idle_fraction},
            drain="idle capacity",
            sunk=sunk,
        ),
        line(
            f"standby nodes{paid}",
            "standby",
            node_usd * size.standby_nodes,
            "node_usd_per_month x standby_nodes",
            {"node_usd_per_month": node_usd, "standby_nodes": size.standby_nodes},
            sunk=sunk,
        ),
    )


def _busy_part(part: StackLine, size: Sizing) -> StackLine:
    """Return a node's part times the serving nodes' busy share: the rest is idle capacity's."""
    if not part.inputs:
        return part
    return StackLine(
        key=part.key,
        layer=part.layer,
        usd_per_month=part.usd_per_month * size.serving_nodes * size.busy_fraction,
        formula=f"({part.formula}) x serving_nodes x busy_fraction",
        inputs={**part.inputs, "serving_nodes": size.serving_nodes, "busy_fraction": size.busy_fraction},
        drain=part.drain,
        sunk=part.sunk,
    )
