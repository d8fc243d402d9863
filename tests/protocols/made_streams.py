"""Streams of either protocol as a server would send them; made, not published, and as translated."""

from __future__ import annotations

import json
from typing import Any

from accumulated import message_of

from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream

DONE = b"data: [DONE]\n\n"
CREATED_S = 1_700_000_000


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Return a chunk as a server would send it; made, not published."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(fields | more).encode() + b"\n\n"


def call(index: int | None, arguments: str | None = None, identity: str | None = None, name: str | None = None) -> Any:
    """Return a piece of a tool call."""
    piece: dict[str, Any] = {"function": {}}
    if index is not None:
        piece["index"] = index
    if identity is not None:
        piece |= {"id": identity, "type": "function"}
    if name is not None:
        piece["function"]["name"] = name
    if arguments is not None:
        piece["function"]["arguments"] = arguments
    return piece


def calls(*pieces: Any, finish: str | None = None, **more: Any) -> bytes:
    return chunk({"tool_calls": list(pieces)} | more, finish)


def to_messages(*parts: bytes) -> dict[str, Any]:
    stream = ChatToMessagesStream(model="asked")
    out = b"".join(stream.feed(part) for part in (*parts, DONE)) + stream.end()
    assert (stream.done, stream.error, stream.broken) == (True, False, False)
    return message_of(out)


def event(fields: dict[str, Any]) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


def to_chat(data: bytes, *, include_usage: bool = True) -> bytes:
    stream = MessagesToChatStream(created_s=CREATED_S, include_usage=include_usage)
    out = stream.feed(data) + stream.end()
    assert (stream.done, stream.error, stream.broken) == (True, False, False)
    return out
