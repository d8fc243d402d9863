"""How far break-even is and what the month comes to: by hand where it can be, by coverage where it cannot."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from proven import BEGIN_US, BEGINS, DAY_US, FIXED_USD_PER_HOUR, NODE_USD_PER_HOUR, pool, put
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.economics.forecast import DailyPrior
from breakeven.errors import BreakevenError
from breakeven.ledger.pools import keep_pools
from breakeven.quantities import DAYS_PER_MONTH, Interval
from breakeven.reports.outlook import outlook_document, outlook_json, pool_sentence
from breakeven.studies.proof.outlook import (
    Chance,
    MonthFacts,
    Payments,
    PoolDay,
    PoolFacts,
    month_bills,
    pool_outlook,
)
from breakeven.wiring.proof_outlook import ALL_API, AS_IS, OutlookQuestion, outlook

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.proof.outlook import Outlook
    from breakeven.wiring.ledger import LedgerPlace

PRIOR = DailyPrior(day_spread_ratio=0.15, growth_per_month_fraction=Interval(low=-0.04, likely=0.0, high=0.08))
CHANCE = Chance(prior=PRIOR, utilisation_fraction=0.6, count=300)
FIRST = date(2026, 10, 1)
TODAY = date(2026, 11, 10)
MONTH_ENDS = date(2026, 12, 1)


def facts(volumes: list[float], **said: Any) -> PoolFacts:
    """A pool of one node at 2 dollars an hour and 1 fixed, its tokens at 10 dollars the million at the API."""
    days = tuple(
        PoolDay(
            day=FIRST + timedelta(days=n),
            served_mtok=volume,
            watched_mtok=1.5 * volume,
            would_usd=10 * volume,
            node_seconds=400.0 * volume,
        )
        for n, volume in enumerate(volumes)
    )
    plain: dict[str, Any] = {
        "name": "llama",
        "is_virtual": False,
        "nodes_count": 1,
        "node_usd_per_hour": 2.0,
        "fixed_usd_per_hour": 1.0,
        "further_node_usd_per_hour": 0.5,
        "days": days,
    }
    return PoolFacts(**(plain | said))


def test_a_pool_needs_its_bill_over_the_price_of_a_token() -> None:
    found = pool_outlook(facts([5.0] * 28), CHANCE)
    assert found.pool_usd_per_month == pytest.approx(730 * 3)
    assert found.api_usd_per_mtok == pytest.approx(10)
    assert found.needed_mtok_per_month is not None
    assert found.needed_mtok_per_month.likely == pytest.approx(219)
    assert found.seen_mtok_per_month == pytest.approx(5 * DAYS_PER_MONTH)
    assert found.capacity_mtok_per_month == pytest.approx(730 * 3600 * 0.6 / 400)
    assert found.saved_usd_per_month == pytest.approx(50 * DAYS_PER_MONTH - 2190)
    assert (found.is_reached, found.reached_fraction) == (False, 0.0)


def test_a_pool_whose_volume_is_above_has_passed_break_even() -> None:
    found = pool_outlook(facts([9.0] * 28), CHANCE)
    assert (found.is_reached, found.reached_fraction) == (True, 1.0)
    assert found.crossing is not None
    assert found.crossing.likely == FIRST + timedelta(days=27)
    assert "Break-even is passed" in pool_sentence(found)


def test_growing_traffic_reaches_it_later_the_slower_it_grows() -> None:
    def likely(growth: float) -> date | None:
        volumes = [5.0 * (1 + growth) ** (n * 12 / 365) for n in range(60)]
        crossing = pool_outlook(facts(volumes), CHANCE).crossing
        assert crossing is not None
        return crossing.likely

    fast, slow = likely(0.25), likely(0.15)
    assert fast is not None
    # 5 a day grows to 7.2 in a month and two thirds at 25 % a month; 60 days were seen.
    assert FIRST + timedelta(days=50) < fast < FIRST + timedelta(days=90)
    assert slow is None or slow > fast


def test_how_a_pool_was_taken_up_is_no_trend() -> None:
    taken_up = pool_outlook(facts([0.0] * 10 + [0.1] + [5.0] * 17), CHANCE)
    assert taken_up.trend_per_month == pytest.approx(0)


def test_a_virtual_pool_is_judged_by_all_that_it_watches() -> None:
    found = pool_outlook(facts([5.0] * 28, is_virtual=True), CHANCE)
    assert found.seen_mtok_per_month == pytest.approx(1.5 * 5 * DAYS_PER_MONTH)
    assert found.is_reached, "7.5 a day is more than the 7.2 that are needed"


def test_where_a_node_serves_less_than_it_costs_no_volume_is_said() -> None:
    found = pool_outlook(facts([0.1] * 28, node_usd_per_hour=60.0), CHANCE)
    assert found.needed_mtok_per_month is None
    assert found.crossing is None
    assert "No volume pays" in pool_sentence(found)


def test_without_node_time_capacity_is_not_known_and_said() -> None:
    plain = facts([5.0] * 28)
    days = tuple(PoolDay(day=d.day, served_mtok=5, watched_mtok=5, would_usd=50, node_seconds=None) for d in plain.days)
    found = pool_outlook(facts([], days=days), CHANCE)
    assert found.capacity_mtok_per_month is None
    assert found.needed_mtok_per_month is not None
    assert found.needed_mtok_per_month.likely == pytest.approx(219)
    assert "not known" in found.note


@pytest.mark.parametrize("volumes", [[], [0.0] * 5])
def test_a_pool_that_served_nothing_says_so(volumes: list[float]) -> None:
    found = pool_outlook(facts(volumes), CHANCE)
    assert found.needed_mtok_per_month is None
    assert found.saved_usd_per_month is None
    assert found.note


def month(daily: list[float], *, scheduled_usd: float = 0.0, **said: Any) -> MonthFacts:
    ways = [
        Payments(id="a", title="a", daily_usd=tuple(daily), so_far_usd=sum(daily[-9:]), scheduled_usd=scheduled_usd)
    ]
    plain: dict[str, Any] = {"today": TODAY, "ends": MONTH_ENDS, "payments": tuple(ways)}
    return MonthFacts(**(plain | said))


def test_a_steady_month_ends_where_it_goes() -> None:
    (found,) = month_bills(month([100.0] * 40, scheduled_usd=500.0), CHANCE)
    assert found.bill.likely_usd == pytest.approx(9 * 100 + 21 * 100 + 500, rel=0.03)
    assert found.bill.low_95_usd < found.bill.low_80_usd < found.bill.high_80_usd < found.bill.high_95_usd


def test_what_is_rented_alone_is_certain() -> None:
    (found,) = month_bills(month([0.0] * 40, scheduled_usd=500.0, budget_usd=499.0), CHANCE)
    assert (found.bill.low_95_usd, found.bill.high_95_usd, found.over_budget_fraction) == (500, 500, 1.0)


def test_on_the_last_day_nothing_is_in_doubt() -> None:
    (found,) = month_bills(month([100.0] * 40, today=MONTH_ENDS), CHANCE)
    assert found.bill.low_95_usd == found.bill.high_95_usd == 900


def test_the_chance_of_passing_a_budget_falls_with_the_budget() -> None:
    daily = [100.0 * (1 + 0.2 * (n % 3 - 1)) for n in range(40)]
    chances = [month_bills(month(daily, budget_usd=usd), CHANCE)[0].over_budget_fraction for usd in (2000, 3000, 6000)]
    assert chances[0] is not None
    assert chances[2] is not None
    assert (chances[0] > 0.9, chances[2] < 0.1) == (True, True)


def test_without_a_whole_day_there_is_no_forecast() -> None:
    assert month_bills(month([]), CHANCE) == ()


def test_intervals_hold_as_often_as_they_say() -> None:
    """80 months of log-normal days that resemble the day before, with a week: 80 and 95 % within chance, or above."""
    generator = np.random.default_rng(5)
    held_80 = held_95 = 0
    months = 80
    for number in range(months):
        residual = np.zeros(58)
        for day in range(1, 58):
            residual[day] = 0.7 * residual[day - 1] + generator.normal(0, 0.12)
        week = 0.1 * np.sin(np.arange(58) * 2 * np.pi / 7)
        days = 100 * np.exp(residual + week)
        known = days[:37]
        (found,) = month_bills(
            month(known.tolist(), today=TODAY), Chance(prior=PRIOR, utilisation_fraction=0.6, count=300, seed=number)
        )
        truth = known[-9:].sum() + days[37:].sum()
        held_80 += found.bill.low_80_usd <= truth <= found.bill.high_80_usd
        held_95 += found.bill.low_95_usd <= truth <= found.bill.high_95_usd
    assert held_80 >= 0.80 * months - 2 * (0.8 * 0.2 * months) ** 0.5
    assert held_95 >= 0.95 * months - 2.5 * (0.95 * 0.05 * months) ** 0.5


NOW_S = BEGINS.timestamp() + 20 * 86_400 + 1800


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> LedgerPlace:
    """Twenty days at 12 requests a day, half of them served by a pool from the second noon on."""
    requests = [
        {
            "at_us": BEGIN_US + day * DAY_US + n * DAY_US // 12, "model": "fast",
            "target": "llama/a" if day > 1 and n % 2 else "big-api",
            "priced_as": "pool:llama" if day > 1 and n % 2 else "openai:big",
            "input_tokens": 1_000_000 + 1000 * n, "cached_input_tokens": 0, "output_tokens": 100_000,
        }
        for day in range(20)
        for n in range(12)
    ]  # fmt: skip
    found = put(tmp_path_factory.mktemp("outlook"), requests)
    keep_pools(found.store, [pool()], int(NOW_S - 120) // 3600)
    return found


@pytest.fixture(scope="module")
def found(place: LedgerPlace) -> Outlook:
    return outlook(place, None, OutlookQuestion(budget_usd=Decimal(2000)), NOW_S)


def test_the_month_is_told_from_the_ledger(found: Outlook) -> None:
    assert (found.today, found.month_ends, found.left_days, found.known_days) == (
        date(2026, 11, 22), date(2026, 12, 1), 9, 20,
    )  # fmt: skip
    as_is, api = found.bills
    assert (as_is.id, api.id) == (AS_IS, ALL_API)
    hours = 9 * 24
    assert as_is.scheduled_usd == pytest.approx(float(hours * (NODE_USD_PER_HOUR + FIXED_USD_PER_HOUR)))
    assert api.scheduled_usd == 0
    day_usd = (12 * 1_000_000 + 1000 * 66) * 2.5e-6 + 12 * 100_000 * 10e-6
    assert api.so_far_usd == pytest.approx(20 * day_usd)
    assert api.bill.likely_usd == pytest.approx(29 * day_usd, rel=0.05)
    assert as_is.bill.likely_usd == pytest.approx(as_is.so_far_usd + as_is.scheduled_usd + 9 * day_usd / 2, rel=0.1)
    assert as_is.bill.spread_80_ratio < api.bill.spread_80_ratio, "half of it is rented by the hour"
    assert (as_is.over_budget_fraction, api.over_budget_fraction) == (1.0, 0.0)


def test_the_pools_break_even_is_told_from_the_ledger(found: Outlook) -> None:
    (told,) = found.pools
    assert (told.name, told.is_virtual, told.nodes_count, told.days_count) == ("llama", False, 1, 18)
    mtok = 6 * 1.1 + 0.036
    usd = 6 * (2.5 + 1.0) + 0.036 * 2.5
    assert told.api_usd_per_mtok == pytest.approx(usd / mtok)
    assert told.seen_mtok_per_month == pytest.approx(mtok * DAYS_PER_MONTH)
    assert told.watched_mtok_per_month == pytest.approx((12 * 1.1 + 0.066) * DAYS_PER_MONTH)
    monthly = 730 * float(NODE_USD_PER_HOUR + FIXED_USD_PER_HOUR)
    assert told.needed_mtok_per_month is not None
    assert told.needed_mtok_per_month.likely == pytest.approx(monthly / (usd / mtok), rel=1e-6)
    # 6 requests: 1 Mtok of input at 40 us, 0.1 of output at 900 us a token.
    assert told.capacity_mtok_per_month == pytest.approx(730 * 3600 * 0.6 / ((6 * 40 + 0.036 * 40 + 6 * 90) / mtok))


def test_the_command_tells_people_and_programs(found: Outlook, place: LedgerPlace, tmp_path: Path) -> None:
    folder = str(place.store.parent)
    text = " ".join(outlook_document(found).lead)
    assert "expected at the month's end" in text
    assert "over 2,000 USD with a chance of 100%" in text
    assert json.loads(json.dumps(outlook_json(found)))["pools"][0]["pool"] == "llama"
    run = CliRunner().invoke(app, ["outlook", "--ledger", folder, "--json", "--markdown", str(tmp_path / "o.md")])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["bills"][0]["id"] == AS_IS
    assert (tmp_path / "o.md").read_text(encoding="utf-8").startswith("## Outlook from")


def test_a_ledger_without_a_whole_day_says_what_to_do(tmp_path: Path) -> None:
    one = {
        "at_us": BEGIN_US + 7,
        "model": "m",
        "target": "t",
        "priced_as": "openai:big",
        "input_tokens": 1,
        "output_tokens": 1,
    }
    place = put(tmp_path, [one])
    with pytest.raises(BreakevenError, match="no whole day"):
        outlook(place, None, OutlookQuestion(), BEGINS.timestamp() + 5 * 3600)


@pytest.mark.parametrize("text", ["nothing", "-5", "NaN"])
def test_a_budget_that_is_none_is_refused(text: str, place: LedgerPlace) -> None:
    run = CliRunner().invoke(app, ["outlook", "--ledger", str(place.store.parent), "--budget", text])
    assert isinstance(run.exception, BreakevenError)
    assert "is no amount" in str(run.exception)
