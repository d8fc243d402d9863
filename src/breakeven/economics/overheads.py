"""The lines that no GPU invoice shows: people, incidents, downtime, breaches, one-off work.

002's layers two to four and 001's six drains, as formulas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.quantities import MONTHS_PER_YEAR, WORK_HOURS_PER_YEAR

if TYPE_CHECKING:
    from breakeven.quantities import Number


def engineering_usd_per_month(fte: Number, *, engineer_usd_per_year: Number) -> Number:
    """Return what that many full-time engineers cost a month, fully loaded (002, layer 2)."""
    return fte * engineer_usd_per_year / MONTHS_PER_YEAR


def pool_engineering_fte(fte_per_model: Number, *, fte_per_node: Number, nodes: Number) -> Number:
    """Return the engineers a pool needs: fixed per model, plus a little for each node after the first."""
    return fte_per_model + fte_per_node * (nodes - 1) * (nodes > 1)


def incidents_usd_per_month(
    incidents_per_month: Number, *, hours_per_incident: Number, engineer_usd_per_year: Number
) -> Number:
    """Return what incident response costs: incidents x hours x an engineer's hourly cost.

    The engineering share covers planned upkeep; this is the call at 3 a.m. (001, fourth drain).
    """
    hourly_usd = engineer_usd_per_year / WORK_HOURS_PER_YEAR
    return incidents_per_month * hours_per_incident * hourly_usd


def downtime_usd_per_month(downtime_hours_per_month: Number, *, downtime_usd_per_hour: Number) -> Number:
    """Return the expected cost of being down: hours x what an hour costs (DESIGN: expected downtime)."""
    return downtime_hours_per_month * downtime_usd_per_hour


def breach_usd_per_month(breach_probability_per_year: Number, *, breach_usd: Number) -> Number:
    """Return the expected monthly cost of a data breach: yearly probability x its cost / 12."""
    return breach_probability_per_year * breach_usd / MONTHS_PER_YEAR


def one_off_usd_per_month(engineer_weeks: Number, *, engineer_usd_per_year: Number, horizon_months: Number) -> Number:
    """Return the cost of moving, spread evenly over the months in which it should pay back."""
    return engineer_weeks / 52 * engineer_usd_per_year / horizon_months


def engineering_floor_mtok_per_month(engineering_usd_per_month: float, *, api_usd_per_mtok: float) -> float:
    """Return the volume below which engineering alone costs more than the whole API bill (002)."""
    return engineering_usd_per_month / api_usd_per_mtok
