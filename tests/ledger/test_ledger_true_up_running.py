"""A running worker counts what one that starts anew would: whatever came late, was corrected, or began meanwhile."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pooled import CLOSED, FIRST, KEYS, cards, fill, other, terms
from spooled import attempt, move, spool_of
from test_ledger_true_up import RULES, START, at_once, by_key, opened, snapshot

from breakeven.economics.pool_hours import HOUR_US, NodePrice
from breakeven.gateway.snapshot import StoredKeys
from breakeven.ledger.pools import keep_pools, kept_hours
from breakeven.ledger.query import Question, ask
from breakeven.ledger.used import true_up, true_up_by_day
from breakeven.limits.reserve import Limits
from breakeven.limits.rules import NANO, Rule
from breakeven.wiring import limits as limits_module
from breakeven.wiring import true_up as true_up_module
from breakeven.wiring.limits import all_rules, open_limits, rules_in_force, used_now
from breakeven.wiring.pools import SETTLE_S
from breakeven.wiring.true_up import ASK_S, WINDOWS, TrueUp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from breakeven.clock import Timer
    from breakeven.gateway.snapshot import Snapshot

OF_SEARCH, OF_TODAY = (Rule("key", "search", "usd", 1, window).counts for window in reversed(WINDOWS))
"""What the budgets of a key count: in a month, and in a day."""

PROVISIONAL = 110_000_000
"""What one attempt of ``put`` is charged until its hour closes, in billionths of a dollar."""

LLAMA = replace(terms(), nodes=terms().nodes[:1])


def put(folder: Path, number: int, minute: int, key: str = "search") -> None:
    """Put one attempt of a key into the ledger, whose request came so many minutes after the first hour began."""
    spool = spool_of(folder, worker=number)
    row = attempt(
        spool, number, key=key, model="fast", target="llama/a", priced_as="pool:llama", input_tokens=100_000,
        output_tokens=5_000,
    )  # fmt: skip
    spool.add(row._replace(received_us=FIRST * HOUR_US + minute * 60 * 10**6))
    spool.close()
    move(folder, cards())


class Running:
    """A worker that runs, as far as its budgets go."""

    def __init__(self, known: Snapshot, now_s: float) -> None:
        self.known = known
        self.true_up = TrueUp(at_once)
        used = used_now(known, StoredKeys(), now_s, self.true_up)
        self.limits = Limits(all_rules(known, StoredKeys()), now_s, used)

    def charge(self, nano: int, now_s: float) -> None:
        """Charge the key, as a request that ends."""
        for meter in self.limits._by_name["key", "search"]:
            meter.add(nano, now_s)

    def sweep(self, now_s: float) -> None:
        """Make good what has closed; meters were asked since."""
        for meter in self.limits._meters.values():
            meter.fits(0, now_s)
        self.limits.make_good(self.true_up(self.known, StoredKeys(), now_s), now_s)

    def take(self, known: Snapshot, now_s: float) -> None:
        """Take other settings."""
        self.known = known
        rules, used = rules_in_force(known, StoredKeys(), now_s, self.true_up)
        self.limits.put_rules(rules, now_s, used)

    def check(self, now_s: float) -> None:
        """Compare every budget with what a worker that starts anew begins with."""
        begun = used_now(self.known, StoredKeys(), now_s, TrueUp(at_once))
        found = {counts: meter.used for counts, meter in self.limits._meters.items()}
        assert found.keys() == begun.keys()
        assert all(abs(found[counts] - begun[counts]) <= 2 for counts in begun), (found, begun)


def settled_s(hour: int) -> float:
    return (FIRST + hour) * 3600 + SETTLE_S + 1


@pytest.fixture
def worker(tmp_path: Path) -> Running:
    """A worker that began with one attempt in the first hour, which has closed since."""
    put(tmp_path, 1, 10)
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (LLAMA,), FIRST)
    made = Running(replace(snapshot(store), rules=RULES[:2]), FIRST * 3600 + 700.0)
    keep_pools(store, (LLAMA,), FIRST + 1)
    made.sweep(settled_s(1))
    made.check(settled_s(1))
    return made


def test_an_attempt_that_ends_after_its_hour_has_closed_is_made_good_with_the_next(
    tmp_path: Path, worker: Running
) -> None:
    put(tmp_path, 2, 59)
    worker.charge(PROVISIONAL, settled_s(1) + 120)
    keep_pools(tmp_path / "ledger.sqlite", (LLAMA,), FIRST + 2)
    worker.sweep(settled_s(2))
    worker.check(settled_s(2))
    (used,) = {meter.used for meter in worker.limits._by_name["key", "search"]}
    assert used == 1_361_111_112


def test_one_of_the_evening_before_is_made_good_in_the_month(tmp_path: Path, worker: Running) -> None:
    store, midnight = tmp_path / "ledger.sqlite", 24 - FIRST % 24
    keep_pools(store, (LLAMA,), FIRST + midnight + 1)
    worker.sweep(settled_s(midnight + 1))
    put(tmp_path, 2, 60 * midnight - 1)
    (month,) = [meter for meter in worker.limits._by_name["key", "search"] if meter.rule.window == "month"]
    month.add(PROVISIONAL, settled_s(midnight + 1) + 60)
    keep_pools(store, (LLAMA,), FIRST + midnight + 2)
    worker.sweep(settled_s(midnight + 2))
    worker.check(settled_s(midnight + 2))


def test_a_price_that_is_corrected_reaches_running_budgets_with_the_next_hour(tmp_path: Path, worker: Running) -> None:
    store = tmp_path / "ledger.sqlite"
    for hour in range(2, 40):  # over midnight and beyond the hours that are looked at again anyhow
        keep_pools(store, (LLAMA,), FIRST + hour)
        worker.sweep(settled_s(hour))
    dearer = replace(LLAMA, prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(50)),))
    keep_pools(store, (dearer,), FIRST + 39)
    before = worker.limits._meters[OF_SEARCH].used
    worker.take(replace(worker.known, ledger=replace(worker.known.ledger, pools=(dearer,))), settled_s(39) + 1)
    keep_pools(store, (dearer,), FIRST + 40)
    worker.sweep(settled_s(40))
    worker.check(settled_s(40))
    assert worker.limits._meters[OF_SEARCH].used == pytest.approx(10 * before, abs=10)


def test_a_limit_that_begins_between_the_hour_and_the_sweep_is_made_good_once(tmp_path: Path, worker: Running) -> None:
    put(tmp_path, 3, 70)
    worker.charge(PROVISIONAL, settled_s(1) + 120)
    keep_pools(tmp_path / "ledger.sqlite", (LLAMA,), FIRST + 2)
    new = Rule("model", "fast", "usd", 1_000 * NANO, "day")
    worker.take(replace(worker.known, rules=(*worker.known.rules, new)), settled_s(2))
    begun = worker.limits._meters[new.counts].used
    worker.sweep(settled_s(2))
    assert worker.limits._meters[new.counts].used == begun
    worker.check(settled_s(2))


def test_a_limit_that_was_away_for_a_while_begins_with_what_the_ledger_has(tmp_path: Path, worker: Running) -> None:
    rules = worker.known.rules
    worker.take(replace(worker.known, rules=rules[:1]), settled_s(1))
    put(tmp_path, 2, 70)
    worker.charge(PROVISIONAL, settled_s(1) + 120)
    keep_pools(tmp_path / "ledger.sqlite", (LLAMA,), FIRST + 2)
    worker.sweep(settled_s(2))
    worker.take(replace(worker.known, rules=rules), settled_s(2) + 1)
    worker.check(settled_s(2) + 1)


@pytest.mark.parametrize("ahead", [5, 30], ids=["within the day", "into the next"])
def test_hours_close_as_before_when_a_clock_was_ahead_for_a_while(tmp_path: Path, worker: Running, ahead: int) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (LLAMA,), FIRST + ahead)
    worker.sweep(settled_s(ahead))
    for hour in (2, 3):
        put(tmp_path, hour, 60 * hour - 30)
        worker.charge(PROVISIONAL, settled_s(hour) - 1_000)
        keep_pools(store, (LLAMA,), FIRST + hour)
        worker.sweep(settled_s(hour))
    begun = used_now(worker.known, StoredKeys(), settled_s(3), TrueUp(at_once))
    assert abs(worker.limits._meters[OF_SEARCH].used - begun[OF_SEARCH]) <= 2
    used = worker.limits._meters[OF_TODAY].used
    if ahead == 5:
        assert used == begun[OF_TODAY]
    else:
        assert used == 2 * PROVISIONAL, "its window is the next day's by now, whose hours have yet to close"


def test_the_store_is_left_alone_where_nothing_can_have_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(tmp_path, 50)
    keep_pools(store, (terms(), other()), FIRST)
    known = snapshot(store)
    bare = replace(known, ledger=replace(known.ledger, pools=()))
    corrected, without = opened(known, FIRST * 3600 + 700.0), opened(bare, FIRST * 3600 + 700.0)
    looks = 0
    real = kept_hours

    def counted(path: Path) -> int:
        nonlocal looks
        looks += 1
        return real(path)

    monkeypatch.setattr(true_up_module, "kept_hours", counted)
    for second in range(100):
        assert without(bare, StoredKeys(), settled_s(9) + second) == {}
    assert looks == 0, "without a pool no hour is ever written down"
    for second in range(100):
        assert corrected(known, StoredKeys(), settled_s(9) + second) == {}
    assert looks == 100 / ASK_S, "hours are written down by and by"
    assert corrected(known, StoredKeys(), settled_s(8)) == {}
    assert looks == 100 / ASK_S + 1, "a clock that was set back does not stop it"


def test_settings_that_change_no_limit_do_not_read_the_store(worker: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(limits_module, "used_since")
    monkeypatch.delattr(true_up_module, "true_up_by_day")
    worker.take(replace(worker.known, rules=(*worker.known.rules, Rule("key", "a", "requests", 1, "minute"))), 0.0)
    worker.take(replace(worker.known, rules=tuple(rule._replace(amount=7) for rule in worker.known.rules)), 0.0)


def test_limits_that_are_opened_begin_with_what_was_used_whatever_was_in_force_before(worker: Running) -> None:
    class Clock:
        def now(self) -> float:
            return settled_s(1)

        monotonic = now

        def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
            raise NotImplementedError

    before = {counts: meter.used for counts, meter in worker.limits._meters.items()}
    anew = open_limits(worker.known, StoredKeys(), Clock(), worker.true_up)
    assert {counts: meter.used for counts, meter in anew._meters.items()} == before
    assert all(before.values())


def test_a_key_that_nobody_used_yet_costs_no_walk_and_is_made_good_from_then_on(
    tmp_path: Path, worker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Rule("key", "new", "usd", 1_000 * NANO, "month")
    with monkeypatch.context() as patched:
        patched.delattr(limits_module, "used_since")
        patched.delattr(true_up_module, "true_up_by_day")
        worker.take(replace(worker.known, rules=(*worker.known.rules, new)), settled_s(1))
    put(tmp_path, 2, 70, key="new")
    worker.limits._meters[new.counts].add(PROVISIONAL, settled_s(1) + 600)
    keep_pools(tmp_path / "ledger.sqlite", (LLAMA,), FIRST + 2)
    worker.sweep(settled_s(2))
    worker.check(settled_s(2))
    assert worker.limits._meters[new.counts].used > PROVISIONAL


def test_a_look_at_the_store_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(tmp_path, 100)
    keep_pools(store, (terms(), other()), FIRST + 9)
    known, may_go, looks = snapshot(store), threading.Event(), []
    corrected = TrueUp()
    used_now(replace(known, ledger=replace(known.ledger, store=f"{store}.none")), StoredKeys(), settled_s(1), corrected)
    real = kept_hours

    def slow(path: Path) -> int:
        looks.append(threading.current_thread())
        assert may_go.wait(10)
        return real(path)

    monkeypatch.setattr(true_up_module, "kept_hours", slow)
    for second in range(60):
        assert corrected(known, StoredKeys(), settled_s(9) + second) == {}
    assert len(looks) == 1
    assert looks[0] is not threading.main_thread()
    may_go.set()
    for _ in range(1_000):
        if found := corrected(known, StoredKeys(), settled_s(9) + 60):
            break
        time.sleep(0.01)
    assert found
    assert corrected(known, StoredKeys(), settled_s(9) + 120) == {}, "once"


def test_days_add_up_to_the_whole_by_whoever_is_asked_for(tmp_path: Path) -> None:
    store = fill(tmp_path)
    keep_pools(store, (terms(), other()), CLOSED)
    found = true_up_by_day(store, START, CLOSED, lambda by: (("key", by.key), ("all", "")))
    assert {day for day, _ in found} == {hour // 24 for hour in range(FIRST, CLOSED)}
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (_, whose), more_usd in found.items():
        sums[whose] += more_usd
    keys = by_key(true_up(store, START, CLOSED))
    assert {name: usd for (kind, name), usd in sums.items() if kind == "key"} == keys
    assert sums["all", ""] == sum(keys.values())


def test_hours_that_cost_nothing_are_made_good_too(tmp_path: Path) -> None:
    store = fill(tmp_path)
    free = terms(prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(0)),))
    keep_pools(store, (free, other()), CLOSED)
    charged = {
        total.labels[0] or "": total.cost_usd
        for total in ask(store, Question(by=("key",), since=START, where=(("pool", "llama"),)))
    }
    found = by_key(part for part in true_up(store, START, CLOSED) if part.target.startswith("llama/"))
    assert found == {key: -(charged[key] or Decimal(0)) for key in KEYS}


def test_what_is_to_be_made_good_takes_memory_by_whose_it_is_and_not_by_the_hour(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    for number in range(4_000):
        row = attempt(
            spool, number, key="search", model="fast", target="llama/a", tags=f"user=u{number % 100}",
            priced_as="pool:llama", input_tokens=100, output_tokens=50,
        )  # fmt: skip
        spool.add(row._replace(received_us=FIRST * HOUR_US + number // 100 * HOUR_US + number % 100))
    spool.close()
    move(tmp_path, cards())
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (terms(),), CLOSED)
    tracemalloc.start()
    found = true_up_by_day(store, START, CLOSED, lambda by: (by.key,))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {whose for _, whose in found} == {"search"}
    assert peak_bytes < 1 << 20, "2.6 KB for each of 4,000 hours of labels would be ten times that"
