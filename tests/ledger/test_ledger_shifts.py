"""Shifts in the store: every change is seen, is written down once, and is not made on what is no longer so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.keys import KeysWatch, create_key
from breakeven.ledger.shifts import (
    PROMOTE,
    ROLL_BACK,
    ROLLED_BACK,
    RUNNING,
    Move,
    ShiftsWatch,
    ShiftTerms,
    end_shift,
    move_task,
    shift_events,
    shift_of,
    start_shift,
    stored_shifts,
)

if TYPE_CHECKING:
    from pathlib import Path

TERMS = ShiftTerms(tasks=("sort", "prove"), steps=(0.01, 0.5, 1.0), check="judge")
UP = Move(task="sort", kind=PROMOTE, said_by="test", state=RUNNING, step=1, evidence={"pairs": 12, "words": "½ °"})


def begun(store: Path, terms: ShiftTerms = TERMS, model: str = "chat") -> int:
    return start_shift(store, model, "new", terms, now_s=100.0, said_by="ann")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that is made by the first who writes there."""
    return tmp_path / "ledger.sqlite"


def test_a_shift_is_read_as_it_was_written(store: Path) -> None:
    shift = shift_of(store, begun(store))
    assert (shift.model, shift.target, shift.terms, shift.started_s, shift.ended_s) == (
        "chat",
        "new",
        TERMS,
        100.0,
        None,
    )
    assert [(step.task, step.state, step.step, step.since_s) for step in shift.tasks] == [
        ("sort", RUNNING, 0, 100.0),
        ("prove", RUNNING, 0, 100.0),
    ]
    assert [shift.share_fraction(step) for step in shift.tasks] == [0.01, 0.01]
    with pytest.raises(UnknownNameError, match=r"There are 1\."):
        shift_of(store, 2)


def test_a_change_is_made_once_though_many_wish_it_at_a_time(store: Path) -> None:
    shift = shift_of(store, begun(store))
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: move_task(store, shift, shift.tasks[0], UP, now_s=200.0), range(8)))
    assert sorted(made) == [False] * 7 + [True]
    events = shift_events(store, 1, "sort")
    assert [(event.kind, event.said_by, event.step_before, event.step_after) for event in events] == [
        ("start", "ann", 0, 0),
        (PROMOTE, "test", 0, 1),
    ]
    assert events[1].evidence == {"pairs": 12, "words": "½ °"}
    assert shift_of(store, 1).tasks[0].since_s == 200.0


def test_the_shift_ends_with_the_last_task_that_is_rolled_back(store: Path) -> None:
    begun(store)
    for at_s, task in ((200.0, "sort"), (300.0, "prove")):
        shift = shift_of(store, 1)
        assert shift.ended_s is None
        step = next(item for item in shift.tasks if item.task == task)
        back = Move(task=task, kind=ROLL_BACK, said_by="guard", state=ROLLED_BACK, step=0, evidence={})
        assert move_task(store, shift, step, back, now_s=at_s)
    assert shift_of(store, 1).ended_s == 300.0
    assert stored_shifts(store, under_way=True) == ()
    assert not move_task(store, shift_of(store, 1), shift_of(store, 1).tasks[0], UP, now_s=400.0)


def test_who_watches_is_told_of_each_change_once_and_of_nothing_else(store: Path) -> None:
    watch = ShiftsWatch(store)
    assert watch.changed() == ()
    assert watch.changed() is None
    begun(store)
    (shift,) = watch.changed() or ()
    assert watch.changed() is None
    create_key(store, "a-key", now_s=100.0)  # raises the version too
    assert watch.changed() is None
    assert move_task(store, shift, shift.tasks[0], UP, now_s=200.0)
    (moved,) = watch.changed() or ()
    assert moved.tasks[0].step == 1
    end_shift(store, moved, now_s=300.0, said_by="ann")
    assert watch.changed() == ()


def test_a_store_that_is_taken_away_or_broken_ends_nothing(store: Path) -> None:
    watch = ShiftsWatch(store)
    begun(store)
    assert len(watch.changed() or ()) == 1
    kept = store.read_bytes()
    store.unlink()
    assert watch.changed() is None
    store.write_bytes(b"no store at all, but long enough to be read as one")
    assert watch.changed() is None
    assert "is no SQLite database" in watch.trouble
    store.write_bytes(kept)
    assert watch.changed() is None
    assert not watch.trouble


def test_changes_are_seen_by_gateways_that_watch_the_keys(store: Path) -> None:
    keys = KeysWatch(store)
    begun(store)
    assert keys.changed() is not None


def test_one_task_belongs_to_one_shift_of_a_model(store: Path) -> None:
    begun(store)
    for tasks in (("prove",), ("*",)):
        with pytest.raises(InputError, match="Shift 1 is under way with the task"):
            begun(store, ShiftTerms(tasks=tasks, steps=(1.0,), check="judge"))
    assert begun(store, ShiftTerms(tasks=("third",), steps=(1.0,), check="judge")) == 2
    assert begun(store, model="another") == 3
