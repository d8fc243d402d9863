"""What a node costs: rented by the hour, interrupted, owned, and per token at a utilisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.economics.tokens import capacity_mtok
from breakeven.quantities import MONTHS_PER_YEAR, everywhere

if TYPE_CHECKING:
    from breakeven.quantities import Number

_SMALL_RATE = 1e-6
"""Below this yearly rate the annuity's formula cancels (it is 0/0 at 0), and its series takes over."""


def compute_usd_per_mtok(node_usd_per_hour: float, tokens_per_s: float, *, utilisation_fraction: float = 1.0) -> float:
    """Return the bare compute cost of a million tokens, of the type that the throughput counts.

    usd/h / (tokens/s x 3600 x utilisation) x 10^6.  This is the formula everybody uses, and it is
    one layer of four (002): idle hours enter by the utilisation, everything else is missing.
    """
    return node_usd_per_hour / capacity_mtok(tokens_per_s, hours=1, utilisation_fraction=utilisation_fraction)


def rented_node_usd_per_month(
    usd_per_gpu_hour: Number, *, gpus: int, hours_per_month: Number, interruption_fraction: Number = 0.0
) -> Number:
    """Return the rent of one node that is up all month.

    For spot nodes ``interruption_fraction`` of the paid time is lost to interruptions and restarts,
    so one node's worth of service takes 1 / (1 - fraction) nodes.
    """
    if not (everywhere(interruption_fraction >= 0) and everywhere(interruption_fraction < 1)):
        raise ValueError(f"the interrupted share is at least 0 and below 1, got {interruption_fraction}")
    return usd_per_gpu_hour * gpus * hours_per_month / (1 - interruption_fraction)


def annuity_per_year(discount_rate: Number, lifetime_years: Number) -> Number:
    """Yearly payment that repays 1 unit of capital over its life.

    r / (1 - (1 + r)^-n); at a rate of 0 it is straight-line depreciation, 1 / n.
    """
    if not (everywhere(lifetime_years > 0) and everywhere(discount_rate >= 0)):
        raise ValueError(f"need a life above 0 and a rate of at least 0, got {lifetime_years} and {discount_rate}")
    small = discount_rate < _SMALL_RATE
    rate = discount_rate + small
    exact = rate / (1 - (1 + rate) ** -lifetime_years)
    series = (1 + discount_rate * (lifetime_years + 1) / 2) / lifetime_years
    return exact * (1 - small) + series * small


def owned_capital_usd_per_month(
    capital_usd: Number, *, residual_fraction: Number, discount_rate: Number, lifetime_years: Number
) -> Number:
    """Return the monthly cost of hardware decay and capital, with what it still sells for at the end.

    (capital - residual / (1 + r)^n) x annuity / 12: the residual is worth its present value.
    """
    residual_now_usd = capital_usd * residual_fraction * (1 + discount_rate) ** -lifetime_years
    yearly_usd = (capital_usd - residual_now_usd) * annuity_per_year(discount_rate, lifetime_years)
    return yearly_usd / MONTHS_PER_YEAR


def power_usd_per_month(
    power_w: Number, *, pue_ratio: Number, electricity_usd_per_kwh: Number, hours_per_month: Number
) -> Number:
    """Return the electricity bill of a load that draws ``power_w`` on average, cooling included.

    kW x PUE x hours x price.  PUE: power of the data centre over that of its machines.
    """
    return power_w / 1000 * pue_ratio * hours_per_month * electricity_usd_per_kwh


def tco_multiple(total_usd_per_month: float, *, compute_usd_per_month: float) -> float:
    """Return the whole bill over the GPU rent (001: 3 to 5; it is not a constant)."""
    return total_usd_per_month / compute_usd_per_month


def idle_share_fraction(utilisation_fraction: float, *, idle_draw_ratio: float = 1.0) -> float:
    """Return the share of a bill that is spent on idle time (001: 10 % busy wastes 90 %).

    (1 - u) d / (u + (1 - u) d), with d what an idle hour costs over a busy one: 1 for rent, which
    does not know the difference, and less than 1 for electricity.
    """
    idle = (1 - utilisation_fraction) * idle_draw_ratio
    return idle / (utilisation_fraction + idle)
