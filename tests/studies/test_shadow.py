"""A shadow comparison: what decides, what is left out, and what of it a verdict takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from breakeven.evidence.betting import begin
from breakeven.ledger.pairs import CHECK, EXACT, HUMAN, JUDGE, SERVED, Pair, PairCheck, Side
from breakeven.sources.catalogue import load_book
from breakeven.studies.shadow.records import Compared, SideCost, Terms
from breakeven.studies.shadow.shadowed import LEAST_PAIRS_COUNT, shadowed
from breakeven.studies.shadow.study import compare
from breakeven.studies.verdict.gate import evidence
from breakeven.studies.verdict.shadowed import Shadowed, named_ratios, with_shadowed
from breakeven.studies.verdict.token_price import transfer_ratios

DAY_US = 86_400_000_000
START_US = 20_000 * DAY_US


def side(given: int | None = 100, made: int | None = 50, failure: str = "") -> Side:
    if failure:
        return Side(None, None, None, None, None, None, failure)
    return Side(None, given, made, 200_000, 900_000, 180, "")


def pair(
    number: int, scores: dict[str, tuple[float, float]], *, task: str = "triage", candidate: Side | None = None
) -> Compared:
    found = Pair(
        request_id=number << 4, candidate="small", incumbent="large", model="chat", key="shop", task=task, tags="",
        at_us=START_US + number, of_incumbent=side(), of_candidate=candidate or side(110, 60), origin="shadow",
    )  # fmt: skip
    checks = tuple(
        PairCheck(found.request_id, "small", name, "v1", *both, "", START_US + number) for name, both in scores.items()
    )
    return Compared(pair=found, checks=checks, of_incumbent=SideCost(0.004, 0.004), of_candidate=SideCost(0.001, 0.002))


def judged(count: int, *, lost: float, won: float, seed: int = 1, task: str = "triage") -> list[Compared]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        drawn = rng.random()
        scores = (1.0, 0.0) if drawn < lost else (0.0, 1.0) if drawn < lost + won else (0.5, 0.5)
        found.append(pair(number, {JUDGE: scores, EXACT: (1.0, 0.0)}, task=task))
    return found


def test_the_test_is_the_betting_of_the_pairs_in_their_order() -> None:
    members = judged(900, lost=0.05, won=0.05)
    (found,) = compare(members, Terms(margin_fraction=0.05)).comparisons
    by_hand = begin(margin_fraction=0.05).after([item.checks[0].difference for item in members])
    assert found.tested is not None
    assert found.tested.check == JUDGE
    assert found.tested.e_value_ratio == by_hand.promote.e_value
    assert found.tested.standing == "as good"
    assert found.tested.needed is not None
    assert found.tested.needed.likely_count == 0


def test_a_candidate_that_loses_is_worse_and_few_pairs_are_not_known_yet() -> None:
    (worse,) = compare(judged(600, lost=0.25, won=0.02), Terms(margin_fraction=0.05)).comparisons
    assert worse.standing == "worse"
    (open_,) = compare(judged(40, lost=0.05, won=0.05), Terms(margin_fraction=0.05)).comparisons
    assert open_.standing == "not known yet"
    assert open_.tested is not None
    assert open_.tested.needed is not None
    assert open_.tested.needed.likely_count > 100


def test_other_words_are_not_called_worse() -> None:
    members = [pair(number, {EXACT: (1.0, 0.0)}) for number in range(200)]
    (found,) = compare(members, Terms()).comparisons
    assert found.standing == "differs"
    one = shadowed("m", members)
    assert one is not None
    assert one.accuracy_ratio is not None
    assert one.accuracy_ratio.high >= 1


def test_no_answer_counts_against_who_gave_none() -> None:
    answered = judged(100, lost=0.0, won=0.0)
    failed = [pair(200 + number, {SERVED: (1.0, 0.0)}, candidate=side(failure="timed_out")) for number in range(100)]
    (found,) = compare([*answered, *failed], Terms()).comparisons
    assert found.tested is not None
    assert found.tested.mean_score == pytest.approx(-0.5)
    assert found.candidate_failures_count == 100
    assert found.failures == (("timed_out", 100),)


def test_a_check_that_judged_few_pairs_does_not_decide_unless_it_is_asked_for() -> None:
    members = [
        pair(number, {EXACT: (1.0, 1.0), **({CHECK: (1.0, 1.0)} if number < 10 else {})}) for number in range(100)
    ]
    (by_default,) = compare(members, Terms()).comparisons
    (asked,) = compare(members, Terms(check=CHECK)).comparisons
    assert by_default.tested is not None
    assert asked.tested is not None
    assert (by_default.tested.check, by_default.tested.pairs_count) == (EXACT, 100)
    assert (asked.tested.check, asked.tested.pairs_count) == (CHECK, 10)


def test_what_an_earlier_judge_said_is_left_out_and_counted() -> None:
    members = judged(60, lost=0.1, won=0.1)
    old = [
        replace(item, checks=tuple(check._replace(version="v0", at_us=0) for check in item.checks))
        for item in judged(40, lost=1.0, won=0.0)
    ]
    (found,) = compare([*members, *old], Terms()).comparisons
    judge = next(item for item in found.checks if item.name == JUDGE)
    assert (judge.version, judge.pairs_count, judge.older_count) == ("v1", 60, 40)


def test_tasks_are_told_apart_and_tested_together() -> None:
    good = judged(900, lost=0.02, won=0.02, task="good")
    bad = judged(900, lost=0.30, won=0.02, task="bad", seed=2)
    whole, first, second = compare([*good, *bad], Terms(margin_fraction=0.05)).comparisons
    standings = {item.task: item.standing for item in (first, second)}
    assert standings == {"good": "as good", "bad": "worse"}
    assert whole.task is None
    assert whole.pairs_count == 1800
    assert all(item.tested and item.tested.among_tasks is (item.task == "good") for item in (first, second))


def test_costs_times_and_tokens_are_compared_pair_by_pair() -> None:
    (found,) = compare(judged(50, lost=0, won=0), Terms()).comparisons
    loaded, given, made = found.of("fully loaded"), found.of("input"), found.of("output")
    assert loaded is not None
    assert loaded.ratio is not None
    assert (loaded.incumbent_value, loaded.candidate_value, loaded.ratio.value) == pytest.approx((0.004, 0.002, 0.5))
    assert given is not None
    assert made is not None
    assert given.ratio is not None
    assert made.ratio is not None
    assert (given.ratio.value, made.ratio.value) == pytest.approx((1.1, 1.2))


def test_people_correct_a_judge_that_favours_the_candidate() -> None:
    rng = np.random.default_rng(3)
    members = []
    for number in range(1200):
        truth = -1.0 if rng.random() < 0.2 else 0.0
        flattered = 0.0 if truth < 0 and rng.random() < 0.5 else truth
        scores = {JUDGE: (0.5 - flattered / 2, 0.5 + flattered / 2)}
        if number % 8 == 0:
            scores[HUMAN] = (0.5 - truth / 2, 0.5 + truth / 2)
        members.append(pair(number, scores))
    (found,) = compare(members, Terms()).comparisons
    assert found.judged is not None
    assert found.judged.labels_count == 150
    corrected = found.judged.corrected_score
    assert corrected is not None
    assert corrected.low < -0.2 < corrected.high
    assert found.tested is not None
    assert corrected.value < found.tested.mean_score - 0.05


def test_measured_token_ratios_hold_for_their_model_alone() -> None:
    found = shadowed("llama-3.3-70b", judged(200, lost=0, won=0))
    assert found is not None
    book = with_shadowed(load_book(), [found])
    values = {key: item.likely for key, item in book.assumptions.items()}
    assert transfer_ratios(values, same_model=False, model="llama-3.3-70b") == pytest.approx((1.1, 1.2))
    assert transfer_ratios(values, same_model=False, model="gpt-oss-120b") == (1.0, 1.0)
    assert transfer_ratios(values, same_model=True, model="llama-3.3-70b") == (1.0, 1.0)
    assert set(named_ratios(values, "llama-3.3-70b")) == {
        "tokeniser_ratio:llama-3.3-70b", "verbosity_ratio:llama-3.3-70b",
    }  # fmt: skip
    assert book.assumption("tokeniser_ratio:llama-3.3-70b").basis == "measured"


def test_a_ratio_that_the_user_stated_stays_as_stated() -> None:
    book = load_book()
    own = replace(book.assumption("tokeniser_ratio"), likely=1.05, basis="user")
    found = shadowed("llama-3.3-70b", judged(200, lost=0, won=0))
    assert found is not None
    keys = with_shadowed(book.with_assumptions([own]), [found]).assumptions.keys()
    assert "tokeniser_ratio:llama-3.3-70b" not in keys
    assert "verbosity_ratio:llama-3.3-70b" in keys


def test_few_pairs_replace_no_assumption() -> None:
    assert shadowed("m", judged(LEAST_PAIRS_COUNT - 1, lost=0, won=0)) is None


@pytest.mark.parametrize(
    ("lost", "count", "standing", "said"),
    [
        (0.0, 2000, "evidence", "your shadow comparison"),
        (0.3, 2000, "no evidence", "below 95%"),
        (0.04, 60, "no evidence", "not sure enough"),
    ],
)
def test_the_gate_takes_pairs_as_evidence_when_they_are_sure_enough(
    lost: float, count: int, standing: str, said: str
) -> None:
    found: Shadowed | None = shadowed("llama-3.3-70b", judged(count, lost=lost, won=0.0))
    assert found is not None
    told = evidence("llama-3.3-70b", "openai:gpt-4o", load_book(), (), (found,))
    assert told.standing == standing
    assert said in told.reason
    assert evidence("gpt-oss-120b", "openai:gpt-4o", load_book(), (), (found,)).reason.count("shadow") == 0
