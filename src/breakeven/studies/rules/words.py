"""How values and thresholds are written, unit by unit, and what would answer an open question."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.sources.rules import Condition, Lean, Measure, Unit
    from breakeven.studies.rules.facts import Amount

PROVIDE: Final[dict[Measure, str]] = {
    "volume_mtok_per_month": "a trace, a log or a bill, or traffic: in a scenario",
    "volume_requests_per_month": "a log with one row a request, or traffic.requests_per_month in a scenario",
    "hour_peak_to_mean_ratio": "a log with times over 7 days or more",
    "pool_utilisation_fraction": "an open model and a GPU that can serve it (consider: or pools: in a scenario)",
    "batch_fraction": "a log that says how requests were processed, or assumptions.batchable_fraction in a scenario",
    "open_model_quality_ratio": "100 to 200 labelled pairs, or your word, under quality: in a scenario",
    "today_engineering_usd_per_mtok": "today's target and its price (--today)",
    "data_must_stay": "constraints.data_may_leave in a scenario",
    "compliance_needed": "constraints.compliance in a scenario (an empty list if there is none)",
    "residency_needed": "constraints.regions in a scenario (an empty list if any will do)",
    "fine_tuning_needed": "constraints.fine_tuning in a scenario",
    "team_exists": "team_exists in a scenario",
    "product_is_mature": "product_is_mature in a scenario",
    "tail_latency_matters": "tail_latency_matters in a scenario",
    "gateway_in_path": "a gateway between your clients and the model (breakeven up), and its ledger",
}
"""For each measure, where an answer is to be given."""

LEANS: Final[dict[Lean, str]] = {
    "api": "an API",
    "managed": "an open model run by others",
    "hybrid": "a mix",
    "self-host": "self-hosting",
}


_WORDS: Final[dict[Unit, str]] = {
    "Mtok/month": " tokens a month",
    "requests/month": " requests a month",
    "fraction": " %",
    "ratio": "",
    "USD/Mtok": " USD a million tokens",
    "yes/no": "",
}
_SIZE: Final[dict[Unit, float]] = {"Mtok/month": 1e6, "fraction": 100.0}
"""What a unit is multiplied by to be written as its words say."""


def amount_text(amount: Amount, unit: Unit) -> str:
    """Return the value with its unit, and its interval where it has one."""
    low, high = _digits(amount.low, unit), _digits(amount.high, unit)
    if amount.likely is None:
        text = f"at least {low}" if isinf(amount.high) else f"between {low} and {high}"
    elif amount.low == amount.high:
        text = low
    else:
        text = f"{_digits(amount.likely, unit)} ({low} to {high})"
    return text + _WORDS[unit]


def condition_text(condition: Condition | None, unit: Unit) -> str:
    """Return a threshold in words: ``at least 500M and below 3B tokens a month``."""
    if condition is None:
        return "yes"
    parts = []
    if condition.low is not None:
        parts.append(f"{'at least' if condition.low_belongs else 'above'} {_digits(condition.low, unit)}")
    if condition.high is not None:
        parts.append(f"{'at most' if condition.high_belongs else 'below'} {_digits(condition.high, unit)}")
    return " and ".join(parts) + _WORDS[unit]


def usd(value: float) -> str:
    """Return dollars for a sentence: cents only where they matter."""
    return f"{value:,.0f} USD" if abs(value) >= 100 else f"{value:,.2f} USD"


def _digits(value: float, unit: Unit) -> str:
    """Return a figure to three digits, in T, B or M where it counts things by the million."""
    scaled = value * _SIZE.get(unit, 1.0)
    if unit in ("Mtok/month", "requests/month"):
        for suffix, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
            if scaled >= size:
                return f"{scaled / size:,.3g}{suffix}" if scaled < 1000 * size else f"{scaled / size:,.0f}{suffix}"
    return f"{scaled:,.0f}" if scaled >= 1000 else f"{scaled:.3g}"
