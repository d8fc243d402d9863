"""What the supervisor asks twice a second: the shifts of traffic that are under way, as workers are told them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from breakeven.gateway.shift_plan import ShiftPlan, TaskShare
from breakeven.ledger.shifts import FINISHED, ROLLED_BACK, ShiftsWatch
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.stillness import Stillness

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.shifts import Shift

_log = logging.getLogger("breakeven.gateway")


class ShiftsUnderWay:
    """Called, it returns the shifts when they have changed, else None."""

    def __init__(self, store: Path) -> None:
        self._still = Stillness(store, SystemClock())
        self._watch = ShiftsWatch(store)
        self._trouble = ""

    def __call__(self) -> tuple[ShiftPlan, ...] | None:
        """Return them; None: as they were."""
        if self._still() and not self._trouble:
            return None
        changed = self._watch.changed()
        if self._watch.trouble != self._trouble:
            self._trouble = self._watch.trouble
            if self._trouble:
                _log.error("Shifts of traffic cannot be read; those known go on as they are. %s", self._trouble)
        return None if changed is None else tuple(shift_plan(shift) for shift in changed)


def shift_plan(shift: Shift) -> ShiftPlan:
    """Return a shift as workers are told it."""
    return ShiftPlan(
        shift_id=shift.id,
        model=shift.model,
        target=shift.target,
        to_pool=shift.terms.to_pool,
        asked_as=shift.terms.asked_as,
        stick=shift.terms.stick,
        mirror_fraction=shift.terms.mirror_fraction,
        tasks=tuple(
            TaskShare(
                task=task.task,
                share_fraction=shift.share_fraction(task),
                is_tested=task.state not in (FINISHED, ROLLED_BACK),
            )
            for task in shift.tasks
        ),
    )
