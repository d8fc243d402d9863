"""Task tables: what a lower bound allows, who may have a request of a task, and how often the bound is wrong."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.task_table import (
    Differences,
    TaskRow,
    TaskTable,
    allowed_for,
    differences,
    guards,
    judged,
    lower_bound,
    pairs_needed,
)


def table(weak: str, *allowed: str, denied: tuple[str, ...] = ()) -> TaskTable:
    rows = [judged(name, Differences(400, 0.0, 1.0), 0.02) for name in allowed]
    rows += [judged(name, Differences(400, -80.0, 80.0), 0.02) for name in denied]
    return TaskTable(weak=weak, strong="api", margin_fraction=0.02, rows=tuple(rows))


def test_a_bound_follows_the_published_formula_for_matched_pairs() -> None:
    # 100 pairs, 6 better and 10 worse: n+2 pairs, mean -4/102, variance (16+2)/102 - mean^2.
    found = differences([1.0] * 6 + [-1.0] * 10 + [0.0] * 84)
    assert found == Differences(100, -4.0, 16.0)
    mean = -4 / 102
    expected = mean - 1.6448536269514722 * ((18 / 102 - mean**2) / 102) ** 0.5
    assert lower_bound(found) == pytest.approx(expected, rel=1e-12)


def test_a_few_equal_pairs_are_no_certainty() -> None:
    assert lower_bound(differences([0.0, 0.0])) < -0.4
    assert lower_bound(Differences(0, 0.0, 0.0)) == -1.0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_a_bound_lies_between_the_worst_and_just_about_the_mean(values: list[float]) -> None:
    found = differences(values)
    assert -1.0 <= lower_bound(found) <= max(found.mean, 0.0)


@pytest.mark.parametrize(("better", "worse"), [(0.02, 0.02), (0.05, 0.10), (0.20, 0.20), (0.0, 0.05)])
def test_a_bound_is_above_the_truth_in_about_one_of_twenty_at_most(better: float, worse: float) -> None:
    draw = np.random.default_rng(7)
    runs, pairs = 4000, 150
    counts = draw.multinomial(pairs, [better, worse, 1 - better - worse], size=runs)
    wrong = sum(
        lower_bound(Differences(pairs, float(up - down), float(up + down))) > better - worse for up, down, _ in counts
    )
    assert wrong / runs < 0.065


def test_a_task_is_allowed_by_its_bound_and_never_on_too_few_pairs() -> None:
    assert judged("faq", Differences(400, 4.0, 8.0), 0.02).allowed
    assert not judged("faq", Differences(99, 1.0, 1.0), 0.02).allowed
    close = judged("law", Differences(200, 0.0, 20.0), 0.02)
    assert not close.allowed
    assert close.needed_pairs_count is not None
    assert close.needed_pairs_count > 1000
    assert judged("sums", Differences(200, -40.0, 40.0), 0.02).needed_pairs_count is None
    assert not judged("", Differences(400, 4.0, 8.0), 0.02).allowed


def test_the_pairs_needed_are_those_of_a_one_sided_test() -> None:
    assert pairs_needed(0.0, 0.10, 0.02) == 1546
    assert pairs_needed(-0.05, 0.10, 0.05) == inf
    assert pairs_needed(0.5, 0.01, 0.02) == 100


def test_a_guarded_target_gets_allowed_tasks_alone_and_unknown_ones_go_elsewhere() -> None:
    guard = guards(("llama/a", "llama/b", "api"), [table("llama", "faq", denied=("law",))])
    assert guard == (frozenset({"faq"}), frozenset({"faq"}), None)
    everybody = (True, True, True)
    assert allowed_for(everybody, guard, "faq") == (True, True, True)
    assert allowed_for(everybody, guard, "law") == (False, False, True)
    assert allowed_for(everybody, guard, "") == (False, False, True)
    assert allowed_for((True, False, True), guard, "faq") == (True, False, True)


def test_where_only_guarded_targets_are_left_they_serve() -> None:
    guard = guards(("llama", "api"), [table("llama", "faq")])
    assert allowed_for((True, False), guard, "law") == (True, False)
    assert allowed_for((False, False), guard, "law") == (False, False)


def test_a_target_that_no_table_speaks_of_may_have_everything() -> None:
    assert guards(("api", "llama-2"), [table("llama", "faq")]) == (None, None)
    assert TaskTable(weak="x", strong="y", margin_fraction=0.02).allowed == frozenset()
    row = TaskRow(task="a", pairs_count=1, difference_fraction=0.0, low_fraction=-1.0, allowed=True)
    assert TaskTable(weak="x", strong="y", margin_fraction=0.02, rows=(row,)).allowed == {"a"}
