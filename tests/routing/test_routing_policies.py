"""What the policies choose, and that they choose the same plain and compiled."""

from __future__ import annotations

from collections import Counter
from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.routing.policies import (
    EXPLORED_SHARE,
    LATENCY_BAND,
    POLICIES,
    REASONS,
)
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST = Request(
    input_tokens=100, output_tokens=50, task=0, prefix_hash=0, priority=0, deadline_s=inf, budget_usd=inf, attempt=0
)


def targets(serves: Sequence[int], weight: Sequence[float] = ()) -> Targets:
    count = len(serves)
    ones, zeros = [1] * count, [0] * count
    return Targets(
        serves=list(serves),
        healthy=ones,
        in_flight=zeros,
        queue_length=zeros,
        kv_use_fraction=[0.0] * count,
        predicted_ttft_s=[nan] * count,
        price_usd=[nan] * count,
        weight=list(weight) or [1.0] * count,
        paid=zeros,
        full=zeros,
        in_hours=ones,
    )


def choose(
    policy: str, serves: Sequence[int], tried: Sequence[int] = (), uniform: float = 0.0, weight: Sequence[float] = ()
) -> tuple[int, str]:
    index, reason = POLICIES[policy](targets(serves, weight), REQUEST, tried or [0] * len(serves), uniform)
    return index, REASONS[reason]


@pytest.mark.parametrize(
    ("serves", "tried", "expected"),
    [
        ([1], [0], (0, "first_choice")),
        ([1, 1, 1], [0, 0, 0], (0, "first_choice")),
        ([0, 1, 1], [0, 0, 0], (1, "next_in_order")),
        ([1, 1, 1], [1, 0, 0], (1, "fallback")),
        ([1, 0, 1], [1, 0, 0], (2, "fallback")),
        ([1, 1, 1], [0, 1, 0], (0, "fallback")),
        ([0, 0], [0, 0], (-1, "none_eligible")),
        ([1, 1], [1, 1], (-1, "none_eligible")),
    ],
)
def test_ordered_takes_the_first_that_serves_and_was_not_tried(
    serves: list[int], tried: list[int], expected: tuple[int, str]
) -> None:
    assert choose("ordered", serves, tried) == expected


@pytest.mark.parametrize(
    ("serves", "tried", "weight", "uniform", "expected"),
    [
        ([1, 1, 1], [0, 0, 0], [1.0, 1.0, 2.0], 0.0, (0, "weighted_draw")),
        ([1, 1, 1], [0, 0, 0], [1.0, 1.0, 2.0], 0.2499, (0, "weighted_draw")),
        ([1, 1, 1], [0, 0, 0], [1.0, 1.0, 2.0], 0.25, (1, "weighted_draw")),
        ([1, 1, 1], [0, 0, 0], [1.0, 1.0, 2.0], 0.5, (2, "weighted_draw")),
        ([1, 1, 1], [0, 0, 0], [1.0, 1.0, 2.0], 0.9999, (2, "weighted_draw")),
        ([1, 1, 0], [0, 0, 0], [1.0, 1.0, 2.0], 0.5, (1, "weighted_draw")),
        ([1, 1, 1], [1, 0, 0], [1.0, 1.0, 2.0], 0.3, (1, "fallback")),
        ([1, 0, 0], [0, 0, 0], [1.0, 1.0, 2.0], 0.9, (0, "only_one_left")),
        ([1, 1, 1], [1, 1, 0], [1.0, 1.0, 2.0], 0.1, (2, "fallback")),
        ([1, 1, 1], [0, 0, 0], [0.0, 1.0, 0.0], 0.0, (1, "only_one_left")),
        ([1, 1, 1], [0, 1, 0], [0.0, 1.0, 0.0], 0.9, (0, "fallback")),
        ([1, 1], [0, 0], [0.0, -1.0], 0.9, (0, "next_in_order")),
        ([1, 1], [0, 0], [nan, 1.0], 0.0, (1, "only_one_left")),
        ([0, 0], [0, 0], [1.0, 1.0], 0.5, (-1, "none_eligible")),
        ([1, 1], [1, 1], [1.0, 1.0], 0.5, (-1, "none_eligible")),
    ],
)
def test_weighted_draws_among_those_that_serve_and_were_not_tried(
    serves: list[int], tried: list[int], weight: list[float], uniform: float, expected: tuple[int, str]
) -> None:
    assert choose("weighted", serves, tried, uniform, weight) == expected


def test_weighted_draws_in_proportion_to_the_weights() -> None:
    counts = Counter(
        choose("weighted", [1, 1, 1, 0], uniform=step / 1000, weight=[1.0, 2.0, 5.0, 9.0])[0] for step in range(1000)
    )
    assert counts == {0: 125, 1: 250, 2: 625}


def chosen(policy: str, view: Targets, tried: Sequence[int] = (), uniform: float = 0.0) -> tuple[int, str]:
    index, reason = POLICIES[policy](view, REQUEST, tried or [0] * len(view.serves), uniform)
    return index, REASONS[reason]


@pytest.mark.parametrize(
    ("in_flight", "queue_length", "weight", "tried", "expected"),
    [
        ([3, 1, 2], [0, 0, 0], [1.0] * 3, [0, 0, 0], (1, "least_busy")),
        ([3, 1, 2], [0, 9, 0], [1.0] * 3, [0, 0, 0], (2, "least_busy")),
        ([1, 1, 1], [0, 0, 0], [1.0] * 3, [0, 0, 0], (0, "least_busy")),
        ([1, 1, 1], [0, 0, 0], [1.0, 2.0, 2.0], [0, 0, 0], (1, "least_busy")),
        ([0, 1, 1], [0, 0, 0], [1.0, 2.0, 2.0], [0, 0, 0], (0, "least_busy")),
        ([0, 1, 2], [0, 0, 0], [1.0] * 3, [1, 0, 0], (1, "fallback")),
        ([0, 1, 2], [0, 0, 0], [1.0] * 3, [1, 1, 1], (-1, "none_eligible")),
    ],
)
def test_least_busy_takes_the_one_with_the_fewest_requests(
    in_flight: list[int], queue_length: list[int], weight: list[float], tried: list[int], expected: tuple[int, str]
) -> None:
    view = targets([1, 1, 1], weight)._replace(in_flight=in_flight, queue_length=queue_length)
    assert chosen("least_busy", view, tried) == expected
    assert chosen("least_busy", view._replace(serves=[0, 0, 1]))[0] == 2


@pytest.mark.parametrize(
    ("price_usd", "tried", "expected"),
    [
        ([0.3, 0.1, 0.2], [0, 0, 0], (1, "cheapest")),
        ([0.1, 0.1, 0.2], [0, 0, 0], (0, "cheapest")),
        ([nan, 0.2, 0.1], [0, 0, 0], (2, "cheapest")),
        ([0.2, nan, nan], [0, 0, 0], (0, "cheapest")),
        ([nan, 0.0, nan], [0, 0, 0], (1, "cheapest")),
        ([nan, nan, nan], [0, 0, 0], (0, "first_choice")),
        ([0.3, 0.1, 0.2], [0, 1, 0], (2, "fallback")),
        ([nan, 0.1, nan], [0, 1, 0], (0, "fallback")),
        ([0.3, 0.1, 0.2], [1, 1, 1], (-1, "none_eligible")),
    ],
)
def test_cheapest_takes_the_lowest_known_price(
    price_usd: list[float], tried: list[int], expected: tuple[int, str]
) -> None:
    assert chosen("cheapest", targets([1, 1, 1])._replace(price_usd=price_usd), tried) == expected


def test_cheapest_says_when_it_knows_no_price() -> None:
    view = targets([0, 1, 1])._replace(price_usd=[0.1, nan, nan])
    assert chosen("cheapest", view) == (1, "next_in_order")


def shares(predicted_ttft_s: list[float], tried: Sequence[int] = (), serves: Sequence[int] = ()) -> list[float]:
    """How often each target is chosen."""
    view = targets(serves or [1] * len(predicted_ttft_s))._replace(predicted_ttft_s=predicted_ttft_s)
    draws = 4000
    counts = Counter(chosen("lowest_latency", view, tried, step / draws)[0] for step in range(draws))
    return [counts[index] / draws for index in range(len(predicted_ttft_s))]


def test_the_fastest_serves_and_those_that_are_much_slower_do_not() -> None:
    assert shares([0.5, 0.2, 0.3]) == [0, 1, 0]
    assert chosen("lowest_latency", targets([1, 1])._replace(predicted_ttft_s=[0.5, 0.2])) == (1, "lowest_latency")


def test_those_that_are_nearly_as_fast_share_the_traffic_little_by_little() -> None:
    assert shares([0.2, 0.2]) == [0.5, 0.5]
    nearly = shares([0.2, 0.2 * (1 + LATENCY_BAND / 2)])
    assert nearly == pytest.approx([2 / 3, 1 / 3], abs=0.001)
    assert shares([0.2, 0.2 * (1 + LATENCY_BAND)]) == [1, 0]


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.floats(-0.01, 0.01))
@settings(max_examples=50, deadline=None)
def test_noise_never_moves_all_traffic_at_once(one_s: float, other_s: float, noise: float) -> None:
    """A hundredth of noise moves less than a tenth of the requests, however close the targets are."""
    before = shares([one_s, other_s])
    after = shares([one_s * (1 + noise), other_s])
    assert abs(before[0] - after[0]) < 0.1


def test_targets_of_which_nothing_is_known_get_their_share_until_something_is() -> None:
    assert shares([0.2, nan]) == pytest.approx([1 - EXPLORED_SHARE, EXPLORED_SHARE], abs=0.001)
    assert shares([nan, 0.2, nan, 9.9]) == pytest.approx([0.025, 0.95, 0.025, 0], abs=0.001)
    assert shares([inf, 0.2]) == pytest.approx([EXPLORED_SHARE, 1 - EXPLORED_SHARE], abs=0.001)
    assert shares([nan, nan, nan, nan]) == [0.25] * 4
    view = targets([1, 1])._replace(predicted_ttft_s=[nan, 0.2])
    assert chosen("lowest_latency", view, uniform=0.0) == (0, "latency_unknown")
    assert chosen("lowest_latency", view, uniform=0.9) == (1, "lowest_latency")


def test_after_a_failure_nothing_is_tried_out() -> None:
    assert shares([0.2, nan, 0.9], tried=[1, 0, 0]) == [0, 0, 1]
    assert shares([0.2, nan, 0.9], tried=[1, 0, 1]) == [0, 1, 0]
    assert shares([0.2, nan, 0.9], serves=[0, 1, 1]) == pytest.approx(
        [0, EXPLORED_SHARE, 1 - EXPLORED_SHARE], abs=0.001
    )
    view = targets([1, 1])._replace(predicted_ttft_s=[0.1, 0.2])
    assert chosen("lowest_latency", view, [1, 0]) == (1, "fallback")
    assert chosen("lowest_latency", view, [1, 1]) == (-1, "none_eligible")


def test_reasons_are_fit_for_a_header() -> None:
    assert all(reason.isidentifier() and reason.islower() for reason in REASONS)
    assert len(set(REASONS)) == len(REASONS)


def test_every_target_is_tried_before_a_policy_gives_up() -> None:
    for policy in POLICIES:
        tried = [0] * 5
        for _ in range(5):
            index, _ = choose(policy, [1] * 5, tried, uniform=0.4, weight=[0.0, 1.0, 2.0, 0.0, 4.0])
            tried[index] = 1
        assert choose(policy, [1] * 5, tried) == (-1, "none_eligible")
