"""Prompts: as long as is asked for in the endpoint's own tokens, and no two that begin alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.bench.prompts import MOST_PROMPT_TOKENS, WORDS, Measure, Prompts, fitted


def prompts(measure: Measure | None = None, *, seed: int = 1, shared_tokens: int = 0) -> Prompts:
    return Prompts(np.random.default_rng(seed), measure or Measure(), shared_tokens=shared_tokens)


def test_a_measure_is_learned_from_two_counts() -> None:
    found = fitted([(16, 31 + 16 * 5), (100, 31 + 100 * 5)])
    assert found == pytest.approx(Measure(31, 5))
    assert found.words(31 + 40 * 5) == 40


def test_of_one_count_or_none_the_usual_fixed_part_is_taken() -> None:
    usual = Measure()
    assert fitted([]) == usual
    assert fitted([(20, 52)]) == Measure(usual.fixed_tokens, 2.0)


def test_a_count_that_does_not_grow_with_the_prompt_tells_nothing() -> None:
    assert fitted([(16, 57), (400, 57)]) == Measure()


@given(st.integers(1, 5000), st.floats(0, 60), st.floats(0.5, 8))
def test_a_prompt_is_as_long_as_its_words_allow(tokens: int, fixed: float, ratio: float) -> None:
    measure = Measure(fixed, ratio)
    words = measure.words(tokens)
    assert words == 1 or abs(fixed + words * ratio - tokens) <= ratio / 2 + 1e-9


def test_words_are_known_and_of_one_length() -> None:
    assert {len(word) for word in WORDS} == {4}
    own, *words = prompts().text_of_words(300).split(" ")
    assert len(own) == 12
    assert len(words) == 300
    assert set(words) <= set(WORDS)


def test_no_two_prompts_begin_alike() -> None:
    source = prompts()
    beginnings = {source.text(100)[:6] for _ in range(2000)}
    assert len(beginnings) == 2000


def test_equal_seeds_give_equal_prompts() -> None:
    assert prompts(seed=5).text(50) == prompts(seed=5).text(50)
    assert prompts(seed=5).text(50) != prompts(seed=6).text(50)


def test_a_shared_beginning_is_shared_and_what_follows_is_not() -> None:
    source = prompts(Measure(10, 2), shared_tokens=100)
    one, other = source.text(300), source.text(300)
    shared = 50 * 5
    assert one[:shared] == other[:shared]
    assert one[shared : shared + 12] != other[shared : shared + 12]
    assert len(one.split()) == Measure(10, 2).words(300) + 1


def test_the_longest_prompt_can_be_made() -> None:
    measure = Measure(0, 1.0)
    assert len(prompts(measure).text(MOST_PROMPT_TOKENS).split()) == MOST_PROMPT_TOKENS + 1
