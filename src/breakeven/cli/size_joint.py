"""What ``breakeven size`` tells of several traffics that were sized together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.cli.size_tables import spread, table, usd

if TYPE_CHECKING:
    from rich.table import Table

    from breakeven.studies.hybrid.result import JointSize, Way


SMALLEST_USD: Final = 0.005
"""Below it a cell is left empty."""


def joint_told(found: JointSize) -> list[str | Table]:
    """Return everything that is printed, in order."""
    held = found.ways[-1]
    told: list[str | Table] = [
        f"Hold {held.nodes} node(s) at most, for {len(found.traffics)} traffic(s)" if held.nodes else "Hold no nodes",
        *(f"  {reason}" for reason in found.reasons),
        "",
        _nodes(found),
        "",
        _ways(found),
        "",
        "Its lines, USD a month:",
        _lines(found),
    ]
    if any(item.more for item in found.limits):
        told += ["", _limits(found)]
    sure = f"within {usd(found.gap_usd_per_month)} USD a month of the best"
    told += ["", f"The programme is {sure if found.proven else f'not proven: {sure}, when time ran out'}."]
    return [*told, *(f"Note: {text}" for text in found.warnings)]


def _nodes(found: JointSize) -> Table:
    shown = table("", "nodes of", "bought", "on average", "most", "serves", "overflows", "to")
    for traffic in found.traffics:
        overflows = (f"{traffic.overflow_fraction:.1%}", traffic.overflow)
        if not traffic.held:
            shown.add_row(traffic.name, "none", "", "", "", "", *overflows)
        for number, item in enumerate(traffic.held):
            served = f"{item.served_fraction:.0%}"
            name, last = ("", ("", "")) if number else (traffic.name, overflows)
            figures = (f"{item.mean_nodes:.1f}", str(item.most_count), served)
            shown.add_row(name, item.pool, item.purchase, *figures, *last)
    return shown


def _ways(found: JointSize) -> Table:
    shown = table("USD a month, fully loaded", "nodes", "likely", "nodes cheap to dear", "saved", "unserved")
    saved = {item.key: usd(item.usd_per_month.likely) for item in found.savings}
    left = {item.key: _cell(item.usd_per_month.likely) for item in found.unserved}
    for item in found.ways:
        bill = item.usd_per_month
        name = f"{item.name} (too many GPUs)" if item.name in found.beyond_limits else item.name
        figures = (str(item.nodes), usd(bill.likely), spread(bill))
        shown.add_row(name, *figures, saved.get(item.name, ""), left.get(item.name, ""))
    return shown


def _lines(found: JointSize) -> Table:
    """Return each line of what is held by traffic; what is left of the whole is shared."""
    every = [traffic.ways[-1] for traffic in found.traffics]
    shown = table("", *(traffic.name for traffic in found.traffics), "shared", "all")
    for line in found.ways[-1].lines:
        own = [_of(way, line.key) for way in every]
        whole = line.usd_per_month.likely
        shown.add_row(line.key, *(_cell(value) for value in (*own, whole - sum(own), whole)))
    return shown


def _cell(value: float) -> str:
    return usd(value) if abs(value) >= SMALLEST_USD else ""


def _of(way: Way, key: str) -> float:
    return sum(line.usd_per_month.likely for line in way.lines if line.key == key)


def _limits(found: JointSize) -> Table:
    shown = table("GPUs", "to be had", "in use at most", "so many more", "would save, USD a month")
    for item in found.limits:
        for gain in item.more:
            counts = (str(item.most_count), str(item.used_count), str(gain.gpus_count))
            shown.add_row(item.gpu, *counts, usd(gain.saved_usd_per_month))
    return shown
