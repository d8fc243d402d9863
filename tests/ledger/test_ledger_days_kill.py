"""kill -9 at every step of closing, pruning and repricing: each row is there once, before and after the next run."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from closed import AFTER_ALL, FIRST_DAY, PER_DAY, cards, fill, price_list, sum_up
from spooled import attempt, move, spool_of

from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.close import close_days
from breakeven.ledger.export import attempts
from breakeven.ledger.query import Question, ask
from breakeven.ledger.reprice import Span, reprice

STEPS = """
import json, os, signal, shutil, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from closed import AFTER_ALL, FIRST_DAY, price_list
from breakeven.ledger import days, close, prune, reprice
from breakeven.ledger.cards import CardSchedule
import breakeven.ledger.day_file

left = 0
def step(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def stepping(function):
    def called(*given, **said):
        step()
        try:
            return function(*given, **said)
        finally:
            step()
    return called

def opened(*given, **said):
    connection = connect(*given, **said)
    connection.set_trace_callback(lambda said: said.startswith(LASTING) and step())
    return connection

# Statements within a transaction last from its COMMIT on; these stand alone, too.
LASTING = ("BEGIN", "COMMIT", "INSERT INTO day_file", "DELETE FROM day_file", "DELETE FROM attempt")

connect, sqlite3.connect = sqlite3.connect, opened
for name in ("fsync", "rename", "unlink", "open"):
    setattr(os, name, stepping(getattr(os, name)))

RUNS = {
    "close": lambda store: close.close_days(store, AFTER_ALL),
    "prune": lambda store: prune.prune(store, FIRST_DAY + 1),
    "reprice": lambda store: reprice.reprice(store, CardSchedule([price_list("0.5")]), reprice.Span()),
}

source, run, number = Path(sys.argv[1]), RUNS[sys.argv[3]], 0
while True:
    number += 1
    folder = source.with_name(f"killed-{number}")
    shutil.copytree(source, folder)
    child = os.fork()
    if not child:
        left = number
        run(folder / "ledger.sqlite")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not status:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
print(json.dumps({"kills": number - 1}))
"""


def states(folder: Path) -> tuple[list[Any], list[Any]]:
    """Return all rows and all sums of a ledger."""
    store = folder / "ledger.sqlite"
    return list(attempts(store)), list(ask(store, Question(by=("hour", "key", "priced_as")))) + list(
        ask(store, Question(by=("day", "tags")))
    )


def killed(ledger: Path, run: str, *, more_than: int = 20) -> list[Path]:
    """Run it again and again, killed one step later each time; return what each left, the last one whole."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(ledger), here, run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)["kills"]
    assert kills > more_than
    return [ledger.with_name(f"killed-{number}") for number in range(1, kills + 2)]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Make a ledger of two days, the first closed with a row that came late, the second still in the store."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    store = fill(folder, days=2, per_day=PER_DAY // 2)
    sum_up(store)
    close_days(store, FIRST_DAY + 1)
    spool = spool_of(folder, worker=1)
    spool.add(attempt(spool, 5_000, key="search", priced_as="p:m"))
    spool.close()
    move(folder, cards())
    return folder


def test_closing_that_is_killed_at_any_step_loses_and_doubles_nothing(ledger: Path) -> None:
    before = states(ledger)
    for folder in killed(ledger, "close"):
        assert states(folder) == before, folder
        close_days(folder / "ledger.sqlite", AFTER_ALL)
        assert states(folder) == before, folder
        left = sorted(path.name for path in (folder / "days").iterdir() if not path.name.startswith("."))
        assert len(left) == 2, left


def test_repricing_that_is_killed_at_any_step_keeps_rows_and_sums_of_one_mind(ledger: Path) -> None:
    folders = killed(ledger, "reprice")
    rows, sums = states(folders[-1])
    assert rows != states(ledger)[0]
    prices = price_list("0.5")
    seen = set()
    for folder in folders:
        store = folder / "ledger.sqlite"
        found = list(attempts(store))
        priced = sum((row.cost_usd or Decimal(0) for row in found), Decimal(0))
        assert sum(total.cost_usd or 0 for total in ask(store, Question(by=("key",)))) == priced
        seen.add(priced)
        reprice(store, CardSchedule([prices]), Span())
        assert states(folder) == (rows, sums), folder
    assert len(seen) == 4, "as it was; what came late; the closed day too; all"


def test_pruning_that_is_killed_at_any_step_keeps_all_sums(ledger: Path) -> None:
    rows, sums = states(ledger)
    for folder in killed(ledger, "prune", more_than=17):  # a sync opens only the log: fewer steps
        found = states(folder)
        assert found[1] == sums
        kept = [row for row in rows if row in found[0]]
        assert found[0] == kept, "what is there is as it was"
        close_days(folder / "ledger.sqlite", AFTER_ALL)
        assert states(folder) == (kept, sums)
