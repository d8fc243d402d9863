"""Options that run the model on GPUs: rented, reserved, spot or owned nodes, and serverless ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from breakeven.capacity.load import Load, load, serving_nodes
from breakeven.capacity.memory import weights_gb
from breakeven.economics.compute import (
    owned_capital_usd_per_month,
    power_usd_per_month,
    rented_node_usd_per_month,
)
from breakeven.economics.stack import CostStack, StackLine, line
from breakeven.quantities import MONTHS_PER_YEAR, SECONDS_PER_HOUR
from breakeven.studies.verdict.api_option import transfer_ratios
from breakeven.studies.verdict.lines import (
    engineering_lines,
    infrastructure_lines,
    one_off_lines,
    reliability_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.capacity.service import Service
    from breakeven.catalog.hardware import Purchase
    from breakeven.studies.verdict.workload import Workload

PRICE_KEY = "usd_per_gpu_hour"
"""The offer's price, an assumption of the option itself: its interval spans the dated offers."""

CAPITAL_KEY = "node_usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The nodes that a month's traffic needs, and how busy they are.

    ``mean_busy_nodes`` counts nodes working at the capacity that keeps the SLO.
    """

    serving_nodes: int
    standby_nodes: int
    mean_busy_nodes: float
    node_mtok_per_month: float
    sized_by: str

    @property
    def busy_fraction(self) -> float:
        """Share of the serving nodes' time that is used."""
        return min(1.0, self.mean_busy_nodes / self.serving_nodes)

    @property
    def utilisation_fraction(self) -> float:
        """Served work over SLO capacity x all paid hours, standby included."""
        return min(1.0, self.mean_busy_nodes / (self.serving_nodes + self.standby_nodes))


@dataclass(frozen=True, kw_only=True)
class PoolOption:
    """Nodes that run one model all month."""

    id: str
    title: str
    model: str
    gpu: str
    gpus_per_node: int
    precision: str
    engine: str
    purchase: Purchase
    provider: str
    parameters: int
    service: Service
    workload: Workload
    same_model: bool
    min_nodes: int = 1
    node_power_w: float | None = None
    modelled_tco: bool = False
    hardware_is_sunk: bool = False
    team_is_sunk: bool = False
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    _loads: dict[tuple[float, float], Load] = field(default_factory=dict, repr=False, compare=False)

    @property
    def gpus(self) -> str:
        """What a node is, in words."""
        return f"{self.gpus_per_node}x {self.gpu}"

    def sizing(self, values: Mapping[str, float]) -> Sizing:
        """Return the nodes for the month: sized by the peak windows, or by a target utilisation.

        With times: n = ceil(peak load / SLO capacity).  Without: n = ceil(mean load / (SLO capacity x
        target utilisation)).  ``node_mtok_per_month`` is the volume one node carries when sized so.
        """
        month = self.workload.month(values)
        mean = self._mean_busy(values)
        if self.workload.windows is None:
            needed, sized_by = mean / values["target_utilisation_fraction"], "target utilisation"
        else:
            peak = self._load(values).peak_nodes(values["peak_quantile_fraction"]) * self.workload.peak_ratio(values)
            # Rare bursts can leave the chosen quantile below the mean: the mean must fit as well.
            needed, sized_by = max(peak / self._slo_capacity(values), mean), "peak windows"
        return Sizing(
            serving_nodes=serving_nodes(needed, min_nodes=self.min_nodes),
            standby_nodes=round(values["standby_count"]),
            mean_busy_nodes=mean,
            node_mtok_per_month=month.volume_mtok / needed,
            sized_by=sized_by,
        )

    def node_parts_usd(self, values: Mapping[str, float]) -> tuple[StackLine, ...]:
        """Return what one node costs a month, by part."""
        if self.purchase == "owned" and not self.modelled_tco:
            return self._owned_parts(values)
        interrupted = values["spot_interruption_fraction"] if self.purchase == "spot" else 0.0
        rent_usd = rented_node_usd_per_month(
            values[PRICE_KEY],
            gpus=self.gpus_per_node,
            hours_per_month=values["hours_per_month"],
            interruption_fraction=interrupted,
        )
        inputs = {
            PRICE_KEY: values[PRICE_KEY],
            "gpus_per_node": self.gpus_per_node,
            "hours_per_month": values["hours_per_month"],
        }
        formula = "usd_per_gpu_hour x gpus_per_node x hours_per_month"
        if interrupted:
            formula += " / (1 - spot_interruption_fraction)"
            inputs["spot_interruption_fraction"] = interrupted
        name = "cost of ownership (published model)" if self.modelled_tco else "node rent"
        return (
            line(name, "compute", rent_usd, formula, sunk=self.hardware_is_sunk, **inputs),
            line("hardware decay", "compute", 0.0, "the owner's, inside that price", drain="hardware decay"),
        )

    def node_usd_per_month(self, values: Mapping[str, float]) -> float:
        """Return what one node adds to the bill: its parts and its share of engineering."""
        parts = sum(item.usd_per_month for item in self.node_parts_usd(values))
        return parts + self._node_engineering_usd(values)

    def bill(self, values: Mapping[str, float]) -> CostStack:
        """Return the month's bill, fully loaded."""
        size = self.sizing(values)
        parts = self.node_parts_usd(values)
        node_usd = sum(item.usd_per_month for item in parts)
        busy = size.busy_fraction
        sunk = self.hardware_is_sunk
        compute = [_busy_part(part, size.serving_nodes, busy) for part in parts]
        compute.append(
            line(
                "idle capacity",
                "compute",
                node_usd * size.serving_nodes * (1 - busy),
                "node_usd_per_month x serving_nodes x (1 - busy_fraction)",
                drain="idle capacity",
                sunk=sunk,
                node_usd_per_month=node_usd,
                serving_nodes=size.serving_nodes,
                busy_fraction=busy,
            )
        )
        compute.append(
            line(
                "standby nodes",
                "standby",
                node_usd * size.standby_nodes,
                "node_usd_per_month x standby_nodes",
                sunk=sunk,
                node_usd_per_month=node_usd,
                standby_nodes=size.standby_nodes,
            )
        )
        nodes = size.serving_nodes + size.standby_nodes
        return CostStack(
            lines=(
                *compute,
                *engineering_lines(values, "self_hosted_engineering_fte", nodes=nodes, sunk=self.team_is_sunk),
                *infrastructure_lines(values, weights_gb=weights_gb(self.parameters, self.precision)),
                *reliability_lines(values, "self_hosted"),
                *one_off_lines(values, "migration_weeks"),
            )
        )

    def marginal_usd_per_month(self, values: Mapping[str, float]) -> float:
        """Return what serving costs on a pool already paid: power where it is metered, else nothing."""
        power = [p for p in self.node_parts_usd(values) if p.key == "power"]
        size = self.sizing(values)
        return sum(item.usd_per_month for item in power) * size.serving_nodes * size.busy_fraction

    def _slo_capacity(self, values: Mapping[str, float]) -> float:
        return values["slo_capacity_fraction"] * values["throughput_ratio"]

    def _mean_busy(self, values: Mapping[str, float]) -> float:
        into, out = transfer_ratios(values, same_model=self.same_model)
        month = self.workload.month(values, input_ratio=into, output_ratio=out)
        work = self.service.node_seconds(
            input_tokens=month.input_tokens,
            output_tokens=month.output_tokens,
            input_output_tokens2=month.input_output_tokens2,
            output_output_tokens2=month.output_output_tokens2,
        )
        return work / (values["hours_per_month"] * SECONDS_PER_HOUR) / self._slo_capacity(values)

    def _load(self, values: Mapping[str, float]) -> Load:
        ratios = transfer_ratios(values, same_model=self.same_model)
        if ratios not in self._loads:
            windows = self.workload.windows
            assert windows is not None
            self._loads[ratios] = load(windows, self.service, input_ratio=ratios[0], output_ratio=ratios[1])
        return self._loads[ratios]

    def _node_engineering_usd(self, values: Mapping[str, float]) -> float:
        per_node = values["engineering_per_node_fte"] * values["engineer_usd_per_year"] / MONTHS_PER_YEAR
        return per_node * (1 + values["opportunity_cost_fraction"])

    def _owned_parts(self, values: Mapping[str, float]) -> tuple[StackLine, ...]:
        capital = values[CAPITAL_KEY]
        rate, life = values["discount_rate_per_year"], values["lifetime_years"]
        decay_usd = owned_capital_usd_per_month(
            capital, residual_fraction=values["residual_fraction"], discount_rate=rate, lifetime_years=life
        )
        average_w = (self.node_power_w or 0.0) * values["node_load_fraction"]
        power_usd = power_usd_per_month(
            average_w,
            pue_ratio=values["pue_ratio"],
            electricity_usd_per_kwh=values["electricity_usd_per_kwh"],
            hours_per_month=values["hours_per_month"],
        )
        space_usd = (self.node_power_w or 0.0) / 1000 * values["colocation_usd_per_kw_month"]
        upkeep_usd = capital * values["maintenance_fraction_per_year"] / MONTHS_PER_YEAR
        return (
            line(
                "hardware decay",
                "compute",
                decay_usd,
                "(node_usd - node_usd x residual_fraction / (1 + discount_rate_per_year)^lifetime_years)"
                " x annuity(discount_rate_per_year, lifetime_years) / 12",
                drain="hardware decay",
                sunk=self.hardware_is_sunk,
                node_usd=capital,
                residual_fraction=values["residual_fraction"],
                discount_rate_per_year=rate,
                lifetime_years=life,
            ),
            line(
                "power",
                "compute",
                power_usd,
                "node_power_w x node_load_fraction / 1000 x pue_ratio x hours_per_month x electricity_usd_per_kwh",
                node_power_w=self.node_power_w or 0.0,
                node_load_fraction=values["node_load_fraction"],
                pue_ratio=values["pue_ratio"],
                hours_per_month=values["hours_per_month"],
                electricity_usd_per_kwh=values["electricity_usd_per_kwh"],
            ),
            line(
                "space",
                "compute",
                space_usd,
                "node_power_w / 1000 x colocation_usd_per_kw_month",
                node_power_w=self.node_power_w or 0.0,
                colocation_usd_per_kw_month=values["colocation_usd_per_kw_month"],
            ),
            line(
                "upkeep",
                "compute",
                upkeep_usd,
                "node_usd x maintenance_fraction_per_year / 12",
                node_usd=capital,
                maintenance_fraction_per_year=values["maintenance_fraction_per_year"],
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ServerlessOption(PoolOption):
    """Nodes billed by the second while they run: scale to zero, cold starts, no standby."""

    def sizing(self, values: Mapping[str, float]) -> Sizing:
        """Return the mean nodes that are up, rounded up, with no standby."""
        size = super().sizing(values)
        return Sizing(
            serving_nodes=size.serving_nodes,
            standby_nodes=0,
            mean_busy_nodes=size.mean_busy_nodes,
            node_mtok_per_month=size.node_mtok_per_month,
            sized_by="windows, scaled to zero",
        )

    def up_nodes(self, values: Mapping[str, float]) -> tuple[float, float]:
        """Return mean nodes up over the month, and node starts in it."""
        mean = self._mean_busy(values)
        if self.workload.windows is None:
            return mean / values["target_utilisation_fraction"], 0.0
        observed = self._load(values)
        scale = mean / observed.mean_nodes if observed.mean_nodes else 0.0
        up, starts_per_hour = observed.started_nodes(scale)
        return max(up, mean), starts_per_hour * values["hours_per_month"]

    def bill(self, values: Mapping[str, float]) -> CostStack:
        """Return the month's bill: running seconds, cold starts and the lines of a smaller team."""
        up, starts = self.up_nodes(values)
        node_usd = self.node_parts_usd(values)[0].usd_per_month
        mean = min(self._mean_busy(values), up)
        cold_hours = starts * values["cold_start_s"] / SECONDS_PER_HOUR
        lines = (
            line(
                "serverless seconds, busy",
                "compute",
                node_usd * mean,
                "usd_per_gpu_hour x gpus_per_node x hours_per_month x mean_busy_nodes",
                usd_per_gpu_hour=values[PRICE_KEY],
                gpus_per_node=self.gpus_per_node,
                hours_per_month=values["hours_per_month"],
                mean_busy_nodes=mean,
            ),
            line(
                "idle capacity",
                "compute",
                node_usd * (up - mean),
                "node_usd_per_month x (mean_up_nodes - mean_busy_nodes)",
                drain="idle capacity",
                node_usd_per_month=node_usd,
                mean_up_nodes=up,
                mean_busy_nodes=mean,
            ),
            line(
                "cold starts",
                "compute",
                node_usd / values["hours_per_month"] * cold_hours,
                "node_usd_per_hour x starts_per_month x cold_start_s / 3600",
                node_usd_per_hour=node_usd / values["hours_per_month"],
                starts_per_month=starts,
                cold_start_s=values["cold_start_s"],
            ),
        )
        return CostStack(
            lines=(
                *lines,
                *engineering_lines(values, "serverless_engineering_fte"),
                *infrastructure_lines(values, weights_gb=weights_gb(self.parameters, self.precision)),
                *reliability_lines(values, "self_hosted"),
                *one_off_lines(values, "migration_weeks"),
            )
        )


def _busy_part(part: StackLine, serving: int, busy: float) -> StackLine:
    inputs = {item.name: item.value for item in part.inputs} | {"serving_nodes": serving, "busy_fraction": busy}
    formula = f"{part.formula} x serving_nodes x busy_fraction" if part.inputs else part.formula
    return line(
        part.key if part.key != "node rent" else "node rent, busy",
        part.layer,
        part.usd_per_month * serving * busy,
        formula,
        drain=part.drain,
        sunk=part.sunk,
        **(inputs if part.inputs else {}),
    )
