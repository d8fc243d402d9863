"""Virtual pools on a ledger: each closed hour once, the same whatever happened in between."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner
from virtually import AFTER_S, FIRST, HOURS, direct_run, hours_in, plan, pool, prices, put, traffic

from breakeven.cli import app
from breakeven.economics.pool_hours import HOUR_US, PaidNode
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.close import close_days
from breakeven.ledger.prune import prune
from breakeven.ledger.reprice import Span, reprice
from breakeven.wiring.ledger import LedgerPlace
from breakeven.wiring.virtual_hours import Derived, ask_virtual, derive

if TYPE_CHECKING:
    from breakeven.ledger.virtual import VirtualHour

SETTINGS = """
ledger: {folder: ledger}
targets: {api: {url: "http://127.0.0.1:9/v1", prices: none}}
models: {fast: {targets: [api]}}
pools:
  llama:
    {virtual: true, runs: llama-3.1-8b, hardware: 1xL4, quantisation: fp8, watches: [fast],
     nodes: [{usd_per_hour: "0.8"}]}
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A ledger with traffic, and with rows that no virtual pool is to be shown."""
    others: list[dict[str, Any]] = [
        {"at_us": FIRST * HOUR_US + 9, "model": "deep", "input_tokens": 5000},
        {"at_us": FIRST * HOUR_US + 10, "target": "own/n1", "priced_as": ""},
        {"at_us": FIRST * HOUR_US + 11, "outcome": rows.CACHED},
        {"at_us": FIRST * HOUR_US + 12, "outcome": rows.FAILED, "failure": "connect"},
        {"at_us": FIRST * HOUR_US + 13, "decision": "shadow"},
        {"at_us": FIRST * HOUR_US + 14, "decision": "judge"},
    ]
    return put(tmp_path / "ledger", [*others, *traffic()])


def moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def as_told(hours: list[VirtualHour]) -> list[VirtualHour]:
    return [hour._replace(derived_from="") for hour in hours]


def test_hours_equal_a_direct_run_of_the_simulator(store: Path) -> None:
    assert derive(plan(store), AFTER_S) == Derived(written_hours=HOURS)
    own = sorted(item["at_us"] // HOUR_US for item in traffic())
    first = sorted((r for r in traffic() if r["at_us"] // HOUR_US == FIRST), key=lambda r: r["at_us"])
    wanted = direct_run(first, FIRST)
    hours = hours_in(store)
    assert [hour.hour for hour in hours] == list(range(FIRST, FIRST + HOURS))
    assert [sum(part.requests for part in hour.parts) for hour in hours] == [
        own.count(FIRST + number) for number in range(HOURS)
    ]
    served, over = (next(part for part in hours[0].parts if part.went_over == way) for way in (0, 1))
    assert served[3:] == (
        wanted.pool_requests,
        wanted.pool_input_tokens,
        wanted.pool_cached_tokens,
        0,
        wanted.pool_output_tokens,
    )
    assert over.requests == wanted.api_requests > 0
    assert over.output_tokens == wanted.api_output_tokens
    assert hours[0].ttft_counts == {n: count for n, count in enumerate(wanted.pool_ttft.counts) if count}
    assert hours[0].queue_counts == {n: count for n, count in enumerate(wanted.pool_queue.counts) if count}


def test_an_hour_in_which_nobody_came_is_paid_and_idle(store: Path) -> None:
    derive(plan(store), AFTER_S)
    nobody = hours_in(store)[3]
    assert nobody.parts == ()
    assert nobody.paid_us == HOUR_US


def test_what_is_there_is_not_worked_out_again(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    assert derive(plan(store), AFTER_S) == Derived()
    assert hours_in(store) == before


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_stopped_in_the_middle_it_comes_to_the_same_hours(store: Path, tmp_path: Path, steps: int) -> None:
    other = put(tmp_path / "other", traffic())
    derive(plan(other), AFTER_S)
    left = [True] * steps

    def goes_on() -> bool:
        return bool(left and left.pop())

    stopped = derive(plan(store), AFTER_S, goes_on)
    assert 0 < stopped.written_hours < HOURS
    assert derive(plan(store), AFTER_S).written_hours == HOURS - stopped.written_hours
    assert as_told(hours_in(store)) == as_told(hours_in(other))


def test_killed_at_any_statement_it_comes_to_the_same_hours(store: Path, tmp_path: Path) -> None:
    """kill -9 between any two statements of the process leaves whole hours, and the next run has the rest."""
    other = put(tmp_path / "other", traffic())
    derive(plan(other), AFTER_S)
    killed = """
import json, os, shutil, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from virtually import AFTER_S, plan
from breakeven.ledger import virtual
from breakeven.wiring.virtual_hours import derive

HALVES = "SELECT count(*) FROM virtual_part p LEFT JOIN virtual_hour h USING (pool, hour) WHERE h.pool IS NULL"

def step(_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def opened(*given, **said):
    connection = connect(*given, **said)
    connection.set_trace_callback(step)
    return connection

store, ends = Path(sys.argv[1]), []
shutil.copytree(store.parent, sys.argv[3])
derive(plan(Path(sys.argv[3], store.name)), AFTER_S)  # what is compiled is so for all children
connect, virtual.connect = virtual.connect, opened
for left in (9, 20, 21, 22, 23, 24, 25, 26, 30):
    child = os.fork()
    if not child:
        derive(plan(store), AFTER_S)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found = sqlite3.connect(store)
    ends.append((os.waitstatus_to_exitcode(status), found.execute(HALVES).fetchone()[0]))
    found.close()
print(json.dumps(ends))
"""
    command = [sys.executable, "-c", killed, str(store), str(Path(__file__).parent), str(tmp_path / "before")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends, halves = zip(*json.loads(done.stdout), strict=True)
    assert not any(halves)
    assert set(ends) <= {0, -9}, done.stderr
    assert ends.count(-9) >= 5, ends
    derive(plan(store), AFTER_S)
    assert as_told(hours_in(store)) == as_told(hours_in(other))


def test_an_hour_is_worked_out_once_it_is_over_and_settled(store: Path) -> None:
    begins_s = (FIRST + 2) * 3600.0
    assert derive(plan(store), begins_s + 119).written_hours == 1
    assert derive(plan(store), begins_s + 120).written_hours == 1
    assert [hour.hour for hour in hours_in(store)] == [FIRST, FIRST + 1]


def test_rows_that_come_late_change_their_hour_and_the_next(store: Path, tmp_path: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    late = [{"at_us": (FIRST + 1) * HOUR_US + 7, "input_tokens": 3000, "output_tokens": 500}]
    put(store.parent, late)
    assert derive(plan(store), AFTER_S).written_hours == 2
    after = hours_in(store)
    assert [a != b for a, b in zip(before, after, strict=True)] == [False, True, True, False, False, False]
    whole = put(tmp_path / "whole", [*traffic(), *late])
    derive(plan(whole), AFTER_S)
    assert as_told(hours_in(whole)) == as_told(after)


def test_a_corrected_price_changes_what_the_api_cost_and_nothing_else(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    reprice(store, prices("5", "20"), Span())
    derive(plan(store), AFTER_S)
    after = hours_in(store)
    assert [hour._replace(derived_from="", parts=()) for hour in before] == [
        hour._replace(derived_from="", parts=()) for hour in after
    ]
    place = LedgerPlace(store=store, spool=store.parent / "spool")
    ((answer, _),) = ask_virtual(place, None, (None, None), "day", AFTER_S).answers
    whole = answer.whole
    fresh = 5 * (whole.served.input_tokens - whole.served.cached_input_tokens)
    cached = 5 * whole.served.cached_input_tokens  # the card names no price of its own for them
    assert whole.avoided_usd == Decimal(fresh + cached + 20 * whole.served.output_tokens) / 1_000_000


def test_rows_of_closed_days_are_read_from_their_files(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    assert close_days(store, (FIRST + HOURS) // 24 + 1)
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (0,)
        connection.execute("DELETE FROM virtual_hour")
        connection.execute("DELETE FROM virtual_part")
    assert derive(plan(store), AFTER_S).written_hours == HOURS
    assert hours_in(store) == before


def test_hours_whose_rows_are_gone_stay_as_they_are(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM attempt WHERE received_us < ?", ((FIRST + 1) * HOUR_US,))
    changed = replace(pool(), most_waiting_requests=9)
    done = derive(plan(store, changed), AFTER_S)
    assert (done.lost_hours, done.written_hours) == (1, HOURS - 1)
    assert hours_in(store)[0] == before[0]
    assert derive(plan(store, changed), AFTER_S) == Derived(lost_hours=1)


def test_hours_of_pruned_days_are_not_looked_for(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    assert prune(store, (FIRST + HOURS) // 24 + 1).days
    changed = replace(pool(), most_waiting_requests=9)
    assert derive(plan(store, changed), AFTER_S) == Derived(lost_hours=HOURS)
    assert hours_in(store) == before


def test_rows_with_ids_of_another_time_are_found_all_the_same(store: Path) -> None:
    """A clock that was set back, say: ids never go back."""
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE attempt SET attempt_id = attempt_id + ?", ((7 * 3_600_000) << 22,))
        connection.execute("DELETE FROM virtual_hour")
    assert derive(plan(store), AFTER_S).written_hours == HOURS
    assert hours_in(store) == before


def test_a_node_added_yesterday_changes_the_hours_in_which_it_was_there(store: Path) -> None:
    derive(plan(store), AFTER_S)
    before = hours_in(store)
    first, more = PaidNode(name="n1", since_us=0), PaidNode(name="n2", since_us=(FIRST + 4) * HOUR_US + HOUR_US // 2)
    assert derive(plan(store, pool(nodes=(first, more))), AFTER_S).written_hours == 2
    after = hours_in(store)
    assert after[:4] == before[:4]
    assert [hour.paid_us for hour in after[4:]] == [HOUR_US * 3 // 2, HOUR_US * 2]
    served = [[sum(p.requests for p in hour.parts if not p.went_over) for hour in hours] for hours in (before, after)]
    assert served[1][4] > served[0][4]


def test_a_node_that_begins_later_leaves_no_hours_before_it(store: Path) -> None:
    derive(plan(store), AFTER_S)
    later = pool(nodes=(PaidNode(name="n1", since_us=(FIRST + 2) * HOUR_US, until_us=(FIRST + 5) * HOUR_US),))
    derive(plan(store, later), AFTER_S)
    assert [hour.hour for hour in hours_in(store)] == [FIRST + 2, FIRST + 3, FIRST + 4]


def test_two_pools_each_see_what_they_watch(store: Path) -> None:
    two = plan(store, pool(), pool("all", models=()), pool("none", models=("nobody-asks",)))
    assert derive(two, AFTER_S).written_hours == 3 * HOURS
    alone = [sum(p.requests for p in hour.parts) for hour in hours_in(store)]
    every = [sum(p.requests for p in hour.parts) for hour in hours_in(store, "all")]
    assert every == [alone[0] + 1, *alone[1:]]  # with the row of the other model, and no other
    assert [hour.parts for hour in hours_in(store, "none")] == [()] * HOURS


def test_an_empty_ledger_has_no_hours(tmp_path: Path) -> None:
    assert derive(plan(tmp_path / "nowhere.sqlite"), AFTER_S) == Derived()
    empty = put(tmp_path / "ledger", [])
    if empty.is_file():
        assert derive(plan(empty), AFTER_S) == Derived()


def test_the_command_shows_hours_and_one_sentence(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent.parent)
    Path("breakeven.yaml").write_text(SETTINGS, encoding="utf-8")
    done = CliRunner().invoke(app, ["ledger", "virtual", "--by", "hour", "--json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)["pools"]
    assert [row["time"] for row in told["rows"]] == [f"{moment(FIRST + n):%Y-%m-%dT%H:00Z}" for n in range(HOURS)]
    total = told["total"]
    assert total["requests"] == len(traffic()) == total["served_requests"] + total["overflowed_requests"]
    assert Decimal(total["bill_usd"]) == Decimal("0.8") * HOURS
    assert Decimal(total["saved_usd"]) == Decimal(total["avoided_usd"]) - Decimal(total["bill_usd"])
    assert 0 < total["utilisation_fraction"] < 1
    assert total["queue_p50_s"] <= total["queue_p99_s"] <= total["ttft_p99_s"]
    shown = CliRunner().invoke(app, ["ledger", "virtual"])
    assert "llama: with 1xL4:llama-3.1-8b:fp8 at 0.8 USD/h you would have paid 4.80 USD" in shown.output
    assert len(hours_in(store)) == HOURS


def test_a_week_of_the_past_is_worked_out_as_if_the_pool_had_been_there(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent.parent)
    node = '{usd_per_hour: "0.8", since: 2027-01-01}'
    Path("breakeven.yaml").write_text(SETTINGS.replace('{usd_per_hour: "0.8"}', node), encoding="utf-8")
    span = ["--from", f"{moment(FIRST + 1):%Y-%m-%dT%H:00}", "--to", f"{moment(FIRST + 3):%Y-%m-%dT%H:00}"]
    done = CliRunner().invoke(app, ["ledger", "virtual", *span, "--by", "hour", "--json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)["pools"]
    assert [row["bill_usd"].rstrip("0") for row in told["rows"]] == ["0.8", "0.8"]
    assert hours_in(store) == []
    derive(plan(store), AFTER_S)
    wanted = [sum(p.requests for p in hour.parts if not p.went_over) for hour in hours_in(store)[1:3]]
    assert [row["served_requests"] for row in told["rows"]] == wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--by", "week"], "told by hour or day"),
        (["--from", "2026-05-10T10:30"], "Give a full hour"),
        (["--from", "yesterday"], "is no time"),
        (["--from", "2031-01-01"], "no hour that is over"),
        (["--from", "2026-05-11", "--to", "2026-05-10"], "--from 2026-05-11 is not before --to 2026-05-10."),
        (["--to", "1970-01-01"], "no hour that is over"),
    ],
)
def test_a_wrong_question_says_what_to_do(
    store: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], said: str
) -> None:
    monkeypatch.chdir(store.parent.parent)
    Path("breakeven.yaml").write_text(SETTINGS, encoding="utf-8")
    done = CliRunner().invoke(app, ["ledger", "virtual", *asked])
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert said in f"{done.exception}{done.output}"
