"""Vectors are read out of what embeddings APIs answer, in either form, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.vectors import cosine, embedding_request, read_vectors, unit_vector


def _answer(*embeddings: Any, **more: Any) -> bytes:
    """Return an answer in the shape of https://platform.openai.com/docs/api-reference/embeddings/create."""
    data = [{"object": "embedding", "embedding": item, "index": index} for index, item in enumerate(embeddings)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    whole = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    return json.dumps({**whole, **more}).encode()


def _base64(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _read(body: bytes, texts: int = 1) -> list[list[float]] | None:
    found = read_vectors(body, texts)
    return None if found is None else [vector.tolist() for vector in found]


def test_the_request_is_as_the_api_wants_it() -> None:
    assert json.loads(embedding_request("text-embedding-3-small", ["How?", "Ü"])) == {
        "model": "text-embedding-3-small",
        "input": ["How?", "Ü"],
        "encoding_format": "float",
    }


@pytest.mark.parametrize("embedding", [[3.0, -4.0], [3, -4], _base64(3.0, -4.0)])
def test_a_vector_is_read_in_every_form_with_length_1(embedding: Any) -> None:
    found = _read(_answer(embedding))
    assert found is not None
    assert found[0] == pytest.approx([0.6, -0.8])


def test_vectors_come_in_the_order_of_their_texts() -> None:
    data = [{"embedding": [0.0, 1.0], "index": 1}, {"embedding": [1.0, 0.0], "index": 0}]
    assert _read(_answer(data=data), 2) == [[1.0, 0.0], [0.0, 1.0]]


def test_servers_that_leave_the_index_out_are_read_too() -> None:
    assert _read(json.dumps({"data": [{"embedding": [2.0]}]}).encode()) == [[1.0]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"error":{"message":"no"}}',
        _answer(),
        _answer([1.0], [1.0]),
        _answer(data=[{"embedding": [1.0], "index": 1}]),
        _answer([]),
        _answer([0.0, 0.0]),
        _answer([1.0, "2"]),
        _answer([1.0, None]),
        _answer([[1.0]]),
        _answer([1e308, 1e308]),
        _answer(""),
        _answer("no base64"),
        _answer(_base64(1.0) + "AAAA"),
        _answer(base64.b64encode(b"abc").decode()),
        _answer(_base64(float("nan"), 1.0)),
        _answer(_base64(float("inf"), 1.0)),
    ],
)
def test_nothing_else_is_taken_for_a_vector(body: bytes) -> None:
    assert read_vectors(body, 1) is None


def test_cosines() -> None:
    one, other, third = unit_vector([1.0, 0.0]), unit_vector([1.0, 1.0]), unit_vector([1.0, 0.0, 0.0])
    assert one is not None
    assert other is not None
    assert third is not None
    assert cosine(one, one) == 1.0
    assert cosine(one, other) == pytest.approx(0.5**0.5)
    assert cosine(one, -one) == -1.0
    assert cosine(one, third) == -1.0


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=50))
def test_a_vector_is_the_same_in_either_form(numbers: list[float]) -> None:
    narrow = np.asarray(numbers, np.float32)
    plain = read_vectors(_answer(narrow.tolist()), 1)
    packed = read_vectors(_answer(_base64(*narrow.tolist())), 1)
    assert (plain is None) == (packed is None)
    if plain is not None and packed is not None:
        assert np.array_equal(plain[0], packed[0])
        assert np.linalg.norm(plain[0].astype(np.float64)) == pytest.approx(1.0, abs=1e-6)


@given(st.binary())
def test_no_body_is_too_odd(body: bytes) -> None:
    assert read_vectors(body, 1) is None
