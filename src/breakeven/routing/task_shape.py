"""What a request tells of its task before anyone reads it closely: shape, system prompt, and the last question.

Read only where a route asks for tasks and the client named none.  Bodies of all protocols are read by one pattern;
what does not fit it is no reason to refuse a request, only one not to know its task.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from breakeven.routing.task_text import shortened


class Shape(NamedTuple):
    """A request as tasks are told by it."""

    system: str = ""
    """System prompts and instructions, in order."""

    text: str = ""
    """The last message of a user, of a long one its beginning and end."""

    tools: tuple[str, ...] = ()
    """Names of the tools offered, sorted."""

    is_json: bool = False
    """Whether JSON is asked for, with a schema or without."""

    schema: str = ""
    """Name of the JSON schema asked for."""

    max_tokens: int | None = None
    """Most tokens that the answer may have."""


class _Body(msgspec.Struct):
    messages: Any = None
    system: Any = None
    instructions: Any = None
    input: Any = None
    prompt: Any = None
    tools: Any = None
    response_format: Any = None
    text: Any = None
    output_config: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None


_DECODER: Final = msgspec.json.Decoder(_Body)
_DIGITS: Final = re.compile(r"\d+")
_SYSTEM_ROLES: Final = ("system", "developer")
_MOST_TOOLS: Final = 1000


def shape_of(body: bytes) -> Shape:
    """Return the shape of a request's body; an empty one where it cannot be read."""
    try:
        found = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Shape()
    turns = found.messages if isinstance(found.messages, list) else found.input
    turns = turns if isinstance(turns, list) else [{"role": "user", "content": turns or found.prompt}]
    system = [_text(found.system), _text(found.instructions)]
    system += [_text(turn.get("content")) for turn in turns if _role(turn) in _SYSTEM_ROLES]
    asked: dict[str, Any] = next((turn for turn in reversed(turns) if _role(turn) == "user"), {})
    is_json, schema = _format(found)
    limits = (found.max_completion_tokens, found.max_output_tokens, found.max_tokens)
    return Shape(
        system="\n".join(part for part in system if part),
        text=shortened(_text(asked.get("content"))),
        tools=_tools(found.tools),
        is_json=is_json,
        schema=schema,
        max_tokens=next((limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool)), None),
    )


def fingerprint_of(shape: Shape) -> str:
    """Return 16 hex digits that requests with the same system prompt, tools and schema share; empty without any.

    Numbers in the system prompt do not count, so that one with today's date stays the same tomorrow.
    """
    if not (shape.system or shape.tools or shape.schema):
        return ""
    parts = (_DIGITS.sub("0", shape.system), *shape.tools, shape.schema)
    return blake2b("\0".join(parts).encode(errors="replace"), digest_size=8).hexdigest()


def _role(turn: object) -> object:
    return turn.get("role") if isinstance(turn, dict) else None


def _text(content: object) -> str:
    """Return a content's text, that of its parts joined."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else "" for part in content]
    return "\n".join(part for part in parts if isinstance(part, str))


def _tools(tools: object) -> tuple[str, ...]:
    """Return the names of tools, of chat completions (under ``function``) and of the other protocols."""
    if not isinstance(tools, list):
        return ()
    names = set()
    for tool in tools[:_MOST_TOOLS]:
        held = tool.get("function", tool) if isinstance(tool, dict) else None
        name = (held.get("name") or held.get("type")) if isinstance(held, dict) else None
        names.add(name if isinstance(name, str) else "")
    return tuple(sorted(names))


def _format(body: _Body) -> tuple[bool, str]:
    """Return whether JSON is asked for, and its schema's name.

    Chat completions say ``response_format``, responses ``text.format``, messages ``output_config.format``.
    """
    inner = [part.get("format") for part in (body.text, body.output_config) if isinstance(part, dict)]
    for said in (body.response_format, *inner):
        if isinstance(said, dict) and said.get("type") in ("json_schema", "json_object"):
            held = said.get("json_schema", said)
            name = held.get("name") if isinstance(held, dict) else None
            return True, name if isinstance(name, str) else ""
    return False, ""
