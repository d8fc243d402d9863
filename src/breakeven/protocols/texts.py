"""What an answer says, whole or as the events of a stream, and the schema that its request asked it to keep to.

For those who check answers: every choice has its text, and an answer that is anything but text (a call of a tool that
the client is to run, a refusal, an error) has none.  What a model thought, and tools that the provider ran itself, are
passed over.  Read are chat completions, completions, responses and Anthropic's messages:
https://platform.openai.com/docs/api-reference and https://docs.claude.com/en/api/messages.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec

from breakeven.protocols.events import DONE, EventReader

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

_ENDS_OTHERWISE: Final = frozenset(
    {"tool_calls", "function_call", "content_filter", "tool_use", "refusal", "pause_turn", "error"}
)
"""Reasons for which an answer ends that is not the text that was asked for."""

_ASKS_CLIENT: Final = frozenset(
    {
        "tool_use", "function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call",
        "apply_patch_call", "mcp_approval_request", "refusal",
    }
)  # fmt: skip
"""Kinds of blocks and items by which a model asks its client to do something, or says no."""

_LAST_EVENTS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _NoTextError(Exception):
    """The answer is something other than text."""


def answer_texts(body: bytes, *, streamed: bool) -> tuple[str, ...] | None:
    """Return the text of each choice of an answer; None where it is not text, or cannot be read."""
    try:
        found = _of_events(body) if streamed else _of_whole(_decode(body))
    except (_NoTextError, AttributeError, TypeError, *_UNREADABLE):
        return None
    return tuple(found) or None


def asked_schema(body: bytes) -> dict[str, Any] | None:
    """Return the JSON Schema that a request asks its answer to keep to; None where it asks for none.

    As chat completions, responses and Anthropic's messages write it
    (https://docs.claude.com/en/docs/build-with-claude/structured-outputs); a request for any JSON object asks for that.
    """
    try:
        request = _decode(body)
    except _UNREADABLE:
        return None
    text, config = request.get("text"), request.get("output_config")
    said = [
        request.get("response_format"),
        text.get("format") if isinstance(text, dict) else None,
        config.get("format") if isinstance(config, dict) else None,
        request.get("output_format"),
    ]
    for wanted in said:
        if not isinstance(wanted, dict):
            continue
        if wanted.get("type") == "json_object":
            return {"type": "object"}
        inner = wanted.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else wanted.get("schema")
        if isinstance(schema, dict):
            return schema
    return None


def _of_whole(answer: dict[str, Any]) -> list[str]:
    if answer.get("error") is not None:
        raise _NoTextError
    if "choices" in answer:
        return [_of_choice(choice, "message") for choice in answer["choices"]]
    if "output" in answer:
        if answer.get("status") == "failed":
            raise _NoTextError
        contents = [_content(item) for item in answer["output"]]
        return ["".join(_of_block(block) for content in contents for block in content)]
    if answer.get("stop_reason") in _ENDS_OTHERWISE:
        raise _NoTextError
    return ["".join(map(_of_block, answer["content"]))] if "content" in answer else []


def _of_choice(choice: dict[str, Any], key: str) -> str:
    """Return the text of a choice, or of a piece of one under ``delta``."""
    said = choice.get(key) or {}
    others = (said.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
    if choice.get("finish_reason") in _ENDS_OTHERWISE or any(others):
        raise _NoTextError
    content = said.get("content") if said else choice.get("text")
    if isinstance(content, list):
        return "".join(map(_of_block, content))
    return content or ""


def _content(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of an item of a response."""
    if item.get("type") in _ASKS_CLIENT:
        raise _NoTextError
    return item["content"] or [] if item.get("type") == "message" else []


def _of_block(block: dict[str, Any]) -> str:
    kind = block.get("type")
    if kind in _ASKS_CLIENT:
        raise _NoTextError
    return block.get("text") or "" if kind in {"text", "text_delta", "output_text"} else ""


def _of_events(body: bytes) -> list[str]:
    reader = EventReader()
    read = [*reader.feed(body), *reader.close()]
    if reader.oversized:
        raise _NoTextError
    texts: defaultdict[int, list[str]] = defaultdict(list)
    for event in (_decode(data) for data in read if data != DONE):
        kind = event.get("type")
        if event.get("error") is not None or kind == "error":
            raise _NoTextError
        if kind in _LAST_EVENTS:
            return _of_whole(event["response"])
        if "choices" in event:
            for choice in event["choices"]:
                texts[choice.get("index") or 0].append(_of_choice(choice, "delta"))
        elif kind in {"content_block_start", "content_block_delta"}:
            texts[0].append(_of_block(event.get("content_block") or event["delta"]))
        elif kind == "message_delta" and event["delta"].get("stop_reason") in _ENDS_OTHERWISE:
            raise _NoTextError
    return ["".join(texts[index]) for index in sorted(texts)]
