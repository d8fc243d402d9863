"""From the spool into the store: everything, once, whatever the bytes look like."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spooled import ask, attempt, move, mover_of, segments, spool_of, write

from breakeven.ledger import rows
from breakeven.ledger.batch import HOUR_US

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.mover import Mover

SUMS = "count(*), sum(input_tokens), sum(cached_input_tokens), sum(cache_write_tokens), sum(output_tokens)"
FROM_HOURS = SUMS.replace("count(*)", "sum(attempts)")


def test_a_row_says_in_the_store_what_it_said_in_the_spool(tmp_path: Path) -> None:
    labels = {
        "key": "search", "task": "summary", "tags": "env=prod", "model": "fast", "target": "openai",
        "priced_as": "openai:gpt-4o", "decision": "ordered", "fallback": "connect", "failure": "timeout",
    }  # fmt: skip
    write(tmp_path, [
        {**labels, "status": 504, "outcome": rows.CUT, "processing": 2, "flags": rows.ESTIMATED | rows.STREAMED,
         "cached_input_tokens": 20, "cache_write_tokens": 5, "episode": "e-1"},
        {"queued_us": rows.UNKNOWN_US, "first_byte_us": rows.UNKNOWN_US, "status": 0, "outcome": rows.FAILED},
    ])  # fmt: skip
    assert move(tmp_path) == 2
    first, second = ask(
        tmp_path,
        "SELECT key, task, tags, model, target, priced_as, decision, fallback, failure, status, outcome, processing, "
        "estimated, streamed, episode, queued_us, first_byte_us, ended_us, input_tokens, cached_input_tokens, "
        "cache_write_tokens, output_tokens FROM attempt_said ORDER BY attempt_id",
    )
    assert first == (
        *labels.values(), 504, "cut", "flex", 1, 1, "e-1", 100, 20_000, 900_000, 100, 20, 5, 10,
    )  # fmt: skip
    assert second == (
        *[None] * 9, None, "failed", "standard", 0, 0, None, None, None, 900_000, 100, 0, 0, 10,
    )  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b"]),
            st.sampled_from(["m", "n"]),
            st.integers(0, 5 * HOUR_US),
            st.integers(0, 300_000),
            st.integers(0, 4_000),
        ),
        max_size=120,
    ),
    st.integers(1, 3),
    st.sampled_from([1, 500, 1 << 20]),
)
def test_roll_ups_are_the_sums_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[Any], workers: int, step_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    spools = [spool_of(folder, worker=worker) for worker in range(workers)]
    mover = mover_of(folder, step_bytes=step_bytes)
    for number, (key, model, later_us, tokens, output) in enumerate(given_rows):
        spool = spools[number % workers]
        row = attempt(spool, number, key=key, model=model, input_tokens=tokens, output_tokens=output)
        spool.add(row._replace(received_us=row.received_us + later_us))
        if number % 7 == 0:
            spool.flush()
            mover.step()
    for spool in spools:
        spool.close()
    mover.drain()
    mover.close()
    assert not mover.trouble
    if not given_rows:
        return
    groups = "SELECT {}, series, {} FROM {} GROUP BY 1, 2 ORDER BY 1, 2"
    by_row = ask(folder, groups.format(f"received_us / {HOUR_US}", SUMS, "attempt"))
    assert ask(folder, groups.format("hour", FROM_HOURS, "rollup_hour")) == by_row
    assert ask(folder, "SELECT count(*) FROM attempt") == [(len(given_rows),)]
    assert segments(folder) == []


def test_rows_are_moved_while_the_spool_is_still_written(tmp_path: Path) -> None:
    spool, mover = spool_of(tmp_path), mover_of(tmp_path)
    assert mover.step() == 0
    for number in range(5):
        spool.add(attempt(spool, number, key=f"k{number}"))
        spool.flush()
        assert mover.step() == 1
        assert mover.step() == 0
    assert len(segments(tmp_path)) == 1, "its owner may still write"
    spool.close()
    assert mover.drain() == 0
    assert segments(tmp_path) == []
    mover.close()
    assert ask(tmp_path, "SELECT key FROM attempt_said ORDER BY attempt_id") == [(f"k{n}",) for n in range(5)]


def test_a_new_mover_goes_on_where_the_last_one_stopped_and_knows_the_codes(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    for number in range(6):
        spool.add(attempt(spool, number, key=f"k{number % 2}"))
        spool.flush()
        mover = mover_of(tmp_path)
        assert mover.step() == 1
        mover.close()
    spool.close()
    assert ask(tmp_path, "SELECT key, count(*) FROM attempt_said GROUP BY 1") == [("k0", 3), ("k1", 3)]


def test_two_movers_on_one_spool_move_nothing_twice(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    movers = [mover_of(tmp_path), mover_of(tmp_path)]
    for number in range(20):
        spool.add(attempt(spool, number, key=f"k{number % 3}"))
        spool.flush()
        movers[number % 2].step()
        if number % 5 == 0:
            movers[1 - number % 2].step()
    spool.close()
    for mover in movers:
        mover.drain()
        assert not mover.trouble
        mover.close()
    assert ask(tmp_path, "SELECT count(*) FROM attempt") == [(20,)]
    assert ask(tmp_path, "SELECT sum(attempts) FROM rollup_hour") == [(20,)]
    assert segments(tmp_path) == []


@pytest.mark.parametrize("cut_bytes", [1, 5, 40, 66, 67, 86])
def test_a_torn_tail_is_left_out_and_what_is_before_it_is_kept(tmp_path: Path, cut_bytes: int) -> None:
    spool = spool_of(tmp_path)
    for number in range(3):
        spool.add(attempt(spool, number, key="k"))
        spool.flush()
    spool.close()
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - cut_bytes)
    assert move(tmp_path) == 2
    assert not list((tmp_path / "spool").iterdir())


def test_a_segment_without_a_byte_is_removed(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/00-0123456789abcdef-000000.spool").touch()
    assert move(tmp_path) == 0
    assert segments(tmp_path) == []


def damage(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("where", ["length", "checksum", "magic", "row"])
def test_a_damaged_frame_is_skipped_told_and_kept_aside(tmp_path: Path, where: str) -> None:
    spool = spool_of(tmp_path)
    ends = []
    for number in range(5):
        spool.add(attempt(spool, number, key="k"))
        spool.flush()
        ends.append(segments(tmp_path)[0].stat().st_size)
    offset = {"length": 0, "checksum": 4, "magic": 8, "row": 40}[where]
    damage(segments(tmp_path)[0], ends[1] + offset, b"\xff\xff\xff\x0f")
    mover = mover_of(tmp_path, step_bytes=100)
    moved = sum(mover.step() for _ in range(10))
    assert moved == 4, "rows behind the damage do not wait for the owner to go"
    spool.close()
    mover.drain()
    warnings = mover.take_warnings()
    mover.close()
    assert [text for text in warnings if "87 bytes are damaged" in text]
    assert [path.suffix for path in (tmp_path / "spool").iterdir()] == [".damaged"]
    assert ask(tmp_path, "SELECT attempt_id >> 16 FROM attempt ORDER BY 1") == [(1,), (2,), (4,), (5,)]


def test_a_text_whose_definition_was_damaged_is_unknown_and_its_rows_are_kept(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0, key="first"))
    spool.flush()
    head = segments(tmp_path)[0].stat().st_size
    spool.add(attempt(spool, 1, key="lost"))
    spool.flush()
    spool.add(attempt(spool, 2, key="lost"))
    spool.flush()
    spool.close()
    damage(segments(tmp_path)[0], head + 50, b"????")
    assert move(tmp_path) == 2
    assert ask(tmp_path, "SELECT key FROM attempt_said ORDER BY attempt_id") == [("first",), ("(unknown)",)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_stops_the_mover_or_makes_a_row_up(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    write(folder, [{"key": f"k{n % 2}", "episode": "e" * n} for n in range(8)])
    (path,) = segments(folder)
    size = path.stat().st_size
    for _ in range(data.draw(st.integers(1, 4))):
        damage(path, data.draw(st.integers(0, size - 1)), data.draw(st.binary(min_size=1, max_size=12)))
    os.truncate(path, data.draw(st.integers(0, size)))
    moved = move(folder)
    kept = ask(folder, "SELECT attempt_id >> 16, input_tokens FROM attempt") if moved else []
    assert len(kept) == moved <= 8
    assert set(kept) <= {(n + 1, 100) for n in range(8)}
    assert segments(folder) == []


def test_a_frame_larger_than_a_step_is_moved_whole(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    for number in range(3_000):
        spool.add(attempt(spool, number))
    spool.close()
    mover = mover_of(tmp_path, step_bytes=1_000)
    assert mover.step() == 3_000
    mover.close()


def test_a_segment_that_is_copied_back_brings_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path, [{"key": "k", "episode": f"e{n}"} for n in range(120)])
    (path,) = segments(tmp_path)
    shutil.copy(path, tmp_path / "copy")
    assert move(tmp_path) == 120
    write(tmp_path, [{"number": 500}])  # forgets the position of the segment that is gone
    assert move(tmp_path) == 1
    shutil.copy(tmp_path / "copy", path)
    mover = mover_of(tmp_path)
    assert mover.drain() == 0
    assert "120 attempts were in the store already" in mover.take_warnings()[0]
    mover.close()
    assert ask(tmp_path, "SELECT count(*) FROM attempt") == [(121,)]
    assert ask(tmp_path, "SELECT sum(attempts) FROM rollup_hour") == [(121,)]


def test_another_row_with_the_same_id_is_kept_under_the_next_one(tmp_path: Path) -> None:
    write(tmp_path, [{"input_tokens": 1, "episode": "one"}])
    move(tmp_path)
    write(tmp_path, [{"input_tokens": 2, "episode": "two"}, {"number": 0, "input_tokens": 3, "episode": "three"}])
    mover = mover_of(tmp_path)
    assert mover.drain() == 2
    assert "2 attempts had ids of others" in mover.take_warnings()[0]
    mover.close()
    found = ask(tmp_path, "SELECT attempt_id, input_tokens, episode FROM attempt ORDER BY 1")
    first = 1 << 16
    assert found == [(first, 1, "one"), (first + 16, 2, "two"), (first + 32, 3, "three")]
    assert ask(tmp_path, "SELECT sum(attempts), sum(input_tokens) FROM rollup_hour") == [(3, 6)]


def test_a_spool_that_cannot_be_read_is_trouble_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [{"key": "k"}])
    mover: Mover = mover_of(tmp_path)

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", refuse)
        assert mover.step() == 0
        assert "cannot be read" in mover.trouble
    assert mover.step() == 1
    assert mover.trouble == ""
    mover.close()


def test_hours_and_tags_without_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    spool, mover = spool_of(tmp_path), mover_of(tmp_path)
    for number in range(25_000):
        spool.add(attempt(spool, number, tags=f"t{number}"))
    spool.flush()
    mover.drain()
    spool.add(attempt(spool, 25_000, tags="t5"))
    spool.close()
    mover.drain()
    mover.close()
    assert ask(tmp_path, "SELECT count(*) FROM attempt_said WHERE tags = 't5'") == [(2,)]
    assert ask(tmp_path, "SELECT sum(attempts) FROM rollup_hour") == [(25_001,)]
