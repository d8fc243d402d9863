"""A store is left alone when nothing has been written to it, and never otherwise."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from breakeven.ledger.keys import create_key, read_keys
from breakeven.wiring.stillness import STAMP_S, Stillness

if TYPE_CHECKING:
    from pathlib import Path


LATER_S = STAMP_S + 0.5


class Hands:
    """A stopwatch that is moved by hand."""

    at_s = 0.0

    def monotonic(self) -> float:
        return self.at_s

    def after(self, still: Stillness, seconds: float) -> bool:
        self.at_s += seconds
        return still()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    create_key(path, "a", now_s=1.0)
    return path


def test_a_store_is_left_alone_once_it_was_read_twice_since_its_last_change(store: Path) -> None:
    hands = Hands()
    still = Stillness(store, hands)  # type: ignore[arg-type]
    assert [hands.after(still, LATER_S) for _ in range(4)] == [False, False, True, True]
    read_keys(store)  # to read it is no change
    assert hands.after(still, LATER_S)


def test_readings_that_follow_at_once_may_have_missed_a_change_of_the_same_time(store: Path) -> None:
    hands = Hands()
    still = Stillness(store, hands)  # type: ignore[arg-type]
    assert [hands.after(still, STAMP_S / 10) for _ in range(3)] == [False, False, False]
    assert [hands.after(still, STAMP_S) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("open_beside", [False, True], ids=["in the store", "in its WAL"])
def test_what_is_written_is_seen(store: Path, open_beside: bool) -> None:
    hands = Hands()
    still = Stillness(store, hands)  # type: ignore[arg-type]
    beside = sqlite3.connect(store) if open_beside else None
    if beside is not None:
        beside.execute("SELECT * FROM key").fetchall()  # while it is open, the WAL stays
    for name in ("b", "c"):
        assert [hands.after(still, LATER_S) for _ in range(3)] == [False, False, True]
        create_key(store, name, now_s=2.0)
        wal = store.with_name(f"{store.name}-wal")
        assert (wal.exists() and wal.stat().st_size > 0) == open_beside
    assert not hands.after(still, LATER_S)
    if beside is not None:
        beside.close()


def test_a_store_that_is_not_there_or_comes_back_is_read(store: Path) -> None:
    hands = Hands()
    still = Stillness(store, hands)  # type: ignore[arg-type]
    kept = store.read_bytes()
    store.unlink()
    assert [hands.after(still, LATER_S) for _ in range(4)] == [False] * 4
    store.write_bytes(kept)
    assert [hands.after(still, LATER_S) for _ in range(3)] == [False, False, True]
    store.chmod(0o640)  # it may be one that could not be read
    assert not hands.after(still, LATER_S)
