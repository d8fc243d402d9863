"""The index finds the question most like another among those of its scope, and keeps within its bounds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.index import ENTRY_BYTES, Index
from breakeven.similar.marks import Marks, read_marks
from breakeven.similar.vectors import unit_vector

LARGE = 1 << 30
PLAIN = read_marks("how do I pay")


def _random(count: int, dimensions: int, seed: int = 5) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def _at(cosine: float) -> list[float]:
    """Return a vector at an angle to (1, 0)."""
    return [cosine, (1 - cosine * cosine) ** 0.5]


def test_the_nearest_is_what_a_search_through_all_finds() -> None:
    index = Index(10_000, LARGE)
    vectors, asked = _random(2000, 64), _random(20, 64, seed=6)
    for place, vector in enumerate(vectors):
        index.add(b"s", PLAIN, vector, b"%d" % place)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for vector in asked:
        similarities = units @ (vector / np.linalg.norm(vector))
        found = index.nearest(b"s", PLAIN, vector)
        assert found is not None
        assert found.key == b"%d" % similarities.argmax()
        assert found.similarity == pytest.approx(similarities.max(), abs=1e-5)


def test_the_same_question_is_found_with_similarity_1_whatever_its_length() -> None:
    index = Index(10, LARGE)
    entry = index.add(b"s", PLAIN, [3.0, 4.0], b"k")
    found = index.nearest(b"s", PLAIN, [6.0, 8.0])
    assert found is not None
    assert (found.key, found.entry) == (b"k", entry)
    assert found.similarity == pytest.approx(1.0)


def test_scopes_never_meet() -> None:
    index = Index(10, LARGE)
    index.add(b"one", PLAIN, [1.0, 0.0], b"k")
    assert index.nearest(b"other", PLAIN, [1.0, 0.0]) is None


def test_other_marks_never_match_even_where_vectors_are_equal() -> None:
    index = Index(10, LARGE)
    index.add(b"s", read_marks("turn it off"), [1.0, 0.0], b"off")
    index.add(b"s", read_marks("turn it on"), _at(0.5), b"on")
    found = index.nearest(b"s", read_marks("please turn it on"), [1.0, 0.0])
    assert found is not None
    assert found.key == b"on"
    assert found.similarity == pytest.approx(0.5)


def test_the_same_words_in_another_order_never_match() -> None:
    index = Index(10, LARGE)
    index.add(b"s", read_marks("convert euros to dollars"), [1.0, 0.0], b"k")
    assert index.nearest(b"s", read_marks("convert dollars to euros"), [1.0, 0.0]) is None
    assert index.nearest(b"s", read_marks("convert my euros to dollars"), [1.0, 0.0]) is not None


def test_too_little_likeness_is_no_match_and_no_use() -> None:
    index = Index(2, LARGE)
    index.add(b"s", PLAIN, [1.0, 0.0], b"oldest")
    index.add(b"s", PLAIN, [-1.0, 0.0], b"other")
    assert index.nearest(b"s", PLAIN, _at(0.9), 0.95) is None
    index.add(b"s", PLAIN, [0.0, 1.0], b"new")
    assert index.nearest(b"s", PLAIN, [1.0, 0.0], 0.95) is None


def test_the_one_used_longest_ago_leaves_first_whatever_its_scope() -> None:
    index = Index(3, LARGE)
    for scope, key in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3")):
        index.add(scope, read_marks(key.decode()), [1.0, 0.0], key)
    assert index.nearest(b"a", read_marks("1"), [1.0, 0.0]) is not None
    index.add(b"c", read_marks("4"), [1.0, 0.0], b"4")
    assert len(index) == 3
    assert index.nearest(b"b", read_marks("2"), [1.0, 0.0]) is None
    for scope, key in ((b"a", b"1"), (b"a", b"3"), (b"c", b"4")):
        found = index.nearest(scope, read_marks(key.decode()), [1.0, 0.0])
        assert found is not None
        assert found.key == key


def test_bytes_are_bounded_too() -> None:
    room = 3 * (4 * 100 + 1 + 1 + ENTRY_BYTES)
    index = Index(1000, room)
    for place in range(10):
        index.add(b"s", PLAIN, np.eye(100)[place], b"%d" % place)
        assert index.size_bytes <= room
    assert len(index) == 3
    assert index.nearest(b"s", PLAIN, np.eye(100)[9], 0.9) is not None
    assert index.nearest(b"s", PLAIN, np.eye(100)[6], 0.9) is None


def test_what_is_larger_than_everything_may_be_is_not_entered_and_drives_nobody_out() -> None:
    index = Index(10, 4 * ENTRY_BYTES)
    index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    assert index.add(b"t", PLAIN, np.ones(10_000), b"l") is None
    assert len(index) == 1


def test_a_floor_lets_an_entry_match_only_above_it() -> None:
    index = Index(10, LARGE)
    entry = index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    assert entry is not None
    index.raise_floor(entry, 0.97)
    index.raise_floor(entry, 0.96)  # it is never lowered
    assert index.nearest(b"s", PLAIN, _at(0.965)) is None
    found = index.nearest(b"s", PLAIN, _at(0.98))
    assert found is not None
    index.raise_floor(found.entry, found.similarity)
    assert index.nearest(b"s", PLAIN, _at(0.98)) is None
    assert index.nearest(b"s", PLAIN, [1.0, 0.0]) is not None


def test_below_the_floor_of_the_nearest_the_next_one_matches() -> None:
    index = Index(10, LARGE)
    nearest = index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    index.add(b"s", PLAIN, [0.0, 1.0], b"next")
    assert nearest is not None
    index.raise_floor(nearest, 1.0)
    found = index.nearest(b"s", PLAIN, _at(0.9))
    assert found is not None
    assert found.key == b"next"


def test_a_forgotten_key_is_gone_and_may_come_again() -> None:
    index = Index(10, LARGE)
    entry = index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    assert entry is not None
    index.forget(b"k")
    index.forget(b"k")
    index.raise_floor(entry, 0.9)
    assert index.nearest(b"s", PLAIN, [1.0, 0.0]) is None
    assert (len(index), index.size_bytes) == (0, 0)
    assert index.add(b"s", PLAIN, [1.0, 0.0, 0.0], b"k") is not None, "the scope forgot its length with its last entry"


def test_a_key_stands_once() -> None:
    index = Index(10, LARGE)
    index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    index.add(b"s", PLAIN, [0.0, 1.0], b"k")
    assert len(index) == 1
    found = index.nearest(b"s", PLAIN, [1.0, 0.0])
    assert found is not None
    assert found.similarity == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "vector", [[], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [[1.0, 0.0]], 3.0, None, [1e300, 1e300], ["a"]]
)
def test_what_is_no_direction_is_refused(vector: Any) -> None:
    index = Index(10, LARGE)
    index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    assert index.add(b"s", PLAIN, vector, b"l") is None
    assert index.nearest(b"s", PLAIN, vector) is None
    assert len(index) == 1


def test_a_vector_of_another_length_is_refused_in_that_scope_alone() -> None:
    index = Index(10, LARGE)
    index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    assert index.add(b"s", PLAIN, [1.0, 0.0, 0.0], b"l") is None
    assert index.nearest(b"s", PLAIN, [1.0, 0.0, 0.0]) is None
    assert index.add(b"t", PLAIN, [1.0, 0.0, 0.0], b"l") is not None


def test_cleared_it_is_empty() -> None:
    index = Index(10, LARGE)
    index.add(b"s", PLAIN, [1.0, 0.0], b"k")
    index.clear()
    assert (len(index), index.size_bytes) == (0, 0)
    assert index.nearest(b"s", PLAIN, [1.0, 0.0]) is None


class _Slow:
    """The same by looking at every entry, in a list with the one used longest ago first."""

    def __init__(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self.entries: list[dict[str, Any]] = []

    def nearest(self, scope: bytes, marks: Marks, vector: list[float]) -> bytes | None:
        unit = unit_vector(vector)
        assert unit is not None
        near = [
            (float(entry["vector"] @ unit), place)
            for place, entry in enumerate(self.entries)
            if entry["scope"] == scope and entry["marks"] == marks and float(entry["vector"] @ unit) > entry["floor"]
        ]
        if not near:
            return None
        ranked = sorted(near, reverse=True)
        if any(abs(a - b) < 1e-5 for (a, _), (b, _) in pairwise(ranked[:2])):
            return b"either"
        entry = self.entries.pop(ranked[0][1])
        self.entries.append(entry)
        return bytes(entry["key"])

    def add(self, scope: bytes, marks: Marks, vector: list[float], key: bytes) -> None:
        self.forget(key)
        self.entries = self.entries[-(self.max_entries - 1) :] if self.max_entries > 1 else []
        entry = {"scope": scope, "marks": marks, "vector": unit_vector(vector), "key": key, "floor": -2.0}
        self.entries.append(entry)

    def forget(self, key: bytes) -> None:
        self.entries = [entry for entry in self.entries if entry["key"] != key]

    def raise_floor(self, key: bytes, similarity: float) -> None:
        for entry in self.entries:
            if entry["key"] == key:
                entry["floor"] = max(entry["floor"], similarity)


STEPS = st.tuples(
    st.sampled_from(["add", "add", "nearest", "forget", "floor"]),
    st.sampled_from([b"a", b"b"]),
    st.sampled_from(["pay", "pay not"]),
    st.integers(0, 30),
    st.floats(-1, 1),
)


@given(st.integers(1, 9), st.lists(STEPS, max_size=120))
def test_it_does_what_looking_at_every_entry_does(max_entries: int, steps: list[tuple[Any, ...]]) -> None:
    index, slow = Index(max_entries, LARGE), _Slow(max_entries)
    entries: dict[bytes, int] = {}
    for what, scope, text, number, angle in steps:
        key, marks, vector = b"%d" % number, read_marks(text), [angle, 1.0, number / 7]
        if what == "add":
            entry = index.add(scope, marks, vector, key)
            assert entry is not None
            entries[key] = entry
            slow.add(scope, marks, vector, key)
        elif what == "forget":
            index.forget(key)
            slow.forget(key)
        elif what == "floor" and key in entries:
            index.raise_floor(entries[key], angle)
            slow.raise_floor(key, float(np.float32(angle)))
        elif what == "nearest":
            expected = slow.nearest(scope, marks, vector)
            if expected == b"either":
                return  # two as good as each other: which one is used now is left open
            found = index.nearest(scope, marks, vector)
            assert (found.key if found else None) == expected
        assert len(index) == len(slow.entries)
