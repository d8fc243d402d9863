"""Which single assumption, at an end of its interval, would turn the recommendation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.sensitivity import moved_values
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.result import TurningPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from breakeven.quantities import Array, Interval
    from breakeven.studies.verdict.evaluate import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """One assumption at one end: the bills of all options then, in their order."""

    key: str
    likely: float
    value: float
    usd_per_month: Array


def turning_points(
    eligible: Sequence[tuple[Option, Mapping[str, Interval]]], weights: Mapping[str, float]
) -> tuple[TurningPoint, ...]:
    """Move one assumption at a time to each end and see which eligible option is then the cheapest.

    Each option comes with the assumptions it answers to, the price of its own nodes among them; a
    shared assumption moves all options together.  ``weights`` are the shares of successes by which bills are divided
    before they are ranked.  The changes that turn the ranking come back.
    """
    if not eligible:
        return ()
    bills = np.array([_moved(option, own, ())[0] for option, own in eligible])
    shares = np.array([weights[option.id] for option, _ in eligible])
    winner = int((bills / shares).argmin())
    found: list[TurningPoint] = []
    for move in _moves(eligible, bills):
        weighed = move.usd_per_month / shares
        best = int(weighed.argmin())
        if best != winner and weighed[best] < weighed[winner]:
            option = eligible[best][0]
            found.append(
                TurningPoint(
                    key=move.key,
                    likely=move.likely,
                    value=move.value,
                    winner=option.id,
                    winner_title=option.title,
                    usd_per_month=float(move.usd_per_month[best]),
                )
            )
    return tuple(found)


def _moves(eligible: Sequence[tuple[Option, Mapping[str, Interval]]], bills: Array) -> Iterator[_Move]:
    """Yield each shared assumption at both ends for all options, then each option's own for it alone."""
    shared = {key: item for key, item in eligible[0][1].items() if all(own.get(key) == item for _, own in eligible)}
    keys = tuple(key for key, item in shared.items() if not item.is_exact)
    together = np.array([_moved(option, own, keys) for option, own in eligible])
    for place, key in enumerate(keys):
        for end, value in enumerate((shared[key].low, shared[key].high)):
            column = together[:, 1 + 2 * place + end]
            yield _Move(key=key, likely=shared[key].likely, value=value, usd_per_month=column)
    for index, (option, own) in enumerate(eligible):
        mine = tuple(key for key, item in own.items() if key not in shared and not item.is_exact)
        alone = _moved(option, own, mine)
        for place, key in enumerate(mine):
            for end, value in enumerate((own[key].low, own[key].high)):
                after = bills.copy()
                after[index] = alone[1 + 2 * place + end]
                yield _Move(key=key, likely=own[key].likely, value=value, usd_per_month=after)


def _moved(option: Option, own: Mapping[str, Interval], keys: tuple[str, ...]) -> Array:
    """Return an option's bills at likely values and at both ends of each key."""
    values = moved_values(own, keys)
    if isinstance(option, HybridOption):
        return np.broadcast_to(option.competing_usd_per_month(values), 1 + 2 * len(keys))
    return np.broadcast_to(option.bill(values).usd_per_month, 1 + 2 * len(keys))
