"""The store away, read-only, full, locked, damaged, foreign or newer: told, retried, and nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from spooled import ask, attempt, move, mover_of, segments, spool_of, write

from breakeven.errors import InputError
from breakeven.ledger.mover import Mover
from breakeven.ledger.schema import VERSION, check_version
from breakeven.ledger.store import ROWS_PER_INSERT, Store, StoreMissingError, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS = 2 * ROWS_PER_INSERT + 7


def check_whole(folder: Path) -> None:
    """Every row of ``ROWS`` is in the store once, and in the roll-ups, and the spool is empty."""
    assert ask(folder, "SELECT count(*), count(DISTINCT attempt_id) FROM attempt") == [(ROWS, ROWS)]
    assert ask(folder, "SELECT sum(attempts) FROM rollup_hour") == [(ROWS,)]
    assert ask(folder, "SELECT DISTINCT key FROM attempt_said ORDER BY 1") == [("k0",), ("k1",), ("k2",)]
    assert segments(folder) == []


def some(count: int = ROWS, first: int = 0) -> list[dict[str, object]]:
    return [{"number": number, "key": f"k{number % 3}"} for number in range(first, count)]


def hold_the_lock(store: Path) -> Callable[[], None]:
    holder = sqlite3.connect(store, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder.close


def spoil(store: Path) -> Callable[[], None]:
    whole = store.read_bytes()
    store.write_bytes(b"this is no database at all" * 500)
    return lambda: (store.write_bytes(whole), None)[1]


def take_away(store: Path) -> Callable[[], None]:
    aside = store.with_suffix(".aside")
    store.rename(aside)
    return lambda: (aside.rename(store), None)[1]


def replace_by_a_folder(store: Path) -> Callable[[], None]:
    put_back = take_away(store)
    store.mkdir()

    def mend() -> None:
        store.rmdir()
        put_back()

    return mend


@pytest.mark.parametrize(
    ("break_it", "said", "new_mover"),
    [
        (hold_the_lock, "locked by another process", False),
        (hold_the_lock, "locked by another process", True),
        (spoil, "no SQLite database", False),
        (spoil, "no SQLite database", True),
        (take_away, "is gone", False),
        (replace_by_a_folder, "There is no ledger", False),
        (replace_by_a_folder, "cannot be opened", True),
    ],
)
def test_trouble_with_the_store_is_told_and_over_when_it_is(
    tmp_path: Path, break_it: Callable[[Path], Callable[[], None]], said: str, new_mover: bool
) -> None:
    write(tmp_path, some(ROWS // 2))
    mover = mover_of(tmp_path)
    mover.drain()
    if break_it is not hold_the_lock:
        mover.close()  # brings the WAL into the file
    if new_mover:
        mover = mover_of(tmp_path)
    mend = break_it(tmp_path / "ledger.sqlite")
    write(tmp_path, some(first=ROWS // 2))
    for _ in range(3):
        assert mover.step() == 0
        assert said in mover.trouble
    mend()
    mover.drain()
    assert not mover.trouble
    mover.close()
    check_whole(tmp_path)


def test_a_store_that_was_replaced_by_an_older_copy_gets_what_it_lacks_and_is_still_spooled(tmp_path: Path) -> None:
    spool, mover = spool_of(tmp_path), mover_of(tmp_path)
    for number in range(ROWS):
        spool.add(attempt(spool, number, key=f"k{number % 3}"))
        spool.flush()
        mover.step()
        if number == 10:
            mover.close()
            shutil.copy(tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite")
            mover = mover_of(tmp_path)
    mover.close()
    (tmp_path / "ledger.sqlite").unlink()
    (tmp_path / "copy.sqlite").rename(tmp_path / "ledger.sqlite")
    spool.close()
    move(tmp_path)
    check_whole(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a disk")
    yield folder
    unmount = ["umount", str(folder)]
    subprocess.run(unmount, check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return ballast


def test_a_full_disk_loses_nothing_on_either_side(small_disk: Path) -> None:
    spool, mover = spool_of(small_disk), mover_of(small_disk)
    for entry in some(ROWS // 2):
        spool.add(attempt(spool, int(str(entry["number"])), key=entry["key"]))
    assert spool.flush()
    ballast = fill(small_disk)
    for entry in some(first=ROWS // 2):
        spool.add(attempt(spool, int(str(entry["number"])), key=entry["key"]))
    assert not spool.flush()
    assert mover.step() == 0
    assert "full" in mover.trouble
    ballast.unlink()
    assert spool.flush()
    assert mover.drain() == ROWS
    spool.close()
    mover.drain()
    mover.close()
    check_whole(small_disk)


def test_a_store_that_fills_up_half_way_keeps_whole_steps_only(small_disk: Path) -> None:
    spool, mover = (
        spool_of(small_disk.parent),
        Mover(
            small_disk.parent / "spool",
            Store(small_disk / "ledger.sqlite"),
            mover_of(small_disk)._cards,
            step_bytes=20_000,
        ),
    )
    count = 8_000
    for number in range(count):
        spool.add(attempt(spool, number, key=f"k{number % 3}", episode=f"e{number}"))
        if number % 10 == 0:
            spool.flush()
    spool.close()
    moved = mover.drain()
    assert "full" in mover.trouble
    mover.close()
    assert 0 < moved < count
    shutil.copytree(small_disk, small_disk.parent, dirs_exist_ok=True)
    assert ask(small_disk.parent, "SELECT count(*) FROM attempt") == [(moved,)]
    assert ask(small_disk.parent, "SELECT sum(attempts) FROM rollup_hour") == [(moved,)]
    assert move(small_disk.parent) == count - moved
    assert ask(small_disk.parent, "SELECT count(*), count(DISTINCT episode) FROM attempt") == [(count, count)]


def test_a_database_at_its_largest_size_is_full_and_goes_on_when_it_may_grow(tmp_path: Path) -> None:
    mover = mover_of(tmp_path)
    write(tmp_path, some(1))
    mover.step()
    connection = mover._store.connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    write(tmp_path, [{"number": n, "key": f"k{n % 3}", "episode": "e" * 120} for n in range(1, ROWS)])
    moved = mover.step()
    assert moved == 0
    assert "disk is full" in mover.trouble
    mover.drain()  # on a new connection, without that bound
    assert not mover.trouble
    mover.close()
    check_whole(tmp_path)


def test_a_mover_with_a_read_only_store_waits_for_it_to_be_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, some(ROWS // 2))
    move(tmp_path)
    write(tmp_path, some(first=ROWS // 2))
    mover = mover_of(tmp_path)
    with monkeypatch.context() as read_only:
        read_only.setattr("breakeven.ledger.store.connect", lambda path, **_: connect(path, read_only=True))
        assert mover.step() == 0
        assert "read-only" in mover.trouble
    mover.drain()
    assert not mover.trouble
    mover.close()
    check_whole(tmp_path)


def test_files_beside_the_store_that_were_made_while_it_was_read_only_do_not_stay_so(tmp_path: Path) -> None:
    write(tmp_path, some(ROWS // 2))
    move(tmp_path)
    store = tmp_path / "ledger.sqlite"
    mode = store.stat().st_mode
    store.chmod(0o444)
    reader = connect(store, read_only=True)
    reader.execute("SELECT count(*) FROM attempt").fetchall()
    store.chmod(mode)
    write(tmp_path, some(first=ROWS // 2))
    move(tmp_path)
    made = {path.name: path.stat().st_mode for path in tmp_path.glob("ledger.sqlite*")}
    reader.close()
    assert set(made.values()) == {mode}
    check_whole(tmp_path)


def test_a_read_only_folder_can_be_read_while_the_store_is_whole_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, some(3))
    move(tmp_path)
    open_file = sqlite3.connect
    asked: list[str] = []

    def refuse_to_share(name: str, /, **options: Any) -> sqlite3.Connection:
        asked.append(name.rpartition("?")[2])
        if "immutable" not in name:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY_DIRECTORY
            raise error
        opened: sqlite3.Connection = open_file(name, **options)
        return opened

    monkeypatch.setattr(sqlite3, "connect", refuse_to_share)
    connection = connect(tmp_path / "ledger.sqlite", read_only=True)
    assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (3,)
    connection.close()
    assert asked == ["mode=ro", "mode=ro&immutable=1"]
    (tmp_path / "ledger.sqlite-wal").write_bytes(b"rows that are not in the file yet")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connect(tmp_path / "ledger.sqlite", read_only=True)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    write(tmp_path, some(2))
    move(tmp_path)
    ask(tmp_path, f"PRAGMA user_version = {VERSION + 1}")
    write(tmp_path, some(4, first=2))
    mover = mover_of(tmp_path)
    assert mover.step() == 0
    assert "newer Breakeven" in mover.trouble
    mover.close()
    with pytest.raises(InputError, match="newer Breakeven"):
        connect(tmp_path / "ledger.sqlite", read_only=True)
    assert ask(tmp_path, "SELECT count(*) FROM attempt") == [(2,)]


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    ask(tmp_path, "CREATE TABLE songs (name TEXT)")
    with pytest.raises(InputError, match="not a Breakeven ledger"):
        connect(tmp_path / "ledger.sqlite", create=True)
    assert ask(tmp_path, "SELECT name FROM sqlite_schema") == [("songs",)]


def test_no_store_is_made_where_one_is_only_looked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="breakeven up"):
        connect(tmp_path / "none/ledger.sqlite", read_only=True)
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(StoreMissingError, match="is empty"):
        connect(tmp_path / "empty.sqlite", read_only=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("step", range(3))
def test_a_store_that_is_made_while_it_is_looked_at_is_no_foreign_one(tmp_path: Path, step: int) -> None:
    path = tmp_path / "ledger.sqlite"

    class Looking(sqlite3.Connection):
        """A reader beside whom somebody makes the tables."""

        asked = 0

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if self.asked == step:
                connect(path, create=True).close()
            self.asked += 1
            return super().execute(*arguments)

    with closing(sqlite3.connect(path, factory=Looking)) as looking:
        assert check_version(looking, path)
