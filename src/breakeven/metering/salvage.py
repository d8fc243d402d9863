"""What can still be read of an answer that is not as it should be: the slow twin of ``wire``'s decoders.

It never raises, whatever the bytes, and gives the same values as the strict decoders wherever those succeed.  It is
more lenient than JSON: bytes that are no UTF-8, raw control characters and halves of surrogate pairs are let pass
(servers that cut a character between two events send such).  It guesses nothing: a count that is no whole number is
left out, and said to be.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.metering.wire import (
    UNREADABLE,
    Anything,
    Choice,
    Chunk,
    Function,
    Groq,
    InputDetails,
    Message,
    OutputDetails,
    ToolCall,
    Usage,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


# Inside a JSON text these quotes would be escaped, so it is a key wherever it stands.
_KEYS: Final = re.compile(r'(?<!\\)"(usage|service_tier)"\s*:\s*(?=[{"])')
_MOST_KEYS: Final = 8
"""Of the last keys so many are tried, or a body of nothing else would take minutes."""

_DECODER: Final = json.JSONDecoder(strict=False)


class Salvaged(NamedTuple):
    """An event or a completion, as far as it could be read."""

    chunk: Chunk
    doubtful: bool
    """Whether a count of its usage was there and could not be read."""


def salvage(data: bytes) -> Salvaged | None:
    """Return what can be read of any bytes; None where they are no JSON object."""
    try:
        found = json.loads(data.decode("utf-8", "surrogateescape"), strict=False)
        return _chunk(found) if isinstance(found, dict) else None
    except UNREADABLE:
        return None


def salvage_fragment(data: bytes) -> Salvaged:
    """Return the last usage and service tier in a part of an answer: one that was cut, or whose middle was not kept."""
    text = data.decode("utf-8", "surrogateescape")
    found: dict[str, Any] = {}
    for key in deque(_KEYS.finditer(text), maxlen=_MOST_KEYS):
        try:
            found[key[1]] = _DECODER.raw_decode(text, key.end())[0]
        except UNREADABLE:
            continue
    return _chunk(found)


def _chunk(found: Mapping[str, Any]) -> Salvaged:
    choices = found.get("choices")
    error = found.get("error")
    usage, doubtful = _usage(found.get("usage"))
    elsewhere, elsewhere_doubtful = _usage(_object(found.get("x_groq")).get("usage"))
    chunk = Chunk(
        choices=[_choice(_object(item)) for item in choices] if isinstance(choices, list) else None,
        usage=usage,
        error=Anything() if error or isinstance(error, dict) else None,
        service_tier=_text(found.get("service_tier")),
        x_groq=Groq(usage=elsewhere) if elsewhere else None,
    )
    return Salvaged(chunk, doubtful or elsewhere_doubtful)


def _choice(found: Mapping[str, Any]) -> Choice:
    return Choice(
        delta=_message(found.get("delta")),
        message=_message(found.get("message")),
        usage=_usage(found.get("usage"))[0],
    )


def _message(found: object) -> Message | None:
    if not isinstance(found, dict):
        return None
    calls = found.get("tool_calls")
    return Message(
        content=_text(found.get("content")),
        reasoning_content=_text(found.get("reasoning_content")),
        reasoning=_text(found.get("reasoning")),
        refusal=_text(found.get("refusal")),
        tool_calls=[ToolCall(function=_function(_object(call).get("function"))) for call in calls]
        if isinstance(calls, list)
        else None,
        function_call=_function(found.get("function_call")),
    )


def _function(found: object) -> Function | None:
    if not isinstance(found, dict):
        return None
    return Function(name=_text(found.get("name")), arguments=_text(found.get("arguments")))


def _text(found: object) -> str | None:
    """Text, or the text in parts: Mistral's reasoning models send content as a list of text and thinking parts.

    https://docs.mistral.ai/capabilities/reasoning
    """
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        return "".join(_text(part) or "" for part in found)
    if isinstance(found, dict):
        return "".join(_text(found.get(key)) or "" for key in ("text", "thinking"))
    return None


def _usage(found: object) -> tuple[Usage | None, bool]:
    if not isinstance(found, dict):
        return None, found is not None
    parts = _object(found.get("prompt_tokens_details"))
    written = _object(found.get("completion_tokens_details"))
    plain = [name for name in Usage.__struct_fields__ if not name.endswith("_details")]
    counts, doubtful = _counts(found, plain)
    input_counts, input_doubtful = _counts(parts, InputDetails.__struct_fields__)
    output_counts, output_doubtful = _counts(written, OutputDetails.__struct_fields__)
    usage = Usage(
        **counts,
        prompt_tokens_details=InputDetails(**input_counts),
        completion_tokens_details=OutputDetails(**output_counts),
    )
    return usage, doubtful or input_doubtful or output_doubtful


def _counts(found: Mapping[str, Any], names: Iterable[str]) -> tuple[dict[str, int], bool]:
    """Whole numbers by name (12.0 is one, true is none), and whether something else stood in the place of one."""
    whole: dict[str, int] = {}
    doubtful = False
    for name in names:
        value = found.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
            whole[name] = int(value)
        else:
            doubtful |= value is not None
    return whole, doubtful


def _object(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
