"""The options and tools of a chat completion request as Anthropic's; the rules are in ``requests``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.protocols import UntranslatableError

if TYPE_CHECKING:
    from breakeven.protocols.chat_wire import Request, ResponseFormat, Tool
    from breakeven.protocols.tables import Fields

_REFUSED: Final[dict[str, tuple[object, str]]] = {
    "n": (1, "Ask for one answer, as often as you need."),
    "logprobs": (False, "Leave it out."),
    "top_logprobs": (0, "Leave it out."),
    "logit_bias": (None, "Leave it out."),
    "presence_penalty": (0, "Leave it out, or set it to 0."),
    "frequency_penalty": (0, "Leave it out, or set it to 0."),
    "modalities": (["text"], 'Ask for ["text"].'),
    "audio": (None, "Ask for text."),
    "functions": (None, "Use tools."),
    "function_call": (None, "Use tool_choice."),
    "web_search_options": (None, "Search with a tool of your own."),
    "moderation": (None, "Moderate on your side."),
}
"""Options without a counterpart that would change the meaning: the value that asks for nothing, and what to do."""

_CHOICES: Final = {"none": "none", "auto": "auto", "required": "any"}
_EFFORTS: Final = {"minimal": "low"} | {name: name for name in ("low", "medium", "high", "xhigh", "max")}
_TIERS: Final = {
    "default": "standard_only",
    "auto": "auto",
    "fast": "auto",
    "priority": "auto",
    "scale": "auto",
}
_ANY_OBJECT: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


def refuse_chat_options(request: Request) -> None:
    """Raise ``UntranslatableError`` for an option whose absence would change the meaning."""
    for name, (harmless, advice) in _REFUSED.items():
        value = getattr(request, name)
        if value and value != harmless:
            raise UntranslatableError(f"{name} has no counterpart in Anthropic's Messages API. {advice}")


def messages_options(request: Request, turns: list[Fields]) -> Fields:
    """Return every field but the model, the system prompt and the messages; ``turns`` are the translated messages."""
    fields: Fields = {}
    limit_tokens = request.max_completion_tokens or request.max_tokens
    if limit_tokens is not None:
        fields["max_tokens"] = limit_tokens
    if request.temperature is not None and request.temperature < 1:
        fields["temperature"] = request.temperature
    if request.top_p is not None and request.top_p != 1:
        fields["top_p"] = request.top_p
    if request.top_k is not None:
        fields["top_k"] = request.top_k
    if request.stop:
        fields["stop_sequences"] = _stops(request.stop)
    if request.stream is not None:
        fields["stream"] = request.stream
    if request.service_tier in _TIERS:
        fields["service_tier"] = _TIERS[request.service_tier]
    fields |= _tools(request, turns)
    forced = fields.get("tool_choice", {}).get("type") in {"any", "tool"}
    return fields | _thinking(request, forced=forced)


def _stops(stop: str | list[str]) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    if not all(text.strip() for text in stops):
        raise UntranslatableError(
            "stop has a sequence of white space only, which Anthropic refuses. Use one that has other letters, or cut "
            "the answer on your side."
        )
    return stops


def _thinking(request: Request, *, forced: bool) -> Fields:
    """Return ``thinking`` and ``output_config``, as far as they are asked for."""
    fields: Fields = {}
    output: Fields = {}
    effort = request.reasoning_effort
    if effort == "none":
        fields["thinking"] = {"type": "disabled"}
    elif effort is not None:
        if effort not in _EFFORTS:
            raise UntranslatableError(
                f"reasoning_effort is {effort!r}, which is not known here. Use none, minimal, low, medium, high, "
                "xhigh or max."
            )
        output["effort"] = _EFFORTS[effort]
        if not forced:
            fields["thinking"] = {"type": "adaptive"}
    if request.response_format is not None and request.response_format.type != "text":
        output["format"] = _format(request.response_format)
    if output:
        fields["output_config"] = output
    return fields


def _format(wanted: ResponseFormat) -> Fields:
    schema = wanted.json_schema.schema if wanted.json_schema is not None else msgspec.Raw()
    if wanted.type != "json_schema" or not bytes(schema):
        raise UntranslatableError(
            f"response_format has the type {wanted.type!r} without a schema, which has no counterpart in Anthropic's "
            "Messages API. Use json_schema with a schema, or ask for JSON in the prompt."
        )
    return {"type": "json_schema", "schema": schema}


def _tools(request: Request, turns: list[Fields]) -> Fields:
    """Return ``tools`` and ``tool_choice``."""
    if not request.tools:
        blocks = (block for turn in turns for block in turn["content"])
        names = dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use")
        if not names:
            return {}
        tools = [{"name": name, "input_schema": _ANY_OBJECT} for name in names]
        return {"tools": tools, "tool_choice": {"type": "none"}}
    fields: Fields = {"tools": [_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)]}
    choice = _choice(request)
    if request.parallel_tool_calls is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        fields["tool_choice"] = choice
    return fields


def _choice(request: Request) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice in _CHOICES:
            return {"type": _CHOICES[choice]}
    elif choice.type == "function" and choice.function is not None:
        return {"type": "tool", "name": choice.function.name}
    kind = choice if isinstance(choice, str) else choice.type
    raise UntranslatableError(
        f"tool_choice is {kind!r}, which has no counterpart in Anthropic's Messages API. Use none, auto, required or "
        "one function, and send only the tools that may be called."
    )


def _tool(tool: Tool, place: str) -> Fields:
    function = tool.function
    if tool.type != "function" or function is None:
        raise UntranslatableError(
            f"{place} has the type {tool.type!r}, which has no counterpart in Anthropic's Messages API. Use a function."
        )
    schema = function.parameters if bytes(function.parameters) not in {b"", b"null"} else _ANY_OBJECT
    fields: Fields = {"name": function.name, "input_schema": schema}
    if function.description:
        fields["description"] = function.description
    if function.strict is not None:
        fields["strict"] = function.strict
    if bytes(tool.cache_control) not in {b"", b"null"}:
        fields["cache_control"] = tool.cache_control
    return fields
