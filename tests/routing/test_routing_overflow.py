"""Policies that know what is paid for and what is full: when they leave the nodes, and when they come back."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil, inf, nan
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import Situation, situations

from breakeven.routing.fullness import Limits, is_full
from breakeven.routing.policies import (
    AMPLE_FRACTION,
    MOST_RATIO,
    POLICIES,
    REASONS,
    budget_downgrade,
    marginal_cost,
    overflow,
    prefix_affinity,
    two_choices,
)
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST = Request(100, 50, 0, 0, 0, inf, inf, 0)
KNOWS_NODES = ("overflow", "marginal_cost", "prefix_affinity")


def view(kinds: str, **columns: Sequence[float]) -> Targets:
    """Return targets by letter: n a node, N a full one, a an API, x one that does not serve."""
    count = len(kinds)
    neutral = Targets(
        serves=[int(kind != "x") for kind in kinds],
        healthy=[1] * count,
        in_flight=[0] * count,
        queue_length=[0] * count,
        kv_use_fraction=[0.0] * count,
        predicted_ttft_s=[nan] * count,
        price_usd=[0.1 if kind == "a" else 0.0 for kind in kinds],
        weight=[1.0] * count,
        paid=[int(kind in "nNx") for kind in kinds],
        full=[int(kind == "N") for kind in kinds],
        in_hours=[1] * count,
    )
    return neutral._replace(**columns)  # type: ignore[arg-type]  # names of columns


def chosen(policy: str, targets: Targets, tried: Sequence[int] = (), uniform: float = 0.0, **more: Any) -> Any:
    request = REQUEST._replace(**more)
    index, reason = POLICIES[policy](targets, request, tried or [0] * len(targets.serves), uniform)
    return index, REASONS[reason]


# Which node


def test_two_choices_takes_the_less_busy_of_two_that_it_draws_evenly() -> None:
    even = Counter(two_choices(view("nnnn"), REQUEST, [0] * 4, (step + 0.5) / 1200)[0] for step in range(1200))
    assert even == dict.fromkeys(range(4), 300)
    busy = view("nnnn", in_flight=[9, 0, 5, 1], queue_length=[0, 0, 0, 5])
    counts = Counter(two_choices(busy, REQUEST, [0] * 4, (step + 0.5) / 1200)[0] for step in range(1200))
    assert counts == {1: 600, 2: 400, 3: 200}  # the busiest never: half the pairs have the least busy, and so on


def test_two_choices_says_what_it_did() -> None:
    assert chosen("two_choices", view("xnx")) == (1, "only_one_left")
    assert chosen("two_choices", view("nn")) == (0, "less_busy_of_two")
    assert chosen("two_choices", view("nnn"), [1, 0, 0], 0.9) == (2, "fallback")
    assert chosen("two_choices", view("xx")) == (-1, "none_eligible")


def test_two_choices_keep_the_longest_queue_short() -> None:
    """The longest of n queues of n balls: about log log n of them, against log n / log log n at random."""
    loads = [0] * 1000
    for ball in range(1000):
        targets = view("n" * 1000)._replace(in_flight=loads)
        loads[two_choices(targets, REQUEST, [0] * 1000, ball * 0.6180339887498949 % 1)[0]] += 1
    assert max(loads) <= 4


# Overflow


@pytest.mark.parametrize(
    ("kinds", "tried", "expected"),
    [
        ("aann", [0, 0, 0, 0], (2, "paid_capacity")),
        ("aNna", [0, 0, 0, 0], (2, "paid_capacity")),
        ("NNaa", [0, 0, 0, 0], (2, "overflow")),
        ("xxaa", [0, 0, 0, 0], (2, "overflow")),
        ("NNaa", [0, 0, 1, 0], (3, "fallback")),
        ("NnaN", [0, 1, 0, 0], (2, "fallback")),
        ("NNaa", [0, 0, 1, 1], (0, "fallback")),
        ("NNxx", [0, 0, 0, 0], (0, "full_anyway")),
        ("aaaa", [0, 0, 0, 0], (0, "first_choice")),
        ("aaaa", [1, 0, 0, 0], (1, "fallback")),
        ("xxxx", [0, 0, 0, 0], (-1, "none_eligible")),
    ],
)
def test_overflow_leaves_the_nodes_when_all_are_full(kinds: str, tried: list[int], expected: tuple[int, str]) -> None:
    assert chosen("overflow", view(kinds), tried) == expected


def test_when_no_api_can_take_it_the_least_busy_full_node_does() -> None:
    targets = view("NNNx", in_flight=[30, 20, 25, 0], queue_length=[0, 9, 0, 0])
    assert {chosen("overflow", targets, uniform=step / 10) for step in range(10)} == {(2, "full_anyway")}


@given(situations())
@settings(max_examples=400, deadline=None)
def test_no_api_is_asked_while_a_node_has_room_and_none_is_passed_over_while_all_are_full(situation: Situation) -> None:
    targets, request, tried, uniform = situation
    nodes = [index for index in situation.candidates() if targets.paid[index]]
    apis = [index for index in situation.candidates() if not targets.paid[index]]
    roomy = [index for index in nodes if not targets.full[index]]
    for policy in (overflow, prefix_affinity):
        index, _ = policy(targets, request, tried, uniform)
        if any(targets.paid):
            assert index in (roomy or apis[:1] or nodes or [-1])
    index, _ = marginal_cost(targets, request, tried, uniform)
    in_time = [index for index in roomy if not targets.predicted_ttft_s[index] > request.deadline_s]
    worth = [index for index in apis if request.most_usd == inf or targets.price_usd[index] <= request.most_usd]
    assert index in (in_time or worth or nodes or apis or [-1])


@given(situations(), st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=300, deadline=None)
def test_in_another_currency_the_choices_are_the_same(situation: Situation, ratio: float) -> None:
    """Powers of two, which round nothing."""
    targets, request, tried, uniform = situation
    prices = [price if price < 1e300 else inf for price in targets.price_usd]
    scaled = [ratio * price for price in prices]
    dearer = request._replace(budget_usd=ratio * request.budget_usd, most_usd=ratio * request.most_usd)
    for name, policy in POLICIES.items():
        before = policy(targets._replace(price_usd=prices), request, tried, uniform)
        assert policy(targets._replace(price_usd=scaled), dearer, tried, uniform) == before, name


# Fullness


@pytest.mark.parametrize(
    ("seen", "was_free", "was_full"),
    [
        ((0, 0.0, 0.0), False, False),
        ((7, 0.71, 1.5), False, False),
        ((8, 0.0, 0.0), False, True),
        ((9, 0.0, 0.0), False, True),
        ((10, 0.0, 0.0), True, True),
        ((0, 0.73, 0.0), False, True),
        ((0, 0.91, 0.0), True, True),
        ((0, 0.0, 1.7), False, True),
        ((0, 0.0, 2.1), True, True),
        ((0, 0.0, nan), False, False),
    ],
)
def test_a_node_is_full_from_a_limit_on_and_until_it_is_clearly_below(
    seen: tuple[int, float, float], was_free: bool, was_full: bool
) -> None:
    limits = Limits(most_waiting=10, most_kv_fraction=0.9, most_ttft_s=2.0)
    assert is_full(0, *seen, limits) is was_free
    assert is_full(1, *seen, limits) is was_full


def test_without_limits_no_node_is_ever_full() -> None:
    assert not is_full(0, 1 << 60, 1.0, 1e300, Limits())
    assert not is_full(1, 1 << 60, 0.8, inf, Limits())


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_queue_that_hovers_at_the_limit_makes_it_full_once(lengths: list[int]) -> None:
    """Between two changes the queue crosses the whole band."""
    limits = Limits(most_waiting=10.0, back_ratio=0.5)
    full, changes = False, [0]
    for length in lengths:
        before, full = full, is_full(int(full), length, 0.0, nan, limits)
        if full != before:
            changes.append(length)
    for earlier, later in pairwise(changes):
        assert abs(later - earlier) >= 5 or earlier == later == 0


# Marginal cost


@pytest.mark.parametrize(
    ("kinds", "more", "request_", "expected"),
    [
        ("nna", {"predicted_ttft_s": [0.5, 0.2, 0.1]}, {}, (1, "paid_capacity")),
        ("nna", {"predicted_ttft_s": [0.5, 0.5, 0.1], "in_flight": [3, 2, 0]}, {}, (1, "paid_capacity")),
        ("nna", {"predicted_ttft_s": [0.5, nan, 0.1], "in_flight": [3, 4, 0]}, {}, (0, "paid_capacity")),
        ("nna", {"predicted_ttft_s": [0.5, 0.6, 9.9]}, {"deadline_s": 0.55}, (0, "paid_capacity")),
        ("nna", {"predicted_ttft_s": [0.5, 0.6, 9.9]}, {"deadline_s": 0.4}, (2, "cheapest")),
        ("NNa", {}, {}, (2, "cheapest")),
        ("NNaa", {"price_usd": [0, 0, 0.3, 0.2]}, {}, (3, "cheapest")),
        ("NNaa", {"price_usd": [0, 0, nan, 0.2]}, {}, (3, "cheapest")),
        ("NNaa", {"price_usd": [0, 0, nan, nan]}, {}, (2, "cheapest")),
        ("NNaa", {"price_usd": [0, 0, 0.3, 0.2]}, {"most_usd": 0.2}, (3, "cheapest")),
        ("NNaa", {"price_usd": [0, 0, 0.3, 0.2], "in_flight": [2, 1, 0, 0]}, {"most_usd": 0.1}, (1, "full_anyway")),
        ("NNaa", {"price_usd": [0, 0, nan, nan], "in_flight": [2, 1, 0, 0]}, {"most_usd": 0.1}, (1, "full_anyway")),
        ("xxaa", {"price_usd": [0, 0, 0.3, 0.2]}, {"most_usd": 0.1}, (3, "cheapest")),
        ("xxxx", {}, {}, (-1, "none_eligible")),
    ],
)
def test_marginal_cost_pays_for_time_and_no_more_than_it_is_worth(
    kinds: str, more: dict[str, Any], request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert chosen("marginal_cost", view(kinds, **more), **request_) == expected


# Prefix affinity


def homes(kinds: str, hashes: Sequence[int], **more: Sequence[float]) -> list[int]:
    targets = view(kinds, **more)
    return [prefix_affinity(targets, REQUEST._replace(prefix_hash=value), [0] * len(kinds), 0.5)[0] for value in hashes]


@pytest.mark.parametrize("hashes", [range(1, 6001), range(10**12, 10**12 + 6_000_000, 1000)])
def test_beginnings_spread_evenly_over_nodes(hashes: Sequence[int]) -> None:
    counts = Counter(homes("nnannn", hashes))
    assert set(counts) == {0, 1, 3, 4, 5}
    assert all(abs(count - 1200) < 120 for count in counts.values())


def test_a_beginning_stays_where_it_is_and_a_node_that_fails_moves_its_own_alone() -> None:
    hashes = range(1, 2001)
    before = homes("nnnnn", hashes)
    assert homes("nnnnn", hashes, queue_length=[4] * 5) == before
    after = homes("nnxnn", hashes)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {old for old, _ in moved} == {2}
    spread = Counter(new for _, new in moved)
    assert set(spread) == {0, 1, 3, 4}
    assert max(spread.values()) < 2 * min(spread.values())


def test_one_beginning_alone_never_takes_more_than_its_share_of_a_node() -> None:
    loads = [0] * 5
    for total in range(1000):
        targets = view("nnnnn")._replace(in_flight=loads)
        index, reason = prefix_affinity(targets, REQUEST._replace(prefix_hash=77), [0] * 5, 0.5)
        loads[index] += 1
        assert loads[index] <= ceil(MOST_RATIO * (total + 1) / 5)
        assert REASONS[reason] in {"same_prefix", "prefix_spilled"}
    assert max(loads) == 250


@given(situations())
@settings(max_examples=300, deadline=None)
def test_the_load_stays_bounded_among_all_who_may(situation: Situation) -> None:
    targets, request, tried, uniform = situation
    kind = int(any(targets.paid))
    may = [index for index in situation.candidates() if targets.paid[index] == kind and not targets.full[index]]
    index, _ = prefix_affinity(targets, request, tried, uniform)
    if may and request.prefix_hash:
        loads = [targets.in_flight[place] + targets.queue_length[place] for place in may]
        own = targets.in_flight[index] + targets.queue_length[index]
        assert own + 1 <= ceil(MOST_RATIO * (sum(loads) + 1) / len(may))


def test_without_a_hash_a_request_goes_to_the_less_busy_of_two() -> None:
    targets = view("nnna", in_flight=[9, 0, 5, 0])
    found = [chosen("prefix_affinity", targets, uniform=step / 3000) for step in range(3000)]
    counts = Counter(index for index, _ in found)
    assert {reason for _, reason in found} == {"less_busy_of_two"}
    assert set(counts) == {1, 2}
    assert counts[1] == pytest.approx(2000, abs=150)


def test_where_nothing_is_paid_for_beginnings_stay_with_an_api() -> None:
    assert set(homes("aaa", range(1, 100))) == {0, 1, 2}
    assert chosen("prefix_affinity", view("NNa"), prefix_hash=5) == (2, "overflow")
    assert chosen("prefix_affinity", view("NNx", in_flight=[2, 1, 0]), prefix_hash=5) == (1, "full_anyway")


# Prices, budgets, hours


@pytest.mark.parametrize(
    ("prices", "most_usd", "expected"),
    [
        ([0.3, 0.1, 0.2], inf, (0, "within_price")),
        ([0.3, 0.1, 0.2], 0.2, (1, "within_price")),
        ([0.3, 0.2, 0.1], 0.2, (1, "within_price")),
        ([0.3, 0.2, 0.1], 0.05, (2, "cheapest")),
        ([nan, 0.2, 0.1], 0.3, (1, "within_price")),
        ([nan, 0.2, 0.1], inf, (0, "within_price")),
        ([nan, 0.5, nan], 0.3, (1, "cheapest")),
        ([nan, nan, nan], 0.3, (0, "cheapest")),
    ],
)
def test_cost_threshold_takes_the_first_that_is_not_too_dear(
    prices: list[float], most_usd: float, expected: tuple[int, str]
) -> None:
    assert chosen("cost_threshold", view("aaa", price_usd=prices), most_usd=most_usd) == expected


def test_as_the_budget_runs_out_targets_get_cheaper_one_by_one() -> None:
    targets = view("aaa", price_usd=[0.02, 0.005, 0.001])
    found = []
    budget_usd = 10.0
    for _ in range(2000):
        index, _ = budget_downgrade(targets, REQUEST._replace(budget_usd=budget_usd), [0] * 3, 0.0)
        assert targets.price_usd[index] <= AMPLE_FRACTION * budget_usd * (1 + 1e-9) or index == 2
        budget_usd -= targets.price_usd[index]
        found.append(index)
    assert found == sorted(found)
    assert set(found) == {0, 1, 2}


@pytest.mark.parametrize(
    ("prices", "budget_usd", "expected"),
    [
        ([0.02, 0.01, nan], inf, (0, "budget_ample")),
        ([nan, 0.01, nan], inf, (0, "budget_ample")),
        ([nan, 0.01, 0.0], 2.0, (1, "budget_ample")),
        ([nan, 0.01, 0.001], 0.01, (2, "cheapest")),
        ([nan, 0.01, 0.0], -1.0, (2, "cheapest")),
    ],
)
def test_without_a_budget_the_first_is_good_enough(
    prices: list[float], budget_usd: float, expected: tuple[int, str]
) -> None:
    assert chosen("budget_downgrade", view("aaa", price_usd=prices), budget_usd=budget_usd) == expected


def test_schedule_takes_the_first_that_is_open_and_closed_ones_rather_than_none() -> None:
    assert chosen("schedule", view("naa", in_hours=[0, 1, 1])) == (1, "in_hours")
    assert chosen("schedule", view("naa", in_hours=[0, 1, 1]), [0, 1, 0]) == (2, "fallback")
    assert chosen("schedule", view("naa", in_hours=[0, 1, 1]), [0, 1, 1]) == (0, "fallback")
    assert chosen("schedule", view("xaa", in_hours=[1, 0, 0])) == (1, "out_of_hours")
    assert chosen("schedule", view("xx")) == (-1, "none_eligible")


@pytest.mark.parametrize("policy", KNOWS_NODES)
def test_chance_decides_the_same_each_time(policy: str) -> None:
    targets = view("nnnnaa", in_flight=[3, 1, 2, 2, 0, 0])
    for step in range(20):
        assert chosen(policy, targets, uniform=step / 20) == chosen(policy, targets, uniform=step / 20)
