"""Hours that were paid, as facts on the ledger: they follow from what is declared, whatever ends the process."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pooled import CLOSED, FIRST, other, terms

from breakeven.economics.pool_hours import HOUR_US, NodePrice, PaidNode, PoolHour, PoolTerms, pool_hours
from breakeven.errors import InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.pools import hours_of, keep_pools, stored_pools, with_former
from breakeven.ledger.query import Question
from breakeven.ledger.store import connect

KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from pooled import CLOSED, FIRST, other, terms
from breakeven.ledger.pools import keep_pools

left = int(sys.argv[3])
def step(_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def opened(*given, **said):
    connection = connect(*given, **said)
    connection.set_trace_callback(step)
    return connection

connect, sqlite3.connect = sqlite3.connect, opened
keep_pools(Path(sys.argv[1]), (terms(nodes=terms().nodes[:1]), other()), FIRST + 12)
keep_pools(Path(sys.argv[1]), (terms(), other()), FIRST + 20)
print("done")
"""


def facts(store: Path) -> list[PoolHour]:
    with closing(connect(store, read_only=True)) as connection:
        found = connection.execute("SELECT pool, node, hour, from_us, paid_us FROM pool_hour ORDER BY pool, node, hour")
        return list(map(PoolHour._make, found))


def wanted(*pools: PoolTerms, until_hour: int) -> list[PoolHour]:
    return sorted(item for pool in pools for item in pool_hours(pool, until_hour))


def test_hours_are_written_as_they_close_and_once(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    assert keep_pools(store, (terms(), other()), FIRST + 10) == len(wanted(terms(), other(), until_hour=FIRST + 10))
    assert keep_pools(store, (terms(), other()), FIRST + 10) == 0
    assert keep_pools(store, (terms(), other()), FIRST + 11) == 3
    assert facts(store) == wanted(terms(), other(), until_hour=FIRST + 11)
    assert keep_pools(store, (terms(), other()), FIRST + 2) == 0, "a clock that went back takes nothing away"
    assert facts(store) == wanted(terms(), other(), until_hour=FIRST + 11)


def test_an_hour_of_the_store_is_what_is_declared_of_it(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (terms(),), CLOSED)
    with closing(connect(store, read_only=True)) as connection:
        assert hours_of(connection, "llama", FIRST + 5) == [
            PoolHour("llama", "a", FIRST + 5, 0, HOUR_US),
            PoolHour("llama", "b", FIRST + 5, 1_234_567, HOUR_US - 1_234_567),
        ]
        assert stored_pools(connection) == {"llama": terms()}


def test_a_node_added_later_is_paid_from_its_date_and_a_corrected_date_moves_it(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (terms(nodes=terms().nodes[:1]),), CLOSED)
    keep_pools(store, (terms(),), CLOSED)
    assert facts(store) == wanted(terms(), until_hour=CLOSED)
    moved = replace(terms().nodes[1], since_us=(FIRST + 9) * HOUR_US)
    keep_pools(store, (terms(nodes=(terms().nodes[0], moved)),), CLOSED)
    assert facts(store) == wanted(terms(nodes=(terms().nodes[0], moved)), until_hour=CLOSED)


def test_a_node_that_is_no_longer_declared_was_paid_until_then_at_its_price(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    before = terms(nodes=(PaidNode(name="a", since_us=FIRST * HOUR_US), PaidNode(name="b", since_us=FIRST * HOUR_US)),
                   prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(3)),))  # fmt: skip
    after = replace(before, nodes=before.nodes[:1], prices=(NodePrice(node="a", since_us=0, usd_per_hour=Decimal(5)),))
    keep_pools(store, (before,), FIRST + 10)
    keep_pools(store, (after,), FIRST + 12)
    for known in (Known(closed_hours=FIRST + 20), Known(closed_hours=FIRST + 20, declared=(after,))):
        keep_pools(store, (after,), FIRST + 20)
        (pool,) = ask_costs(store, Question(), known).pools
        assert pool.bill_usd == 20 * 5 + 12 * 3


def test_a_pool_that_is_no_longer_declared_keeps_its_hours_and_gets_no_more(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (terms(), other()), FIRST + 10)
    for hour in (12, 15, 20):
        keep_pools(store, (terms(),), FIRST + hour)
    assert facts(store) == wanted(terms(), until_hour=FIRST + 20) + wanted(other(), until_hour=FIRST + 12)


def test_former_nodes_end_once_and_not_again(tmp_path: Path) -> None:
    del tmp_path
    now = with_former(terms(nodes=()), terms(), (FIRST + 10) * HOUR_US)
    assert [node.until_us for node in now.nodes] == [(FIRST + 10) * HOUR_US] * 2
    assert with_former(terms(nodes=()), now, (FIRST + 30) * HOUR_US).nodes == now.nodes
    assert with_former(terms(nodes=()), now, (FIRST + 7) * HOUR_US).nodes == now.nodes


def test_a_store_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, and longer than a header" * 100)
    with pytest.raises(InputError, match="SQLite database"):
        keep_pools(tmp_path / "ledger.sqlite", (terms(),), CLOSED)


def test_killed_at_any_statement_the_hours_are_those_of_what_is_declared(tmp_path: Path) -> None:
    number, finished = 0, False
    while not finished:
        number += 1
        store = tmp_path / f"killed-{number}" / "ledger.sqlite"
        command = [sys.executable, "-c", KILLED, str(store), str(Path(__file__).parent), str(number * 7)]
        finished = b"done" in subprocess.run(command, capture_output=True, check=False).stdout
        if store.is_file() and store.stat().st_size:
            keep_pools(store, (), 0)  # makes the tables where not even they were there yet
            with closing(connect(store, read_only=True)) as connection:
                declared = stored_pools(connection)
            found = facts(store)
            last = max((item.hour for item in found), default=FIRST - 1)
            assert found == wanted(*declared.values(), until_hour=last + 1)
        keep_pools(store, (terms(), other()), FIRST + 20)
        assert facts(store) == wanted(terms(), other(), until_hour=FIRST + 20)
        (whole,) = [
            pool for pool in ask_costs(store, Question(), Known(closed_hours=FIRST + 20)).pools if pool.pool == "llama"
        ]
        assert whole.bill_usd == whole.allocated_usd + whole.idle_usd > 0
    assert number > 8


NODES = st.lists(st.tuples(st.integers(0, 40 * HOUR_US), st.integers(1, 40 * HOUR_US)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(NODES, st.integers(1, 45)), min_size=1, max_size=5))
def test_after_any_changes_the_facts_are_those_of_what_is_declared(
    steps: list[tuple[list[tuple[int, int]], int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = tmp_path_factory.mktemp("steps") / "ledger.sqlite"
    latest = 0
    for nodes, until_hour in steps:
        declared = terms(nodes=tuple(
            PaidNode(name=f"n{place}", since_us=since_us, until_us=since_us + lasts_us)
            for place, (since_us, lasts_us) in enumerate(nodes)
        ))  # fmt: skip
        keep_pools(store, (declared,), until_hour)
        latest = max(latest, until_hour)
        with closing(connect(store, read_only=True)) as connection:
            stored = stored_pools(connection)["llama"]
        assert stored.nodes[: len(nodes)] == declared.nodes
        found = facts(store)
        last = max((item.hour for item in found), default=-1)
        assert found == wanted(stored, until_hour=last + 1)
        assert all(0 < item.paid_us <= HOUR_US and item.from_us + item.paid_us <= HOUR_US for item in found)
