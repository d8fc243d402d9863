"""What upstreams answer and clients ask: chat completions whole and streamed, as OpenAI's API writes them."""

from __future__ import annotations

import json
from typing import Any

PROMPT = [{"role": "user", "content": "Summarise the invoice."}]

Json = dict[str, Any]


def usage(input_tokens: int = 157, output_tokens: int = 52, cached_tokens: int = 0) -> Json:
    """Usage as OpenAI reports it."""
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


TOLD: Json = usage()
"""What the scripted answers tell."""

STREAMED: Json = {"stream": True}
ASKING: Json = {"stream": True, "stream_options": {"include_usage": True}}
"""Fields of requests: for a stream, and for its usage too."""


def request(model: str, **fields: Any) -> Json:
    """A chat request."""
    return {"model": model, "messages": PROMPT, **fields}


def completion(text: str = "Due on the third of May.", **fields: Any) -> Json:
    """A whole answer; ``usage=None`` leaves usage out."""
    message = {"role": "assistant", "content": text}
    answer: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_730_000_000,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(),
    }
    return {name: value for name, value in (answer | fields).items() if value is not None}


def tool_call(name: str, arguments: Json) -> Json:
    """A whole answer that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return completion(choices=[{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}])


def error(message: str, code: str | None = None) -> Json:
    """An error as OpenAI writes it."""
    return {"error": {"message": message, "type": "server_error", "param": None, "code": code}}


def event(payload: Json | str | bytes) -> bytes:
    """One server-sent event."""
    if isinstance(payload, dict):
        payload = json.dumps(payload)
    return b"data: %b\n\n" % (payload.encode() if isinstance(payload, str) else payload)


def chunk(delta: Json, *, finish_reason: str | None = None, **fields: Any) -> Json:
    """One piece of a streamed answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_730_000_000,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        **fields,
    }


def words(count: int) -> list[bytes]:
    """That many events, each with one word."""
    return [event(chunk({"content": f" word{number}"})) for number in range(count)]


def stream(count: int = 5, told: Json | None = None, *, done: bool = True) -> list[bytes]:
    """A stream's events: role, words, finish, usage where it is told, ``[DONE]``."""
    events = [event(chunk({"role": "assistant", "content": ""})), *words(count)]
    events.append(event(chunk({}, finish_reason="stop")))
    if told is not None:
        events.append(event(chunk({}) | {"choices": [], "usage": told}))
    if done:
        events.append(event("[DONE]"))
    return events


def tool_stream(name: str, arguments: Json, told: Json) -> list[bytes]:
    """A stream that calls a tool, its arguments in pieces of five characters."""
    text = json.dumps(arguments)
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    deltas: list[Json] = [{"role": "assistant", "content": None, "tool_calls": [first]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    return [
        *(event(chunk(delta)) for delta in deltas),
        event(chunk({}, finish_reason="tool_calls")),
        event(chunk({}) | {"choices": [], "usage": told}),
        event("[DONE]"),
    ]
