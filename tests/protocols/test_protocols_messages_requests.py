"""Messages requests become chat completion requests, or are refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import published_bodies as published
import pytest

from breakeven.protocols import UntranslatableError
from breakeven.protocols.requests import messages_to_chat

USER = {"role": "user", "content": "hi"}
TOOLS = published.MESSAGES_TOOLS_REQUEST["tools"]


def translated(body: dict[str, Any], *, ask_for_usage: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        messages_to_chat(json.dumps(body).encode(), model="gpt", ask_for_usage=ask_for_usage)
    )
    assert made.pop("model") == "gpt"
    return made


def test_the_answer_is_bounded_by_the_key_that_the_target_knows() -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": [USER]}).encode()
    made = json.loads(messages_to_chat(body, model="mistral-small", ask_for_usage=False, bound="max_tokens"))
    assert made == {"model": "mistral-small", "max_tokens": 5, "messages": [USER]}


def options(**fields: Any) -> dict[str, Any]:
    made = translated({"model": "m", "max_tokens": 5, "messages": [USER]} | fields)
    assert made.pop("messages") == [USER]
    assert made.pop("max_completion_tokens") == 5
    return made


def turns(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = translated({"max_tokens": 5, "messages": messages} | fields)["messages"]
    return made


def said_by_user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return turns({"role": "user", "content": list(blocks)})


def refusal(**fields: Any) -> str:
    with pytest.raises(UntranslatableError) as caught:
        translated({"model": "m", "max_tokens": 5, "messages": [USER]} | fields)
    return str(caught.value)


def result(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content} | more


def image(data: str = "QUJD") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_the_published_request_goes_over() -> None:
    assert translated(published.MESSAGES_REQUEST) == {
        "max_completion_tokens": 1024,
        "messages": published.MESSAGES_REQUEST["messages"],
    }


def test_the_published_prefill_is_kept() -> None:
    assert translated(published.MESSAGES_PREFILL_REQUEST)["messages"][-1] == {
        "role": "assistant",
        "content": "The answer is (",
    }


def test_the_published_use_of_a_tool_goes_over() -> None:
    made = translated(published.MESSAGES_TOOLS_REQUEST)
    assert made["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Get the current weather in a given location",
                "parameters": TOOLS[0]["input_schema"],
            },
        }
    ]
    _, called, returned = made["messages"]
    assert called["content"] == "I'll check the current weather in San Francisco for you."
    assert called["tool_calls"][0]["id"] == returned["tool_call_id"] == "toolu_01A09q90qw90lq917835lq9"
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {
        "location": "San Francisco, CA",
        "unit": "celsius",
    }
    assert returned == {"role": "tool", "tool_call_id": "toolu_01A09q90qw90lq917835lq9", "content": "15 degrees"}


@pytest.mark.parametrize(
    "system", ["One.\nTwo.", [text("One."), text("Two.") | {"cache_control": {"type": "ephemeral"}}]]
)
def test_the_system_prompt_is_the_first_message(system: Any) -> None:
    assert turns(USER, system=system) == [{"role": "system", "content": "One.\nTwo."}, USER]


def test_a_system_message_between_turns_stays_where_it_is() -> None:
    """https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages."""
    made = turns(USER, {"role": "system", "content": [text("Be brief.")]})
    assert made == [USER, {"role": "system", "content": "Be brief."}]


def test_results_come_before_all_else_of_their_turn() -> None:
    """Chat completions want them right behind the calls, whatever stands first here."""
    made = said_by_user(text("see"), result("one"), result([text("a"), text("b")], tool_use_id="toolu_2"))
    assert made == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "one"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "a\nb"},
        {"role": "user", "content": "see"},
    ]


@pytest.mark.parametrize("block", [{"type": "tool_result", "tool_use_id": "toolu_1"}, result(), result(""), result([])])
def test_a_result_without_content_is_an_empty_text(block: dict[str, Any]) -> None:
    assert said_by_user(block) == [{"role": "tool", "tool_call_id": "toolu_1", "content": ""}]


def test_an_error_of_a_tool_is_said_in_words() -> None:
    assert said_by_user(result("no such file", is_error=True))[0]["content"] == "Error: no such file"
    assert said_by_user(result("Error 7", is_error=True))[0]["content"] == "Error 7"
    assert said_by_user(result("fine", is_error=False))[0]["content"] == "fine"


def test_an_image_that_a_tool_returned_follows_with_the_calls_id() -> None:
    tool, user = said_by_user(result([image()]), text("see"))
    assert tool["role"] == "tool"
    assert "user message" in tool["content"]
    assert user["content"] == [
        text("Returned by the tool call toolu_1:"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        text("see"),
    ]


def test_images_and_documents_go_over() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}
    (made,) = said_by_user(
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        image(),
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
    )
    assert made["content"] == [
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        text("plain"),
    ]


def test_thinking_of_earlier_turns_is_dropped() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        text("a"),
        text("b"),
    ]
    assert turns(USER, {"role": "assistant", "content": content}, USER)[1] == {"role": "assistant", "content": "ab"}


def test_an_input_goes_over_byte_for_byte() -> None:
    body = (
        b'{"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f",'
        b'"input":{"big": 12345678901234567890123, "x":1.0}}]}]}'
    )
    call = json.loads(messages_to_chat(body, model="m", ask_for_usage=False))["messages"][0]
    assert call["content"] is None
    assert call["tool_calls"][0]["function"]["arguments"] == '{"big": 12345678901234567890123, "x":1.0}'


def test_a_tool_use_without_input_has_arguments_that_can_be_decoded() -> None:
    made = turns(USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f"}]})
    assert made[1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_of_tools_goes_over(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    made = options(tools=[{"name": "f", "type": "custom", "input_schema": {}, "strict": True}], tool_choice=choice)
    assert made.pop("tools") == [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}]
    assert made == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 3}, {"temperature": 0.5, "top_p": 0.9, "top_k": 3}),
        ({"stop_sequences": ["a"]}, {"stop": ["a"]}),
        ({"stop_sequences": []}, {}),
        ({"stream": False}, {"stream": False}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 10000}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 16384}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, {"reasoning_effort": "xhigh"}),
        ({"metadata": {"user_id": "u"}, "context_management": {"edits": []}, "speed": "fast"}, {}),
    ],
)
def test_options_go_over(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert options(**fields) == expected


def test_usage_is_asked_for_only_of_streams() -> None:
    body = {"max_tokens": 5, "messages": [USER]}
    assert "stream_options" not in translated(body, ask_for_usage=True)
    assert translated(body | {"stream": True}, ask_for_usage=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in translated(body | {"stream": True})


def test_a_schema_for_the_answer_goes_over() -> None:
    schema = {"type": "object", "additionalProperties": False}
    made = options(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert made == {
        "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema, "strict": True}}
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]},
        {"container": "c"},
        {"inference_geo": "eu"},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": TOOLS, "tool_choice": {"type": "tool"}},
        {"output_config": {"format": {"type": "json_schema"}}},
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(fields: dict[str, Any]) -> None:
    said = refusal(**fields)
    assert next(iter(fields)) in said or "tool_choice" in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "search_result", "source": {"type": "x"}, "title": "t", "content": []},
        {"type": "container_upload", "file_id": "f"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
        {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}},
        result([{"type": "search_result"}]),
    ],
)
def test_blocks_without_a_counterpart_are_refused_with_their_place(block: dict[str, Any]) -> None:
    said = refusal(messages=[USER, {"role": "user", "content": [block]}])
    assert said.startswith("messages[1].content[0]")
    if block["type"] not in {"image", "document"}:
        assert refusal(messages=[{"role": "assistant", "content": [block]}]).startswith("messages[0]")


def test_a_system_prompt_of_images_and_an_unknown_role_are_refused() -> None:
    assert refusal(system=[image()]).startswith("system")
    assert refusal(messages=[{"role": "tool", "content": "x"}]).startswith("messages[0].role")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"messages":[]}', b"\xff", b'{"messages":[{}],"max_tokens":1}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(UntranslatableError, match="no messages request"):
        messages_to_chat(body, model="m", ask_for_usage=False)


def test_an_input_that_is_no_utf_8_is_refused() -> None:
    body = b'{"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","input":{"a":"\xff"}}]}]}'
    with pytest.raises(UntranslatableError, match="no messages request"):
        messages_to_chat(body, model="m", ask_for_usage=False)
