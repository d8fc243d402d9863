"""Whole answers of one protocol as the other's.

- Text blocks become one text, thinking blocks one ``reasoning_content``; blocks that have no counterpart (redacted
  thinking, a server tool's) are left out, since no request that was translated can ask for them.
- Reasoning becomes a thinking block with an empty signature.  Such a block is of no use to Anthropic later; a request
  that has it is understood by ``requests.messages_to_chat``, which drops it.
- Blank text makes no block: Anthropic refuses one when it is sent back with the next request.
- A refusal's text becomes text, with the stop reason ``refusal``.
- Of several choices the first is taken: a request that asks for more is not translated.
"""

from __future__ import annotations

from typing import Final

import msgspec

from breakeven.protocols import UntranslatableError, chat_wire, messages_wire, tables
from breakeven.protocols.tables import UNREADABLE, Fields

_NOT_AN_ANSWER: Final = "The target's answer is no {}, so it cannot be translated: {}. Ask again, or another target."


def chat_answer_to_messages(body: bytes) -> bytes:
    """Return a chat completion as a message.  Raises ``UntranslatableError`` if it is none."""
    try:
        answer = chat_wire.decode_answer(body)
        return msgspec.json.encode(_message_of(answer))
    except UNREADABLE as error:
        raise UntranslatableError(_NOT_AN_ANSWER.format("chat completion", error)) from None


def messages_answer_to_chat(body: bytes, *, created_s: int) -> bytes:
    """Return a message as a chat completion.

    ``created_s`` is the time it is to bear, in seconds since 1970.  Raises ``UntranslatableError`` if it is no message.
    """
    try:
        answer = messages_wire.decode_answer(body)
        return msgspec.json.encode(_completion_of(answer, created_s))
    except UNREADABLE as error:
        raise UntranslatableError(_NOT_AN_ANSWER.format("message", error)) from None


def _message_of(answer: chat_wire.Answer) -> Fields:
    choice = answer.choices[0] if answer.choices else None
    if choice is None or choice.message is None:
        raise ValueError("it has no choice with a message")
    message = choice.message
    content: list[Fields] = []
    reasoning = message.reasoning_content or message.reasoning
    if reasoning:
        content.append({"type": "thinking", "thinking": reasoning, "signature": ""})
    text = (message.content or "") + (message.refusal or "")
    if text.strip():
        content.append({"type": "text", "text": text})
    for index, call in enumerate(message.tool_calls or ()):
        function = call.function or chat_wire.Function()
        content.append(
            {
                "type": "tool_use",
                "id": tables.call_id(call.id, answer.id, index),
                "name": function.name or "",
                "input": tables.input_of(function.arguments),
            }
        )
    finish = "content_filter" if message.refusal else choice.finish_reason
    sequence = choice.stop_reason or choice.matched_stop
    stop_reason, stop_sequence = tables.stop_of_chat(finish, sequence, calls=bool(message.tool_calls))
    return {
        "id": tables.message_id(answer.id),
        "type": "message",
        "role": "assistant",
        "model": answer.model or "",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": tables.usage_of_chat(answer.usage, answer.service_tier),
    }


def _completion_of(answer: messages_wire.Answer, created_s: int) -> Fields:
    if answer.content is None:
        raise ValueError("it has no content")
    texts = [block.text or "" for block in answer.content if block.type == "text"]
    thoughts = "".join(block.thinking or "" for block in answer.content if block.type == "thinking")
    calls = [
        {
            "id": tables.call_id(block.id, answer.id, index),
            "type": "function",
            "function": {"name": block.name or "", "arguments": tables.arguments_of(block.input)},
        }
        for index, block in enumerate(block for block in answer.content if block.type == "tool_use")
    ]
    # Null only beside calls: clients that read content read it as text where there is nothing else.
    content = "".join(texts) if texts or not calls else None
    message: Fields = {"role": "assistant", "content": content, "refusal": None}
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = calls
    finish_reason = tables.finish_of_messages(answer.stop_reason, calls=bool(calls))
    usage = answer.usage or messages_wire.Usage()
    return {
        "id": tables.chat_id(answer.id),
        "object": "chat.completion",
        "created": created_s,
        "model": answer.model or "",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": tables.usage_of_messages(usage),
        **tables.tier_of_messages(usage),
    }
