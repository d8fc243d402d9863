"""What moves and what it brought, over HTTP: shifts, outcomes, savings, break-even, alerts; shifts held or taken back.

Where a shift stands is read from the store at each call; what its pairs have shown, and what costs much to add up,
is what was worked out last, with its age.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from breakeven.console.call import Answer, RefusedError, body_of
from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.notices import read_notices
from breakeven.ledger.shifts import FINISHED, ROLLED_BACK, shift_events, stored_shifts
from breakeven.ledger.store import StoreMissingError
from breakeven.reports.alerts import record_of
from breakeven.studies.alerts import KINDS, Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.console.call import Call, Console
    from breakeven.console.looks import Found, Look, TaskKnown
    from breakeven.ledger.shifts import Shift, ShiftEvent, TaskStep

LATELY_S: Final = 7 * 86_400.0
MOST_SHIFTS: Final = 20
Wanted = Literal["pause", "resume", "roll_back"]

_MOST_DIGITS: Final = 9
_log = logging.getLogger("breakeven.console")


class _Which(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    task: str | None = None


class TaskView(NamedTuple):
    """One task of a shift as it is shown."""

    step: TaskStep
    share_fraction: float
    next_fraction: float | None
    known: TaskKnown | None
    """What its pairs have shown; None where that is not worked out yet, or the task has moved since."""

    last: ShiftEvent | None

    @property
    def words(self) -> str:
        """What is known in words: of the pairs, or of the last change."""
        if self.known is not None:
            return self.known.words
        return "" if self.last is None else str(self.last.evidence.get("words") or "")


class ShiftView(NamedTuple):
    """One shift as it is shown."""

    shift: Shift
    tasks: tuple[TaskView, ...]


def shift_views(console: Console) -> tuple[tuple[ShiftView, ...], Found | None]:
    """Return shifts under way, then those lately ended, newest first, and what was worked out of them.

    Raises ``InputError`` for a store that cannot be read.
    """
    since_s = console.clock.now() - LATELY_S
    try:
        stored = stored_shifts(console.store)
    except StoreMissingError:
        return (), None
    under_way = [shift for shift in reversed(stored) if shift.ended_s is None]
    ended = [shift for shift in reversed(stored) if shift.ended_s is not None and shift.ended_s >= since_s]
    chosen = [*under_way, *ended][:MOST_SHIFTS]
    found = None
    if under_way:
        found = console.looks.get("shifts").get("shifts")
    known = {(item.shift, item.task): item for item in found.tasks} if found is not None else {}
    return tuple(_view(console, shift, known) for shift in chosen), found


def open_alerts(console: Console) -> tuple[Notice, ...]:
    """Return what is raised now, newest first.  Raises ``InputError`` for a store that cannot be read."""
    try:
        stored = read_notices(console.store, KINDS)
    except StoreMissingError:
        return ()
    notices = (msgspec.json.decode(row.detail, type=Notice) for row in stored)
    return tuple(sorted((item for item in notices if item.state == "raised"), key=lambda item: -item.since_s))


def change(console: Console, caller: str, number: str, wanted: Wanted, task: str | None) -> tuple[str, ...]:
    """Do what a person wants of a shift, or of one of its tasks; return what was done, in words.

    It is written down with who did it, as ``breakeven shift`` writes it.  Raises ``RefusedError``, and ``InputError``
    for a store that cannot be written.
    """
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise RefusedError(404, "unknown_shift", "A shift has a number: see GET /control/v1/shifts.")
    try:
        done = console.override(int(number), wanted, task, f"{caller} (control plane)")
    except StoreMissingError as error:
        raise RefusedError(404, "unknown_shift", "No shift was ever begun.") from error
    except UnknownNameError as error:
        raise RefusedError(404, "unknown_shift", str(error)) from error
    except InputError as error:
        if error.__cause__ is not None:
            raise  # of the store
        raise RefusedError(409, "not_changed", str(error)) from error
    console.looks.forget("shifts")
    of_task = "" if task is None else f", task {task!r}"
    _log.info("%s told shift %s%s: %s", caller, number, of_task, wanted.replace("_", " "))
    return done


def all_shifts(console: Console, call: Call) -> Answer:
    """Tell of each shift under way or lately ended where it stands, what is known, how many pairs it takes still."""
    del call
    views, found = shift_views(console)
    said = {"notes": [], **_heads(console, found)}
    return Answer(said | {"shifts": [_shift_record(view) for view in views]})


def pause(console: Console, call: Call) -> Answer:
    """Hold a shift where it is; ``{"task": …}``: one of its tasks."""
    return _change(console, call, "pause")


def resume(console: Console, call: Call) -> Answer:
    """Let a shift go on."""
    return _change(console, call, "resume")


def roll_back(console: Console, call: Call) -> Answer:
    """Take the traffic back at once."""
    return _change(console, call, "roll_back")


def outcomes(console: Console, call: Call) -> Answer:
    """Tell what was said of answers in the last 7 days, by task and target, and what a success cost."""
    del call
    found = looked(console, "outcomes")
    return Answer(_heads(console, found) | {"rows": [] if found is None else found.outcomes})


def saved(console: Console, call: Call) -> Answer:
    """Tell what was saved this month so far, everything counted."""
    del call
    found = looked(console, "savings")
    return Answer(_heads(console, found) | {"savings": None if found is None else found.savings})


def ahead(console: Console, call: Call) -> Answer:
    """Tell of each pool how far its break-even is."""
    del call
    found = looked(console, "outlook")
    return Answer(_heads(console, found) | {"pools": [] if found is None else found.pools})


def alerts(console: Console, call: Call) -> Answer:
    """List the alerts that are open now."""
    del call
    return Answer({"alerts": [record_of(notice) for notice in open_alerts(console)]})


def looked(console: Console, look: Look) -> Found | None:
    """Return what was worked out last; None where nothing is yet.  A ledger without a store has nothing."""
    return console.looks.get(look).get(look) if console.store.is_file() else None


def _change(console: Console, call: Call, wanted: Wanted) -> Answer:
    task = body_of(call, _Which).task if call.body else None
    done = change(console, call.caller, call.path["number"], wanted, task)
    return Answer({"shift": int(call.path["number"]), "done": done})


def _view(console: Console, shift: Shift, known: dict[tuple[int, str], TaskKnown]) -> ShiftView:
    last = {event.task: event for event in shift_events(console.store, shift.id)}  # the newest of each
    return ShiftView(shift, tuple(_task_view(shift, step, known, last.get(step.task)) for step in shift.tasks))


def _task_view(
    shift: Shift, step: TaskStep, known: dict[tuple[int, str], TaskKnown], last: ShiftEvent | None
) -> TaskView:
    is_over = shift.ended_s is not None or step.state in (FINISHED, ROLLED_BACK)
    after: Sequence[float] = () if is_over else shift.terms.steps[step.step + 1 :]
    item = None if is_over else known.get((shift.id, step.task))
    if item is not None and (item.state, item.step) != (step.state, step.step):
        item = None
    return TaskView(step, shift.share_fraction(step), after[0] if after else None, item, last)


def _heads(console: Console, found: Found | None) -> dict[str, object]:
    """Return how old it is and what is to be known of it; ``state``: known, or working."""
    if found is None:
        return {"state": "working" if console.store.is_file() else "known", "age_s": None, "trouble": None}
    age_s = round(max(console.clock.now() - found.at_s, 0.0), 1)
    return {"state": "known", "age_s": age_s, "trouble": found.trouble or None, "notes": found.notes}


def _shift_record(view: ShiftView) -> dict[str, object]:
    shift = view.shift
    return {
        "shift": shift.id,
        "model": shift.model,
        "target": shift.target,
        "started": _moment(shift.started_s),
        "ended": None if shift.ended_s is None else _moment(shift.ended_s),
        "check": shift.terms.check,
        "margin_fraction": shift.terms.margin_fraction,
        "tasks": list(_task_records(view.tasks)),
    }


def _task_records(tasks: Iterable[TaskView]) -> Iterable[dict[str, object]]:
    for task in tasks:
        known, last = task.known, task.last
        yield {
            "task": task.step.task,
            "state": task.step.state,
            "share_fraction": task.share_fraction,
            "next_share_fraction": task.next_fraction,
            "since": _moment(task.step.since_s),
            "words": task.words,
            "would": None if known is None else known.would,
            "pairs": None if known is None else known.pairs,
            "pairs_needed": None if known is None else known.pairs_needed,
            "pairs_needed_high": None if known is None else known.pairs_needed_high,
            "last": None if last is None else {"kind": last.kind, "by": last.said_by, "at": _moment(last.at_s)},
        }


def _moment(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
