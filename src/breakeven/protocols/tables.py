"""What both directions, whole answers and streams, have to agree on: stop reasons, usage, tiers, ids, arguments.

Usage.  Anthropic's ``input_tokens`` leave out what was read from a cache or written to one, OpenAI's ``prompt_tokens``
hold both (https://platform.claude.com/docs/en/build-with-claude/prompt-caching and
https://platform.openai.com/docs/guides/prompt-caching), so they are added or taken away, and nothing is lost on the way
there and back.  How long a write is kept (``cache_creation``) has no counterpart.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from breakeven.protocols import chat_wire, messages_wire

Fields = dict[str, Any]
"""A JSON object that is being built."""

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding or encoding of arbitrary bytes raises."""

STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons."""

_TIERS_OF_CHAT: Final = {"standard": "default", "priority": "priority"}
_TIERS_OF_MESSAGES: Final = {"default": "standard", "priority": "priority"}
_CHAT_ID: Final = "chatcmpl-"
_MESSAGE_ID: Final = "msg_"
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def stop_of_chat(finish_reason: str | None, sequence: object, *, calls: bool) -> tuple[str, str | None]:
    """Return Anthropic's stop reason and the stop sequence that was met, if it is told.

    An answer that calls tools stops for them, whatever the server says: some say ``stop``
    (https://github.com/BerriAI/litellm/issues/34692), and a client would not run the tools.
    """
    reason = STOP_REASONS.get(finish_reason or "stop", "end_turn")
    if reason == "end_turn" and calls:
        return "tool_use", None
    if reason == "end_turn" and isinstance(sequence, str):
        return "stop_sequence", sequence
    return reason, None


def finish_of_messages(stop_reason: str | None, *, calls: bool) -> str:
    """Return OpenAI's finish reason; one that is not known, or missing, counts as the usual one."""
    reason = FINISH_REASONS.get(stop_reason or "", "stop")
    return "tool_calls" if reason == "stop" and calls else reason


def usage_of_chat(usage: chat_wire.Usage | None, service_tier: str | None) -> Fields:
    """Return what was told as Anthropic's usage, in tokens; what was not told is 0."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    parts = usage.prompt_tokens_details or chat_wire.InputDetails()
    cached = parts.cached_tokens or usage.prompt_cache_hit_tokens or usage.cached_tokens or 0
    written = parts.cache_write_tokens or parts.cache_creation_tokens or 0
    fields: Fields = {
        "input_tokens": max(0, (usage.prompt_tokens or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens or 0,
    }
    details = usage.completion_tokens_details
    if details is not None and details.reasoning_tokens:
        fields["output_tokens_details"] = {"thinking_tokens": details.reasoning_tokens}
    if service_tier in _TIERS_OF_MESSAGES:
        fields["service_tier"] = _TIERS_OF_MESSAGES[service_tier]
    return fields


def usage_of_messages(usage: messages_wire.Usage) -> Fields:
    """Return what was told as OpenAI's usage, in tokens; what was not told is 0."""
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    prompt = (usage.input_tokens or 0) + cached + written
    output = usage.output_tokens or 0
    fields: Fields = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    if usage.output_tokens_details is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": usage.output_tokens_details.thinking_tokens or 0}
    return fields


def tier_of_messages(usage: messages_wire.Usage) -> Fields:
    """Return OpenAI's ``service_tier`` for what was told, or nothing."""
    tier = _TIERS_OF_CHAT.get(usage.service_tier or "")
    return {"service_tier": tier} if tier else {}


def message_id(chat_id: str | None) -> str:
    """Return an id of Anthropic's form for one of OpenAI's."""
    return _MESSAGE_ID + (chat_id or "").removeprefix(_CHAT_ID).removeprefix(_MESSAGE_ID)


def chat_id(message_id: str | None) -> str:
    """Return an id of OpenAI's form for one of Anthropic's."""
    return _CHAT_ID + (message_id or "").removeprefix(_MESSAGE_ID).removeprefix(_CHAT_ID)


def call_id(call_id: str | None, answer_id: str | None, index: int) -> str:
    """Return a call's id, or one made of its answer's id and its place where a server gives none."""
    return call_id or f"call_{(answer_id or '').removeprefix(_CHAT_ID)}_{index}"


def tool_use_id(call_id: str) -> str:
    """Return a call's id in the letters that Anthropic takes (``^[a-zA-Z0-9_-]+$``); others become their number.

    Kimi's are ``functions.get_weather:0`` (https://github.com/MoonshotAI/Kimi-K2/blob/main/docs/tool_call_guidance.md).
    """
    return _NOT_IN_IDS.sub(lambda letter: f"_{ord(letter[0]):x}", call_id)


def input_of(arguments: str | None) -> msgspec.Raw:
    """Return a call's arguments as the object that Anthropic wants, byte for byte where they are one.

    None, an empty text and ``null`` are a call without arguments.  What is no object is wrapped as Anthropic advises:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming.
    """
    if arguments is None or arguments.strip() in {"", "null"}:
        return msgspec.Raw(b"{}")
    if is_object(arguments):
        return msgspec.Raw(arguments.encode())
    return msgspec.Raw(msgspec.json.encode({"INVALID_JSON": arguments}))


def is_object(text: str) -> bool:
    """Whether a text is one whole JSON object."""
    try:
        _OBJECT.decode(text)
    except UNREADABLE:
        return False
    return True


def arguments_of(value: msgspec.Raw) -> str:
    """Return a tool's input as the text that OpenAI wants, byte for byte; never empty, for clients decode it."""
    return bytes(value).decode() or "{}"
