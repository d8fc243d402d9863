"""Budgets are charged a provisional rate, and what the hour allocates once it has closed."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pooled import CLOSED, FIRST, HOURS, KEYS, fill, other, terms

from breakeven.gateway.snapshot import Key, LedgerPlan, Snapshot, StoredKeys
from breakeven.gateway.snapshot import Limits as Bounds
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.export import attempts
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.query import Question, ask
from breakeven.ledger.used import true_up, used_since
from breakeven.limits.reserve import Limits, Reservation
from breakeven.limits.rules import NANO, Rule, Scope, Window, nano_usd
from breakeven.wiring.limits import all_rules, rules_in_force, used_now
from breakeven.wiring.pools import SETTLE_S
from breakeven.wiring.true_up import ASK_S, TrueUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from breakeven.ledger.used import Used

START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=FIRST)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = fill(tmp_path_factory.mktemp("true-up"))
    keep_pools(made, (terms(), other()), CLOSED)
    return made


def by_key(parts: Iterable[Used]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        sums[part.key] += part.cost_usd
    return dict(sums)


def test_used_of_closed_hours_is_what_they_allocate_and_of_open_ones_the_provisional_price(store: Path) -> None:
    for closed in (FIRST, FIRST + 7, FIRST + 31, CLOSED):
        known = Known(closed_hours=closed)
        allocated: dict[str, Decimal] = defaultdict(Decimal)
        if closed > FIRST:
            for group in ask_costs(store, Question(by=("key",), since=START), known).groups:
                allocated[group.labels[0] or ""] += group.allocated_usd
        if closed < CLOSED:
            for total in ask(store, Question(by=("key",), since=START + timedelta(hours=closed - FIRST))):
                allocated[total.labels[0] or ""] += total.cost_usd or 0
        assert by_key(used_since(store, START, closed)) == allocated


def test_counts_of_requests_and_tokens_stay_as_they_were(store: Path) -> None:
    for field in ("ended_requests", "used_tokens"):
        before = sum(getattr(part, field) for part in used_since(store, START))
        assert sum(getattr(part, field) for part in used_since(store, START, CLOSED)) == before


def test_corrections_of_some_hours_follow_those_of_the_hours_before(store: Path) -> None:
    whole = by_key(true_up(store, START, CLOSED))
    parts: dict[str, Decimal] = defaultdict(Decimal)
    for hour in range(0, HOURS, 12):
        since, closed = START + timedelta(hours=hour), FIRST + hour + 12
        for key, more_usd in by_key(true_up(store, since, closed)).items():
            parts[key] += more_usd
    assert parts == whole
    assert set(whole) == set(KEYS)


def test_nothing_is_made_good_without_hours_bills_or_weights(store: Path, tmp_path: Path) -> None:
    assert true_up(store, START + timedelta(hours=HOURS), CLOSED) == ()
    assert true_up(tmp_path / "none.sqlite", START, CLOSED) == ()
    bare = fill(tmp_path)
    assert true_up(bare, START, CLOSED) == ()
    keep_pools(bare, (terms(gpu_time=None),), CLOSED)
    assert true_up(bare, START, CLOSED) == ()
    keep_pools(bare, (terms(prices=()),), CLOSED)
    assert true_up(bare, START, CLOSED) == ()
    keep_pools(bare, (terms(),), CLOSED)
    assert true_up(bare, START, CLOSED) != ()


def at_once(look: Callable[[], None]) -> None:
    """Look at the store where it is asked for, and not in a thread."""
    look()


def opened(known: Snapshot, now_s: float) -> TrueUp:
    """Return what a worker asks that began at a moment."""
    corrected = TrueUp(at_once)
    used_now(known, StoredKeys(), now_s, corrected)
    return corrected


def snapshot(store: Path, workers: int = 1) -> Snapshot:
    """Return what a worker knows, as far as its limits need it."""
    keys = (Key(name="search", sha256="a", team="web"), Key(name="chat", sha256="b", team="web"))
    bounds = Bounds(header_bytes=1, body_bytes=1, header_s=1, body_s=1, idle_s=1, max_connections=1, drain_s=1)
    plan = LedgerPlan(
        folder=str(store.parent), store=str(store), drop_when_full=False, waiting_rows=1, keep_days=None, fresh=False,
        pools=(terms(), other()),
    )  # fmt: skip
    return Snapshot(
        host="127.0.0.1", port=1, workers=workers, targets=(), routes=(), keys=keys, open_to_all=False, limits=bounds,
        ledger=plan, price_lists=(), rules=RULES,
    )  # fmt: skip


OWNERS: tuple[tuple[Scope, str], ...] = (("key", "search"), ("team", "web"), ("target", "llama/a"))
WINDOWS: tuple[Window, ...] = ("day", "month")
RULES = tuple(Rule(scope, name, "usd", 1_000 * NANO, window) for scope, name in OWNERS for window in WINDOWS)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_running_worker_ends_where_one_that_starts_anew_would_begin(tmp_path: Path, workers: int) -> None:
    store = fill(tmp_path)
    keep_pools(store, (terms(), other()), FIRST + 18)
    known = snapshot(store, workers)
    opened_s = (FIRST + 18) * 3600 + SETTLE_S + 1
    corrected = TrueUp(at_once)
    running = Limits(all_rules(known, StoredKeys()), opened_s, used_now(known, StoredKeys(), opened_s, corrected))
    assert corrected(known, StoredKeys(), opened_s + 60) == {}, "no hour has closed since"
    for hour in range(FIRST + 19, FIRST + 40):
        now_s = hour * 3600 + SETTLE_S + 1
        assert corrected(known, StoredKeys(), now_s) == {}, "not before the hour is written down"
        if hour % 3 == 0 or hour == FIRST + 39:
            keep_pools(store, (terms(), other()), hour)
            now_s += ASK_S
            running.make_good(corrected(known, StoredKeys(), now_s), now_s)
    begun = used_now(known, StoredKeys(), now_s, TrueUp(at_once))
    for owner in OWNERS:
        # The fill counted nothing for the days that began since: only the month's counter had all of it.
        (meter,) = [meter for meter in running._by_name[owner] if meter.rule.window == "month"]
        assert abs(meter.used - begun[(*owner, "usd", "month")]) <= 2
    month = used_since(store, START.replace(day=1, hour=0), FIRST + 39)
    whole = sum((part.cost_usd for part in month if part.key == "search"), Decimal(0))
    assert abs(Decimal(begun["key", "search", "usd", "month"] * workers) - whole * NANO) <= workers


def test_a_worker_that_reserved_and_settled_at_the_provisional_price_ends_at_what_was_allocated(tmp_path: Path) -> None:
    store = fill(tmp_path)
    keep_pools(store, (terms(), other()), FIRST)
    known = snapshot(store)
    now_s = FIRST * 3600 + 1.0
    running = Limits(RULES, now_s, {})
    corrected = opened(known, now_s)
    for row in attempts(store):
        subject = running.subject(row.key or "", "web" if row.key else "", "", "")
        if subject and row.time < START + timedelta(hours=6) and row.outcome != "cached":
            held = running.reserve(subject, 10_000, 10**6, now_s)
            assert isinstance(held, Reservation)
            running.settle(held, row.input_tokens + row.output_tokens, nano_usd(row.cost_usd or Decimal(0)))
    keep_pools(store, (terms(), other()), FIRST + 6)
    now_s = (FIRST + 6) * 3600 + SETTLE_S + 1
    running.make_good(corrected(known, StoredKeys(), now_s), now_s)
    asked = Question(by=("key",), since=START, until=START + timedelta(hours=6))
    costs = ask_costs(store, asked, Known(closed_hours=FIRST + 6))
    allocated = {group.labels[0]: group.allocated_usd for group in costs.groups}
    for meter in running._by_name["key", "search"]:
        assert abs(meter.used - allocated["search"] * NANO) <= 200, "each price was rounded up to a billionth"


def test_hours_before_the_present_day_change_no_daily_budget(tmp_path: Path) -> None:
    store = fill(tmp_path)
    midnight = -(-FIRST // 24) * 24
    keep_pools(store, (terms(), other()), midnight - 1)
    begins_s = (midnight - 1) * 3600 + SETTLE_S
    first, second = opened(snapshot(store), begins_s), opened(snapshot(store), begins_s)
    keep_pools(store, (terms(), other()), midnight)
    found = first(snapshot(store), StoredKeys(), midnight * 3600 + SETTLE_S + 1)
    assert {window for *_, window in found} == {"month"}
    keep_pools(store, (terms(), other()), midnight + 1)
    found = second(snapshot(store), StoredKeys(), (midnight + 1) * 3600 + SETTLE_S + 1)
    assert {window for *_, window in found} == {"day", "month"}


def test_a_store_that_is_away_is_asked_again(tmp_path: Path) -> None:
    store = fill(tmp_path / "here")
    keep_pools(store, (terms(), other()), FIRST + 3)
    corrected = opened(snapshot(store), (FIRST + 3) * 3600 + SETTLE_S)
    keep_pools(store, (terms(), other()), FIRST + 9)
    now_s = (FIRST + 9) * 3600 + SETTLE_S
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, and longer than a header" * 100)
    assert corrected(snapshot(tmp_path / "ledger.sqlite"), StoredKeys(), now_s) == {}
    assert corrected(snapshot(store), StoredKeys(), now_s + ASK_S / 2) == {}, "not at once"
    assert corrected(snapshot(store), StoredKeys(), now_s + ASK_S) != {}
    assert corrected(snapshot(store), StoredKeys(), now_s + 2 * ASK_S) == {}, "once"
    away = snapshot(tmp_path / "none" / "ledger.sqlite")
    assert opened(away, now_s)(away, StoredKeys(), now_s) == {}


def test_a_worker_takes_budgets_without_the_store_and_makes_good_what_closes_once_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "ledger.sqlite"
    store.write_bytes(b"no database at all, and longer than a header" * 100)
    known, corrected = snapshot(store), TrueUp(at_once)
    now_s = (FIRST + 9) * 3600 + SETTLE_S
    rules_in_force(known, StoredKeys(), now_s, corrected)
    for ago_s in (3 * ASK_S, 2 * ASK_S):
        assert corrected(known, StoredKeys(), now_s - ago_s) == {}
        assert caplog.text.count("can be read") == 1, "once"
    store.unlink()
    keep_pools(fill(tmp_path), (terms(), other()), FIRST + 9)
    assert corrected(known, StoredKeys(), now_s) == {}, "nothing of what closed before was counted"
    keep_pools(store, (terms(), other()), FIRST + 18)
    assert corrected(known, StoredKeys(), (FIRST + 18) * 3600 + SETTLE_S) != {}


def test_a_running_worker_takes_new_rules_without_the_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "ledger.sqlite"
    store.write_bytes(b"no database at all, and longer than a header" * 100)
    assert rules_in_force(snapshot(store), StoredKeys(), FIRST * 3600.0, TrueUp(at_once)) == (RULES, {})
    assert "begin with nothing used" in caplog.text
