"""What is read off an answer that came whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.metering.completion import read_completion
from breakeven.metering.reading import Reading
from breakeven.usage import TokenUsage

REQUEST_BYTES = 401
INPUT_ESTIMATE = 101


def completion(usage: object, content: object = "Hello there", **more: object) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": None}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    found: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": choices,
        "usage": usage,
        **more,
    }
    return json.dumps(found).encode()


def read(usage: object, content: object = "Hello there", **more: object) -> Reading:
    return read_completion(completion(usage, content, **more), REQUEST_BYTES)


def told(prompt: object, output: object, **more: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": output, **more}


def test_told_usage_is_taken_by_type() -> None:
    # https://developers.openai.com/api/docs/guides/prompt-caching: both are parts of the prompt.
    details = {"cached_tokens": 2000, "cache_write_tokens": 400}
    reading = read(told(2600, 300, total_tokens=2900, prompt_tokens_details=details), service_tier="priority")
    assert reading == Reading(2600, 300, 2000, 400, PROCESSINGS.index("priority"), estimated=False)
    assert reading.usage() == TokenUsage(
        input_tokens=2600, output_tokens=300, cached_input_tokens=2000, cache_write_tokens=400
    )


def test_explicit_zeros_are_believed() -> None:
    assert read(told(0, 0, total_tokens=0)) == Reading(0, 0, 0, 0, 0, estimated=False)


@pytest.mark.parametrize(
    ("usage", "cached", "written"),
    [
        (told(50, 5, prompt_cache_hit_tokens=40, prompt_cache_miss_tokens=10), 40, 0),
        (told(50, 5, prompt_cache_hit_tokens=40, prompt_tokens_details={"cached_tokens": 0}), 40, 0),
        (told(50, 5, cached_tokens=40), 40, 0),
        (told(50, 5, cache_read_input_tokens=30, cache_creation_input_tokens=10), 30, 10),
        (told(50, 5, prompt_tokens_details={"cached_tokens": 30, "cache_creation_tokens": 10}), 30, 10),
        (told(50, 5, prompt_tokens_details={"cached_tokens": None, "cache_creation_input_tokens": 10}), 0, 10),
        (told(50, 5, prompt_tokens_details=None, completion_tokens_details=None), 0, 0),
    ],
)
def test_every_known_name_for_cached_tokens_is_read(usage: object, cached: int, written: int) -> None:
    assert read(usage) == Reading(50, 5, cached, written, 0, estimated=False)


def test_what_stands_beside_the_totals_is_added_where_the_sum_says_so() -> None:
    reasoning = {"reasoning_tokens": 317}
    assert read(told(12, 2, total_tokens=331, completion_tokens_details=reasoning))[:2] == (12, 319)
    assert read(told(12, 400, total_tokens=412, completion_tokens_details=reasoning))[:2] == (12, 400)
    assert read(told(12, 2, total_tokens=300, completion_tokens_details=reasoning))[:2] == (12, 2)
    beside = {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    assert read(told(12, 2, total_tokens=134, **beside)) == Reading(132, 2, 100, 20, 0, estimated=False)
    assert read(told(12, 400, total_tokens=532, completion_tokens_details=reasoning, **beside))[:2] == (132, 400)
    both = read(told(12, 2, total_tokens=451, completion_tokens_details=reasoning, **beside))
    assert both == Reading(132, 319, 100, 20, 0, estimated=False)


def test_whole_numbers_may_be_written_as_floats() -> None:
    assert read(told(12.0, 3.0, prompt_tokens_details={"cached_tokens": 4.0})) == Reading(
        12, 3, 4, 0, 0, estimated=False
    )


@pytest.mark.parametrize("bad", [None, -1, "12", 12.5, True, [], {}, 10**10, 1e300, 10**30])
def test_a_count_that_cannot_be_is_estimated_and_the_others_stand(bad: object) -> None:
    output_estimate = 3  # ceil(11 / 4)
    assert read(told(bad, 7)) == Reading(INPUT_ESTIMATE, 7, 0, 0, 0, estimated=True)
    assert read(told(9, bad)) == Reading(9, output_estimate, 0, 0, 0, estimated=True)
    reading = read(told(9, 7, prompt_tokens_details={"cached_tokens": bad}))
    assert reading == Reading(9, 7, 0, 0, 0, estimated=bad is not None)


@pytest.mark.parametrize("cached", [10, 10**8])
def test_more_cached_than_there_is_input_is_cut_to_it(cached: int) -> None:
    assert read(told(9, 7, cached_tokens=cached)) == Reading(9, 7, 9, 0, 0, estimated=True)
    reading = read(told(9, 7, cached_tokens=6, cache_creation_input_tokens=cached))
    assert reading == Reading(9, 7, 6, 3, 0, estimated=True)


@pytest.mark.parametrize("usage", [None, {}, [], "12", 7, {"prompt_tokens": None}])
def test_without_usage_text_and_request_are_counted(usage: object) -> None:
    assert read(usage, "é" * 8) == Reading(INPUT_ESTIMATE, 4, 0, 0, 0, estimated=True)
    assert read(usage, "a") == Reading(INPUT_ESTIMATE, 1, 0, 0, 0, estimated=True)
    assert read(usage, None) == Reading(INPUT_ESTIMATE, 0, 0, 0, 0, estimated=True)


def test_text_in_parts_and_tool_calls_are_counted() -> None:
    assert read(None, [{"type": "text", "text": "12345678"}, 7]).output_tokens == 2
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "12345678"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, None], "reasoning": "1234"}
    body = json.dumps({"choices": [{"message": message}, {"message": None}, None]}).encode()
    assert read_completion(body, 0).output_tokens == 4


def test_completions_of_text_alone_are_read_too() -> None:
    # https://platform.openai.com/docs/api-reference/completions/object
    choices = [{"text": "12345678", "index": 0, "logprobs": None, "finish_reason": "length"}]
    found: dict[str, object] = {"id": "cmpl-1", "object": "text_completion", "choices": choices}
    assert read_completion(json.dumps(found).encode(), 8) == Reading(2, 2, 0, 0, 0, estimated=True)
    found["usage"] = told(5, 7, total_tokens=12)
    assert read_completion(json.dumps(found).encode(), 8) == Reading(5, 7, 0, 0, 0, estimated=False)


def test_each_choice_that_bears_content_counts_at_least_one() -> None:
    choices = [{"message": {"content": text}} for text in ("a", "b", "c", "")]
    assert read_completion(json.dumps({"choices": choices}).encode(), 0).output_tokens == 3


def test_an_answer_cut_in_the_middle_is_taken_for_text() -> None:
    body = completion(None)[:100]
    assert read_completion(body, REQUEST_BYTES) == Reading(INPUT_ESTIMATE, 25, 0, 0, 0, estimated=True)


def test_usage_is_found_in_an_answer_whose_middle_was_not_kept() -> None:
    body = completion(
        told(9, 7, prompt_tokens_details={"cached_tokens": 4}),
        'say "usage": {"prompt_tokens": 1} ' * 99,
        service_tier="flex",
    )
    assert read_completion(body[:200] + body[-300:], 0) == Reading(9, 7, 4, 0, 2, estimated=False)
    assert read_completion(b"\xff" + body[:-1], 0) == Reading(9, 7, 4, 0, 2, estimated=False)
    assert read_completion(body[: body.rindex(b', "service_tier"')], 0) == Reading(9, 7, 4, 0, 0, estimated=False)
    assert read_completion(body[: body.rindex(b"cached_tokens")], 0).estimated


def test_nothing_is_read_off_nothing() -> None:
    assert read_completion(b"", 0) == Reading(0, 0, 0, 0, 0, estimated=True)


NAMES = [
    "usage", "choices", "message", "content", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
    "prompt_tokens_details", "completion_tokens_details", "reasoning_tokens", "cache_write_tokens", "service_tier",
    "tool_calls", "function", "arguments", "delta", "error", "x_groq", "text",
]  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(anything)
@settings(max_examples=400, deadline=None)
def test_no_json_is_too_strange_to_be_read(found: object) -> None:
    for body in (json.dumps(found).encode(), completion(found), completion(told(5, 5), choices=found)):
        reading = read_completion(body, REQUEST_BYTES)
        assert reading.usage().input_tokens == reading.input_tokens


@given(st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_bytes_are_too_strange_to_be_read(body: bytes) -> None:
    assert read_completion(body, REQUEST_BYTES).estimated
    assert read_completion(completion(told(5, 5))[:-1] + body, REQUEST_BYTES).usage().output_tokens >= 0


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"usage":' * 100_000, b'{"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}"]
)
def test_depth_and_length_do_not_matter(body: bytes) -> None:
    assert read_completion(body, 0).estimated
