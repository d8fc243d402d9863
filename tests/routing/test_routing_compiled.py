"""Policies choose the same plain and compiled, whatever they are called with, and what holds of all of them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, cast

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from situations import Situation, as_arrays, as_tuples, situations

from breakeven.routing.fullness import Limits, is_full
from breakeven.routing.policies import POLICIES, READS, REASONS
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Callable

    Compiled = dict[str, Callable[..., tuple[int, int]]]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return {name: cast("Callable[..., tuple[int, int]]", numba.njit(policy)) for name, policy in POLICIES.items()}


@given(situations())
@settings(max_examples=400, deadline=None)
def test_compiled_policies_choose_as_plain_ones_do(compiled: Compiled, situation: Situation) -> None:
    view, request, tried, uniform = situation
    for name, policy in POLICIES.items():
        plain = policy(view, request, tried, uniform)
        assert compiled[name](as_arrays(view), request, np.array(tried), uniform) == plain, name


@given(situations())
@settings(max_examples=400, deadline=None)
def test_who_may_is_chosen_if_there_is_one_and_nobody_else(situation: Situation) -> None:
    view, request, tried, uniform = situation
    candidates = situation.candidates()
    for name, policy in POLICIES.items():
        index, reason = policy(view, request, tried, uniform)
        assert (index == -1) == (not candidates) == (REASONS[reason] == "none_eligible"), name
        assert index in {*candidates, -1}, name
        assert (REASONS[reason] == "fallback") <= (1 in tried), name
        assert policy(as_tuples(view), request, tuple(tried), uniform) == (index, reason), name


class _Watched(list[float]):
    """A column that remembers whether it was looked at."""

    def __init__(self, name: str, values: Any, seen: set[str]) -> None:
        super().__init__(values)
        self.name, self.seen = name, seen

    def __getitem__(self, index: Any) -> Any:
        self.seen.add(self.name)
        return super().__getitem__(index)


class _WatchedRequest:
    """A request that remembers which of its fields were looked at."""

    def __init__(self, request: Request, seen: set[str]) -> None:
        self._request, self._seen = request, seen

    def __getattr__(self, name: str) -> Any:
        self._seen.add(name)
        return getattr(self._request, name)


def test_policies_look_at_what_the_registry_says_and_at_nothing_else() -> None:
    assert READS.keys() == POLICIES.keys()
    found: dict[str, set[str]] = {name: set() for name in POLICIES}

    @given(situations())
    @settings(max_examples=300, deadline=None, database=None)
    def look(situation: Situation) -> None:
        view, request, tried, uniform = situation
        for name, policy in POLICIES.items():
            columns = zip(Targets._fields, view, strict=True)
            watched = Targets._make(_Watched(field, column, found[name]) for field, column in columns)
            policy(watched, cast("Request", _WatchedRequest(request, found[name])), tried, uniform)

    look()
    assert {name: seen - {"serves"} for name, seen in found.items()} == {name: set(READS[name]) for name in READS}


def test_a_node_is_full_the_same_plain_and_compiled() -> None:
    same = cast("Callable[..., bool]", numba.njit(is_full))
    for limits in (Limits(), Limits(4.0, 0.9, 2.0, 0.8), Limits(0.0, 0.0, inf, 1.0)):
        for was in (0, 1):
            for queue_length in (0, 3, 4, 5):
                for kv, ttft_s in ((0.0, float("nan")), (0.8, 1.7), (0.95, 2.5)):
                    plain = is_full(was, queue_length, kv, ttft_s, limits)
                    assert same(was, queue_length, kv, ttft_s, limits) == plain
