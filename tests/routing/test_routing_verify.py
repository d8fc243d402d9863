"""Whether a text is what was asked for, and what may be checked at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.verify import Checker, Rule, UncheckableError, is_bounded, pattern_validator

TREE = {"$defs": {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}}}}, "$ref": "#/$defs/tree"}


def _doubling(levels: int) -> dict[str, Any]:
    """A schema whose references, written out, are two to the power of its levels."""
    definitions: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{levels}": {"type": "object"}}}


def _looked_at_again(levels: int) -> dict[str, Any]:
    """A schema of which each level has all that is within it looked at more than once."""
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": {"type": "integer"}}
    return schema


@pytest.mark.parametrize(
    ("rule", "text", "why"),
    [
        (Rule(), "anything", ""),
        (Rule(enum=("spam", " ham ")), "\tham\n", ""),
        (Rule(enum=("spam",)), "Spam", "is none of the texts that it may be"),
        (Rule(regex="a|b+"), "bbb", ""),
        (Rule(regex="a|b+"), "abbb", "does not match the pattern"),
        (Rule(json_schema='{"type":"object"}'), '{"a": 1}', ""),
        (Rule(json_schema='{"type":"object"}'), "[]", "does not keep to the JSON Schema"),
        (Rule(json_schema='{"type":"object"}'), "{", "does not keep to the JSON Schema"),
        (Rule(json_schema='{"type":"object"}'), "[" * 5000, "does not keep to the JSON Schema"),
        (Rule(enum=("1",), regex="2"), "1", "does not match the pattern"),
    ],
)
def test_all_that_a_rule_says_must_hold(rule: Rule, text: str, why: str) -> None:
    assert Checker(rule).why_not(text) == why


@given(st.text(max_size=50))
def test_an_enum_takes_its_own_texts_and_no_others(text: str) -> None:
    checker = Checker(Rule(enum=("spam", "ham")))
    assert (checker.why_not(text) == "") == (text.strip() in {"spam", "ham"})


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "a(", "(?:a{1000}){1000}"])
def test_patterns_that_may_take_for_ever_are_none(pattern: str) -> None:
    with pytest.raises(UncheckableError, match="regex"):
        pattern_validator(pattern)


def test_a_requests_own_schema_is_checked_beside_the_rule() -> None:
    checker = Checker(Rule(own_schema=True))
    schema = {"type": "object", "required": ["due"]}
    assert not checker.always
    assert checker.why_not("no JSON") == ""
    assert checker.why_not('{"due": 1}', schema) == ""
    assert checker.why_not("{}", schema) == "does not keep to the JSON Schema of its request"
    assert Checker(Rule()).why_not("{}", schema) == ""


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        {"$ref": "#"},
        {"$ref": "#/$defs/missing", "$defs": []},
        {"$ref": "https://example.com/schema"},
        {"$ref": 5},
        {"$id": "https://example.com/", "type": "object"},
        {"properties": {"a": {"$dynamicRef": "#a"}}},
        _doubling(40),
        {"properties": {"definitions": {"$ref": "#/$defs/d0"}}, "$defs": _doubling(40)["$defs"]},
        json.loads(json.dumps(_doubling(40)).replace("#/$defs", "#/%24defs")),
        _looked_at_again(40),
        {"description": "x" * 70_000},
        {"type": "nothing"},
    ],
)
def test_a_requests_schema_that_is_not_bounded_cannot_be_checked(schema: dict[str, Any]) -> None:
    assert Checker(Rule(own_schema=True)).why_not("{}", schema) in {None, ""}
    assert Checker(Rule(own_schema=True)).why_not("{}", schema) is None


def test_a_requests_schema_may_lead_to_what_is_in_a_list_and_look_at_the_rest_once() -> None:
    checker = Checker(Rule(own_schema=True))
    listed = {"allOf": [{"type": "object"}, {"$ref": "#/allOf/0"}]}
    assert [checker.why_not(text, listed) for text in ("{}", "[]")] == [
        "",
        "does not keep to the JSON Schema of its request",
    ]
    closed = {"properties": {"a": {"type": "integer"}}, "unevaluatedProperties": False}
    assert checker.why_not('{"a": 1}', closed) == ""
    assert checker.why_not('{"b": 1}', closed) == "does not keep to the JSON Schema of its request"
    assert checker.why_not('{"a": 1}', {"allOf": [{"$ref": "#/allOf/7"}]}) is None


def test_the_work_is_bounded_by_schema_and_text_together() -> None:
    schema = _doubling(10)
    checker = Checker(Rule(own_schema=True))
    assert is_bounded(b"", schema)
    assert checker.why_not("{}", schema) == ""
    assert checker.why_not('{"a": "%s"}' % ("x" * 100_000), schema) is None


def test_no_more_schemas_are_kept_than_a_few() -> None:
    checker = Checker(Rule(own_schema=True))
    for number in range(200):
        assert checker.why_not("{}", {"type": "object", "title": str(number)}) == ""
    assert len(checker._own) == 64
