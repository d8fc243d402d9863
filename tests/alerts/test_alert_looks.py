"""What alerts see in a ledger: budgets, idle pools, prices that changed, errors, unknown prices."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.ledger import rows
from breakeven.ledger.alert_facts import failed_since, new_prices
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.costs import Known
from breakeven.ledger.query import Question
from breakeven.limits.rules import Rule
from breakeven.wiring.alert_looks import Looks
from breakeven.wiring.alert_plan import AlertsPlan, Edges

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from pooled import CLOSED, FIRST, fill, list_of, other, terms
from spooled import attempt, move, spool_of

if TYPE_CHECKING:
    from breakeven.studies.alerts import Condition

HOUR_US = 3_600_000_000
EDGES = Edges(
    budget_fraction=0.8, day_usd="", month_usd="1000", below_fraction=0.2, back_fraction=0.3, use_hours=24,
    balance_days=7, balance_margin_fraction=0.05, least_price_fraction=0.01, objective_fraction=0.99,
    least_requests=100, drop_fraction=0.05, quality_days=7, quality_against_days=28, least_outcomes_count=50,
    unpriced_hours=24, waiting_bytes=1 << 22,
)  # fmt: skip


def plan_of(folder: Path, **said: Any) -> AlertsPlan:
    plain: dict[str, Any] = {
        "store": str(folder / "ledger.sqlite"), "folder": str(folder), "gateway": "gw", "every_s": 60.0, "off": (),
        "receivers": (), "edges": EDGES, "pools": (terms(), other()), "rules": (), "teams": {}, "providers": {},
    }  # fmt: skip
    return AlertsPlan(**(plain | said))


def look(plan: AlertsPlan, now_s: float) -> dict[tuple[str, str], Condition]:
    looks = Looks(plan)
    found = looks.look(now_s)
    assert not looks.trouble
    return {(item.kind, item.subject): item for items in found.values() for item in items}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("looks")
    fill(made)
    return made


def test_budgets_idle_pools_and_unknown_prices_are_seen(folder: Path) -> None:
    now_s = CLOSED * 3600 + 600.0
    rule = Rule("key", "search", "usd", 1, "month")
    found = look(plan_of(folder, rules=(rule,)), now_s)
    assert found["budget", "key search a month: used"].side == "bad"
    whole = found["budget", "everything a month: 80%"]
    costs = ask_costs(
        folder / "ledger.sqlite", Question(by=()), Known(closed_hours=CLOSED, declared=(terms(), other()))
    )
    paid = sum((group.marginal_usd for group in costs.groups), Decimal(0)) + sum(p.bill_usd for p in costs.pools)
    assert Decimal(str(whole.figures["used_usd"])) == paid
    assert found["utilisation", "tiny"].side == "bad"
    assert ("unknown_price", "tiny/n1") not in found, "a pool's bill is known without a price of tokens"
    assert found["unknown_price", "p:m"].side == "good"


def test_days_are_summed_up_once_an_hour_and_cheap_looks_every_time(folder: Path) -> None:
    looks, now_s = Looks(plan_of(folder)), CLOSED * 3600 + 600.0
    assert {"utilisation", "break_even", "quality"} <= looks.look(now_s).keys()
    assert looks.look(now_s + 60).keys() == {"spooling", "errors", "budget", "unknown_price"}
    assert "utilisation" in looks.look(now_s + 3600)
    assert "quality" not in looks.look(now_s + 3660)


def test_a_kind_that_is_off_is_not_looked_at(folder: Path) -> None:
    assert "budget" not in Looks(plan_of(folder, off=("budget",))).look(CLOSED * 3600 + 600.0)


def test_a_ledger_that_is_not_there_yet_has_nothing_to_tell(tmp_path: Path) -> None:
    assert {kind for kind, _ in look(plan_of(tmp_path), 1.8e9)} <= {"spooling"}


def write(folder: Path, hours: dict[int, list[dict[str, Any]]], schedule: CardSchedule) -> Path:
    spool = spool_of(folder)
    number = 0
    for hour, many in hours.items():
        for said in many:
            number += 1
            row = attempt(spool, number + hour * 10_000, model="m", target="api", priced_as="p:m", **said)
            spool.add(row._replace(received_us=(FIRST + hour) * HOUR_US + number))
    assert spool.flush()
    spool.close()
    move(folder, schedule)
    return folder / "ledger.sqlite"


def test_requests_that_nobody_answered_are_counted_and_wrong_ones_are_not(tmp_path: Path) -> None:
    many: list[dict[str, Any]] = (
        [{}] * 5 + [{"outcome": rows.FAILED, "status": 503}] * 3 + [{"outcome": rows.FAILED, "status": 400}] * 2
    )
    many += [{"outcome": rows.FAILED, "status": 429}, {"outcome": rows.FAILED, "decision": "shadow", "status": 500}]
    store = write(tmp_path, {0: many, -3: [{"outcome": rows.FAILED, "status": 0}]}, CardSchedule())
    assert failed_since(store, FIRST) == {"m": (11, 4)}
    assert failed_since(store, FIRST - 3) == {"m": (12, 5)}


def test_a_price_that_nobody_paid_in_the_week_before_is_new(tmp_path: Path) -> None:
    store = write(tmp_path, {hour: [{}] for hour in (-50, -40)}, CardSchedule([list_of("p", "m", "1", "2")]))
    assert new_prices(store, FIRST) == ()
    write(tmp_path, {-5: [{}], -4: [{}]}, CardSchedule([list_of("p", "m", "1", "3")]))
    (found,) = new_prices(store, FIRST)
    assert (found.priced_as, found.processing) == ("p:m", "standard")
    each = 100 * Decimal(1), 10
    assert (found.before_usd, found.after_usd) == tuple(2 * (each[0] + each[1] * p) / 1_000_000 for p in (2, 3))
    assert new_prices(store, FIRST + 24) == ()
