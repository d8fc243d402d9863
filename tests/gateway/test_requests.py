"""What is read of a chat request, and what may be changed in one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.gateway.requests import BadRequestError, named_once, read_request, rewritten

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.just('a "model": "x" b'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("model"), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(["messages", "tools", "metadata", "temperature", "m\u00f6del"]), VALUES)
MODELS = st.text(min_size=1, max_size=20)
OPTIONS = st.none() | st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "other": st.integers()})


@given(FIELDS, MODELS, MODELS | st.just(""), OPTIONS, st.booleans(), st.booleans(), st.sampled_from([None, 1]))
def test_only_the_model_and_the_wish_for_usage_change(
    fields: dict[str, Any],
    model: str,
    renamed: str,
    options: dict[str, Any] | None,
    ask: bool,
    ascii_only: bool,
    indent: int | None,
) -> None:
    asked = {**fields, "model": model} | ({} if options is None else {"stream_options": options})
    body = json.dumps(asked, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    try:
        request = read_request(body, "chat completion request")
    except BadRequestError:
        assert b"\\ud" in body or "\ud800" <= max(json.dumps(asked, ensure_ascii=False)) <= "\udfff"
        return
    changed = json.loads(rewritten(body, request, model=renamed, ask_for_usage=ask))
    wanted = {**asked, "model": renamed or model}
    if ask:
        wanted["stream_options"] = {**(options or {}), "include_usage": True}
    assert changed == wanted


def test_values_are_passed_on_byte_for_byte() -> None:
    body = b'{ "seed":1e3 ,"model" : "a", "top_p":0.10,  "messages":[ {"content":"\\u00e9 \\/"} ] }'
    request = read_request(body, "chat completion request")
    assert rewritten(body, request, model="b", ask_for_usage=False) == body.replace(b'"model" : "a"', b'"model":"b"')


@pytest.mark.parametrize(
    ("body", "once"),
    [
        (b'{"model": "a"}', True),
        (b'{"model": "a", "model": "b"}', False),
        (b'{"model": "a", "metadata": {"model": "b"}}', False),
        (b'{"\\u006dodel": "a"}', False),
        (b'{"model": "a", "\\u006dodel": "b"}', False),
        (b'{"model": "a", "user": "say \\"model\\": now"}', True),
        (b'{"model": "a", "user": "\\u00e9 and \\n"}', True),
    ],
)
def test_a_body_that_could_name_two_models_is_known(body: bytes, once: bool) -> None:
    assert named_once(body) is once


def test_of_two_names_for_the_model_one_is_left() -> None:
    body = b'{"model": "allowed", "\\u006dodel": "other", "model": "allowed"}'
    written = rewritten(body, read_request(body, "chat completion request"), model="", ask_for_usage=False)
    assert written == b'{"model":"allowed"}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "not a chat completion"),
        (b"{}", "missing required field `model`"),
        (b'{"model": 5}', "Expected `str`"),
        (b'{"model": "a", "stream": "yes"}', "Expected `bool"),
        (b'{"model": "a"', "not JSON"),
        (b'{"model": "\xff"}', "UTF-8"),
        (b'{"model": "' + b"a" * 300 + b'"}', "more than 256"),
        (b'{"model": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_chat_request_is_refused_with_a_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadRequestError, match=why):
        read_request(body, "chat completion request")
