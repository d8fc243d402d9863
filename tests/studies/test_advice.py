"""Each kind of advice from facts made by hand: when it is given, when it is not, and that it does not come and go."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from breakeven.economics.outcome_costs import Estimate, OutcomeSums, UnknownBounds
from breakeven.quantities import DAYS_PER_MONTH, Interval
from breakeven.studies.advice import KINDS, Edges, Given, Nodes, PoolHours, follow
from breakeven.studies.advice.rules import (
    Hardware,
    Offer,
    PoolSeen,
    of_hardware,
    of_nodes,
    of_offers,
    of_outlook,
    of_tasks,
)
from breakeven.studies.outcomes import OutcomeCost
from breakeven.studies.proof.outlook import PoolOutlook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breakeven.studies.advice import Advice

DAYS = 10
HOURS_PER_MONTH = 24 * DAYS_PER_MONTH
ROOM_S = 3000.0
"""Node time that a node gives in an hour; a second of it is worth a cent at the API."""

NODE_USD = 10.0
"""An hour; nothing else is paid for a pool here, so a node pays from 1,000 of its 3,000 seconds on."""

EDGES = Edges()
ENOUGH, HALF, LITTLE = 60.0, 30.0, 20.0
"""A month: above the 50 dollars from which advice is given; between those and their half; below the half."""


def pool(served_s: float, overflow_s: float = 0, **said: Any) -> PoolSeen:
    """A pool whose hours are alike, but for those of the night, from 22 to 6, where ``night_s`` or ``more`` says so."""
    count = said.pop("count", 1)
    night = [*range(6), 22, 23]
    served, overflow = np.full((DAYS, 24), served_s), np.full((DAYS, 24), overflow_s)
    served[:, night] = said.pop("night_s", served_s)
    overflow[:, night] = said.pop("night_overflow_s", overflow_s)
    plain: dict[str, Any] = {
        "name": "llama",
        "hours": PoolHours(served, overflow),
        "nodes": Nodes(
            count=count,
            usd_per_hour=NODE_USD,
            fixed_usd_per_hour=0.0,
            further_usd_per_hour=0.0,
            api_usd_per_s=0.01,
            hourly_most_s=ROOM_S,
        ),
        "batchable_fraction": 0.1,
        "serves_batches": False,
        "has_schedule": False,
    }
    return PoolSeen(**(plain | said))


def virtual(saved_usd: float, reached_fraction: float = 0.9, **said: Any) -> PoolOutlook:
    plain: dict[str, Any] = {
        "name": "llama",
        "is_virtual": True,
        "nodes_count": 1,
        "days_count": 10,
        "pool_usd_per_month": 7300.0,
        "api_usd_per_mtok": 10.0,
        "needed_mtok_per_month": Interval(low=700, likely=730, high=760),
        "capacity_mtok_per_month": 2000.0,
        "seen_mtok_per_month": 740.0,
        "watched_mtok_per_month": 740.0,
        "trend_per_month": None,
        "reached_fraction": reached_fraction,
        "crossing": None,
        "saved_usd_per_month": saved_usd,
    }
    return PoolOutlook(**(plain | said))


def rent(usd: float) -> Iterable[Advice]:
    return of_outlook([virtual(usd)])


def add(usd: float) -> Iterable[Advice]:
    """A full node, and at the API what a second one pays with, and so much more."""
    return of_nodes(pool(ROOM_S, (NODE_USD + usd / HOURS_PER_MONTH) / 0.01))


def drop(usd: float) -> Iterable[Advice]:
    """Two nodes, and so little for the second that the API takes less for it."""
    return of_nodes(pool(ROOM_S + (NODE_USD - usd / HOURS_PER_MONTH) / 0.01, count=2))


def back(usd: float) -> Iterable[Advice]:
    return of_nodes(pool((NODE_USD - usd / HOURS_PER_MONTH) / 0.01))


def off(usd: float) -> Iterable[Advice]:
    """A node that is full by day; at night the API takes less for what it serves than it costs."""
    return of_nodes(pool(ROOM_S, night_s=(NODE_USD - usd / (8 * DAYS_PER_MONTH)) / 0.01))


def batches(usd: float) -> Iterable[Advice]:
    """A node that is nearly full at night, and by day some of which a tenth can wait."""
    return of_nodes(pool(ROOM_S, usd / DAYS_PER_MONTH / (0.1 * 16 * 0.01), night_s=ROOM_S - 400, night_overflow_s=0))


def change(usd: float) -> Iterable[Advice]:
    return of_hardware(pool(ROOM_S), [other(NODE_USD - usd / HOURS_PER_MONTH)])


def renegotiate(usd: float) -> Iterable[Advice]:
    offered = NODE_USD - usd / 730 / 2
    return of_offers(
        [
            Offer(
                pool="llama",
                hardware="1xL4",
                nodes_count=2,
                usd_per_hour=NODE_USD,
                offered_usd_per_hour=offered,
                source="an offer",
            )
        ]
    )


def move(usd: float) -> Iterable[Advice]:
    """40 successes in 10 days here at 1 dollar, there at so much less."""
    return of_tasks(rivals(1 - usd / (40 * 30.4 / 10), spread=0.001), 10)


def other(usd_per_hour: float, **said: Any) -> Hardware:
    plain: dict[str, Any] = {"name": "1xL4", "usd_per_hour": usd_per_hour, "time_ratio": 1.0, "source": "made up"}
    return Hardware(**(plain | said))


def rivals(there_usd: float, *, spread: float, high: bool = True) -> list[OutcomeCost]:
    """A task at two targets: 40 successes of 50 here at 1 dollar, 20 of 25 there."""
    return [
        group(("sum", "here"), 40, Estimate(likely=1.0, low=1 - spread, high=1 + spread)),
        group(
            ("sum", "there"),
            20,
            Estimate(likely=there_usd, low=there_usd - spread, high=there_usd + spread if high else None),
        ),
    ]


def group(labels: tuple[str, str], success_count: int, usd: Estimate | None) -> OutcomeCost:
    return OutcomeCost(
        labels=labels, subject_count=success_count * 5 // 4, request_count=success_count * 5 // 4,
        success_count=success_count, failure_count=success_count // 4, unknown_count=0,
        attempt_count=success_count * 5 // 4, elsewhere_count=0, loaded_usd=Decimal(0), elsewhere_usd=Decimal(0),
        idle_usd=Decimal(0), human_minutes=Decimal(0), human_usd=None, evaluation_usd=Decimal(0), young_count=0,
        young_usd=Decimal(0), inference=OutcomeSums(), whole=OutcomeSums(), success_fraction=None,
        usd_per_success=None, inference_usd_per_success=None, whole_usd_per_success=usd,
        bounds=UnknownBounds(all_good_usd=None, none_good_usd=None), with_failures_usd=None,
    )  # fmt: skip


WAYS: dict[str, Callable[[float], Iterable[Advice]]] = {
    "rent_pool": rent,
    "add_node": add,
    "drop_node": drop,
    "back_to_api": back,
    "nights_off": off,
    "night_batches": batches,
    "change_gpu": change,
    "renegotiate": renegotiate,
    "move_task": move,
}


def only(kind: str, found: Iterable[Advice]) -> Advice:
    (advice,) = (item for item in found if item.kind == kind)
    return advice


def look(kind: str, usd: float, known: Iterable[Given], now_s: float) -> tuple[Given, ...]:
    return follow(known, [only(kind, WAYS[kind](usd))], EDGES, 0.0, now_s)


def state(given: Iterable[Given]) -> list[tuple[str, float]]:
    return [(item.state, item.since_s) for item in given]


def test_every_kind_of_advice_has_a_case_by_hand() -> None:
    assert set(WAYS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_what_was_worked_out_by_hand(kind: str) -> None:
    assert only(kind, WAYS[kind](ENOUGH)).gain.likely_usd == pytest.approx(ENOUGH)


@pytest.mark.parametrize("kind", KINDS)
def test_what_saves_enough_is_advised_and_what_saves_less_is_not(kind: str) -> None:
    assert state(look(kind, ENOUGH, (), 1)) == [("given", 1)]
    assert state(look(kind, HALF, (), 1)) == []
    assert state(look(kind, -ENOUGH, (), 1)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_advice_stays_down_to_half_of_what_it_takes_and_comes_back_only_for_all_of_it(kind: str) -> None:
    given = look(kind, ENOUGH, (), 1)
    given = look(kind, HALF, given, 2)
    assert state(given) == [("given", 1)]
    assert given[0].advice.gain.likely_usd == pytest.approx(HALF), "with the figures of the last look"
    given = look(kind, LITTLE, given, 3)
    assert state(given) == [("withdrawn", 3)]
    given = look(kind, HALF, given, 4)
    assert state(given) == [("withdrawn", 3)]
    assert state(look(kind, ENOUGH, given, 5)) == [("given", 5)]


def test_a_part_of_what_is_paid_is_the_edge_where_much_is_paid() -> None:
    assert [follow((), rent(usd), EDGES, 10_000.0, 1) != () for usd in (199, 201)] == [False, True]


@pytest.mark.parametrize(("first", "then", "states"), [
    (0.79, 0.79, [[], []]),
    (0.81, 0.51, [["given"], ["given"]]),
    (0.81, 0.49, [["given"], ["withdrawn"]]),
])  # fmt: skip
def test_a_virtual_pool_is_advised_by_the_chance_that_its_volume_is_enough(
    first: float, then: float, states: list[list[str]]
) -> None:
    given = follow((), of_outlook([virtual(500, first)]), EDGES, 0.0, 1)
    later = follow(given, of_outlook([virtual(500, then)]), EDGES, 0.0, 2)
    assert [[item.state for item in found] for found in (given, later)] == states


@pytest.mark.parametrize("said", [{"is_virtual": False}, {"days_count": 2}, {"saved_usd_per_month": None}])
def test_a_pool_that_is_rented_or_hardly_seen_is_none_to_rent(said: dict[str, Any]) -> None:
    assert list(of_outlook([virtual(500, **said)])) == []


def test_a_virtual_pool_that_settings_have_no_longer_is_advised_no_longer() -> None:
    given = follow((), rent(ENOUGH), EDGES, 0.0, 1)
    assert state(follow(given, [], EDGES, 0.0, 2)) == [("withdrawn", 2)]


@pytest.mark.parametrize(("there_usd", "spread", "high", "sure"), [
    (0.5, 0.2, True, True),
    (0.5, 0.3, True, False),
    (0.5, 0.2, False, False),
    (1.5, 0.2, True, False),
])  # fmt: skip
def test_a_task_is_moved_only_where_intervals_lie_apart(
    there_usd: float,
    spread: float,
    high: bool,
    sure: bool,
) -> None:
    advice = only("move_task", of_tasks(rivals(there_usd, spread=spread, high=high), 10))
    assert advice.subject == "sum: here to there", "from where most of it is sent"
    assert [item.state for item in follow((), [advice], EDGES, 0.0, 1)] == (["given"] if sure else [])
    assert advice.gain.likely_usd == pytest.approx((1 - there_usd) * 40 * 30.4 / 10)


def test_a_task_without_a_name_or_with_one_target_is_not_compared() -> None:
    here, there = rivals(0.5, spread=0.001)
    assert list(of_tasks([here], 10)) == []
    assert list(of_tasks([replace(here, labels=("", "here")), replace(there, labels=("", "there"))], 10)) == []
    assert list(of_tasks([here, group(("sum", "there"), 20, None)], 10)) == []


def test_other_hardware_that_takes_half_the_time_serves_twice_as_much() -> None:
    """Two nodes, each with 2,500 seconds an hour, 500 more than one has here; one twice as fast has room for all."""
    seen = pool(5000, count=2)
    advice = only("change_gpu", of_hardware(seen, [other(18.0, name="1xH100", time_ratio=0.5)]))
    assert advice.figures["advised_nodes"] == 1
    assert advice.gain.likely_usd == pytest.approx((20 - 18) * HOURS_PER_MONTH)
    dearer = only("change_gpu", of_hardware(seen, [other(21.0, name="1xH100", time_ratio=0.5)]))
    assert dearer.gain.likely_usd == pytest.approx(-1 * HOURS_PER_MONTH)


def test_of_several_hardware_the_one_that_costs_least_is_named() -> None:
    offers = [other(9.5, name="1xA"), other(8.0, name="1xB"), other(7.0, name="1xC", time_ratio=4.0)]
    advice = only("change_gpu", of_hardware(pool(ROOM_S), offers))
    assert advice.figures["hardware"] == "1xB", "C has room for a quarter, and the API is dearer for the rest"


def test_what_dropping_a_node_saves_is_not_said_to_come_from_other_hardware() -> None:
    """Two nodes with work for one: the same hardware under another name, a little dearer, is no advice."""
    idle = pool(ROOM_S, count=2)
    assert only("drop_node", of_nodes(idle)).gain.likely_usd == pytest.approx(NODE_USD * HOURS_PER_MONTH)
    dearer = only("change_gpu", of_hardware(idle, [other(NODE_USD + 1)]))
    assert dearer.gain.likely_usd == pytest.approx(-1 * HOURS_PER_MONTH)
    cheaper = only("change_gpu", of_hardware(idle, [other(NODE_USD - 1)]))
    assert cheaper.gain.likely_usd == pytest.approx(1 * HOURS_PER_MONTH), "beside one node of what there is"


def test_other_hardware_is_not_advised_where_the_api_is_cheaper_than_either() -> None:
    hardly = pool(100)
    assert [item.advice.kind for item in follow((), of_nodes(hardly), EDGES, 0.0, 1)] == ["back_to_api"]
    advice = only("change_gpu", of_hardware(hardly, [other(NODE_USD - 1)]))
    assert follow((), [advice], EDGES, 0.0, 1) == ()


def test_of_two_uses_of_the_night_the_better_is_advised_and_neither_twice() -> None:
    """An empty night: 80 dollars of nodes, or batches of what the API answers by day."""
    by_day = {"night_s": 0, "night_overflow_s": 0}
    little, much = pool(ROOM_S, 1000, **by_day), pool(ROOM_S, 6000, **by_day)

    def told(seen: PoolSeen) -> set[str]:
        given = follow((), of_nodes(seen), EDGES, 0.0, 1)
        return {str(item.advice.kind) for item in given} & {"nights_off", "night_batches"}

    assert told(little) == {"nights_off"}, "0.1 x 16 x 1,000 s are worth 16 dollars a night"
    assert told(much) == {"night_batches"}, "0.1 x 16 x 6,000 s are worth 96 dollars a night"
    assert told(pool(ROOM_S, 6000, **by_day, serves_batches=True)) == set()
    assert told(pool(ROOM_S, 1000, **by_day, has_schedule=True)) == set()


def test_nights_of_a_pool_that_had_better_be_given_up_are_not_spoken_of() -> None:
    given = follow((), of_nodes(pool(300, night_s=0)), EDGES, 0.0, 1)
    assert [item.advice.kind for item in given] == ["back_to_api"]


def test_a_pool_that_was_seen_for_two_days_gets_no_advice() -> None:
    seen = pool(100)
    short = PoolHours(seen.hours.served_s[:2], seen.hours.overflow_s[:2])
    young = pool(100, hours=short)
    assert list(of_nodes(young)) == []
    assert list(of_hardware(young, [other(1.0)])) == []


def test_savings_that_rest_on_a_few_days_are_not_sure_enough() -> None:
    """One day in ten brings much to the API: on average another node pays, and in a third of the draws it does not."""
    seen = pool(ROOM_S)
    overflow = np.zeros((DAYS, 24))
    overflow[4] = ROOM_S
    advice = only("drop_node", of_nodes(pool(ROOM_S, hours=PoolHours(seen.hours.served_s, overflow), count=2)))
    # A day of the second node costs 240 and is worth 720 once in ten: dropping it saves 168 a day, unless ...
    assert advice.gain.likely_usd == pytest.approx((240 - 72) * DAYS_PER_MONTH)
    none_twice = 0.9**10 + 10 * 0.1 * 0.9**9 + 45 * 0.1**2 * 0.9**8 + 120 * 0.1**3 * 0.9**7
    assert advice.gain.sure_fraction == pytest.approx(none_twice, abs=0.02), "... the day is drawn four times or more"
