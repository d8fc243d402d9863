"""Moves the tasks of shifts from step to step, on the evidence in the store, and writes down why.

What to do is decided by ``evidence.shift``, a pure function; here it is asked every few seconds.  A decision is carried
out only where the task still stands where the evidence was gathered, so that a person who was quicker prevails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.ledger.shifts import (
    FINISH,
    FINISHED,
    GUARD,
    PROMOTE,
    ROLL_BACK,
    ROLLED_BACK,
    RUNNING,
    TEST,
    Move,
    move_task,
    stored_shifts,
)
from breakeven.trials.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.evidence.shift import Decision
    from breakeven.ledger.shifts import Shift, TaskStep

POLL_S: Final = 3.0
"""How often it looks."""

_KINDS: Final = {"promote": PROMOTE, "finish": FINISH, "roll_back": ROLL_BACK}
_STATES: Final = {"promote": RUNNING, "finish": FINISHED, "roll_back": ROLLED_BACK}


class ShiftController:
    """Decides for all shifts of one store."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._known: dict[tuple[int, str], Progress] = {}
        self._looked_s = float("-inf")

    def poll(self, now_s: float) -> tuple[str, ...]:
        """Decide what there is to decide, at most every ``POLL_S``; return what was done, in sentences for a log.

        Raises ``InputError`` where the store cannot be read or written: what was not done is done next time.
        """
        if 0 <= now_s - self._looked_s < POLL_S:
            return ()
        self._looked_s = now_s
        done: list[str] = []
        before, self._known = self._known, {}
        for shift in stored_shifts(self._store, under_way=True):
            for step in shift.tasks:
                if step.state != RUNNING:
                    continue
                progress = before.get((shift.id, step.task))
                if progress is None or progress.step != step:
                    progress = Progress(self._store, shift, step)
                self._known[shift.id, step.task] = progress
                progress.look(now_s)
                decision = progress.decision(now_s)
                if decision.kind != "hold" and self._make(shift, step, decision, now_s):
                    done.append(
                        f"Shift {shift.id}, {shift.model} to {shift.target}, task {step.task}: {decision.words}"
                    )
        return tuple(done)

    def _make(self, shift: Shift, step: TaskStep, decision: Decision, now_s: float) -> bool:
        move = Move(
            task=step.task,
            kind=_KINDS[decision.kind],
            said_by=GUARD if decision.reason.startswith("guard") else TEST,
            state=_STATES[decision.kind],
            step=decision.state.step if decision.kind != "roll_back" else step.step,
            evidence={"reason": decision.reason, "words": decision.words, **decision.evidence},
        )
        return move_task(self._store, shift, step, move, now_s=now_s)
