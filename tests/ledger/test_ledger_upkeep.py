"""What the mover has done once a day: started when it is due, told when it failed, ended at any time."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from closed import DAYS, FIRST_DAY, files, fill
from spooled import ask

from breakeven.errors import InputError
from breakeven.ledger.days import keeping
from breakeven.wiring.ledger_upkeep import GRACE_S, RETRY_S, Upkeep, close, prune_days

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400
END_S = (FIRST_DAY + DAYS) * DAY_S
"""The midnight after the last day of the ledger."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return fill(tmp_path)


def finish(upkeep: Upkeep, now_s: float) -> str:
    """Wait for the run under way, and return what it told."""
    assert upkeep._process is not None
    upkeep._process.wait()
    return upkeep.poll(now_s)


def test_a_day_stays_open_for_a_while_after_its_midnight(store: Path) -> None:
    done = close(store, END_S + GRACE_S - 1)
    assert (done.summed_day_count, len(done.days)) == (DAYS - 1, DAYS - 1)
    done = close(store, END_S + GRACE_S)
    assert (done.summed_day_count, [str(item.day) for item in done.days]) == (1, ["2026-11-06"])


def test_so_many_whole_days_are_kept(store: Path) -> None:
    assert [str(item.day) for item in prune_days(store, 3, END_S - 1, dry_run=True).days] == ["2026-11-02"]
    assert [str(item.day) for item in prune_days(store, 3, END_S).days] == ["2026-11-02", "2026-11-03"]
    with pytest.raises(InputError, match="keep one day"):
        prune_days(store, 0, END_S)


def test_a_run_starts_when_there_is_a_day_to_close_and_not_again_that_day(store: Path) -> None:
    upkeep = Upkeep(store, None)
    assert upkeep.poll(END_S + GRACE_S) == ""
    assert finish(upkeep, END_S + GRACE_S) == ""
    assert len(files(store)) == DAYS
    assert ask(store.parent, "SELECT count(*) FROM attempt") == [(0,)]
    for now_s in (END_S + GRACE_S, END_S + DAY_S, END_S + 3 * DAY_S):
        assert upkeep.poll(now_s) == ""
        assert upkeep._process is None, "nothing is left to do"


def test_old_days_are_pruned_where_it_is_said_how_many_are_kept(store: Path) -> None:
    upkeep = Upkeep(store, 1)
    upkeep.poll(END_S + GRACE_S)
    assert finish(upkeep, END_S + GRACE_S) == ""
    assert files(store) == [], "by the clock of today they are all too old"
    assert ask(store.parent, "SELECT sum(attempts) FROM rollup_hour") == [(DAYS * 66,)]


def test_nothing_is_started_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path / "ledger.sqlite", 30)
    assert upkeep.poll(END_S) == ""
    fill(tmp_path)
    upkeep = Upkeep(tmp_path / "ledger.sqlite", 30)
    assert upkeep.poll(FIRST_DAY * DAY_S + DAY_S) == ""
    assert upkeep._process is None


def test_what_went_wrong_is_told_once_and_tried_again_in_an_hour(store: Path) -> None:
    upkeep = Upkeep(store, None)
    now_s = END_S + GRACE_S
    with keeping(store):
        upkeep.poll(now_s)
        said = finish(upkeep, now_s)
    assert "Another command" in said
    assert "again in an hour" in said
    assert upkeep.poll(now_s + RETRY_S - 1) == ""
    assert upkeep._process is None
    with keeping(store) as folder:
        left = list(folder.glob("*.parquet"))
    assert left == []


def test_a_run_under_way_can_be_ended(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = Upkeep(store, None)
    start = subprocess.Popen
    slow = [sys.executable, "-c", "import time; time.sleep(30)"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **said: start(slow, **said))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as the mover has it
    upkeep.poll(END_S + GRACE_S)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process = upkeep._process
    assert process is not None
    assert upkeep.poll(END_S + GRACE_S) == "", "it is waited for by nobody"
    upkeep.stop()
    assert process.returncode == -signal.SIGKILL, "it was waited for"
    assert upkeep._process is None
    upkeep.stop()
