"""The options and tools of a messages request as chat completions'; the rules are in ``requests``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.protocols import UntranslatableError

if TYPE_CHECKING:
    from breakeven.protocols.messages_wire import OutputFormat, Request, Tool, ToolChoice
    from breakeven.protocols.tables import Fields

_REFUSED: Final = {
    "mcp_servers": "Call the servers on your side, and send their tools as tools.",
    "container": "Run code with a tool of your own.",
    "inference_geo": "Choose a route whose targets stand where you need them, and leave it out.",
}
_SAME_NAME: Final = ("temperature", "top_p", "top_k", "stream")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_TIERS: Final = {"standard_only": "default", "auto": "auto"}
_LOW_BUDGET_TOKENS: Final = 4096
_HIGH_BUDGET_TOKENS: Final = 16384


def chat_options(request: Request, bound: str) -> Fields:
    """Return every field but the model and the messages; ``bound`` is the key that bounds the answer.

    Raises ``UntranslatableError``.
    """
    for name, advice in _REFUSED.items():
        if getattr(request, name):
            raise UntranslatableError(f"{name} has no counterpart in chat completions. {advice}")
    fields: Fields = {bound: request.max_tokens}
    for name in _SAME_NAME:
        value = getattr(request, name)
        if value is not None:
            fields[name] = value
    if request.stop_sequences:
        fields["stop"] = request.stop_sequences
    if request.service_tier in _TIERS:
        fields["service_tier"] = _TIERS[request.service_tier]
    effort = _effort(request)
    if effort is not None:
        fields["reasoning_effort"] = effort
    if request.output_config is not None and request.output_config.format is not None:
        fields["response_format"] = _format(request.output_config.format)
    return fields | _tools(request)


def _tools(request: Request) -> Fields:
    if not request.tools:
        return {}
    fields: Fields = {"tools": [_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)]}
    return fields | (_choice(request.tool_choice) if request.tool_choice is not None else {})


def _format(wanted: OutputFormat) -> Fields:
    if wanted.type != "json_schema" or not bytes(wanted.schema):
        raise UntranslatableError("output_config.format is no json_schema with a schema. Use one.")
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": wanted.schema, "strict": True}}


def _effort(request: Request) -> str | None:
    if request.thinking is not None and request.thinking.type == "disabled":
        return "none"
    if request.output_config is not None and request.output_config.effort:
        return request.output_config.effort
    if request.thinking is None or request.thinking.type != "enabled":
        return None
    budget_tokens = request.thinking.budget_tokens or 0
    if budget_tokens < _LOW_BUDGET_TOKENS:
        return "low"
    return "medium" if budget_tokens < _HIGH_BUDGET_TOKENS else "high"


def _choice(choice: ToolChoice) -> Fields:
    fields: Fields = {}
    if choice.type == "tool" and choice.name:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.type in _CHOICES:
        fields["tool_choice"] = _CHOICES[choice.type]
    else:
        raise UntranslatableError(f"tool_choice has the type {choice.type!r}. Use auto, any, none or tool with a name.")
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: Tool, place: str) -> Fields:
    if tool.type not in {None, "custom"}:
        raise UntranslatableError(
            f"{place} is Anthropic's own tool {tool.type!r}, which has no counterpart in chat completions. Define a "
            "tool with an input_schema, and run it on your side."
        )
    function: Fields = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if bytes(tool.input_schema) not in {b"", b"null"}:
        function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}
