"""The write side of the spool: what is in the file, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spooled import attempt, segments, spool_of

from breakeven.ledger import rows
from breakeven.ledger.frames import LABELS, ROW, ROW_BY_LABELS
from breakeven.ledger.segments import Segment
from breakeven.ledger.spool import OTHER, OTHER_CODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = (
    rows.KEY, rows.TASK, rows.TAGS, rows.MODEL, rows.TARGET, rows.PRICED_AS, rows.REASON, rows.REASON, rows.REASON,
)  # fmt: skip


def read(path: Path) -> list[tuple[Any, ...]]:
    """Read a segment: every row with its codes turned into texts, as a tuple in the order of ``Attempt``."""
    segment = Segment(str(path.parent), path.name)
    found = []
    while (spooled := segment.read(1 << 20)) is not None:
        for place, row in enumerate(ROW_BY_LABELS.iter_unpack(spooled.data)):
            codes = LABELS.unpack(row[5])
            texts = [segment.texts[kind, code] if code else "" for kind, code in zip(KINDS, codes, strict=False)]
            found.append((*row[:5], *texts, *codes[9:], *row[6:], spooled.episodes.get(place, "")))
    assert not segment.damaged_bytes
    segment.close()
    return found


def said(row: rows.Attempt, texts: dict[str, str]) -> tuple[Any, ...]:
    """Write an attempt as ``read`` returns it."""
    return tuple(row._replace(**{name: texts.get(name, "") for name in row._fields[5:14]}))  # type: ignore[arg-type]  # texts in place of codes


texts = st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(texts, texts, texts, st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_what_was_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[str, str, str, int, int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    spool = spool_of(folder)
    expected = []
    for number, (key, tags, episode, tokens, ended_us, flush) in enumerate(given_rows):
        labels = {"key": key, "tags": tags, "model": "m", "failure": tags}
        row = attempt(spool, number, **labels, input_tokens=tokens, ended_us=ended_us, episode=episode)
        spool.add(row)
        expected.append(said(row, labels))
        if flush:
            assert spool.flush()
    spool.close()
    (path,) = segments(folder)
    assert read(path) == expected


def test_nothing_is_made_before_there_is_a_row(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.code(rows.KEY, "k")
    assert spool.flush()
    assert not (tmp_path / "spool").exists()


def test_counts_beyond_the_field_are_brought_to_its_end_and_the_row_is_kept(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0, input_tokens=10**30, output_tokens=-5, ended_us=1 << 40, status=70_000))
    spool.close()
    (row,) = read(segments(tmp_path)[0])
    assert row[-5:-1] == (0xFFFFFFFF, 0, 0, 0)
    assert (row[4], row[14]) == (0xFFFFFFFF, 0xFFFF)


def test_long_texts_are_cut_between_characters(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    long = "ä" * 400
    spool.add(attempt(spool, 0, tags="x" + long, episode="y" + long))
    assert spool.code(rows.TAGS, "x" + long) == spool.code(rows.TAGS, "x" + "ä" * 255)
    spool.close()
    (row,) = read(segments(tmp_path)[0])
    assert row[7] == "x" + "ä" * 255
    assert row[-1] == "y" + "ä" * 63


def test_codes_past_the_last_one_are_the_code_of_other(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    codes = [spool.code(rows.TAGS, f"t{n}") for n in range(70_000)]
    assert len(set(codes[:65_534])) == 65_534
    assert set(codes[65_534:]) == {OTHER_CODE}
    assert spool.code(rows.TAGS, "t5") == codes[5]
    assert spool.code(rows.KEY, "k") == 1, "other kinds have codes of their own"
    spool.add(attempt(spool, 0, tags="one more", key="k"))
    spool.add(attempt(spool, 1, tags="t65533", key="k"))
    spool.close()
    found = read(segments(tmp_path)[0])
    assert [(row[5], row[7]) for row in found] == [("k", OTHER), ("k", "t65533")]


def test_texts_that_would_fill_the_memory_are_other_too_and_a_client_that_says_other_is_itself(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    own = spool.code(rows.TAGS, OTHER)
    codes = [spool.code(rows.TAGS, f"{n:0512d}") for n in range(8_300)]
    assert codes[8_000] != OTHER_CODE
    assert codes[-1] == OTHER_CODE != own
    assert spool.code(rows.TAGS, f"{8_299:0512d}") == OTHER_CODE


def test_segments_rotate_and_each_can_be_read_alone(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, segment_bytes=2_000)
    for number in range(200):
        spool.add(attempt(spool, number, key="k", model="m"))
        assert spool.flush()
    spool.close()
    found = [read(path) for path in segments(tmp_path)]
    assert len(found) > 5
    assert [row[0] for part in found for row in part] == [(n + 1) << 16 for n in range(200)]
    assert {row[5] for part in found for row in part} == {"k"}


def test_a_restarted_worker_uses_other_names(tmp_path: Path) -> None:
    for number in range(5):
        spool = spool_of(tmp_path, worker=3)
        spool.add(attempt(spool, number))
        spool.close()
    names = [path.name for path in segments(tmp_path)]
    assert len(names) == 5
    assert all(name.startswith("03-") for name in names)


def test_a_segment_is_locked_as_long_as_its_spool_may_write_it(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0))
    spool.flush()
    with segments(tmp_path)[0].open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Disk:
    """Stands in for ``os.write``: has so many bytes left, then writes what fits and refuses."""

    def __init__(self, free_bytes: int, number: int = errno.ENOSPC) -> None:
        self.free_bytes = free_bytes
        self.number = number
        self.calls = 0
        self.write = os.write

    def __call__(self, file: int, data: bytes) -> int:
        self.calls += 1
        if not self.free_bytes:
            raise OSError(self.number, os.strerror(self.number))
        written = self.write(file, data[: self.free_bytes])
        self.free_bytes -= written
        return written


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("free_bytes", [0, 1, 30, 31, 150, 220, 400])
def test_rows_wait_while_the_disk_is_full_and_are_written_once_when_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, number: int
) -> None:
    spool = spool_of(tmp_path)
    disk = Disk(free_bytes, number)
    monkeypatch.setattr(os, "write", disk)
    kept = []
    for count in range(10):
        spool.add(attempt(spool, count, key=f"k{count}", episode="e" * count))
        kept.append(spool.flush())
    assert not kept[-1]
    assert kept == sorted(kept, reverse=True)
    assert spool.waiting == kept.count(False)
    assert spool.trouble
    disk.free_bytes = 1 << 20
    assert spool.flush()
    assert (spool.waiting, spool.trouble) == (0, "")
    spool.close()
    found = [row for path in segments(tmp_path) for row in read(path)]
    assert sorted((row[0], row[5], row[-1]) for row in found) == [((n + 1) << 16, f"k{n}", "e" * n) for n in range(10)]


def test_a_flush_that_fails_costs_one_attempt_however_many_rows_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_of(tmp_path)
    disk = Disk(0)
    monkeypatch.setattr(os, "write", disk)
    for count in range(1_000):
        spool.add(attempt(spool, count))
        spool.flush()
    assert spool.waiting == 1_000
    assert disk.calls == 1_000


def refuse(error: int) -> Callable[..., Any]:
    def refused(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return refused


def test_a_torn_write_that_cannot_be_undone_is_left_in_a_segment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0))
    assert spool.flush()
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", Disk(40))
        broken.setattr(os, "ftruncate", refuse(errno.EIO))
        spool.add(attempt(spool, 1))
        assert not spool.flush()
    spool.add(attempt(spool, 2))
    assert spool.flush()
    spool.close()
    found = [[row[0] >> 16 for row in read(path)] for path in segments(tmp_path)]
    assert found == [[1], [2, 3]]


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in its place")
    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0))
    assert not spool.flush()
    assert "spool" in spool.trouble
    (tmp_path / "spool").unlink()
    assert spool.flush()
    spool.close()
    assert len(read(segments(tmp_path)[0])) == 1


@pytest.mark.parametrize("taken", ["locked", "removed"])
def test_a_new_segment_that_the_mover_took_before_it_was_locked_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    lock = fcntl.flock
    movers: list[int] = []

    def lock_late(file: int, how: int) -> None:
        if not movers:
            (path,) = segments(tmp_path)
            movers.append(os.open(path, os.O_RDONLY))
            if taken == "locked":
                lock(movers[0], fcntl.LOCK_EX)
            else:
                path.unlink()
        lock(file, how)

    spool = spool_of(tmp_path)
    spool.add(attempt(spool, 0))
    monkeypatch.setattr(fcntl, "flock", lock_late)
    assert spool.flush(), spool.trouble
    spool.close()
    os.close(movers[0])
    assert len(read(segments(tmp_path)[-1])) == 1


def test_it_is_full_past_its_bound_and_keeps_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_of(tmp_path, waiting_rows=10)
    with monkeypatch.context() as full:
        full.setattr(os, "write", Disk(0))
        for count in range(12):
            assert spool.full == (count > 10)
            spool.add(attempt(spool, count))
            spool.flush()
    assert spool.flush()
    assert not spool.full
    spool.close()
    assert len(read(segments(tmp_path)[0])) == 12
    assert spool.dropped_rows == 0


def test_rows_past_the_bound_are_dropped_and_counted_where_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_of(tmp_path, waiting_rows=10, drop_when_full=True)
    with monkeypatch.context() as full:
        full.setattr(os, "write", Disk(0))
        for count in range(15):
            spool.add(attempt(spool, count))
            spool.flush()
            assert not spool.full
    spool.close()
    assert len(read(segments(tmp_path)[0])) == 10
    assert spool.dropped_rows == 5


def test_a_row_takes_67_bytes() -> None:
    assert ROW.size == ROW_BY_LABELS.size == 67
