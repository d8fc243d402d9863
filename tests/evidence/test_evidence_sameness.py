"""How alike two answers are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.sameness import field_score, json_same, likeness

leaf = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=4)
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
document = st.dictionaries(st.text(max_size=3), value, max_size=3) | st.lists(value, max_size=3)


def written(one: Any) -> str:
    return msgspec.json.encode(one).decode()


@given(document)
def test_every_answer_is_the_same_as_itself_whatever_the_order_of_its_keys(one: Any) -> None:
    turned = dict(reversed(one.items())) if isinstance(one, dict) else one
    found = likeness(written(one), f"\n{written(turned)} ")
    assert found.json_equal is True
    assert found.fields is not None
    assert found.fields.equal_fraction == 1
    assert found.fields.differing == ()


@given(document, document)
def test_a_comparison_is_the_same_from_either_side(one: Any, other: Any) -> None:
    there, back = likeness(written(one), written(other)), likeness(written(other), written(one))
    assert (there.exact, there.normal, there.json_equal, there.fields) == (
        back.exact,
        back.normal,
        back.json_equal,
        back.fields,
    )
    assert there.fields is not None
    if there.json_equal:
        assert there.fields.equal_fraction == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": [1, 2]}', '```json\n{"b": [1, 2.0], "a": 1}\n```', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ('{"a": 1}', "a is 1", False),
        ("plain", "words", None),
        ("1", "1", None),
        ("[" * 100_000, "[1]", False),
    ],
)
def test_equal_as_json(one: str, other: str, same: bool | None) -> None:
    assert json_same(one, other) is same


def test_case_and_blanks_and_forms_of_letters_are_no_difference_but_in_exact() -> None:
    found = likeness(" The answer: ﬁve\n", "the  ANSWER: five")
    assert (found.exact, found.normal, found.json_equal, found.fields) == (False, True, None, None)
    assert likeness("four", "fourfour").length_ratio == 2
    assert likeness(" ", "some").length_ratio is None


ORDER = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["sale", "return"]},
        "note": {"type": "string"},
        "tags": {"type": "array", "uniqueItems": True},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "properties": {"sku": {"pattern": "^[A-Z]+$"}, "count": {"type": "integer"}}}},
}


def test_fields_are_compared_as_the_schema_says_what_they_are() -> None:
    """Equal: kind, note but for case, tags in another order, the first line's two; not: a sku, and a lacking count."""
    lines = '[{"sku": "A", "count": 1}, {"sku": "B", "count": 2}]'
    others = '[{"sku": "A", "count": 1}, {"sku": "b"}]'
    one = f'{{"kind": "sale", "note": "Fast", "tags": [1, 2], "lines": {lines}}}'
    other = f'{{"kind": "sale", "note": "fast ", "tags": [2, 1], "lines": {others}, "x": 1}}'
    found = field_score(one, other, schema=ORDER)
    assert found is not None
    assert (found.equal_count, found.fields_count) == (5, 7)
    assert found.differing == ("lines[1].sku", "lines[1].count")


def test_without_a_schema_all_fields_count_and_a_lacking_part_counts_once() -> None:
    found = field_score('{"a": {"x": 1, "y": 2}, "b": 1}', '{"a": {"x": 1, "y": 3}, "c": [1, 2]}')
    assert found is not None
    assert (found.equal_count, found.fields_count, found.differing) == (1, 4, ("a.y", "b", "c"))


def test_numbers_may_differ_by_the_tolerance() -> None:
    for tolerance, equal in ((0.0, 0), (0.02, 1)):
        found = field_score('{"a": 100}', '{"a": 101.0}', tolerance_ratio=tolerance)
        assert found is not None
        assert found.equal_count == equal


def test_what_is_too_large_or_too_deep_is_not_compared_by_fields() -> None:
    assert field_score(written(list(range(2001))), "[]") is None
    assert field_score("[" * 30 + "]" * 30, "[" * 30 + "]" * 30) is None
    recursive = {"$ref": "#"}
    assert field_score('{"a": 1}', '{"a": 1}', schema=recursive) is not None
