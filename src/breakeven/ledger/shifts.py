"""Shifts of traffic in the store: begun, moved from step to step, ended; every change with who made it, and on what.

Each change raises the control version, by which running gateways see that there is something new.  A change says from
where it goes, and is not made where another was quicker: what a test says of a step never moves the next one, and
nothing overrides a person.  Times are handed in.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.labels import pool_of
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar

    Result = TypeVar("Result")

RUNNING, PAUSED, FINISHED, ROLLED_BACK = "running", "paused", "finished", "rolled_back"
"""States of a task, as ``evidence.shift`` names them: tested and moved; held by a person; at its last step for good;
without traffic again."""

START, PROMOTE, FINISH, ROLL_BACK, PAUSE, RESUME, END = (
    "start", "promote", "finish", "roll_back", "pause", "resume", "end",
)  # fmt: skip
"""Kinds of events."""

TEST, GUARD = "test", "guard"
"""Who decides where no person does: the test of the pairs, or a bound on errors, times and costs."""

ANY_TASK: Final = "*"
"""Stands for all tasks of the model together."""

_BUSY_S: Final = 10.0


class ShiftTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was said when a shift began."""

    tasks: tuple[str, ...]
    steps: tuple[float, ...]
    """Shares of the traffic, ascending, each a fraction."""

    check: str
    """Name of the check whose scores are compared."""

    margin_fraction: float = 0.03
    """By how much worse the target may be."""

    alpha_fraction: float = 0.05
    """Chance of a false promotion, and of a false roll-back."""

    to_pool: bool = False
    """Whether the target is a pool: all of its nodes together."""

    asked_as: str = ""
    """The model's name at the target, where the model's route does not have it; empty: the target's own."""

    stick: str = "user"
    mirror_fraction: float = 1.0
    """Of the requests of its tasks, of which both targets are asked."""

    counts_shadow: bool = False
    """Whether pairs from before the start count, of which the target was asked as a shadow."""

    least_requests: int = 100
    """That the target must have served at a step before the next."""

    least_s: float = 3600.0
    """That a step lasts at least."""

    guard_error_fraction: float | None = 0.02
    """By how much more of its requests the target may fail; None: not guarded, as with the next."""

    guard_ttft_ratio: float | None = 1.5
    """How many times as late the first token may come."""

    guard_cost_ratio: float | None = 1.2
    """How many times as much a request may cost."""


class TaskStep(NamedTuple):
    """Where one task of a shift stands."""

    task: str
    state: str
    step: int
    since_s: float
    """Unix seconds at which it came to this step."""


class Shift(NamedTuple):
    """One shift."""

    id: int
    model: str
    target: str
    terms: ShiftTerms
    started_s: float
    ended_s: float | None
    tasks: tuple[TaskStep, ...]

    def goes_to(self, target: str) -> bool:
        """Whether a target is the one that the traffic goes to, or a node of the pool that it goes to."""
        return target == self.target or (self.terms.to_pool and pool_of(target) == self.target)

    def share_fraction(self, task: TaskStep) -> float:
        """Return the share of a task's traffic that goes to the target."""
        return 0.0 if task.state == ROLLED_BACK or self.ended_s is not None else self.terms.steps[task.step]


class Move(NamedTuple):
    """A change of one task."""

    task: str
    kind: str
    said_by: str
    """``TEST``, ``GUARD``, or a person."""

    state: str
    step: int
    evidence: Mapping[str, Any]
    """What it rests on: plain values, for JSON."""


class ShiftEvent(NamedTuple):
    """A change that was made."""

    id: int
    shift: int
    task: str
    at_s: float
    kind: str
    said_by: str
    step_before: int
    step_after: int
    evidence: Mapping[str, Any]


def start_shift(store: Path, model: str, target: str, terms: ShiftTerms, *, now_s: float, said_by: str) -> int:
    """Begin a shift at its first step and return its number; the store is made where there is none.

    Raises ``InputError`` where another one has one of its tasks, and for a store that cannot be written.
    """

    def begin(connection: sqlite3.Connection) -> int:
        taken = connection.execute(
            "SELECT s.id, t.task FROM shift s JOIN shift_task t ON t.shift = s.id "
            "WHERE s.model = ? AND s.ended_s IS NULL ORDER BY s.id",
            (model,),
        ).fetchall()
        for number, task in taken:
            if task in terms.tasks or ANY_TASK in (task, *terms.tasks):
                what = "all tasks" if task == ANY_TASK else f"the task {task!r}"
                raise InputError(
                    f"Shift {number} is under way with {what} of {model!r}. Two would mix their evidence: end that one "
                    f"first (breakeven shift rollback {number}, or end {number}), or name other tasks."
                )
        plan = msgspec.json.encode(terms).decode()
        cursor = connection.execute("INSERT INTO shift VALUES (NULL, ?, ?, ?, ?, NULL)", (model, target, plan, now_s))
        number = int(cursor.lastrowid or 0)
        rows = [(number, task, RUNNING, 0, now_s) for task in terms.tasks]
        connection.executemany("INSERT INTO shift_task VALUES (?, ?, ?, ?, ?)", rows)
        for task in terms.tasks:
            _note(connection, (number, task, now_s, START, said_by, 0, 0), {"terms": msgspec.to_builtins(terms)})
        return number

    return _change(store, begin, create=True)


def move_task(store: Path, shift: Shift, was: TaskStep, move: Move, *, now_s: float) -> bool:
    """Make a change of one task; return False where it no longer stands where it was, and change nothing then.

    A shift all of whose tasks are rolled back has ended.  Raises ``InputError`` for a store that cannot be written.
    """

    def make(connection: sqlite3.Connection) -> bool:
        since_s = was.since_s if move.step == was.step and move.state != ROLLED_BACK else now_s
        changed = connection.execute(
            "UPDATE shift_task SET state = ?, step = ?, since_s = ? WHERE shift = ? AND task = ? AND state = ? "
            "AND step = ? AND since_s = ? AND (SELECT ended_s FROM shift WHERE id = ?) IS NULL",
            (move.state, move.step, since_s, shift.id, was.task, was.state, was.step, was.since_s, shift.id),
        ).rowcount
        if not changed:
            return False
        _note(connection, (shift.id, was.task, now_s, move.kind, move.said_by, was.step, move.step), move.evidence)
        connection.execute(
            "UPDATE shift SET ended_s = ? WHERE id = ? AND ended_s IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM shift_task WHERE shift = id AND state <> ?)",
            (now_s, shift.id, ROLLED_BACK),
        )
        return True

    return _change(store, make)


def end_shift(store: Path, shift: Shift, *, now_s: float, said_by: str) -> None:
    """End a shift: from now on the routes of the settings hold.  Raises ``InputError``."""

    def end(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE shift SET ended_s = ? WHERE id = ? AND ended_s IS NULL", (now_s, shift.id))
        for task in shift.tasks:
            _note(connection, (shift.id, task.task, now_s, END, said_by, task.step, task.step), {"state": task.state})

    _change(store, end)


def stored_shifts(store: Path, *, under_way: bool = False) -> tuple[Shift, ...]:
    """Return every shift, oldest first; ``under_way``: of those that have not ended.

    Raises ``InputError`` for a store that cannot be read.
    """
    return _read(store, lambda connection: _shifts(connection, under_way=under_way))


def shift_of(store: Path, number: int) -> Shift:
    """Return the shift of that number.  Raises ``UnknownNameError`` where there is none."""
    shifts = stored_shifts(store)
    for shift in shifts:
        if shift.id == number:
            return shift
    known = f"There are {', '.join(str(shift.id) for shift in shifts)}." if shifts else "None was ever begun."
    raise UnknownNameError(f"No shift has the number {number}. {known}")


def shift_events(store: Path, number: int, task: str | None = None) -> tuple[ShiftEvent, ...]:
    """Return what was decided in a shift, oldest first; ``task``: of that one alone.  Raises ``InputError``."""

    def events(connection: sqlite3.Connection) -> tuple[ShiftEvent, ...]:
        found = connection.execute(
            "SELECT id, shift, task, at_s, kind, said_by, step_before, step_after, evidence FROM shift_event "
            "WHERE shift = ?1 AND (?2 IS NULL OR task = ?2) ORDER BY id",
            (number, task),
        )
        return tuple(ShiftEvent._make((*row[:8], msgspec.json.decode(row[8]))) for row in found)

    return _read(store, events)


class ShiftsWatch:
    """Sees when the shifts of a store change: cheap enough to be asked twice a second."""

    __slots__ = ("_known", "_store", "_version", "trouble")

    def __init__(self, store: Path) -> None:
        self._store = store
        self._version = -1
        self._known: tuple[Shift, ...] | None = None
        self.trouble = ""
        """Why they could not be read when last asked; those known stay in force."""

    def changed(self) -> tuple[Shift, ...] | None:
        """Return the shifts under way when they differ from those returned last, else None.  Raises nothing."""
        try:
            version, shifts = _read(self._store, self._both)
        except StoreMissingError:
            version, shifts = 0, () if self._known is None else self._known  # taken away: that ends nothing
        except InputError as error:
            self.trouble = str(error)
            return None
        self.trouble = ""
        self._version = version
        if shifts == self._known:
            return None
        self._known = shifts
        return shifts

    def _both(self, connection: sqlite3.Connection) -> tuple[int, tuple[Shift, ...]]:
        version = connection.execute("SELECT version FROM control").fetchone()[0]
        if version == self._version and self._known is not None:
            return version, self._known
        return version, _shifts(connection, under_way=True)


def _shifts(connection: sqlite3.Connection, *, under_way: bool) -> tuple[Shift, ...]:
    where = "WHERE ended_s IS NULL " if under_way else ""
    heads = connection.execute(
        f"SELECT id, model, target, plan, started_s, ended_s FROM shift {where}ORDER BY id"  # noqa: S608 - no value
    ).fetchall()
    tasks: dict[int, list[TaskStep]] = {}
    if heads:
        for number, *rest in connection.execute("SELECT shift, task, state, step, since_s FROM shift_task"):
            tasks.setdefault(number, []).append(TaskStep(*rest))
    return tuple(
        Shift(number, model, target, _terms(plan), started_s, ended_s, _ordered(_terms(plan), tasks.get(number, [])))
        for number, model, target, plan, started_s, ended_s in heads
    )


def _ordered(terms: ShiftTerms, tasks: list[TaskStep]) -> tuple[TaskStep, ...]:
    """Return the tasks in the order in which they were named."""
    places = {task: place for place, task in enumerate(terms.tasks)}
    return tuple(sorted(tasks, key=lambda step: places.get(step.task, len(places))))


def _terms(plan: str) -> ShiftTerms:
    return msgspec.json.decode(plan, type=ShiftTerms)


def _note(
    connection: sqlite3.Connection, said: tuple[int, str, float, str, str, int, int], evidence: Mapping[str, Any]
) -> None:
    connection.execute(
        "INSERT INTO shift_event VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*said, msgspec.json.encode(evidence, order="deterministic").decode()),
    )


def _change(store: Path, change: Callable[[sqlite3.Connection], Result], *, create: bool = False) -> Result:
    """Make a change and raise the version, in one transaction."""
    try:
        with closing(connect(store, create=create, busy_s=_BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            result = change(connection)
            connection.execute("UPDATE control SET version = version + 1")
            connection.execute("COMMIT")
            return result
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _read(store: Path, read: Callable[[sqlite3.Connection], Result]) -> Result:
    try:
        with closing(connect(store, read_only=True, busy_s=_BUSY_S)) as connection:
            connection.execute("BEGIN")  # so that all that is read is of one moment
            return read(connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
