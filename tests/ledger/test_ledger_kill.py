"""kill -9 of the mover and of writers, in processes of their own: every row is in the store, once."""

from __future__ import annotations

import random  # noqa: TID251 - when to kill is what chance is for
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from spooled import ask, attempt, move, segments, spool_of

if TYPE_CHECKING:
    from pathlib import Path

MOVE = """
import sys
from pathlib import Path
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.store import Store
folder = Path(sys.argv[1])
mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CardSchedule(), step_bytes=20_000)
print("ready", flush=True)
while True:
    mover.step()
    assert not mover.trouble, mover.trouble
"""

WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from spooled import attempt, spool_of
spool = spool_of(Path(sys.argv[1]), worker=int(sys.argv[3]), segment_bytes=200_000)
first = int(sys.argv[3]) * 1_000_000
print("ready", flush=True)
for number in range(first, first + 1_000_000):
    spool.add(attempt(spool, number, key=f"k{number % 5}", tags=f"t{number % 50}", episode=f"e{number}"))
    if number % 3 == 0 and spool.flush():
        print(number, flush=True)
"""

KILLS = 12


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, "it ended by itself"
    return said


def check(folder: Path) -> None:
    """Compare roll-ups with rows."""
    rows = ask(folder, "SELECT count(*), count(DISTINCT attempt_id), total(input_tokens) FROM attempt")[0]
    assert rows[0] == rows[1]
    assert ask(folder, "SELECT total(attempts), total(input_tokens) FROM rollup_hour") == [(rows[0], rows[2])]
    assert ask(folder, "PRAGMA integrity_check") == [("ok",)]


def test_a_mover_that_is_killed_again_and_again_moves_every_row_once(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, segment_bytes=300_000)
    written, chance = 0, random.Random(7)  # noqa: S311 - no secret
    for _ in range(KILLS):
        mover = start(MOVE, tmp_path)
        for _ in range(chance.randrange(40)):
            for _ in range(60):
                spool.add(attempt(spool, written, key=f"k{written % 7}", episode=f"e{written}"))
                written += 1
            assert spool.flush()
        kill(mover)
        if (tmp_path / "ledger.sqlite").exists() and ask(tmp_path, "SELECT count(*) FROM sqlite_schema") != [(0,)]:
            check(tmp_path)
    spool.close()
    move(tmp_path)
    check(tmp_path)
    assert segments(tmp_path) == []
    found = ask(tmp_path, "SELECT attempt_id, key, episode FROM attempt_said ORDER BY attempt_id")
    assert found == [((n + 1) << 16, f"k{n % 7}", f"e{n}") for n in range(written)]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_killed_writer_had_flushed_is_in_the_store_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    flushed: list[int] = []
    mover = start(MOVE, tmp_path)
    for worker in range(5):
        writer = start(WRITE, tmp_path, __file__.rpartition("/")[0], worker)
        assert writer.stdout is not None
        said = "".join(writer.stdout.readline() for _ in range(chance.randrange(1, 2_000)))
        said += kill(writer)
        flushed += [int(line) for line in said[: said.rfind("\n") + 1].splitlines()]
        if worker % 2:
            kill(mover)
            mover = start(MOVE, tmp_path)
    kill(mover)
    move(tmp_path)
    check(tmp_path)
    kept = {number for (number,) in ask(tmp_path, "SELECT (attempt_id >> 16) - 1 FROM attempt")}
    assert flushed
    assert kept.issuperset(flushed)
    for worker in range(5):
        own = sorted(number for number in kept if number // 1_000_000 == worker)
        assert own == list(range(worker * 1_000_000, worker * 1_000_000 + len(own))), "no row is missing in between"
    assert ask(tmp_path, "SELECT count(*) FROM attempt_said WHERE key != 'k' || (((attempt_id >> 16) - 1) % 5)") == [
        (0,)
    ]
    assert segments(tmp_path) == []
