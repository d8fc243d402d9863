"""Chat completion requests become messages requests, or are refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import published_bodies as published
import pytest

from breakeven.protocols import UntranslatableError
from breakeven.protocols.requests import chat_to_messages

USER = {"role": "user", "content": "hi"}
TOOLS = published.CHAT_TOOLS_REQUEST["tools"]
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}}],
}


def translated(body: dict[str, Any]) -> dict[str, Any]:
    out = chat_to_messages(json.dumps(body).encode(), model="claude", default_max_tokens=512)
    made: dict[str, Any] = json.loads(out)
    assert made.pop("model") == "claude"
    return made


def options(**fields: Any) -> dict[str, Any]:
    made = translated({"model": "m", "messages": [USER]} | fields)
    assert made.pop("messages") == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    return made


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = translated({"model": "m", "messages": messages, "tools": TOOLS})["messages"]
    return made


def refusal(**fields: Any) -> str:
    with pytest.raises(UntranslatableError) as caught:
        translated({"model": "m", "messages": [USER]} | fields)
    return str(caught.value)


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_the_published_request_goes_over() -> None:
    assert translated(published.CHAT_REQUEST) == {
        "max_tokens": 512,
        "system": [text("You are a helpful assistant.")],
        "messages": [{"role": "user", "content": [text("Hello!")]}],
    }


def test_the_published_image_goes_over_by_its_address() -> None:
    made = translated(published.CHAT_IMAGE_REQUEST)
    assert made["max_tokens"] == 300
    assert made["messages"][0]["content"] == [
        text("What is in this image?"),
        {
            "type": "image",
            "source": {"type": "url", "url": "https://upload.wikimedia.org/wikipedia/commons/boardwalk.jpg"},
        },
    ]


def test_the_published_tools_go_over() -> None:
    made = translated(published.CHAT_TOOLS_REQUEST)
    function = TOOLS[0]["function"]
    assert made["tools"] == [
        {"name": function["name"], "input_schema": function["parameters"], "description": function["description"]}
    ]
    assert made["tool_choice"] == {"type": "auto"}


def test_an_image_within_the_request_becomes_base64() -> None:
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,QUJD"}} for kind in ("jpg", "webp")]
    content = turns({"role": "user", "content": parts})[0]["content"]
    assert [block["source"] for block in content] == [
        {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"},
        {"type": "base64", "media_type": "image/webp", "data": "QUJD"},
    ]


def test_a_pdf_becomes_a_document() -> None:
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}
    source = {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}
    content = turns({"role": "user", "content": [{"type": "file", "file": file}]})[0]["content"]
    assert content == [{"type": "document", "source": source, "title": "a.pdf"}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://plain.example/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "data:image/png,notbase64"}},
        {"type": "image_url"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:text/csv;base64,QUJD"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.example/a.mp4"}},
    ],
)
def test_what_anthropic_cannot_take_is_refused_with_its_place(part: dict[str, Any]) -> None:
    said = refusal(messages=[USER, {"role": "user", "content": [part]}])
    assert said.startswith("messages[1].content[0]")
    assert "Send" in said


def test_a_system_message_in_the_middle_joins_the_system_prompt() -> None:
    """As in Anthropic's own layer: https://platform.claude.com/docs/en/api/openai-sdk."""
    made = translated(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "One."},
                USER,
                {"role": "developer", "content": [text("Two.")]},
                {"role": "user", "content": "you"},
            ],
        }
    )
    assert made["system"] == [text("One."), text("Two.")]
    assert made["messages"] == [{"role": "user", "content": [text("hi"), text("you")]}]


def test_neighbours_of_one_role_become_one() -> None:
    made = turns(USER, USER, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, USER)
    assert [turn["role"] for turn in made] == ["user", "assistant", "user"]
    assert made[1]["content"] == [text("a"), text("b")]


def test_several_results_become_one_turn_that_begins_with_them() -> None:
    made = turns(
        USER,
        CALLED,
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "call_2", "content": [text("two"), text(" ")]},
    )
    assert [turn["role"] for turn in made] == ["user", "assistant", "user"]
    assert made[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "call_2", "content": [text("two")]},
        text("and?"),
    ]


def test_a_result_without_content_has_none() -> None:
    made = turns(USER, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": ""})
    assert made[2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1"}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"x": 1.0}', b'{"x": 1.0}'),
        ('{"big": 12345678901234567890123}', b'{"big": 12345678901234567890123}'),
        ("", b"{}"),
        (" ", b"{}"),
        (None, b"{}"),
        ("null", b"{}"),
        ("{", b'{"INVALID_JSON":"{"}'),
        ("[1]", b'{"INVALID_JSON":"[1]"}'),
    ],
)
def test_arguments_become_an_object_without_losing_a_digit(arguments: str | None, expected: bytes) -> None:
    called = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}
    if arguments is not None:
        called["tool_calls"][0]["function"]["arguments"] = arguments  # type: ignore[index]
    out = chat_to_messages(json.dumps({"messages": [USER, called]}).encode(), model="m", default_max_tokens=1)
    assert b'"input":' + expected + b"}" in out


def test_ids_that_anthropic_refuses_are_changed_alike_in_call_and_result() -> None:
    """Kimi's ids have a point and a colon."""
    called = json.loads(json.dumps(CALLED).replace("call_1", "functions.f:0"))
    made = turns(USER, called, {"role": "tool", "tool_call_id": "functions.f:0", "content": "r"})
    identity = made[1]["content"][0]["id"]
    assert identity == made[2]["content"][0]["tool_use_id"] == "functions_2ef_3a0"


@pytest.mark.parametrize("content", ["", None, " \n", [text("")], []])
def test_a_call_without_text_has_no_text_block(content: Any) -> None:
    """https://github.com/anthropics/claude-code/issues/23440."""
    made = turns(USER, CALLED | {"content": content})
    assert [block["type"] for block in made[1]["content"]] == ["tool_use"]


def test_blank_text_beside_an_image_is_dropped() -> None:
    part = published.CHAT_IMAGE_REQUEST["messages"][0]["content"][1]
    assert [block["type"] for block in turns({"role": "user", "content": [text(""), part]})[0]["content"]] == ["image"]


def test_an_empty_answer_of_the_assistant_is_dropped_and_an_empty_question_refused() -> None:
    made = turns(USER, {"role": "assistant", "content": ""}, USER)
    assert [turn["role"] for turn in made] == ["user"]
    assert refusal(messages=[USER, {"role": "user", "content": ""}]).startswith("messages[1].content is empty")


def test_a_last_message_of_the_assistant_is_kept_without_the_white_space_at_its_end() -> None:
    made = turns(USER, {"role": "assistant", "content": "The answer is ( \n"})
    assert made[-1] == {"role": "assistant", "content": [text("The answer is (")]}


def test_reasoning_of_earlier_turns_is_dropped() -> None:
    made = turns(USER, {"role": "assistant", "content": "b", "reasoning_content": "a"}, USER)
    assert made[1]["content"] == [text("b")]


def test_calls_in_the_conversation_define_their_tools_where_none_are_given() -> None:
    """https://github.com/BerriAI/litellm/issues/4687."""
    made = translated({"messages": [USER, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "r"}]})
    assert made["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert made["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_of_tools_goes_over(choice: Any, expected: dict[str, Any]) -> None:
    assert options(tools=TOOLS, tool_choice=choice)["tool_choice"] == expected
    alone = options(tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)["tool_choice"]
    assert alone == expected | ({"disable_parallel_tool_use": True} if expected["type"] != "none" else {})


def test_one_call_at_a_time_needs_no_choice() -> None:
    alone = options(tools=TOOLS, parallel_tool_calls=False)
    assert alone["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in options(tools=TOOLS, parallel_tool_calls=True)
    assert "tool_choice" not in options(parallel_tool_calls=False)


def test_a_tool_without_parameters_takes_nothing_and_strict_is_kept() -> None:
    tools = [{"type": "function", "function": {"name": "f", "strict": True}}]
    assert options(tools=tools)["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": True}
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_completion_tokens": 9, "max_tokens": 8}, {"max_tokens": 9}),
        ({"max_tokens": 8}, {"max_tokens": 8}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0.7, "top_p": 0.9, "top_k": 40}, {"temperature": 0.7, "top_p": 0.9, "top_k": 40}),
        ({"temperature": 1, "top_p": 1}, {}),
        ({"temperature": 1.7}, {}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "priority"}, {"service_tier": "auto"}),
        ({"service_tier": "flex"}, {}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            {"reasoning_effort": "minimal"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        ({"reasoning_effort": "max"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_options_go_over(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert options(**fields) == {"max_tokens": 512} | expected


def test_a_forced_tool_excludes_thinking_but_not_effort() -> None:
    made = options(tools=TOOLS, tool_choice="required", reasoning_effort="high")
    assert "thinking" not in made
    assert made["output_config"] == {"effort": "high"}


def test_a_schema_for_the_answer_goes_over() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert options(response_format=wanted)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"top_logprobs": 3},
        {"logit_bias": {"50256": -100}},
        {"presence_penalty": 0.5},
        {"frequency_penalty": -1},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"functions": [{"name": "f"}]},
        {"function_call": "auto"},
        {"web_search_options": {"search_context_size": "low"}},
        {"moderation": {"model": "omni"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        {"reasoning_effort": "heroic"},
        {"stop": ["\n"]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}, "tools": TOOLS},
        {"tool_choice": "sometimes", "tools": TOOLS},
        {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(fields: dict[str, Any]) -> None:
    said = refusal(**fields)
    assert said.startswith(next(iter(fields)))
    assert said.endswith(".")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "r"},
        {"role": "function", "name": "f", "content": "r"},
        CALLED | {"tool_calls": [{"type": "custom", "id": "c", "custom": {"name": "f", "input": "x"}}]},
        CALLED | {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "assistant", "audio": {"id": "audio_1"}},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_messages_that_anthropic_has_not_are_refused_with_their_place(message: dict[str, Any]) -> None:
    assert refusal(messages=[USER, message]).startswith("messages[1]")


def test_harmless_options_are_dropped() -> None:
    harmless = {
        "n": 1,
        "logprobs": False,
        "top_logprobs": 0,
        "logit_bias": {},
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "modalities": ["text"],
        "user": "u",
        "safety_identifier": "s",
        "metadata": {"a": "b"},
        "store": True,
        "seed": 7,
        "prediction": {"type": "content", "content": "x"},
        "verbosity": "low",
        "prompt_cache_key": "k",
        "unheard_of": {"x": 1},
    }
    assert options(**harmless) == {"max_tokens": 512}


def test_marks_for_the_cache_are_kept_where_they_stand_and_none_is_put_in() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    made = translated(
        {
            "messages": [
                {"role": "system", "content": [text("a") | {"cache_control": mark}, text("b")]},
                USER | {"cache_control": mark},
            ],
            "tools": [TOOLS[0] | {"cache_control": mark}],
        }
    )
    assert made["system"] == [text("a") | {"cache_control": mark}, text("b")]
    assert made["messages"][0]["content"] == [text("hi") | {"cache_control": mark}]
    assert made["tools"][0]["cache_control"] == mark
    assert "cache_control" not in json.dumps(translated(published.CHAT_REQUEST))


def test_a_request_of_system_prompts_only_is_refused() -> None:
    assert "user" in refusal(messages=[{"role": "system", "content": "Say hi."}])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"messages":7}', b"\xff", b'{"messages":[{}]}', b"[" * 9999]
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(UntranslatableError, match="no chat completion request"):
        chat_to_messages(body, model="m", default_max_tokens=1)
