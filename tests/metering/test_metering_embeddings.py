"""What is read off embeddings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.metering.embeddings import read_embeddings
from breakeven.metering.reading import Reading


def embeddings(usage: object, *numbers: float, **more: object) -> bytes:
    data = [{"object": "embedding", "embedding": numbers, "index": 0}]
    found = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage, **more}
    return json.dumps(found).encode()


def test_embeddings_are_input_alone() -> None:
    # https://platform.openai.com/docs/api-reference/embeddings/create
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    assert read_embeddings(embeddings(usage, 0.0023064255, -0.009327292), 400) == Reading(
        8, 0, 0, 0, 0, estimated=False
    )


def test_an_output_that_is_told_as_none_changes_nothing() -> None:
    # Made: as servers tell it that use one type for the usage of all their APIs.
    usage = {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": None}
    assert read_embeddings(embeddings(usage), 400) == Reading(3, 0, 0, 0, 0, estimated=False)


def test_a_total_alone_is_the_input() -> None:
    # https://docs.voyageai.com/reference/embeddings-api
    assert read_embeddings(embeddings({"total_tokens": 10}), 400) == Reading(10, 0, 0, 0, 0, estimated=False)


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": "8"}]
)
def test_without_usage_the_request_is_counted(usage: object) -> None:
    assert read_embeddings(embeddings(usage), 401) == Reading(101, 0, 0, 0, 0, estimated=True)


def test_numbers_in_their_millions_and_base64_are_passed_over() -> None:
    body = embeddings({"prompt_tokens": 8, "total_tokens": 8}, *[0.0023064255] * 100_000)
    assert read_embeddings(body, 0) == Reading(8, 0, 0, 0, 0, estimated=False)
    body = embeddings({"prompt_tokens": 8}, data=[{"embedding": "AACAPwAAAEAAAEBA" * 1000}])
    assert read_embeddings(body, 0).input_tokens == 8


def test_usage_is_found_where_the_middle_was_not_kept() -> None:
    body = embeddings({"prompt_tokens": 8, "total_tokens": 8}, *[0.5] * 1000)
    assert read_embeddings(body[:100] + body[-100:], 400) == Reading(8, 0, 0, 0, 0, estimated=False)
    assert read_embeddings(body[:100], 400) == Reading(100, 0, 0, 0, 0, estimated=True)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_bytes_are_too_strange_to_be_read(body: bytes) -> None:
    assert read_embeddings(body, 4) == Reading(1, 0, 0, 0, 0, estimated=True)
    assert read_embeddings(embeddings({"prompt_tokens": 8})[:-1] + body, 4).output_tokens == 0
