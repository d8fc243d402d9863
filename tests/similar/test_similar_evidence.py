"""Permission to give answers again is earned by checks, and wrongly earned in at most one case of twenty."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.evidence import MOST_WRONG_FRACTION, Evidence, checks_before_any

RUNS = 1000
CHECKS = 1500


def _run(evidence: Evidence, outcomes: list[bool]) -> int | None:
    """Return the checks until permission; None where it never came."""
    for index, same in enumerate(outcomes, 1):
        evidence.checked(same=same)
        if evidence.allows:
            return index
    return None


@pytest.mark.parametrize("most_false_fraction", [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5])
def test_with_no_false_hit_permission_comes_when_the_formula_says(most_false_fraction: float) -> None:
    earned = log(1 + 0.7 * most_false_fraction / (1 - most_false_fraction))
    expected = ceil(log(20) / earned)
    assert checks_before_any(most_false_fraction) == expected
    assert _run(Evidence(most_false_fraction), [True] * (expected + 5)) == expected


def test_the_numbers_of_the_docs() -> None:
    limits = (0.0001, 0.001, 0.01, 0.05)
    assert [checks_before_any(limit) for limit in limits] == [42_794, 4_277, 426, 83]


@pytest.mark.parametrize("most_false_fraction", [0.01, 0.05, 0.2, 0.5])
def test_at_the_limit_permission_is_rare_however_often_one_looks(most_false_fraction: float) -> None:
    chance = np.random.default_rng(20_261_121)
    outcomes = chance.random((RUNS, CHECKS)) >= most_false_fraction
    wrong = sum(_run(Evidence(most_false_fraction), row) is not None for row in outcomes.tolist())
    deviation = (RUNS * MOST_WRONG_FRACTION * (1 - MOST_WRONG_FRACTION)) ** 0.5
    assert wrong <= RUNS * MOST_WRONG_FRACTION + 2.5 * deviation
    assert wrong > 0, "a test that never permits would prove nothing"


def test_rates_that_come_and_go_but_stay_above_the_limit_are_no_loophole() -> None:
    """The claim holds given all that came before, so a rate that swings with the wealth earns nothing either."""
    chance = np.random.default_rng(7)
    wrong = 0
    for draws in chance.random((RUNS, CHECKS)).tolist():
        evidence = Evidence(0.05)
        for draw in draws:
            evidence.checked(same=draw >= (0.05 if evidence.checks_needed < 40 else 0.06))
            if evidence.allows:
                wrong += 1
                break
    assert wrong <= RUNS * MOST_WRONG_FRACTION + 2.5 * (RUNS * 0.05 * 0.95) ** 0.5


def test_well_below_the_limit_it_is_given_nearly_always() -> None:
    chance = np.random.default_rng(11)
    outcomes = chance.random((200, 5000)) >= 0.002
    assert sum(_run(Evidence(0.01), row) is not None for row in outcomes.tolist()) >= 198


def test_at_a_third_of_the_limit_it_is_kept_most_of_the_time() -> None:
    """docs/model.md says 90 % of 20,000 checks at a rate of 0.3 %, the time until the first permission included."""
    chance = np.random.default_rng(13)
    allowed = 0
    for row in (chance.random((20, 20_000)) >= 0.003).tolist():
        evidence = Evidence(0.01)
        for same in row:
            evidence.checked(same=same)
            allowed += evidence.allows
    assert 0.84 <= allowed / (20 * 20_000) <= 0.95


def test_the_third_false_hit_in_a_row_ends_it_however_long_it_went_well() -> None:
    evidence = Evidence(0.01)
    for _ in range(100_000):
        evidence.checked(same=True)
    allowed = []
    for _ in range(3):
        evidence.checked(same=False)
        allowed.append(evidence.allows)
    assert allowed == [True, True, False]
    assert (evidence.checks, evidence.false_hits) == (100_003, 3)
    needed = evidence.checks_needed
    assert 0 < needed < checks_before_any(0.01)
    assert _run(evidence, [True] * needed) == needed


def test_soon_after_permission_one_false_hit_ends_it() -> None:
    evidence = Evidence(0.01)
    _run(evidence, [True] * 500)
    evidence.checked(same=False)
    assert not evidence.allows


def test_without_checks_there_is_no_permission() -> None:
    evidence = Evidence(0.5)
    assert not evidence.allows
    assert (evidence.checks, evidence.false_hits) == (0, 0)


def test_no_number_of_false_hits_is_too_much() -> None:
    evidence = Evidence(0.01)
    for _ in range(10_000):
        evidence.checked(same=False)
    assert not evidence.allows
    assert evidence.checks_needed > 1_000_000


@given(st.floats(0.001, 0.5), st.lists(st.booleans(), max_size=300))
def test_what_is_needed_is_what_it_takes(most_false_fraction: float, outcomes: list[bool]) -> None:
    evidence = Evidence(most_false_fraction)
    for same in outcomes:
        evidence.checked(same=same)
    needed = evidence.checks_needed
    assert evidence.allows == (needed == 0)
    if 0 < needed < 5000:
        assert _run(evidence, [True] * needed) == needed
