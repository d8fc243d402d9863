"""Uploads come out the same wherever the network cuts them, and what is no upload is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.batches.multipart import MultipartError, MultipartReader

BOUNDARY = "xX--x"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def body(content: bytes, *fields: tuple[str, str]) -> bytes:
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a b.jsonl"\r\n\r\n'.encode()
    return b"".join(parts) + head + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def read(data: bytes, *cuts: int) -> tuple[MultipartReader, bytes]:
    taken: list[bytes] = []
    reader = MultipartReader(TYPE, taken.append)
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    for start, end in pairwise(places):
        reader.feed(data[start:end])
    return reader, b"".join(taken)


pieces = st.sampled_from([b"\r\n", b"--", b"--xX", BOUNDARY.encode(), b"\r", b"{}", b"\n", b"\r\n--xX--"])


@given(st.lists(pieces).map(b"".join), st.lists(st.integers(0, 10_000), max_size=30))
def test_cuts_make_no_difference(content: bytes, cuts: list[int]) -> None:
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + content:
        return  # no client sends its own boundary
    reader, taken = read(body(content, ("purpose", "batch")), *cuts)
    assert (reader.whole, reader.fields, reader.filename, taken) == (True, {"purpose": "batch"}, "a b.jsonl", content)


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=10))
def test_nonsense_ends_in_an_error_or_in_nothing(data: bytes, cuts: list[int]) -> None:
    try:
        reader, _ = read(data, *cuts)
    except MultipartError:
        return
    assert not reader.whole or b"--" in data


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary="])
def test_another_content_type_is_refused(kind: str) -> None:
    with pytest.raises(MultipartError, match="multipart/form-data"):
        MultipartReader(kind, list[bytes]().append)


def test_bounds_hold() -> None:
    with pytest.raises(MultipartError, match="head"):
        read(f"--{BOUNDARY}\r\nx: ".encode() + b"y" * 20_000)
    with pytest.raises(MultipartError, match="field"):
        read(body(b"", ("purpose", "x" * 100_000)))
    with pytest.raises(MultipartError, match="fields"):
        read(body(b"", *((str(number), "") for number in range(40))))
