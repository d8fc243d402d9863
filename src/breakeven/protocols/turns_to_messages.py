"""The conversation of a chat completion request as Anthropic's; the rules are in ``requests``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from breakeven.protocols import UntranslatableError, tables

if TYPE_CHECKING:
    import msgspec

    from breakeven.protocols.chat_wire import File, Part, ToolCall, Turn
    from breakeven.protocols.tables import Fields

_DATA_URL: Final = re.compile(r"data:([\w.+/-]+)(?:;[^;,]+)*;base64,", re.ASCII)
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF: Final = "application/pdf"


def messages_turns(turns: list[Turn]) -> tuple[list[Fields], list[Fields]]:
    """Return the system prompt's blocks and the messages.  Raises ``UntranslatableError``."""
    system: list[Fields] = []
    messages: list[Fields] = []
    for number, turn in enumerate(turns):
        place = f"messages[{number}]"
        if turn.role in {"system", "developer"}:
            system += _blocks(turn, place)
            continue
        role, blocks = _turn(turn, place)
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})
    if not messages:
        raise UntranslatableError(
            "messages holds nothing but system prompts, and Anthropic answers only messages of a user. "
            'Send the last one with the role "user".'
        )
    for message in messages:
        if message["role"] == "user":  # results come first, and a sort keeps the order of the rest
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
    last = messages[-1]
    if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
        last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()
    return system, messages


def _turn(turn: Turn, place: str) -> tuple[str, list[Fields]]:
    """Return one message's role and blocks; an assistant's may have none."""
    if turn.role == "tool":
        return "user", [_result(turn, place)]
    blocks = _blocks(turn, place)
    if turn.role == "user":
        if not blocks:
            raise UntranslatableError(
                f"{place}.content is empty, and Anthropic refuses messages without text. Send some text, or leave the "
                "message out."
            )
        return "user", blocks
    if turn.role != "assistant":
        raise UntranslatableError(
            f"{place}.role is {turn.role!r}, which has no counterpart in Anthropic's Messages API. Use system, "
            "developer, user, assistant or tool."
        )
    if turn.function_call or turn.audio:
        raise UntranslatableError(
            f"{place} has a function_call or audio, which have no counterpart in Anthropic's Messages API. Use "
            "tool_calls and text."
        )
    if turn.refusal and turn.refusal.strip():
        blocks.append({"type": "text", "text": turn.refusal})
    calls = turn.tool_calls or ()
    return "assistant", blocks + [_call(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(calls)]


def _result(turn: Turn, place: str) -> Fields:
    if not turn.tool_call_id:
        raise UntranslatableError(f"{place}.tool_call_id is missing, so no call has this result. Name the call's id.")
    block: Fields = {"type": "tool_result", "tool_use_id": tables.tool_use_id(turn.tool_call_id)}
    if isinstance(turn.content, str):
        content: str | list[Fields] = turn.content
    else:
        content = [_block(part, f"{place}.content[{at}]") for at, part in enumerate(turn.content or ()) if _says(part)]
    if content:
        block["content"] = content
    return _cached(block, turn.cache_control)


def _call(call: ToolCall, place: str) -> Fields:
    if call.function is None or not call.function.name or not call.id:
        raise UntranslatableError(
            f"{place} is no call of a function with an id and a name, and Anthropic has no other. Use function tools."
        )
    return {
        "type": "tool_use",
        "id": tables.tool_use_id(call.id),
        "name": call.function.name,
        "input": tables.input_of(call.function.arguments),
    }


def _blocks(turn: Turn, place: str) -> list[Fields]:
    content = turn.content
    if isinstance(content, str):
        blocks: list[Fields] = [{"type": "text", "text": content}] if content.strip() else []
    else:
        blocks = [_block(part, f"{place}.content[{at}]") for at, part in enumerate(content or ()) if _says(part)]
    if blocks:
        _cached(blocks[-1], turn.cache_control)
    return blocks


def _says(part: Part) -> bool:
    """Whether a part is more than blank text."""
    return part.type not in {"text", "refusal"} or bool((part.text or part.refusal or "").strip())


def _block(part: Part, place: str) -> Fields:
    if part.type in {"text", "refusal"}:
        block: Fields = {"type": "text", "text": part.text or part.refusal}
    elif part.type == "image_url" and part.image_url is not None:
        block = _image(part.image_url.url, place)
    elif part.type == "file" and part.file is not None:
        block = _document(part.file, place)
    else:
        raise UntranslatableError(
            f"{place} has the type {part.type!r}, which has no counterpart in Anthropic's Messages API. Send text, "
            "image_url, or file with PDF data."
        )
    return _cached(block, part.cache_control)


def _image(url: str, place: str) -> Fields:
    if url[:8].lower() == "https://":
        return {"type": "image", "source": {"type": "url", "url": url}}
    head = _DATA_URL.match(url)
    media_type = head[1].lower().replace("image/jpg", "image/jpeg") if head else ""
    if head is None or media_type not in _IMAGES:
        raise UntranslatableError(
            f"{place}.image_url.url begins with {url[:30]!r}, and Anthropic takes images as https URLs or as base64 "
            "data URLs of JPEG, PNG, GIF or WebP. Send one of these."
        )
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": url[head.end() :]}}


def _document(file: File, place: str) -> Fields:
    data = file.file_data or ""
    head = _DATA_URL.match(data)
    if head is None or head[1].lower() != _PDF:
        raise UntranslatableError(
            f"{place}.file is no PDF as a base64 data URL, the only file that Anthropic takes within a request. Send "
            "file_data, or the text itself."
        )
    block: Fields = {"type": "document"}
    block["source"] = {"type": "base64", "media_type": _PDF, "data": data[head.end() :]}
    if file.filename:
        block["title"] = file.filename
    return block


def _cached(block: Fields, cache_control: msgspec.Raw) -> Fields:
    """Give a block the mark that the client gave it, if any."""
    if bytes(cache_control) not in {b"", b"null"}:
        block["cache_control"] = cache_control
    return block
