"""What one node costs a month, by part: rented by the GPU-hour, or owned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.economics.compute import (
    owned_capital_usd_per_month,
    power_usd_per_month,
    rented_node_usd_per_month,
)
from breakeven.economics.stack import StackLine, line
from breakeven.quantities import MONTHS_PER_YEAR

if TYPE_CHECKING:
    from breakeven.quantities import Values

PRICE_KEY: Final = "usd_per_gpu_hour"
"""The offer's price, an assumption of the option itself: its interval spans the dated offers."""

CAPITAL_KEY: Final = "node_usd"
"""Likewise the purchase price of an owned node."""


def rented_parts(
    values: Values, *, gpus_per_node: int, spot: bool, modelled_tco: bool, hardware_is_sunk: bool
) -> tuple[StackLine, ...]:
    """Return what a node costs a month that is paid by the GPU-hour."""
    interrupted = values["spot_interruption_fraction"] if spot else 0.0
    rent_usd = rented_node_usd_per_month(
        values[PRICE_KEY],
        gpus=gpus_per_node,
        hours_per_month=values["hours_per_month"],
        interruption_fraction=interrupted,
    )
    inputs = {
        PRICE_KEY: values[PRICE_KEY],
        "gpus_per_node": gpus_per_node,
        "hours_per_month": values["hours_per_month"],
    }
    formula = "usd_per_gpu_hour x gpus_per_node x hours_per_month"
    if spot:
        formula += " / (1 - spot_interruption_fraction)"
        inputs["spot_interruption_fraction"] = interrupted
    name = "cost of ownership (published model)" if modelled_tco else "node rent, busy hours"
    return (
        line(
            name,
            "compute",
            rent_usd,
            formula,
            inputs,
            sunk=hardware_is_sunk,
        ),
        line(
            "hardware decay",
            "compute",
            0.0,
            "the owner's, inside that price",
            drain="hardware decay",
        ),
    )


def owned_parts(values: Values, *, node_power_w: float, hardware_is_sunk: bool) -> tuple[StackLine, ...]:
    """Return what an owned node costs a month: its decay, power, space and upkeep."""
    space_usd = node_power_w / 1000 * values["colocation_usd_per_kw_month"]
    upkeep_usd = values[CAPITAL_KEY] * values["maintenance_fraction_per_year"] / MONTHS_PER_YEAR
    return (
        _decay(values, hardware_is_sunk=hardware_is_sunk),
        _power(values, node_power_w),
        line(
            "space",
            "compute",
            space_usd,
            "node_power_w / 1000 x colocation_usd_per_kw_month",
            {"node_power_w": node_power_w, "colocation_usd_per_kw_month": values["colocation_usd_per_kw_month"]},
        ),
        line(
            "upkeep",
            "compute",
            upkeep_usd,
            "node_usd x maintenance_fraction_per_year / 12",
            {"node_usd": values[CAPITAL_KEY], "maintenance_fraction_per_year": values["maintenance_fraction_per_year"]},
        ),
    )


def _decay(values: Values, *, hardware_is_sunk: bool) -> StackLine:
    inputs = {
        CAPITAL_KEY: values[CAPITAL_KEY],
        "residual_fraction": values["residual_fraction"],
        "discount_rate_per_year": values["discount_rate_per_year"],
        "lifetime_years": values["lifetime_years"],
    }
    decay_usd = owned_capital_usd_per_month(
        values[CAPITAL_KEY],
        residual_fraction=values["residual_fraction"],
        discount_rate=values["discount_rate_per_year"],
        lifetime_years=values["lifetime_years"],
    )
    formula = (
        "(node_usd - node_usd x residual_fraction / (1 + discount_rate_per_year)^lifetime_years)"
        " x annuity(discount_rate_per_year, lifetime_years) / 12"
    )
    return line(
        "hardware decay",
        "compute",
        decay_usd,
        formula,
        inputs,
        drain="hardware decay",
        sunk=hardware_is_sunk,
    )


def _power(values: Values, node_power_w: float) -> StackLine:
    keys = ("node_load_fraction", "pue_ratio", "hours_per_month", "electricity_usd_per_kwh")
    power_usd = power_usd_per_month(
        node_power_w * values["node_load_fraction"],
        pue_ratio=values["pue_ratio"],
        electricity_usd_per_kwh=values["electricity_usd_per_kwh"],
        hours_per_month=values["hours_per_month"],
    )
    formula = "node_power_w / 1000 x node_load_fraction x pue_ratio x hours_per_month x electricity_usd_per_kwh"
    inputs = {"node_power_w": node_power_w} | {key: values[key] for key in keys}
    return line(
        "power",
        "compute",
        power_usd,
        formula,
        inputs,
    )
