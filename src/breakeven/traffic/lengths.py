"""The distribution of a token count over requests, exactly, from how often each value occurs.

Counts are whole and few are distinct, so the histogram is small where the rows are many: nothing is sorted or
held but the distinct values, and every database gives the same numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import ibis

from breakeven.records import LengthQuantiles
from breakeven.traffic.sums import fetch

if TYPE_CHECKING:
    from ibis.expr.types import Table

QUANTILES: Final = (0.1, 0.5, 0.9, 0.99)


def lengths_of(table: Table, name: str, requests: int, total_tokens: int) -> LengthQuantiles:
    """Return mean, quantiles and maximum of a token column of so many requests that sums up to that total.

    A quantile q lies at rank q (n - 1) of the ranked values from 0, linearly between its neighbours.
    """
    positions = [quantile * (requests - 1) for quantile in QUANTILES]
    ranks = sorted({rank for position in positions for rank in (math.floor(position), math.ceil(position))})
    values = _values_at(table, name, [*ranks, requests - 1])
    p10, p50, p90, p99 = (_between(values, position) for position in positions)
    return LengthQuantiles(
        mean_tokens=total_tokens / requests,
        p10_tokens=p10,
        p50_tokens=p50,
        p90_tokens=p90,
        p99_tokens=p99,
        max_tokens=values[requests - 1],
    )


def _values_at(table: Table, name: str, ranks: list[int]) -> dict[int, int]:
    """Return the values that stand at these ranks; only the bars of the histogram that hold one are fetched."""
    bars = table.group_by(value=table[name]).aggregate(count=table.count())
    bars = bars.mutate(until=bars["count"].sum().over(ibis.window(order_by=bars.value, following=0)))
    wanted = ibis.or_(*((bars.until > rank) & (bars.until - bars["count"] <= rank) for rank in ranks))
    held = fetch(bars.filter(wanted))
    return {rank: row["value"] for row in held for rank in ranks if row["until"] - row["count"] <= rank < row["until"]}


def _between(values: dict[int, int], position: float) -> float:
    below, above = values[math.floor(position)], values[math.ceil(position)]
    return below + (above - below) * (position - math.floor(position))
