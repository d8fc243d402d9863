"""Alerts: which figures are worth telling, and that each thing is told once when it begins and once when it is over."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.settings.alerts import AlertKind
from breakeven.studies.alerts import KINDS, Condition, Notice, follow, tellings, told
from breakeven.studies.alerts.conditions import (
    BudgetUsed,
    ErrorCounts,
    PoolBalance,
    PoolUse,
    PriceChange,
    Quality,
    Side,
    Spooling,
    of_break_even,
    of_budgets,
    of_errors,
    of_prices,
    of_quality,
    of_spooling,
    of_unknown_prices,
    of_utilisation,
)


def test_settings_and_alerts_know_the_same_kinds() -> None:
    assert get_args(AlertKind) == KINDS


@pytest.mark.parametrize(
    ("used", "sides"),
    [("10", ["good", "good"]), ("75", ["between", "good"]), ("80", ["bad", "good"]), ("90", ["bad", "between"]),
     ("100", ["bad", "bad"]), ("101.5", ["bad", "bad"])],
)  # fmt: skip
def test_a_budget_is_told_at_a_share_and_again_when_it_is_used(used: str, sides: list[str]) -> None:
    budget = BudgetUsed(whose="key search", window="day", budget_usd=Decimal(100), used_usd=Decimal(used))
    found = list(of_budgets([budget], 0.8))
    assert [item.side for item in found] == sides
    assert [item.subject for item in found] == ["key search a day: 80%", "key search a day: used"]
    assert found[1].said.endswith(f"{Decimal(used):,.2f} of 100.00 USD.")


@pytest.mark.parametrize(("used", "side"), [(0.19, "bad"), (0.2, "between"), (0.3, "good"), (None, "between")])
def test_a_pool_idles_below_one_edge_and_is_busy_again_above_another(used: float | None, side: str) -> None:
    pool = PoolUse(pool="llama", hours=24, utilisation_fraction=used, idle_usd=Decimal("81.5"))
    (found,) = of_utilisation([pool], below_fraction=0.2, back_fraction=0.3)
    assert found.side == side


@pytest.mark.parametrize(
    ("api", "virtual", "real"),
    [(120, "bad", "good"), (106, "bad", "good"), (100, "between", "between"), (94, "good", "bad"), (0, "good", "bad")],
)
def test_break_even_is_crossed_the_other_way_by_pools_that_are_paid(api: int, virtual: str, real: str) -> None:
    sides = []
    for is_virtual in (True, False):
        pool = PoolBalance(
            pool="p", is_virtual=is_virtual, days=7, api_usd=Decimal(api), pool_usd=Decimal(100)
        )  # fmt: skip
        (found,) = of_break_even([pool], 0.05)
        sides.append(found.side)
    assert sides == [virtual, real]


def test_a_price_is_told_where_the_same_tokens_cost_enough_more_or_less() -> None:
    changes = [
        PriceChange(priced_as=f"p:{after}", processing="standard", before_usd=Decimal(100), after_usd=Decimal(after))
        for after in ("100.5", "110", "75")
    ]
    found = list(of_prices(changes, 0.01))
    assert [(item.subject, item.severity) for item in found] == [("p:110", "warning"), ("p:75", "info")]
    assert "costs 10.0% more" in found[0].said
    assert all(item.is_event for item in found)


@pytest.mark.parametrize(
    ("lately", "longer", "side", "severity"),
    [
        ((1000, 145), (3000, 150), "bad", "critical"),  # 14.5 times what 1 % allows
        ((1000, 60), (3000, 181), "bad", "warning"),  # 6 times, for six hours
        ((1000, 143), (9000, 150), "between", "warning"),
        ((90, 90), (90, 90), "between", "warning"),  # too few to say anything
        ((1000, 20), (3000, 60), "good", "warning"),
        ((0, 0), (0, 0), "good", "warning"),
    ],
)
def test_an_error_budget_that_burns_fast_is_told(
    lately: tuple[int, int], longer: tuple[int, int], side: str, severity: str
) -> None:
    counts = ErrorCounts(model="fast", lately=lately, longer=longer)
    (found,) = of_errors([counts], objective_fraction=0.99, least_requests=100)
    assert (found.side, found.severity) == (side, severity)


@pytest.mark.parametrize(
    ("now", "before", "side"),
    [
        ((1000, 850), (4000, 3680), "bad"),  # 85 % after 92 %
        ((60, 50), (100, 92), "between"),  # as large a drop, and chance explains it
        ((1000, 905), (4000, 3680), "good"),  # 1.5 points
        ((49, 0), (4000, 3680), "between"),  # too few
    ],
)
def test_quality_has_drifted_where_chance_does_not_explain_the_drop(
    now: tuple[int, int], before: tuple[int, int], side: str
) -> None:
    (found,) = of_quality([Quality(subject="fast", now=now, before=before)], drop_fraction=0.05, least_outcomes=50)
    assert found.side == side


def test_newcombes_interval_is_that_of_the_published_example() -> None:
    # Newcombe 1998, method 10, 56/70 against 48/80: 0.0524 to 0.3339 at two-sided 95 %; here one-sided 1 %, so wider.
    (found,) = of_quality([Quality(subject="x", now=(80, 48), before=(70, 56))], drop_fraction=0.05, least_outcomes=50)
    assert found.figures["least_drop_fraction"] == pytest.approx(0.0524 - 0.0297, abs=0.003)


def test_unknown_prices_are_told_by_name() -> None:
    found = {item.subject: item.side for item in of_unknown_prices({"acme:x": 3, "openai:gpt-4o": 0}, 24)}
    assert found == {"acme:x": "bad", "openai:gpt-4o": "good"}


@pytest.mark.parametrize(
    ("looks", "memory", "dropped", "side"),
    [((9,), 0, 0, "between"), ((9, 9), 0, 0, "bad"), ((0, 9), 0, 0, "between"), ((9, 0), 0, 0, "good"),
     ((0, 0), 1, 0, "bad"), ((0, 0), 0, 2, "bad"), ((0,), 0, 0, "good")],
)  # fmt: skip
def test_rows_that_pile_up_at_two_looks_or_are_lost_are_told(
    looks: tuple[int, ...], memory: int, dropped: int, side: str
) -> None:
    (found,) = of_spooling(Spooling(looks_bytes=looks, memory_count=memory, dropped_count=dropped), 8)
    assert found.side == side


def condition(side: Side, subject: str = "llama", *, is_event: bool = False) -> Condition:
    return Condition(kind="utilisation", subject=subject, side=side, said=f"{subject} is {side}", is_event=is_event)


def course(*sides: Side | None, tells: bool = True, is_event: bool = False) -> list[str]:
    """Follow a subject through looks, None where it is not found; return what a receiver is told."""
    notices: tuple[Notice, ...] = ()
    heard: list[str] = []
    for now_s, side in enumerate(sides):
        found = () if side is None else (condition(side, is_event=is_event),)
        notices = follow(notices, {"utilisation": found}, float(now_s))
        for telling in tellings(notices, {"ops": ()}) if tells else ():
            heard += [f"{notice.state} {notice.since_s:g}" for notice in telling.notices]
            notices = told(notices, telling)
    return heard


def test_what_begins_is_told_once_and_once_when_it_is_over() -> None:
    assert course("good", "between", "bad", "bad", "between", "good", "good") == ["raised 2", "over 5"]


def test_what_hovers_at_an_edge_does_not_come_and_go() -> None:
    assert course("bad", "between", "bad", "between", "bad") == ["raised 0"]
    assert course("between", "good", "between") == []


def test_what_comes_again_is_told_again() -> None:
    assert course("bad", "good", "bad", "good") == ["raised 0", "over 1", "raised 2", "over 3"]


def test_what_is_not_found_any_more_is_over() -> None:
    assert course("bad", None, None) == ["raised 0", "over 1"]


def test_what_merely_happened_is_not_told_as_over() -> None:
    assert course("bad", "bad", None, is_event=True) == ["raised 0"]


def test_a_kind_that_could_not_be_looked_at_stays_as_it_was() -> None:
    notices = follow((), {"utilisation": (condition("bad"),)}, 1.0)
    assert follow(notices, {}, 2.0) == notices
    assert follow(notices, {"budget": ()}, 2.0) == notices


def test_a_receiver_that_was_away_is_told_what_is_so_when_it_is_back() -> None:
    notices = follow((), {"utilisation": (condition("bad"),)}, 1.0)
    (first,) = tellings(notices, {"ops": ()})
    assert tellings(notices, {"ops": ()}) == (first,)  # it was not reached: the same again
    over = follow(notices, {"utilisation": (condition("good"),)}, 2.0)
    assert tellings(over, {"ops": ()}) == ()  # what it never heard of is not over for it
    assert [item.notices[0].state for item in tellings(told(over, first), {"ops": ()})] == []
    heard = follow(told(notices, first), {"utilisation": (condition("good"),)}, 2.0)
    assert [item.notices[0].state for item in tellings(heard, {"ops": ()})] == ["over"]


def test_a_receiver_gets_the_kinds_that_it_wants() -> None:
    notices = follow((), {"utilisation": (condition("bad"),)}, 1.0)
    found = tellings(notices, {"all": (), "money": ("budget",), "pools": ("utilisation", "budget")})
    assert [item.receiver for item in found] == ["all", "pools"]


@given(st.lists(st.sampled_from(["bad", "between", "good", None]), max_size=30), st.booleans())
def test_a_receiver_hears_begin_and_end_in_turns_whatever_comes(sides: list[Side | None], is_event: bool) -> None:
    heard = [word.split()[0] for word in course(*sides, is_event=is_event)]
    if is_event:
        assert set(heard) <= {"raised"}
    else:
        assert heard == ["raised", "over"] * (len(heard) // 2) + ["raised"] * (len(heard) % 2)
