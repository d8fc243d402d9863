"""Which single assumption, at an end of its interval, would turn the recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.economics.sensitivity import likely_values
from breakeven.studies.verdict.result import TurningPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.quantities import Interval
    from breakeven.studies.verdict.evaluate import Option


def turning_points(eligible: Sequence[tuple[Option, Mapping[str, Interval]]]) -> tuple[TurningPoint, ...]:
    """Move one assumption at a time to each end and see which eligible option is then the cheapest.

    Each option comes with the assumptions it answers to, the price of its own nodes among them; a
    shared assumption moves all options together.  The changes that turn the ranking come back.
    """
    base = [likely_values(assumptions) for _, assumptions in eligible]
    bills = [option.bill(values).usd_per_month for (option, _), values in zip(eligible, base, strict=True)]
    winner = min(range(len(bills)), key=bills.__getitem__)
    found: list[TurningPoint] = []
    for key, interval, members in _moves(eligible):
        for value in (interval.low, interval.high):
            if value == interval.likely:
                continue
            moved = list(bills)
            for index in members:
                moved[index] = eligible[index][0].bill({**base[index], key: value}).usd_per_month
            best = min(range(len(moved)), key=moved.__getitem__)
            if best != winner and moved[best] < moved[winner]:
                found.append(
                    TurningPoint(
                        key=key,
                        likely=interval.likely,
                        value=value,
                        winner=eligible[best][0].id,
                        winner_title=eligible[best][0].title,
                        usd_per_month=moved[best],
                    )
                )
    return tuple(found)


def _moves(
    eligible: Sequence[tuple[Option, Mapping[str, Interval]]],
) -> list[tuple[str, Interval, tuple[int, ...]]]:
    """Return each assumption with the options it moves: all for a shared one, one for a node price."""
    shared = set.intersection(*(set(assumptions) for _, assumptions in eligible))
    everyone = tuple(range(len(eligible)))
    moves = [(key, eligible[0][1][key], everyone) for key in eligible[0][1] if key in shared]
    moves += [
        (key, interval, (index,))
        for index, (_, assumptions) in enumerate(eligible)
        for key, interval in assumptions.items()
        if key not in shared
    ]
    return [move for move in moves if not move[1].is_exact]
