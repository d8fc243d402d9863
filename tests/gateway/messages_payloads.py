"""What Anthropic's API answers, whole and streamed, as its documentation shows it.

https://docs.claude.com/en/api/messages and https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 10,
    "cache_read_input_tokens": 100,
    "output_tokens": 12,
    "service_tier": "standard",
}


def message(**fields: Any) -> Json:
    """A whole answer."""
    return {
        "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyy",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Due on the third of May."}],
        "model": "claude-sonnet-4-5",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **fields,
    }


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def stream(words: int = 3, *, whole: bool = True) -> list[bytes]:
    """A stream's events; without its end where it is not ``whole``."""
    began = message(content=[], stop_reason=None, usage=USAGE | {"output_tokens": 1})
    events = [
        event("message_start", message=began),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" word{number}"})
            for number in range(words)
        ),
    ]
    if not whole:
        return events
    return [
        *events,
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 15}),
        event("message_stop"),
    ]


def error(kind: str, text: str) -> Json:
    """An error (https://docs.claude.com/en/api/errors)."""
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
