"""How figures are written for people: rounded once, here, half to even, with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.quantities import Interval


GROUPS: Final = {
    "same model": "Today's model",
    "evidence": "Other models, with evidence that they are good enough",
    "no evidence": "Cheaper only if good enough: no evidence yet",
}
"""How quality evidence groups the options, and the heading of each group."""


def usd(value: float) -> str:
    """Format dollars: whole ones from a hundred on, cents below, more digits for tiny prices."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 0.1 or value == 0:
        return f"{value:,.2f}"
    return f"{value:.3g}"


def usd_range(interval: Interval) -> str:
    """Format an interval's two ends."""
    return usd(interval.likely) if interval.is_exact else f"{usd(interval.low)} – {usd(interval.high)}"


def number(value: float) -> str:
    """Format a figure whose unit stands beside it."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def tokens(count: float) -> str:
    """Format a token count in K, M, B or T."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(count) >= size:
            return f"{count / size:,.0f}{unit}" if abs(count) >= 1000 * size else f"{count / size:,.3g}{unit}"
    return f"{count:,.0f}"


def percent(fraction: float) -> str:
    """Format a share as percent."""
    return f"{fraction:.0%}" if fraction >= 0.1 or fraction == 0 else f"{fraction:.1%}"
