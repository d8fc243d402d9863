"""Outcomes in the store: the newer word counts, in whatever order and however often words arrive."""

from __future__ import annotations

import random  # noqa: TID251 - when to kill is what chance is for
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import closed
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooled import ask, move, mover_of, write

from breakeven.ledger.close import close_days
from breakeven.ledger.frames import frame
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcome_spool import OUTCOME_SUFFIX, OutcomeSpool
from breakeven.ledger.outcome_standing import all_attempt_ids, standings
from breakeven.ledger.outcomes import (
    Outcome,
    default_name,
    keep_outcomes,
    outcome_id,
    outcomes,
    own_id,
    put_outcomes,
    read_outcomes,
)
from breakeven.ledger.prune import prune
from breakeven.ledger.rollups import DAY_US
from breakeven.ledger.schema import make_tables
from breakeven.ledger.store import connect

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = Outcome(id="k/1", key="k", episode="e", success=True, at_us=10, received_us=20)
FULL = Outcome(
    id="k/2", key="k", request_id=1 << 40, name="tone", source="human", success=False, score=-2.5,
    human_minutes=Decimal("0.10"), comment="no", demonstration="ja", at_us=11, received_us=21, origin="langfuse",
)  # fmt: skip


def spool_of(folder: Path, worker: int = 0, segment_bytes: int = 1 << 20) -> OutcomeSpool:
    return OutcomeSpool(folder / "spool", worker=worker, segment_bytes=segment_bytes)


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    assert keep_outcomes(store, [FULL, PLAIN]) == 2
    assert keep_outcomes(store, [FULL]) == 0, "it is there already"
    assert outcomes(store) == [PLAIN, FULL]
    assert outcomes(store, 11) == [FULL]
    assert outcomes(store, 10, 11) == [PLAIN]
    assert str(outcomes(store)[1].human_minutes) == "0.10"


@given(st.data())
def test_the_newest_word_counts_in_whatever_order_words_arrive(data: st.DataObject) -> None:
    words = [
        replace(PLAIN, id=f"k/{name}", score=float(at), received_us=at)
        for name in "ab"
        for at in range(data.draw(st.integers(1, 4)))
    ]
    arriving = data.draw(st.permutations(words)) + data.draw(st.lists(st.sampled_from(words), max_size=4))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        make_tables(connection)
        for word in arriving:
            put_outcomes(connection, [word])
        found = {outcome.id: outcome for outcome in read_outcomes(connection)}
    assert found == {word.id: word for word in words}  # the last of each is the newest


def test_ids_tell_key_subject_name_and_source_apart() -> None:
    made = [
        outcome_id(key, subject, name, source)
        for key in ("a", "b")
        for subject in (16, "16", "e")
        for name in ("x", "y")
        for source in ("user", "code")
    ]
    assert len(set(made)) == len(made)
    assert outcome_id("a", "e", "x", "user") == outcome_id("a", "e", "x", "user")
    assert own_id("a", "1") != own_id("b", "1")


def test_what_brings_no_verdict_has_a_name_of_its_own() -> None:
    assert default_name(verdict=True, minutes=True, demonstration=True) == "outcome"
    assert default_name(verdict=False, minutes=True, demonstration=True) == "human_minutes"
    assert default_name(verdict=False, minutes=False, demonstration=True) == "demonstration"
    assert default_name(verdict=False, minutes=False, demonstration=False) == "comment"


def test_no_outcome_is_in_the_store_before_the_row_of_its_request_though_both_come_while_rows_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mover = mover_of(tmp_path)
    move_rows = Mover._step

    def and_then_more_comes(self: Mover) -> int:
        moved = move_rows(self)
        monkeypatch.setattr(Mover, "_step", move_rows)
        write(tmp_path, [{"key": "k"}])
        spool = spool_of(tmp_path)
        spool.keep([PLAIN])
        spool.close()
        return moved

    monkeypatch.setattr(Mover, "_step", and_then_more_comes)
    assert mover.step() == 0
    assert mover.step() == 2
    assert outcomes(tmp_path / "ledger.sqlite") == [PLAIN]
    mover.close()


def test_spooled_outcomes_are_moved_beside_rows_and_their_files_go(tmp_path: Path) -> None:
    write(tmp_path, [{"key": "k"}])
    spool = spool_of(tmp_path, segment_bytes=200)
    for number in range(10):
        spool.keep([replace(PLAIN, id=f"k/{number}"), replace(FULL, id=f"k/full{number}")])
    mover = mover_of(tmp_path)
    assert mover.step() == 1 + 20
    assert mover.step() == 0
    spool.keep([replace(PLAIN, success=False, received_us=30)])
    spool.close()
    assert mover.drain() == 1
    mover.close()
    found = {outcome.id: outcome for outcome in outcomes(tmp_path / "ledger.sqlite")}
    assert found["k/1"].success is False
    assert len(found) == 20
    assert not list((tmp_path / "spool").iterdir())


def test_outcomes_of_another_program_are_put_aside_and_hold_up_no_row(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.keep([PLAIN])
    spool._append(frame(b"", [], [msgspec.msgpack.encode([{"verdict": "of tomorrow"}])]))
    spool.keep([FULL])
    spool.close()
    write(tmp_path, [{"key": "k"}])
    mover = mover_of(tmp_path)
    assert mover.drain() == 3
    (told,) = mover.take_warnings()
    mover.close()
    assert "bytes of outcomes are damaged" in told
    assert outcomes(tmp_path / "ledger.sqlite") == [PLAIN, FULL]
    assert [path.suffix for path in (tmp_path / "spool").iterdir()] == [".damaged"]


MOVE = """
import sys
from pathlib import Path
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.store import Store
folder = Path(sys.argv[1])
mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CardSchedule())
print("ready", flush=True)
while True:
    mover.step()
    assert not mover.trouble, mover.trouble
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mover_that_is_killed_again_and_again_moves_every_outcome(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    spool, at = spool_of(tmp_path, segment_bytes=20_000), 0
    for _ in range(8):
        mover = subprocess.Popen([sys.executable, "-c", MOVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert mover.stdout is not None
        assert mover.stdout.readline() == "ready\n"
        for _ in range(chance.randrange(200)):
            at += 1
            spool.keep([replace(PLAIN, id=f"k/{at % 50}", score=float(at), received_us=at, comment="c" * 100)])
        mover.send_signal(signal.SIGKILL)
        mover.communicate()
    spool.close()
    move(tmp_path)
    found = {outcome.id: outcome.score for outcome in outcomes(tmp_path / "ledger.sqlite")}
    assert found == {f"k/{number % 50}": float(number) for number in range(max(at - 49, 1), at + 1)}
    assert not list((tmp_path / "spool").glob(f"*{OUTCOME_SUFFIX}*"))
    assert ask(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_an_outcome_stands_as_known_unknown_or_of_others(tmp_path: Path) -> None:
    write(tmp_path, [{"key": "k", "episode": "e"}, {"key": "k"}, {"key": "other", "episode": "f"}])
    move(tmp_path)
    store = tmp_path / "ledger.sqlite"
    mine, others = 2 << 16, 3 << 16
    said = [
        replace(PLAIN, id="k/e"),
        replace(PLAIN, id="k/f", episode="f"),
        replace(PLAIN, id="k/g", episode="g"),
        replace(PLAIN, id="k/mine", episode="", request_id=mine),
        replace(PLAIN, id="k/others", episode="", request_id=others),
        replace(PLAIN, id="k/none", episode="", request_id=9 << 16),
        replace(PLAIN, id="/import", key="", episode="", request_id=others, origin="langfuse"),
        replace(PLAIN, id="/nobody", key="", episode="", request_id=mine),
    ]
    with closing(connect(store, read_only=True)) as connection:
        found = {outcome.id: how for outcome, how in standings(connection, store, said)}
    assert found == {
        "k/e": "known", "k/f": "of others", "k/g": "unknown", "k/mine": "known", "k/others": "of others",
        "k/none": "unknown", "/import": "known", "/nobody": "of others",
    }  # fmt: skip


def test_outcomes_of_pruned_days_go_and_later_ones_stay(tmp_path: Path) -> None:
    write(tmp_path, [{"key": "k"}])
    move(tmp_path)
    store, day = tmp_path / "ledger.sqlite", 20_000
    newer = replace(PLAIN, id="k/new", at_us=day * DAY_US)
    keep_outcomes(store, [replace(PLAIN, at_us=day * DAY_US - 1), newer])
    assert prune(store, day, dry_run=True).outcomes == 1
    assert len(outcomes(store)) == 2
    assert prune(store, day).outcomes == 1
    assert outcomes(store) == [newer]


def test_requests_and_episodes_of_closed_days_are_known_from_their_files(tmp_path: Path) -> None:
    store = closed.fill(tmp_path, days=2, per_day=6)
    with closing(connect(store, read_only=True)) as connection:
        rows = connection.execute("SELECT attempt_id, coalesce(key, ''), episode FROM attempt_said").fetchall()
    close_days(store, closed.AFTER_ALL)
    said = [replace(PLAIN, id=f"{n}", key=key, episode="", request_id=n - n % ATTEMPTS) for n, key, _ in rows]
    said += [replace(PLAIN, id=f"e{n}", key=key, episode=episode) for n, key, episode in rows if episode]
    with closing(connect(store, read_only=True)) as connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (0,)
        assert {how for _, how in standings(connection, store, said)} == {"known"}
        strangers = [replace(outcome, key="stranger") for outcome in said]
        assert {how for _, how in standings(connection, store, strangers)} == {"of others"}
        assert sorted(all_attempt_ids(connection, store)) == sorted(row[0] for row in rows)
