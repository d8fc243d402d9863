"""How figures are written for people: rounded once, here, half to even, with their units."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.quantities import Interval
    from breakeven.records import TrafficProfile

_ROUNDS_UP = 0.9995
"""From this share of a unit on, three digits say a whole one."""


def usd(value: float) -> str:
    """Format dollars: whole ones from a hundred on, cents below, more digits for tiny prices."""
    if value < 0:
        return f"−{usd(-value)}"
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 0.1 or value == 0:
        return f"{value:,.2f}"
    return f"{value:.3g}"


def usd_range(interval: Interval) -> str:
    """Format an interval's two ends."""
    return usd(interval.likely) if interval.is_exact else usd_ends(interval.low, interval.high)


def usd_ends(low: float, high: float) -> str:
    """Format two amounts; one where they read the same."""
    ends = usd(low), usd(high)
    return ends[0] if ends[0] == ends[1] else (" to " if low < 0 else " – ").join(ends)


def number(value: float) -> str:
    """Format a figure whose unit stands beside it."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def tokens(count: float) -> str:
    """Format a token count in K, M, B or T."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(count) >= _ROUNDS_UP * size:
            return (
                f"{count / size:,.0f}{unit}" if abs(count) >= _ROUNDS_UP * 1000 * size else f"{count / size:,.3g}{unit}"
            )
    return f"{count:,.0f}"


def percent(fraction: float) -> str:
    """Format a share as percent; a share that is not all, or not none, never looks like it."""
    if fraction in (0, 1) or 0.1 <= fraction < 0.995 or fraction > 1:
        return f"{fraction:.0%}"
    if 0 < fraction < 0.0005:
        return "under 0.1%"
    return "over 99.9%" if fraction >= 0.9995 else f"{fraction:.1%}"


def months_range(interval: Interval) -> str:
    """Format a time in months; what is there from the start is there at once."""
    ends = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in (interval.low, interval.high)]
    likely = "at once" if interval.likely < 0.05 else f"{interval.likely:.1f} months"
    return likely if ends[0] == ends[1] else f"{likely} ({ends[0]} – {ends[1]})"


def volume(mtok: float | None) -> str:
    """Format millions of tokens; None is a volume that never comes."""
    return "never" if mtok is None else tokens(mtok * 1e6)


def volume_range(interval: Interval) -> str:
    """Format an interval of millions of tokens."""
    return volume(interval.likely) if interval.is_exact else f"{volume(interval.low)} – {volume(interval.high)}"


def moment(at_s: float) -> str:
    """Format a Unix time to the second: ``2026-11-21T08:00:00Z``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def day(at_s: float) -> str:
    """Format the day of a Unix time, UTC: ``2026-11-21``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


def counted(profile: TrafficProfile) -> str:
    """Say how much was observed: requests, or the months of a bill."""
    if profile.kind == "bill":
        return f"a bill of {number(profile.months)} month{'' if profile.months == 1 else 's'}"
    if not profile.moments.requests:
        return f"{profile.rows_read - profile.rows_lost:,} windows of totals, requests not counted"
    return f"{profile.moments.requests:,} requests"
