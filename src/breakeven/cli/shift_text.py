"""Shifts of traffic in words, and as records for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from breakeven.evidence.words import percent, points
from breakeven.ledger.shifts import ANY_TASK, FINISHED, PAUSED, ROLLED_BACK
from breakeven.reports.words import moment
from breakeven.wiring.shift import task_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from breakeven.ledger.shifts import Shift, ShiftEvent
    from breakeven.wiring.shift import ShiftStatus, Started, TaskStatus

_DONE = {
    "start": "started",
    "promote": "promoted",
    "finish": "finished",
    "roll_back": "rolled back",
    "pause": "paused",
    "resume": "resumed",
}
_STATES = {PAUSED: "paused", FINISHED: "finished", ROLLED_BACK: "rolled back"}


def started_lines(found: Started) -> Iterator[str]:
    """Yield what a person should know of a shift that was begun."""
    shift, terms = found.shift, found.shift.terms
    steps = ", ".join(percent(step) for step in terms.steps)
    of_tasks = "all its tasks together" if terms.tasks == (ANY_TASK,) else ", ".join(terms.tasks)
    yield f"Shift {shift.id}: {shift.model} goes to {shift.target}, {of_tasks}, in the steps {steps}."
    margin = points(terms.margin_fraction, signed=False)
    yield (
        f"{percent(terms.steps[0])} goes there from now on. The next step waits until the pairs show (check: "
        f"{terms.check}) that its answers are not worse by {margin} points or more; that is wrong at most once in "
        f"{1 / terms.alpha_fraction:.3g} times."
    )
    yield f"See how it stands: breakeven shift status {shift.id}"
    yield from (f"Note: {note}" for note in found.notes)


def status_lines(found: ShiftStatus, now_s: float) -> Iterator[str]:
    """Yield how a shift stands."""
    shift = found.shift
    ended = f", ended {moment(shift.ended_s)}" if shift.ended_s is not None else ""
    begun = f"begun {moment(shift.started_s)}{ended}; check: {shift.terms.check}"
    yield f"Shift {shift.id}: {shift.model} to {shift.target}, {begun}."
    for task in found.tasks:
        yield ""
        yield f"{task_named(task.task)}: {_where(task, now_s)}"
        yield f"  {task.words}"
        for guard in ("errors", "ttft", "cost"):
            state = task.evidence.get(f"{guard}_state")
            if state in ("unsure", "broken"):
                yield f"  guard {guard}: {state}"
        if task.last is not None and task.last.kind != "start":
            yield f"  Last change: {_done(task.last)} by {task.last.said_by}, {moment(task.last.at_s)}."
    for note in found.notes:
        yield ""
        yield f"Note: {note}"
    if all(task.state == FINISHED for task in found.tasks) and shift.ended_s is None:
        yield ""
        yield (
            f"All is done: make {shift.target} the model's target in the settings, then run: "
            f"breakeven shift end {shift.id}"
        )


def list_lines(shifts: Sequence[Shift]) -> Iterator[str]:
    """Yield a line a shift."""
    if not shifts:
        yield "No shift was ever begun: `breakeven shift start MODEL --to TARGET`."
    for shift in shifts:
        state = "ended" if shift.ended_s is not None else "under way"
        tasks = ", ".join(
            f"{task_named(step.task)} {_STATES.get(step.state, '')}".strip() + f" {percent(shift.share_fraction(step))}"
            for step in shift.tasks
        )
        since = moment(shift.ended_s or shift.started_s)
        yield f"{shift.id}  {shift.model} to {shift.target}  {state} since {since}  {tasks}"


def event_lines(events: Sequence[ShiftEvent]) -> Iterator[str]:
    """Yield a line a decision."""
    for event in events:
        words = event.evidence.get("words") or ""
        yield f"{moment(event.at_s)}  {task_named(event.task)}  {_done(event)} by {event.said_by}  {words}".rstrip()


def shift_record(shift: Shift) -> dict[str, Any]:
    """Return a shift for JSON; times in ISO 8601, UTC."""
    return {
        "shift": shift.id,
        "model": shift.model,
        "target": shift.target,
        "started": moment(shift.started_s),
        "ended": None if shift.ended_s is None else moment(shift.ended_s),
        "terms": msgspec.to_builtins(shift.terms),
        "tasks": [
            {
                "task": step.task,
                "state": step.state,
                "step": step.step,
                "share_fraction": shift.share_fraction(step),
                "since": moment(step.since_s),
            }
            for step in shift.tasks
        ],
    }


def status_record(found: ShiftStatus) -> dict[str, Any]:
    """Return how a shift stands for JSON."""
    record = shift_record(found.shift) | {"notes": list(found.notes)}
    known = {task.task: task for task in found.tasks}
    for entry in record["tasks"]:
        task = known[entry["task"]]
        entry |= {
            "next_share_fraction": task.next_fraction,
            "would": task.kind,
            "reason": task.reason,
            "words": task.words,
            "evidence": dict(task.evidence),
            "last_event": None if task.last is None else task.last._asdict(),
        }
    return record


def _done(event: ShiftEvent) -> str:
    return _DONE.get(event.kind, event.kind.replace("_", " "))


def _where(task: TaskStatus, now_s: float) -> str:
    state = _STATES.get(task.state, "")
    share = f"{percent(task.share_fraction)} of the traffic for {_lasting(now_s - task.since_s)}"
    after = f", next {percent(task.next_fraction)}" if task.next_fraction is not None else ""
    return f"{state + ', ' if state else ''}{share}{after}"


def _lasting(seconds: float) -> str:
    for unit_s, name in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{max(seconds, 0):.0f} seconds"
