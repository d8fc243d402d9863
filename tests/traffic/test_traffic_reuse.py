"""What repeats in a log, against hand counts and a cache in plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import requests_of

from breakeven.records import Reuse, TrafficProfile
from breakeven.traffic import reuse
from breakeven.traffic.profile import profile

BLOCK = 10


def test_a_log_that_says_neither_prompts_nor_blocks_shows_no_reuse() -> None:
    found = profile(requests_of([{"at_s": i, "input_tokens": 5} for i in range(3)]))
    assert found.reuse is None


def test_a_prompt_counts_as_repeated_from_its_second_use_on() -> None:
    prompts = ["a", "b", "a", None, "a", "c"]
    rows: list[dict[str, Any]] = [
        {"at_s": i, "input_tokens": 1, "prompt_id": prompt} for i, prompt in enumerate(prompts)
    ]
    found = profile(requests_of(rows)).reuse
    assert found == Reuse(
        duplicate_fraction=1 - 3 / 5, prefix_fraction=None, prefix_5min_fraction=None, prefix_1h_fraction=None
    )


def test_a_prefix_is_reused_as_far_as_its_blocks_came_before_and_as_long_ago_as_a_cache_keeps_them() -> None:
    rows: list[dict[str, Any]] = [
        {"at_s": 0, "input_tokens": 25, "prefix_blocks": [1, 2, 3]},
        {"at_s": 300, "input_tokens": 22, "prefix_blocks": [1, 2, 4]},  # 20 tokens, exactly 5 minutes old
        {"at_s": 1000, "input_tokens": 30, "prefix_blocks": [1, 5, 6]},  # 10 tokens, 700 s after their last use
        {"at_s": 4000, "input_tokens": 25, "prefix_blocks": [1, 2, 3]},  # 10 used 3000 s ago; 10 and 5 over an hour ago
        {"at_s": 9000, "input_tokens": 98, "prefix_blocks": None},  # unknown: in no share
    ]
    found = profile(requests_of(rows, block_tokens=BLOCK)).reuse
    assert found is not None
    assert found.prefix_fraction == (20 + 10 + 25) / 102
    assert found.prefix_5min_fraction == 20 / 102
    assert found.prefix_1h_fraction == (20 + 10 + 10) / 102
    assert found.duplicate_fraction is None


def test_blocks_of_unknown_size_say_nothing() -> None:
    rows = [{"at_s": i, "input_tokens": 25, "prefix_blocks": [1, 2]} for i in range(2)]
    assert profile(requests_of(rows)).reuse is None


Prompt = tuple[int, int, int]
"""Seconds, which conversation, how many tokens of it."""

prompts = st.lists(
    st.tuples(st.integers(0, 8000), st.integers(0, 3), st.integers(0, 60)), min_size=2, max_size=25
).filter(lambda rows: len({at_s for at_s, _, _ in rows}) > 1 and any(tokens for _, _, tokens in rows))


def cached(rows: list[Prompt], lifetime_s: float) -> float:
    """Return the share that a cache would hold which keeps blocks for so long after each use."""
    used: dict[int, int] = {}
    hit = 0
    for at_s, conversation, tokens in sorted(rows, key=lambda row: (row[0], row[2])):
        blocks = blocks_of(conversation, tokens)
        for place, block in enumerate(blocks):
            if block not in used or at_s - used[block] > lifetime_s:
                break
            hit += min(BLOCK, tokens - place * BLOCK)
        used |= dict.fromkeys(blocks, at_s)
    return hit / sum(tokens for _, _, tokens in rows)


def blocks_of(conversation: int, tokens: int) -> list[int]:
    return [100 * conversation + place for place in range(-(-tokens // BLOCK))]


def of(rows: list[Prompt]) -> TrafficProfile:
    return profile(
        requests_of(
            [
                {"at_s": at_s, "input_tokens": tokens, "prefix_blocks": blocks_of(conversation, tokens)}
                for at_s, conversation, tokens in rows
            ],
            block_tokens=BLOCK,
        )
    )


@settings(max_examples=25, deadline=None)
@given(prompts, st.randoms(use_true_random=False))
def test_shares_are_those_of_a_cache_that_works_through_the_log(rows: list[Prompt], random: st.DataObject) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = of(shuffled).reuse
    assert found is not None
    assert found.prefix_fraction == pytest.approx(cached(rows, float("inf")))
    assert found.prefix_5min_fraction == pytest.approx(cached(rows, 300))
    assert found.prefix_1h_fraction == pytest.approx(cached(rows, 3600))


def test_a_sample_of_blocks_estimates_the_share_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(10 * i, i % 400, 200) for i in range(1000)]
    exact = of(rows)
    assert exact.notes == ()
    monkeypatch.setattr(reuse, "EXACT_BLOCKS", 3000)
    sampled = of(rows)
    assert exact.reuse is not None
    assert sampled.reuse is not None
    assert exact.reuse.prefix_fraction == pytest.approx(0.6)
    assert sampled.reuse.prefix_fraction == pytest.approx(0.6, abs=0.02)
    assert sampled.notes == ("repeated prefixes are those of one block in 7, chosen by its id",)


def test_a_sample_of_prompts_estimates_the_share_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"at_s": i, "input_tokens": 1, "prompt_id": f"prompt {i % 2000}"} for i in range(6000)]
    monkeypatch.setattr(reuse, "EXACT_PROMPTS", 100)
    found = profile(requests_of(rows))
    assert found.reuse is not None
    assert found.reuse.duplicate_fraction == pytest.approx(2 / 3)
    assert found.notes == ("repeated prompts are those of one prompt in sixteen, chosen by its hash",)
