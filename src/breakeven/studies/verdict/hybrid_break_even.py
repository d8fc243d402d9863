"""From which volume a hybrid is cheaper than an API: by search, since its bill has neither steps nor a slope.

Compared is a hybrid that holds the nodes that pay, and at least the fewest that can be held.  Volumes are tried from
``1 / REACH_RATIO`` to ``REACH_RATIO`` times the one that is planned for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.economics.breakeven import LISTED_ISLANDS, BreakEven, VolumeRange
from breakeven.studies.verdict.evaluate import HIGH_FRACTION, LOW_FRACTION, likely_flat, ordered_quantiles
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.result import CrossingResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.economics.breakeven import FlatCost
    from breakeven.economics.crossing import FlatDraws
    from breakeven.quantities import Array
    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.hybrid_bill import HybridBill, Split

REACH_RATIO: Final = 4096.0
"""As far to either side of the volume planned for as a crossing is looked for."""

LIKELY_MARKS: Final = 241
DRAWN_MARKS: Final = 25
HALVINGS: Final = 40
DRAWN_HALVINGS: Final = 9
"""A crossing of a draw is known to an eighth of a percent: 2 to the power of 1/512."""


def hybrid_crossings(hybrid: Case, rivals: Sequence[Case]) -> tuple[CrossingResult, ...]:
    """Solve break-even of a hybrid against each API, at likely values and anew for every draw."""
    option = hybrid.option
    assert isinstance(option, HybridOption)
    # What a commitment leaves unused melts as volume grows: it is no part of a break-even.
    likely = replace(option.over_volume(hybrid.likely), committed_usd_per_month=0.0)
    drawn = replace(option.over_volume(hybrid.drawn), committed_usd_per_month=0.0)
    months = option.workload.month(hybrid.drawn).volume_mtok
    count = len(next(iter(hybrid.drawn.values())))
    volume = np.broadcast_to(months, count)
    columns = drawn.columns(count)
    marks = volume[:, None] * _steps(DRAWN_MARKS)
    tried = columns.at(marks)
    planned = float(option.workload.month(hybrid.likely).volume_mtok)
    found = []
    for rival in rivals:
        first = _first_mtok(columns, rival.flat, marks, tried)
        low, high = ordered_quantiles(first, (LOW_FRACTION, HIGH_FRACTION))
        flat = likely_flat(rival)
        found.append(
            CrossingResult(
                against=rival.option.id,
                likely=_break_even(likely, flat, planned),
                low_mtok=low,
                high_mtok=high,
                never_fraction=float(np.mean(np.isinf(first))),
                utilisation_fraction=None,
                pool=None,
                api=flat,
            )
        )
    return tuple(found)


def _steps(count: int) -> Array:
    return np.geomspace(1 / REACH_RATIO, REACH_RATIO, count)


def _break_even(bill: HybridBill, rival: FlatCost, planned_mtok: float) -> BreakEven:
    """Return the volumes at which the hybrid is cheaper, at likely values."""

    def gained(mtok: Array) -> Array:
        return rival.fixed_usd_per_month + rival.usd_per_mtok * mtok - bill.at(mtok).with_nodes_usd_per_month

    marks = planned_mtok * _steps(LIKELY_MARKS)
    usd = gained(marks)
    pays = usd > 0
    turns = np.flatnonzero(np.diff(pays))
    ends = [_halved(gained, marks[turn], marks[turn + 1]) for turn in turns]
    starts = [float(marks[0])] if pays[0] else []
    starts += [end for end, turn in zip(ends, turns, strict=True) if not pays[turn]]
    stops: list[float | None] = [end for end, turn in zip(ends, turns, strict=True) if pays[turn]]
    for_good = bool(pays[-1] and usd[-1] >= usd[-2])
    if pays[-1] and not for_good:
        stops.append(float(marks[-1]))
    ranges = [
        VolumeRange(from_mtok=start, to_mtok=stop, nodes=int(bill.at(np.asarray(start * (1 + 1e-9))).nodes))
        for start, stop in zip(starts, [*stops, *([None] if for_good else [])], strict=True)
    ]
    stable = ranges[-1] if for_good else None
    islands = tuple(item for item in ranges if item is not stable)
    return BreakEven(
        first_mtok=ranges[0].from_mtok if ranges else None,
        first_nodes=ranges[0].nodes if ranges else None,
        stable_mtok=stable.from_mtok if stable else None,
        stable_nodes=stable.nodes if stable else None,
        islands=islands[:LISTED_ISLANDS],
        island_count=len(islands),
        never_because="" if stable else _why(bill),
    )


def _halved(gained: Callable[[Array], Array], low_mtok: float, high_mtok: float) -> float:
    """Return where the gain changes its sign, by halving the ratio of two volumes around it."""
    low, high = np.asarray(low_mtok), np.asarray(high_mtok)
    before = gained(low) > 0
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if (gained(middle) > 0) == before else (low, middle)
    return float(high)


def _why(bill: HybridBill) -> str:
    return (
        f"a node costs {float(bill.node_usd_per_month):,.0f} USD a month and saves as much when it is busy "
        f"{float(bill.paying_fraction):.0%} of its time"
    )


def _first_mtok(bill: HybridBill, rival: FlatDraws, marks: Array, tried: Split) -> Array:
    """Return the first volume at which each draw's hybrid is cheaper; infinite where none of those tried is."""
    fixed, price = rival.fixed_usd_per_month[:, None], rival.usd_per_mtok[:, None]
    pays = fixed + price * marks > tried.with_nodes_usd_per_month
    first = pays.argmax(axis=1)
    rows = np.arange(len(marks))
    low, high = marks[rows, np.maximum(first - 1, 0)][:, None], marks[rows, first][:, None]
    for _ in range(DRAWN_HALVINGS):
        middle = np.sqrt(low * high)
        there = fixed + price * middle > bill.at(middle).with_nodes_usd_per_month
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.where(pays.any(axis=1), high[:, 0], np.inf)
