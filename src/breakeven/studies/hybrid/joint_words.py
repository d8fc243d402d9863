"""What was decided for several traffics, in sentences: from the figures, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.studies.hybrid.words import cheapest, warnings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.hybrid.pools import TrafficPools
    from breakeven.studies.hybrid.result import JointLimit, JointSize, JointTraffic


def joint_reasons(result: JointSize) -> tuple[str, ...]:
    """Say what each traffic gets, what it saves, and what the limits cost, in the order in which one would ask."""
    return (
        *(_traffic(item) for item in result.traffics),
        _saved(result),
        *(_limit(item) for item in result.limits),
        *_limits(result),
    )


def joint_warnings(traffics: Sequence[TrafficPools]) -> tuple[str, ...]:
    """Say what the traces do not show and was assumed."""
    return tuple(f"{traffic.name}: {text}" for traffic in traffics for text in warnings_of(traffic.sizings[0]))


def _traffic(item: JointTraffic) -> str:
    if not item.held:
        return f"{item.name}: no nodes; all of it goes to {item.overflow}."
    nodes = ", ".join(f"{held.mean_nodes:.1f} nodes of {held.pool} ({held.purchase})" for held in item.held)
    return f"{item.name}: {nodes}; {item.overflow_fraction:.1%} of its work overflows to {item.overflow}."


def _saved(result: JointSize) -> str:
    *pure, held = result.ways
    best = cheapest(tuple(way for way in pure if way.name not in result.beyond_limits))
    saved = best.usd_per_month.likely - held.usd_per_month.likely
    told = f"Together {held.usd_per_month.likely:,.0f} USD a month, fully loaded"
    if held.nodes == 0 and saved >= 0:
        return f"{told}: no node saves more than it and what comes with it cost."
    if saved < 0:
        left = next(item.usd_per_month.likely for item in result.unserved if item.key == best.name)
        why = (
            f"which leaves unserved what the overflow would do for {left:,.0f}"
            if best.nodes
            else "since window by window the nodes save less than the programme saw, which puts alike windows together"
        )
        return f"{told}, {-saved:,.0f} more than {best.name}, {why}."
    return f"{told}, {saved:,.0f} less than the best without an overflow ({best.name})."


def _limit(item: JointLimit) -> str:
    told = f"{item.used_count} of {item.most_count} {item.gpu} are in use at most"
    if not item.more:
        return f"{told}; more of them would save nothing."
    gains = [f"{gain.gpus_count} more would save {gain.saved_usd_per_month:,.0f} USD a month" for gain in item.more]
    return f"{told}; {', '.join(gains)}."


def _limits(result: JointSize) -> list[str]:
    if not any(item.more for item in result.limits):
        return []
    return [f"With as many GPUs as one likes the bill would be {result.limits_usd_per_month:,.0f} USD a month lower."]
