"""Corrected prices: history changes through one command, which says what, and by nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from closed import AFTER_ALL, DAYS, FIRST_DAY, cards, fill, price_list, sum_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spooled import START_US, ask, move, write

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.close import close_days
from breakeven.ledger.export import attempts
from breakeven.ledger.prune import prune
from breakeven.ledger.query import Question
from breakeven.ledger.query import ask as question
from breakeven.ledger.reprice import Change, Span, reprice
from breakeven.ledger.rollups import DAY_US

if TYPE_CHECKING:
    from pathlib import Path

NEW = CardSchedule([price_list("0.30", "1.20")])
TOTALS = (Question(by=("day", "key")), Question(by=("hour",)), Question(by=("priced_as", "outcome")))


@pytest.fixture(params=[0, 3, DAYS], ids=["all in the store", "three days closed", "all closed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    store = fill(tmp_path)
    sum_up(store, FIRST_DAY + request.param)
    close_days(store, FIRST_DAY + request.param)
    return store


def cost(store: Path, **chosen: str) -> Decimal:
    """Add the cost of exported rows up."""
    return sum(
        (row.cost_usd or Decimal(0) for row in attempts(store) if all(getattr(row, n) == v for n, v in chosen.items())),
        Decimal(0),
    )


def check(store: Path) -> None:
    """Compare every sum with the rows."""
    whole = cost(store)
    for asked in TOTALS:
        found = question(store, asked)
        assert sum((total.cost_usd or Decimal(0) for total in found), Decimal(0)) == whole
        assert sum(total.attempt_count for total in found) == len(list(attempts(store)))
        assert all(total.attempt_count > 0 for total in found)


def test_the_same_prices_change_nothing(store: Path) -> None:
    before = list(attempts(store))
    done = reprice(store, cards(), Span())
    assert (done.changes, done.day_count, done.lost_day_count) == ({}, 0, 0)
    assert list(attempts(store)) == before


def test_a_corrected_price_changes_rows_and_sums_alike_and_says_by_how_much(store: Path) -> None:
    before, rows = cost(store), list(attempts(store))
    would = reprice(store, NEW, Span(), dry_run=True)
    assert list(attempts(store)) == rows
    done = reprice(store, NEW, Span())
    assert done == would
    change = done.changes["main", "p:m"]
    assert (change.before_usd, change.after_usd) == (before, cost(store))
    assert before < cost(store)
    assert change.attempt_count == sum(row.priced_as == "p:m" for row in rows)
    assert done.day_count == DAYS
    check(store)
    assert reprice(store, NEW, Span()).attempt_count == 0
    reprice(store, cards(), Span())
    assert list(attempts(store)) == rows, "and back"


def test_a_price_that_was_missing_makes_rows_priced_and_one_that_is_gone_makes_them_unpriced(store: Path) -> None:
    unpriced = sum(row.cost_usd is None for row in attempts(store))
    other = PriceList(provider="q", model="unknown", source="made up", entries=price_list("1").entries)
    known = CardSchedule([price_list("0.15"), other])
    done = reprice(store, known, Span())
    assert list(done.changes) == [("main", "q:unknown")]
    change = done.changes["main", "q:unknown"]
    assert (change.unpriced_before_count, change.unpriced_after_count, change.before_usd) == (unpriced, 0, Decimal(0))
    assert change.after_usd == cost(store, priced_as="q:unknown") > 0
    check(store)
    gone = reprice(store, CardSchedule([price_list("0.15")]), Span(target="q:unknown"))
    assert gone.changes["main", "q:unknown"] == Change(
        attempt_count=unpriced, before_usd=change.after_usd, unpriced_after_count=unpriced
    )
    check(store)


def test_what_a_pool_was_charged_provisionally_stays_where_nobody_says_the_pools_prices(tmp_path: Path) -> None:
    said = {"priced_as": "pool:llama", "target": "llama/a", "input_tokens": 1_000, "output_tokens": 100, "status": 200}
    write(tmp_path, [said, {**said, "priced_as": "p:m", "target": "main"}])
    pool = PriceList(provider="pool", model="llama", source="made up", entries=price_list("1").entries)
    move(tmp_path, CardSchedule([price_list("0.15"), pool]))
    before = cost(tmp_path / "ledger.sqlite", priced_as="pool:llama")
    assert before > 0
    done = reprice(tmp_path / "ledger.sqlite", NEW, Span())
    assert list(done.changes) == [("main", "p:m")]
    assert cost(tmp_path / "ledger.sqlite", priced_as="pool:llama") == before
    dearer = PriceList(provider="pool", model="llama", source="made up", entries=price_list("2").entries)
    done = reprice(tmp_path / "ledger.sqlite", CardSchedule([dearer]), Span(target="pool:llama"))
    assert list(done.changes) == [("llama/a", "pool:llama")], "a list that is known holds"


def fill_with_replays(folder: Path, days: int) -> Path:
    """Write one answer on the first day, and three times again; and on the second day once again alone."""
    said = {"priced_as": "p:m", "target": "main", "input_tokens": 1_000, "output_tokens": 100, "status": 200}
    second = START_US + DAY_US
    again = {**said, "outcome": rows.CACHED}
    write(folder, [said, dict(again), dict(again), dict(again), {**again, "number": 9, "received_us": second}])
    move(folder, cards())
    store = folder / "ledger.sqlite"
    sum_up(store, FIRST_DAY + days)
    close_days(store, FIRST_DAY + days)
    return store


@pytest.mark.parametrize("closed_days", [0, 1, 2])
def test_an_answer_that_was_given_again_costs_nothing_and_what_it_avoided_is_told_anew(
    tmp_path: Path, closed_days: int
) -> None:
    store = fill_with_replays(tmp_path, closed_days)
    (old,) = question(store, Question())
    done = reprice(store, NEW, Span())
    (new,) = question(store, Question())
    assert done.changes["main", "p:m"] == Change(
        attempt_count=1, cached_count=4, before_usd=Decimal("0.00021"), after_usd=Decimal("0.00042")
    )
    assert (done.attempt_count, done.cached_count, done.day_count) == (1, 4, 2)
    assert (old.cost_usd, old.avoided_usd) == (Decimal("0.00021"), Decimal("0.00084"))
    assert (new.cost_usd, new.avoided_usd) == (Decimal("0.00042"), Decimal("0.00168"))
    gone = reprice(store, CardSchedule([]), Span()).changes["main", "p:m"]
    assert gone == Change(attempt_count=1, cached_count=4, before_usd=Decimal("0.00042"), unpriced_after_count=1)
    (unpriced,) = question(store, Question())
    assert (unpriced.cost_usd, unpriced.avoided_usd) == (None, Decimal(0))


def test_only_rows_of_the_span_and_the_target_are_touched(store: Path) -> None:
    before = {(row.request_id, row.attempt): row for row in attempts(store)}
    since_us, until_us = (FIRST_DAY + 1) * DAY_US + DAY_US // 3, (FIRST_DAY + 3) * DAY_US + DAY_US // 2
    assert reprice(store, NEW, Span(target="nobody")).changes == {}
    reprice(store, NEW, Span(since_us=since_us, until_us=until_us, target="main"))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    changed = 0
    for row in attempts(store):
        old = before[row.request_id, row.attempt]
        inside = since_us <= (row.time - epoch) // timedelta(microseconds=1) < until_us and row.priced_as == "p:m"
        assert (row.rate_card != old.rate_card) == inside
        assert row._replace(rate_card=old.rate_card, cost_usd=old.cost_usd) == old
        changed += inside
    assert changed > 50
    check(store)


def test_days_whose_rows_are_gone_keep_their_sums_and_are_told(store: Path) -> None:
    prune(store, FIRST_DAY + 2)
    old = question(store, Question(until=datetime(2026, 11, 4, tzinfo=UTC)))
    done = reprice(store, NEW, Span())
    assert (done.day_count, done.lost_day_count) == (DAYS - 2, 2)
    assert question(store, Question(until=datetime(2026, 11, 4, tzinfo=UTC))) == old


def test_nothing_but_this_changes_history(store: Path) -> None:
    before = list(attempts(store))
    write(store.parent, [{"number": 9_000, "priced_as": "p:m"}])
    move(store.parent, NEW)
    close_days(store, AFTER_ALL)
    found = {(row.request_id, row.attempt): row for row in attempts(store)}
    assert [found[row.request_id, row.attempt] for row in before] == before
    assert ask(store.parent, "SELECT count(*) FROM rate_card") == [(2,)]


entries = st.builds(
    lambda usd, starts, hours: PriceEntry(
        prices=TokenPrices(input=TokenPrice(usd_per_mtok=usd), output=TokenPrice(usd_per_mtok=usd * 3)),
        starts_on=starts, daily_from=hours and time(hours), daily_until=hours and time(hours - 1, 30),
    ),
    st.decimals(0, 20, places=3),
    st.sampled_from([None, None, date(2026, 11, 3), date(2026, 11, 5)]),
    st.sampled_from([None, None, 6, 18]),
)  # fmt: skip
lists = st.lists(entries, min_size=1, max_size=3).map(
    lambda some: CardSchedule([PriceList(provider="p", model="m", entries=tuple(some), source="made up")])
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists, st.integers(0, DAYS))
def test_repriced_rows_are_as_if_they_had_come_at_these_prices(
    tmp_path_factory: pytest.TempPathFactory, prices: CardSchedule, closed: int
) -> None:
    folder, fresh = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("fresh")
    store = fill(folder, per_day=30)
    sum_up(store, FIRST_DAY + closed)
    close_days(store, FIRST_DAY + closed)
    reprice(store, prices, Span())
    expected = fill(fresh, per_day=30, schedule=prices)
    assert list(attempts(store)) == list(attempts(expected))
    for asked in TOTALS:
        assert question(store, asked) == question(expected, asked)
