"""Which of several targets a unit goes to first, second and so on: the same at every worker, with nothing remembered.

Units fall into ``SLOT_COUNT`` slots by their names, and each target has a weight in each slot, drawn by hash of both: a
slot's units go to the target of the highest weight, or else to the next (Thaler and Ravishankar 1998,
https://doi.org/10.1109/90.663936).  So a target that is added takes its own share of the units from the others and
moves no more, and one that goes leaves its units to all the others alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.routing.sticking import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOT_COUNT: Final = 4096
"""So many keep the shares of 8 targets within a tenth or so of each other, and each order is found out once."""

_UNITS: Final = 1 << 60
_WEIGHTS: Final = 1 << 61
"""Stand for the number of a shift where places are drawn here: those of shifts are smaller, so that who belongs to a
share does not tell where it goes, and a unit goes to the same target in all shifts to them."""


class Spread:
    """An order of targets for each unit."""

    __slots__ = ("_alone", "_numbers", "_orders")

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Take the targets' names, each with the number that stands for it."""
        self._numbers = dict(numbers)
        self._alone = tuple(numbers.values()) if len(numbers) == 1 else ()
        self._orders: dict[int, tuple[int, ...]] = {}

    def order(self, unit: str) -> tuple[int, ...]:
        """Return the numbers of all targets, in the order in which a unit goes to them."""
        if self._alone:
            return self._alone
        slot = int(place_of(_UNITS, unit) * SLOT_COUNT)
        found = self._orders.get(slot)
        if found is None:
            found = self._orders[slot] = self._drawn(slot)
        return found

    def _drawn(self, slot: int) -> tuple[int, ...]:
        names = sorted(self._numbers, key=lambda name: (place_of(_WEIGHTS + slot, name), name), reverse=True)
        return tuple(self._numbers[name] for name in names)
