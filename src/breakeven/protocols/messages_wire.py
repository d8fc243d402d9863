"""Anthropic's messages as they are on the wire: the fields that a translation reads, and no others.

Shapes: https://platform.claude.com/docs/en/api/messages/create and
https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Source(msgspec.Struct, gc=False):
    """Where the bytes of an image or a document are."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(msgspec.Struct, gc=False):
    """A content block of any type; ``content`` is a tool result's, for ``decode_result``."""

    type: str
    text: str | None = None
    thinking: str | None = None
    source: Source | None = None
    title: str | None = None
    citations: Any = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    tool_use_id: str | None = None
    content: msgspec.Raw = msgspec.Raw()
    is_error: bool | None = None


class Turn(msgspec.Struct, gc=False):
    """One message of a request."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct, gc=False):
    """A tool's definition; one with a ``type`` other than ``custom`` is Anthropic's own."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class ToolChoice(msgspec.Struct, gc=False):
    """How the model is to use its tools."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, gc=False):
    """Whether, and how much, the model is to think."""

    type: str
    budget_tokens: int | None = None


class OutputFormat(msgspec.Struct, gc=False):
    """The form an answer has to have."""

    type: str
    schema: msgspec.Raw = msgspec.Raw()


class OutputConfig(msgspec.Struct, gc=False):
    """The effort of an answer, and its form."""

    effort: str | None = None
    format: OutputFormat | None = None


class Request(msgspec.Struct, gc=False):
    """A messages request; the ``Any`` fields are only looked at to be refused."""

    messages: list[Turn]
    max_tokens: int
    system: str | list[Block] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    service_tier: str | None = None
    mcp_servers: Any = None
    container: Any = None
    inference_geo: Any = None


class OutputDetails(msgspec.Struct, gc=False):
    """``usage.output_tokens_details``."""

    thinking_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    """``usage``, of a message or as far as an event knows it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer."""

    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None


class Delta(msgspec.Struct, gc=False):
    """What an event adds to a block, or tells of the message's end."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    """An event of a stream."""

    type: str
    index: int | None = None
    message: Answer | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Usage | None = None
    error: Any = None


decode_request: Final = msgspec.json.Decoder(Request).decode
decode_answer: Final = msgspec.json.Decoder(Answer).decode
decode_event: Final = msgspec.json.Decoder(Event).decode
decode_result: Final = msgspec.json.Decoder(str | list[Block] | None).decode
"""What a tool result holds."""
