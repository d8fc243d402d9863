"""What the policies choose, and that they choose the same plain and compiled."""

from __future__ import annotations

from collections import Counter
from math import inf, nan
from typing import TYPE_CHECKING, cast

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.routing.policies import POLICIES, REASONS, ordered, weighted
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def test_reasons_are_fit_for_a_header_and_policies_for_a_configuration() -> None:
    assert all(reason.isidentifier() and reason.islower() for reason in REASONS)
    assert len(set(REASONS)) == len(REASONS)
    assert {"ordered": ordered, "weighted": weighted} == POLICIES


@st.composite
def situations(draw: st.DrawFn) -> tuple[Targets, list[int], float]:
    count = draw(st.integers(1, 6))

    def column(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=count, max_size=count))

    bits = st.integers(0, 1)
    weights = st.sampled_from([0.0, 1.0, 0.1, 3.7, -1.0, nan]) | st.floats(0, 1e6)
    view = Targets(
        serves=[int(bit) for bit in column(bits)],
        healthy=[int(bit) for bit in column(bits)],
        in_flight=[int(bit) for bit in column(bits)],
        queue_length=[int(bit) for bit in column(bits)],
        kv_use_fraction=column(st.floats(0, 1)),
        predicted_ttft_s=column(st.floats()),
        price_usd=column(st.floats()),
        weight=column(weights),
    )
    return view, [int(bit) for bit in column(bits)], draw(st.floats(0, 1, exclude_max=True))


INTEGERS = ("serves", "healthy", "in_flight", "queue_length")


def as_arrays(view: Targets) -> Targets:
    return Targets._make(
        np.array(column, dtype=np.int64 if name in INTEGERS else np.float64)
        for name, column in zip(Targets._fields, view, strict=True)
    )


def as_tuples(view: Targets) -> Targets:
    return Targets._make(tuple(column) for column in view)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Callable[..., tuple[int, int]]]:
    return {name: cast("Callable[..., tuple[int, int]]", numba.njit(policy)) for name, policy in POLICIES.items()}


@given(situations())
@settings(max_examples=300, deadline=None)
def test_compiled_policies_choose_as_plain_ones_do(
    compiled: dict[str, Callable[..., tuple[int, int]]], situation: tuple[Targets, list[int], float]
) -> None:
    view, tried, uniform = situation
    for name, policy in POLICIES.items():
        plain = policy(view, REQUEST, tried, uniform)
        assert compiled[name](as_arrays(view), REQUEST, np.array(tried), uniform) == plain
        index, reason = plain
        assert (index == -1) == (REASONS[reason] == "none_eligible")
        assert index == -1 or (view.serves[index] and not tried[index])
        assert index != -1 or not any(s and not t for s, t in zip(view.serves, tried, strict=True))


def test_compiled_policies_take_tuples_and_bools_too(compiled: dict[str, Callable[..., tuple[int, int]]]) -> None:
    view = targets([1, 1, 1], [1.0, 2.0, 3.0])
    for name, policy in POLICIES.items():
        for uniform in (0.0, 0.3, 0.99):
            plain = policy(view, REQUEST, [0, 0, 1], uniform)
            assert compiled[name](as_tuples(view), REQUEST, (0, 0, 1), uniform) == plain
            marked = as_tuples(view)._replace(serves=(True, True, True))
            assert compiled[name](marked, REQUEST, (False, False, True), uniform) == plain


def test_every_target_is_tried_before_a_policy_gives_up() -> None:
    for policy in POLICIES:
        tried = [0] * 5
        for _ in range(5):
            index, _ = choose(policy, [1] * 5, tried, uniform=0.4, weight=[0.0, 1.0, 2.0, 0.0, 4.0])
            tried[index] = 1
        assert choose(policy, [1] * 5, tried) == (-1, "none_eligible")
