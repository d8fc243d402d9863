"""Errors go over, whatever the body."""

from __future__ import annotations

import json
from typing import Any

import published_bodies as published
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.protocols.errors import chat_error_to_messages, messages_error_to_chat


def to_messages(status: int, body: Any) -> tuple[str, str]:
    made = json.loads(chat_error_to_messages(status, body if isinstance(body, bytes) else json.dumps(body).encode()))
    assert made.keys() == {"type", "error"}
    assert made["type"] == "error"
    assert made["error"].keys() == {"type", "message"}
    return made["error"]["type"], made["error"]["message"]


def to_chat(status: int, body: Any) -> tuple[str, str, str]:
    made = json.loads(messages_error_to_chat(status, body if isinstance(body, bytes) else json.dumps(body).encode()))
    assert made.keys() == {"error"}
    assert made["error"].keys() == {"message", "type", "param", "code"}
    assert made["error"]["param"] is None
    return made["error"]["type"], made["error"]["code"], made["error"]["message"]


def test_the_published_errors_go_over() -> None:
    kind, message = to_messages(401, published.CHAT_ERROR)
    assert kind == "authentication_error"
    assert message == published.CHAT_ERROR["error"]["message"]
    assert to_chat(404, published.MESSAGES_ERROR) == (
        "not_found_error",
        "not_found_error",
        "The requested resource could not be found.",
    )


@pytest.mark.parametrize(
    ("status", "anthropic", "openai"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (402, "billing_error", "insufficient_quota"),
        (403, "permission_error", "permission_error"),
        (404, "not_found_error", "not_found_error"),
        (413, "request_too_large", "invalid_request_error"),
        (422, "invalid_request_error", "invalid_request_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (500, "api_error", "server_error"),
        (502, "api_error", "server_error"),
        (503, "overloaded_error", "server_error"),
        (504, "timeout_error", "server_error"),
        (529, "overloaded_error", "server_error"),
    ],
)
def test_every_status_has_its_type_both_ways(status: int, anthropic: str, openai: str) -> None:
    assert to_messages(status, {"error": {"message": "m"}}) == (anthropic, "m")
    assert to_chat(status, {"type": "error", "error": {"type": anthropic, "message": "m"}}) == (openai, anthropic, "m")
    assert to_chat(status, b"")[:2] == (openai, anthropic)
    back = messages_error_to_chat(200, json.dumps({"error": {"type": anthropic, "message": "m"}}).encode())
    assert to_messages(200, back) == (anthropic, "m")


@pytest.mark.parametrize(
    "body", [b"", b"<html><h1>502 Bad Gateway</h1></html>", b"[]", b'"x"', b"\xff\x00", b"{}", b"7"]
)
def test_a_body_without_a_message_gets_one_that_tells_the_status(body: bytes) -> None:
    kind, message = to_messages(502, body)
    assert kind == "api_error"
    assert "502" in message
    assert "502" in to_chat(502, body)[2]
    assert "<" not in message


@pytest.mark.parametrize(
    "body",
    [
        {"error": "m"},
        {"message": "m", "object": "error"},
        {"detail": "m"},
        {"error": {"error": "m"}},
        {"error": {"message": "m", "type": ["odd"], "code": {"odd": 1}}},
    ],
)
def test_other_servers_shapes_are_read(body: dict[str, Any]) -> None:
    assert to_messages(400, body) == ("invalid_request_error", "m")
    assert to_messages(200, body) == ("api_error", "m")
    assert to_chat(400, body)[2] == "m"


@given(status=st.integers(100, 599), body=st.binary(max_size=40) | st.text(max_size=40).map(lambda x: x.encode()))
def test_any_body_gives_an_error(status: int, body: bytes) -> None:
    assert to_messages(status, body)[1]
    assert to_chat(status, body)[2]
