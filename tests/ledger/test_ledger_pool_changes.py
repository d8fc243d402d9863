"""Pools whose declaration changes: what nodes cost that are there no more, and those that are not there yet."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pooled import FIRST, cards
from spooled import attempt, move, spool_of

from breakeven.economics.allocation import usd_of
from breakeven.economics.pool_hours import HOUR_US, NodePrice, NodePrices, PaidNode, PoolTerms, hour_bill, pool_hours
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.pools import keep_pools, rented_pools, stored_pools
from breakeven.ledger.query import Question
from breakeven.ledger.store import connect
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.ledger_costs import given_up, query_costs
from breakeven.wiring.pools import PoolHours, declared_pools

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.costs import GroupCost, PoolCost

MINUTE_US = HOUR_US // 60
BEGINS_US = FIRST * HOUR_US


def price(node: str, hour: int, usd: int) -> NodePrice:
    return NodePrice(node=node, since_us=(FIRST + hour) * HOUR_US, usd_per_hour=Decimal(usd))


def pool(*names: str, prices: tuple[NodePrice, ...] = (price("", 0, 5),)) -> PoolTerms:
    nodes = tuple(PaidNode(name=name, since_us=BEGINS_US) for name in names)
    return PoolTerms(name="llama", nodes=nodes, prices=prices)


def stored(store: Path) -> PoolTerms:
    with closing(connect(store, read_only=True)) as connection:
        return stored_pools(connection)["llama"]


def bill_usd(terms: PoolTerms, hour: int) -> Decimal:
    facts = pool_hours(terms, FIRST + hour + 1, FIRST + hour)
    return usd_of(hour_bill(terms, NodePrices(terms.prices), facts).bill)


def asked(store: Path, *declared: PoolTerms, hours: int) -> Decimal:
    """Return the bill of all hours before that one."""
    (found,) = ask_costs(store, Question(), Known(closed_hours=FIRST + hours, declared=declared)).pools
    return found.bill_usd


@pytest.mark.parametrize(("minute", "paid_usd"), [(50, "54.166666666667"), (1, "50.083333333333")])
def test_a_node_that_is_taken_out_was_paid_until_that_moment(tmp_path: Path, minute: int, paid_usd: str) -> None:
    """A gateway reads its settings again in the eleventh hour, before or after the tenth has settled."""
    store, now_s = tmp_path / "ledger.sqlite", (FIRST + 10) * 3600 + minute * 60
    PoolHours(store, (pool("a", "b"),)).poll(now_s)
    PoolHours(store, (pool("a"),)).poll(now_s)
    assert stored(store).nodes[1].until_us == now_s * 1_000_000
    later = PoolHours(store, (pool("a"),))
    for hour in (11, 12, 15):
        assert not later.poll((FIRST + hour) * 3600 + 300)
    for declared in ((), (pool("a"),)):
        assert asked(store, *declared, hours=15) == 15 * 5 + Decimal(paid_usd)


def test_an_only_node_that_is_taken_out_is_billed_for_what_it_served_in_its_last_hour(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    row = attempt(spool, 1, key="search", model="m", target="llama/a", priced_as="", input_tokens=9, output_tokens=9)
    spool.add(row._replace(received_us=BEGINS_US + 10 * HOUR_US + 5))
    spool.close()
    move(tmp_path, cards())
    store = tmp_path / "ledger.sqlite"
    now_s = (FIRST + 10) * 3600 + 3000
    PoolHours(store, (pool("a"),)).poll(now_s)
    gone = pool()
    PoolHours(store, (gone,)).poll(now_s)
    PoolHours(store, (gone,)).poll(now_s + 3600)
    found = ask_costs(store, Question(), Known(closed_hours=FIRST + 11))
    assert [group.unbilled_count for group in found.groups] == [0]
    assert found.pools[0].bill_usd == Decimal("54.166666666667")


def test_a_pool_that_is_taken_out_was_paid_until_that_moment(tmp_path: Path) -> None:
    """With its last node, or whole: its last hour is billed alike."""
    store, now_s = tmp_path / "ledger.sqlite", (FIRST + 10) * 3600 + 3000
    PoolHours(store, (pool("a", "b"),)).poll(now_s)
    without = PoolHours(store, ())
    for hours in range(6):
        assert not without.poll(now_s + hours * 3600)
    assert asked(store, hours=15) == Decimal("108.333333333334")  # each node's part is rounded
    assert [node.until_us for node in stored(store).nodes] == [now_s * 1_000_000] * 2
    PoolHours(store, (pool("a"),)).poll(now_s + 5 * 3600)
    assert asked(store, hours=15) == 15 * 5 + Decimal("54.166666666667"), "declared again, it was there all the time"


def test_a_node_that_no_gateway_has_seen_go_ends_where_the_ledger_does(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (pool("a", "b"),), FIRST + 10, BEGINS_US + 10 * HOUR_US + MINUTE_US)
    assert asked(store, pool("a"), hours=10) == 100
    assert asked(store, pool("a"), hours=30) == 30 * 5 + 10 * 5


def test_a_node_that_ended_is_not_ended_again_by_a_question(tmp_path: Path) -> None:
    """It ended in an hour that is not kept yet: a question does not take it for one that ends where the ledger does."""
    store, now_us = tmp_path / "ledger.sqlite", BEGINS_US + 10 * HOUR_US + 30 * MINUTE_US
    keep_pools(store, (pool("a", "b"),), FIRST + 10, now_us)
    keep_pools(store, (pool("a"),), FIRST + 10, now_us)
    assert asked(store, given_up(pool("a"), now_us + 15 * MINUTE_US), hours=11) == Decimal("53.75") + Decimal("52.5")


def test_what_is_written_down_of_former_nodes_does_not_grow(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (pool("a", "b", prices=(price("", 0, 5), price("b", 2, 6), price("", 2, 7))),), FIRST + 10)
    now = pool("a", prices=(price("", 0, 5), price("", 2, 7)))
    keep_pools(store, (now,), FIRST + 11)
    first = stored(store)
    assert first.prices == (price("a", 0, 5), price("a", 2, 7), price("b", 0, 5), price("b", 2, 7))
    for hour in range(12, 30):
        keep_pools(store, (now,), FIRST + hour)
    assert stored(store) == first


def test_a_mistaken_price_of_the_pool_is_none_of_nodes_that_were_gone(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (pool("a", "b"),), FIRST + 10)
    keep_pools(store, (pool("a"),), FIRST + 11)
    mistaken = pool("a", prices=(price("", 0, 5), price("", 2, 50)))
    for hour in (12, 13):
        keep_pools(store, (mistaken,), FIRST + hour)
        assert [bill_usd(stored(store), at) for at in (1, 5, 11)] == [10, 55, 50], "b stays as it was priced"
    keep_pools(store, (pool("a"),), FIRST + 14)
    assert [bill_usd(stored(store), at) for at in (1, 5, 10, 11)] == [10, 10, 10, 5]


CONFIG = """
pools:
  llama:
    nodes:
      - {name: a, url: "http://a/v1", since: 2026-05-10T08:00Z}
      - {name: b, url: "http://b/v1", since: 2026-05-10T18:45Z}
    prices: [{since: 2026-05-10T08:00Z, usd_per_hour: "4"}]
    gpu_time: {prefill_s_per_mtok: 100, decode_s_per_mtok: 1000}
models: {m: {targets: [llama]}}
"""
WITHOUT_B = "\n".join(line for line in CONFIG.splitlines() if "name: b" not in line)
WITHOUT_A = "\n".join(line for line in CONFIG.splitlines() if "name: a" not in line)


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """Make a ledger of a gateway that has run for ten hours, and one request of the eleventh."""
    folder = tmp_path / "breakeven-data"
    spool = spool_of(folder)
    row = attempt(spool, 1, key="search", model="m", target="llama/a", priced_as="", input_tokens=9, output_tokens=9)
    spool.add(row._replace(received_us=BEGINS_US + 10 * HOUR_US + 5))
    spool.close()
    move(folder, cards())
    (tmp_path / "breakeven.yaml").write_text(CONFIG, encoding="utf-8")
    PoolHours(folder / "ledger.sqlite", declared_pools(tmp_path / "breakeven.yaml")).poll((FIRST + 10) * 3600 + 300)
    return tmp_path


def so_far(folder: Path, minute: int, *, config: bool = True) -> tuple[PoolCost, GroupCost]:
    """Return what the pool cost from the eleventh hour on, and what it served."""
    where = folder / "breakeven.yaml" if config else None
    place = find_ledger(None if config else folder / "breakeven-data", where)
    question = Question(since=datetime(2026, 5, 10, 18, tzinfo=UTC))
    found = query_costs(place, where, question, (), (FIRST + 10) * 3600 + minute * 60, so_far=True).costs
    (cost,), (group,) = found.pools, found.groups
    assert cost.allocated_usd + cost.idle_usd == cost.bill_usd
    return cost, group


@pytest.mark.parametrize(("minute", "paid_usd"), [(30, "2"), (45, "3"), (51, "3.8")])
@pytest.mark.parametrize("config", [True, False])
def test_time_that_has_not_come_is_in_no_bill(running: Path, minute: int, paid_usd: str, config: bool) -> None:
    """Also without settings, where pools are as the ledger knows them."""
    cost, group = so_far(running, minute, config=config)
    assert (cost.bill_usd, group.unbilled_count) == (Decimal(paid_usd), 0)


@pytest.mark.parametrize(("left", "paid_usd"), [(WITHOUT_B, "2"), (WITHOUT_A, "0")])
def test_nodes_that_were_just_taken_out_are_not_billed_to_the_hours_end(
    running: Path, left: str, paid_usd: str
) -> None:
    (running / "breakeven.yaml").write_text(left, encoding="utf-8")
    assert so_far(running, 30)[0].bill_usd == Decimal(paid_usd)


def test_pools_that_are_rented_no_more_are_not_billed_to_now(running: Path) -> None:
    """Neither one that settings dropped hours ago, nor any of a ledger that nobody writes any more."""
    store = running / "breakeven-data" / "ledger.sqlite"
    assert [terms.name for terms in rented_pools(store, FIRST + 10)] == ["llama"]
    assert rented_pools(store, FIRST + 11) == ()
    keep_pools(store, (replace(pool("a"), name="other"),), FIRST + 12)
    still = [terms.name for terms in rented_pools(store, FIRST + 12) if list(pool_hours(terms, FIRST + 13, FIRST + 12))]
    assert still == ["other"]
