"""The conversation of a messages request as chat completions'; the rules are in ``requests``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.protocols import UntranslatableError, messages_wire, tables

if TYPE_CHECKING:
    from breakeven.protocols.messages_wire import Block, Request, Source, Turn
    from breakeven.protocols.tables import Fields

_NO_SOURCE: Final = messages_wire.Source("")
_LEFT_OUT: Final = frozenset({"thinking", "redacted_thinking"})


def chat_turns(request: Request) -> list[Fields]:
    """Return the messages, the system prompt first.  Raises ``UntranslatableError``."""
    messages: list[Fields] = []
    if request.system:
        messages.append({"role": "system", "content": _text(request.system, "system")})
    for number, turn in enumerate(request.messages):
        place = f"messages[{number}]"
        if turn.role == "assistant":
            messages.append(_assistant(turn, place))
        elif turn.role == "user":
            messages += _user(turn, place)
        elif turn.role == "system":
            messages.append({"role": "system", "content": _text(turn.content, place)})
        else:
            raise UntranslatableError(f"{place}.role is {turn.role!r}, which no message has. Use user or assistant.")
    return messages


def _text(content: str | list[Block], place: str) -> str:
    """Return content that can only be text."""
    if isinstance(content, str):
        return content
    for block in content:
        if block.type != "text":
            raise _unknown(block, place)
    return "\n".join(block.text or "" for block in content)


def _assistant(turn: Turn, place: str) -> Fields:
    if isinstance(turn.content, str):
        return {"role": "assistant", "content": turn.content}
    texts: list[str] = []
    calls: list[Fields] = []
    for block in turn.content:
        if block.type == "text":
            texts.append(block.text or "")
        elif block.type == "tool_use":
            function = {"name": block.name or "", "arguments": tables.arguments_of(block.input)}
            calls.append({"id": block.id or "", "type": "function", "function": function})
        elif block.type not in _LEFT_OUT:
            raise _unknown(block, place)
    content = "".join(texts)
    if calls:
        return {"role": "assistant", "content": content or None, "tool_calls": calls}
    return {"role": "assistant", "content": content}


def _user(turn: Turn, place: str) -> list[Fields]:
    """Return the tool messages of a turn, and a user message of all the rest, if there is any."""
    if isinstance(turn.content, str):
        return [{"role": "user", "content": turn.content}]
    results: list[Fields] = []
    shown: list[Fields] = []
    said: list[Fields] = []
    for at, block in enumerate(turn.content):
        where = f"{place}.content[{at}]"
        if block.type == "tool_result":
            results.append(_result(block, shown, where))
        else:
            said.append(_part(block, where))
    parts = shown + said
    if all(part["type"] == "text" for part in parts):
        text = "\n".join(part["text"] for part in parts)
        return [*results, {"role": "user", "content": text}] if parts or not results else results
    return [*results, {"role": "user", "content": parts}]


def _result(block: Block, shown: list[Fields], place: str) -> Fields:
    """Return a tool message; what it cannot hold is added to ``shown``, with the call it is from."""
    content = messages_wire.decode_result(bytes(block.content) or b"null")
    parts: list[Fields] = []
    if isinstance(content, str):
        text = content
    else:
        parts = [_part(inner, place) for inner in content or ()]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    others = [part for part in parts if part["type"] != "text"]
    if others:
        shown.append({"type": "text", "text": f"Returned by the tool call {block.tool_use_id}:"})
        shown += others
        text = text or "What the tool returned is in the user message that follows."
    if block.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.tool_use_id or "", "content": text}


def _part(block: Block, place: str) -> Fields:
    source = block.source or _NO_SOURCE
    if block.type == "text":
        return {"type": "text", "text": block.text or ""}
    if block.type == "image" and (source.url or source.data):
        return {"type": "image_url", "image_url": {"url": source.url or _data_url(source)}}
    if block.type == "document" and not _cited(block):
        if source.type == "text":
            return {"type": "text", "text": source.data or ""}
        if source.type == "base64" and source.data:
            filename = block.title or "document.pdf"
            return {"type": "file", "file": {"filename": filename, "file_data": _data_url(source)}}
    raise _unknown(block, place)


def _cited(block: Block) -> bool:
    return isinstance(block.citations, dict) and bool(block.citations.get("enabled"))


def _data_url(source: Source) -> str:
    return f"data:{source.media_type or 'application/octet-stream'};base64,{source.data}"


def _unknown(block: Block, place: str) -> UntranslatableError:
    source = f" from a source of the type {block.source.type!r}" if block.source else ""
    cited = " with citations" if _cited(block) else ""
    return UntranslatableError(
        f"{place} has a block of the type {block.type!r}{source}{cited}, which has no counterpart in chat completions. "
        "Send it as text, or as an image."
    )
