"""Signals: what an answer's bytes tell, in every protocol, whole and streamed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.answers import Call, ReadAnswer, read_answer
from breakeven.evidence.signals import REFUSING_WORDS, Asked, Signal, read_asked, refusal_of, signals_of

CALL = Call(name="weather", arguments='{"city":"Rome"}')


def body_of(value: Any) -> bytes:
    return msgspec.json.encode(value)


def stream_of(*events: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % body_of(event) for event in events)


def chat(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def delta(piece: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": piece, "finish_reason": finish}]}


def response(*items: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    details = {"incomplete_details": {"reason": reason}} if reason else {}
    return {"object": "response", "status": "completed", "output": list(items)} | details


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (chat({"content": "Hi"}), ReadAnswer(text="Hi")),
        (chat({"content": "Hi"}, "length"), ReadAnswer(text="Hi", truncated=True)),
        (chat({"content": None, "refusal": "No."}), ReadAnswer(refusal="No.")),
        (chat({"content": ""}, "content_filter"), ReadAnswer(filtered=True)),
        (
            chat(
                {"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": '{"city":"Rome"}'}}]},
                "tool_calls",
            ),
            ReadAnswer(calls=(CALL,)),
        ),
        ({"choices": [{"text": "Hi", "finish_reason": "stop"}]}, ReadAnswer(text="Hi")),
        ({"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}, ReadAnswer(text="Hi")),
        ({"content": [{"type": "thinking", "thinking": "x"}], "stop_reason": "max_tokens"}, ReadAnswer(truncated=True)),
        ({"content": [], "stop_reason": "refusal"}, ReadAnswer(filtered=True)),
        (
            {
                "content": [{"type": "tool_use", "name": "weather", "input": {"city": "Rome"}}],
                "stop_reason": "tool_use",
            },
            ReadAnswer(calls=(CALL,)),
        ),
        (
            response(
                {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}, reason="max_output_tokens"
            ),
            ReadAnswer(text="Hi", truncated=True),
        ),
        (
            response({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),
            ReadAnswer(refusal="No."),
        ),
        (
            response(
                {"type": "reasoning"}, {"type": "function_call", "name": "weather", "arguments": '{"city":"Rome"}'}
            ),
            ReadAnswer(calls=(CALL,)),
        ),
    ],
)
def test_a_whole_answer_is_read_in_every_protocol(value: Any, expected: ReadAnswer) -> None:
    assert read_answer(body_of(value), streamed=False) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            stream_of(
                delta({"role": "assistant", "content": ""}), delta({"content": "H"}), delta({"content": "i"}, "stop")
            )
            + b"data: [DONE]\n\n",
            ReadAnswer(text="Hi"),
        ),
        (
            stream_of(
                delta({"tool_calls": [{"index": 0, "function": {"name": "weather", "arguments": ""}}]}),
                delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
                delta({"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]}, "tool_calls"),
            ),
            ReadAnswer(calls=(CALL,)),
        ),
        (stream_of(delta({"refusal": "No"}), delta({"refusal": "."}, "stop")), ReadAnswer(refusal="No.")),
        (
            stream_of(
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "tool_use", "name": "weather", "input": {}},
                },
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": '{"city":'},
                },
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": '"Rome"}'},
                },
                {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
            ),
            ReadAnswer(calls=(CALL,)),
        ),
        (
            stream_of(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
                {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
            ),
            ReadAnswer(text="Hi", truncated=True),
        ),
        (
            stream_of(
                {"type": "response.completed", "response": response({"type": "message", "content": [{"text": "Hi"}]})}
            ),
            ReadAnswer(text="Hi"),
        ),
    ],
)
def test_a_streamed_answer_is_read_in_every_protocol(body: bytes, expected: ReadAnswer) -> None:
    assert read_answer(body, streamed=True) == expected


@pytest.mark.parametrize(
    ("body", "streamed"),
    [
        (b'{"error": {"message": "no"}}', False),
        (b"<html>", False),
        (b"", False),
        (b"", True),
        (b'{"choices": [{"message": {"tool_calls": 7}}]}', False),
        (b'{"choices": []}', False),
        (b'data: {"type": "error"}\n\n', True),
        (b"data: {\n\n", True),
    ],
)
def test_what_is_no_answer_is_none(body: bytes, streamed: bool) -> None:
    assert read_answer(body, streamed=streamed) is None


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_fail(body: bytes, streamed: bool) -> None:
    read_answer(body, streamed=streamed)
    read_asked(body, schema=None)


WEATHER = {"type": "object", "required": ["city"]}


def has_city(text: str, schema: dict[str, Any]) -> bool:
    """Stand in for a compiled check."""
    return schema["required"][0] in msgspec.json.decode(text)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
        {"type": "function", "name": "weather", "parameters": WEATHER},
        {"name": "weather", "input_schema": WEATHER},
    ],
)
def test_tools_are_found_as_each_protocol_writes_them(tool: dict[str, Any]) -> None:
    assert read_asked(body_of({"tools": [tool, {"type": "web_search"}]}), schema=None).tools == (("weather", WEATHER),)


def named(found: tuple[Signal, ...], name: str) -> Signal | None:
    return next((signal for signal in found if signal.name == name), None)


@pytest.mark.parametrize(
    ("call", "good", "detail"),
    [
        (CALL, True, ""),
        (Call(name="weather", arguments='{"city":'), False, "the arguments of a call are not a JSON object"),
        (Call(name="weather", arguments="[]"), False, "the arguments of a call are not a JSON object"),
        (Call(name="weather", arguments="{}"), False, "the arguments of a call do not keep to the tool's schema"),
        (Call(name="wether", arguments="{}"), False, "it calls a tool that the request does not name"),
    ],
)
def test_a_call_is_held_against_the_tools_of_the_request(call: Call, good: bool, detail: str) -> None:
    asked = Asked(tools=(("weather", WEATHER),), schema={"type": "object"})
    found = signals_of(asked, ReadAnswer(calls=(call,)), keeps_to=has_city)
    assert named(found, "tool_call_parsed") == Signal(name="tool_call_parsed", good=good, detail=detail)
    assert named(found, "schema_valid") is None


def test_a_text_is_held_against_the_schema_that_was_asked_for() -> None:
    asked = Asked(schema=WEATHER)
    for text, good in (('{"city": "Rome"}', True), ("{}", False)):
        signal = named(signals_of(asked, ReadAnswer(text=text), keeps_to=has_city), "schema_valid")
        assert signal is not None
        assert signal.good is good
    assert named(signals_of(asked, ReadAnswer(text="Rome")), "schema_valid") is not None
    assert named(signals_of(asked, ReadAnswer(text="{}"), keeps_to=lambda _text, _schema: None), "schema_valid") is None
    assert named(signals_of(Asked(), ReadAnswer(text="Rome")), "schema_valid") is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ReadAnswer(refusal="No."), "said by the API"),
        (ReadAnswer(filtered=True), "said by the API"),
        (ReadAnswer(text="I\u2019m sorry, but I can\u2019t help with that."), "told by its words"),
        (ReadAnswer(text="  I CANNOT assist with that"), "told by its words"),
        (ReadAnswer(text="The clerk said: I'm sorry, but I can't."), ""),
        (ReadAnswer(text="Sorry for the delay: it is 7."), ""),
        (ReadAnswer(text="I can't help with that, so I ask:", calls=(CALL,)), ""),
        (ReadAnswer(), ""),
    ],
)
def test_a_refusal_is_told_by_the_api_or_by_how_it_begins(answer: ReadAnswer, told: str) -> None:
    assert refusal_of(answer) == told
    assert named(signals_of(Asked(), answer), "refusal") == Signal(name="refusal", good=not told, detail=told)


def test_the_words_of_refusals_are_in_the_form_in_which_they_are_looked_for() -> None:
    assert all(words == " ".join(words.casefold().split()) and "’" not in words for words in REFUSING_WORDS)
