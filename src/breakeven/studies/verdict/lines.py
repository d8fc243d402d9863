"""The lines that every option shares: people, infrastructure, reliability, one-off work.

Each is an economics formula applied to assumption values, with its inputs kept for ``--explain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from breakeven.economics.overheads import (
    breach_usd_per_month,
    downtime_usd_per_month,
    engineering_usd_per_month,
    incidents_usd_per_month,
    one_off_usd_per_month,
    pool_engineering_fte,
)
from breakeven.economics.stack import StackLine, line

if TYPE_CHECKING:
    from breakeven.quantities import Number, Values

Side = Literal["api", "self_hosted"]


def engineering_lines(values: Values, fte_key: str, *, nodes: Number = 1, sunk: bool = False) -> tuple[StackLine, ...]:
    """Return engineering labour and the opportunity cost of that labour."""
    salary_usd = values["engineer_usd_per_year"]
    by_node = fte_key == "self_hosted_engineering_fte"
    per_node = values["engineering_per_node_fte"] if by_node else 0.0
    fte = pool_engineering_fte(values[fte_key], fte_per_node=per_node, nodes=nodes)
    labour_usd = engineering_usd_per_month(fte, engineer_usd_per_year=salary_usd)
    labour_inputs = {fte_key: values[fte_key], "engineer_usd_per_year": salary_usd}
    formula = f"{fte_key} x engineer_usd_per_year / 12"
    if by_node:
        formula = f"({fte_key} + engineering_per_node_fte x (nodes - 1)) x engineer_usd_per_year / 12"
        labour_inputs |= {"engineering_per_node_fte": per_node, "nodes": nodes}
    return (
        line(
            "engineering labour",
            "engineering",
            labour_usd,
            formula,
            labour_inputs,
            drain="engineering labour",
            sunk=sunk,
        ),
        line(
            "opportunity cost",
            "engineering",
            labour_usd * values["opportunity_cost_fraction"],
            "engineering labour x opportunity_cost_fraction",
            {
                "opportunity_cost_fraction": values["opportunity_cost_fraction"],
                "engineering_labour_usd_per_month": labour_usd,
            },
            drain="opportunity cost",
        ),
    )


_SUPPORT = (
    "load_balancer_usd_per_month",
    "monitoring_usd_per_month",
    "cache_usd_per_month",
    "logging_usd_per_month",
)


def infrastructure_lines(values: Values, *, weights_gb: float) -> tuple[StackLine, ...]:
    """Return the supporting infrastructure of a pool (002, layer 3)."""
    support = {key: values[key] for key in _SUPPORT}
    return (
        line(
            "supporting services",
            "infrastructure",
            sum(support.values()),
            " + ".join(support),
            support,
            drain="MLOps infrastructure",
        ),
        line(
            "weight storage",
            "infrastructure",
            weights_gb * values["storage_usd_per_gb_month"],
            "weights_gb x storage_usd_per_gb_month",
            {"weights_gb": weights_gb, "storage_usd_per_gb_month": values["storage_usd_per_gb_month"]},
            drain="MLOps infrastructure",
        ),
    )


def reliability_lines(values: Values, side: Side) -> tuple[StackLine, ...]:
    """Return expected downtime, incident response and the expected cost of a breach (002, layer 4)."""
    down, cost = values[f"{side}_downtime_hours_per_month"], values["downtime_usd_per_hour"]
    incidents, hours = values[f"{side}_incidents_per_month"], values["hours_per_incident"]
    salary_usd = values["engineer_usd_per_year"]
    probability, breach_usd = values[f"{side}_breach_probability_per_year"], values["breach_usd"]
    return (
        line(
            "expected downtime",
            "reliability",
            downtime_usd_per_month(down, downtime_usd_per_hour=cost),
            f"{side}_downtime_hours_per_month x downtime_usd_per_hour",
            {f"{side}_downtime_hours_per_month": down, "downtime_usd_per_hour": cost},
        ),
        line(
            "incident response",
            "reliability",
            incidents_usd_per_month(incidents, hours_per_incident=hours, engineer_usd_per_year=salary_usd),
            f"{side}_incidents_per_month x hours_per_incident x engineer_usd_per_year / 2080",
            {
                f"{side}_incidents_per_month": incidents,
                "hours_per_incident": hours,
                "engineer_usd_per_year": salary_usd,
            },
            drain="incident response",
        ),
        line(
            "expected data breach",
            "reliability",
            breach_usd_per_month(probability, breach_usd=breach_usd),
            f"{side}_breach_probability_per_year x breach_usd / 12",
            {f"{side}_breach_probability_per_year": probability, "breach_usd": breach_usd},
        ),
    )


def one_off_lines(values: Values, weeks_key: str) -> tuple[StackLine, ...]:
    """Return the cost of moving, spread over the planning horizon."""
    weeks, salary_usd, months = values[weeks_key], values["engineer_usd_per_year"], values["horizon_months"]
    return (
        line(
            "migration",
            "one-off",
            one_off_usd_per_month(weeks, engineer_usd_per_year=salary_usd, horizon_months=months),
            f"{weeks_key} / 52 x engineer_usd_per_year / horizon_months",
            {weeks_key: weeks, "engineer_usd_per_year": salary_usd, "horizon_months": months},
        ),
    )
