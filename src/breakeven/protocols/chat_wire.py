"""Chat completions as they are on the wire: the fields that a translation reads, and no others.

Where Anthropic's protocol has a JSON value and this one a text, or the other way round, the value stays as the bytes
that came (``msgspec.Raw``), so that no number is rounded and no key reordered.

Shapes: https://platform.openai.com/docs/api-reference/chat/create and .../chat-streaming.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class ImageUrl(msgspec.Struct, gc=False):
    """Where an image is; ``detail`` has no counterpart."""

    url: str


class File(msgspec.Struct, gc=False):
    """A file given with the request, or the id of one that was uploaded."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct, gc=False):
    """One part of a message's content; ``cache_control`` is not OpenAI's, but what OpenRouter and LiteLLM read."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    file: File | None = None
    cache_control: msgspec.Raw = msgspec.Raw()


class Function(msgspec.Struct, gc=False):
    """A call's function: what the model wrote."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A call, or a piece of one; a piece has an ``index``."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Turn(msgspec.Struct, gc=False):
    """One message of a request."""

    role: str
    content: str | list[Part] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    audio: Any = None
    cache_control: msgspec.Raw = msgspec.Raw()


class FunctionDefinition(msgspec.Struct, gc=False):
    """What a tool is for and what it takes."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class Tool(msgspec.Struct, gc=False):
    """A tool's definition."""

    type: str
    function: FunctionDefinition | None = None
    cache_control: msgspec.Raw = msgspec.Raw()


class Named(msgspec.Struct, gc=False):
    """Something called by its name."""

    name: str


class ToolChoice(msgspec.Struct, gc=False):
    """The choice of one tool."""

    type: str
    function: Named | None = None


class JsonSchema(msgspec.Struct, gc=False):
    """The schema an answer has to follow."""

    schema: msgspec.Raw = msgspec.Raw()


class ResponseFormat(msgspec.Struct, gc=False):
    """The form an answer has to have."""

    type: str
    json_schema: JsonSchema | None = None


class Request(msgspec.Struct, gc=False):
    """A chat completion request; the ``Any`` fields are only looked at to be refused."""

    messages: list[Turn]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    service_tier: str | None = None
    n: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    modalities: Any = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    web_search_options: Any = None
    moderation: Any = None


class Message(msgspec.Struct, gc=False):
    """A ``delta`` or a ``message`` of an answer.

    Reasoning comes as ``reasoning_content`` (DeepSeek, SGLang, llama.cpp) or ``reasoning`` (OpenRouter, Groq, newer
    vLLM); where both are there they are the same text.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers.

    ``stop_reason`` is vLLM's and ``matched_stop`` SGLang's name for the stop sequence that was met, where it is a text
    (https://docs.vllm.ai/en/stable/api/vllm/entrypoints/openai/protocol.html).
    """

    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None


class InputDetails(msgspec.Struct, gc=False):
    """``usage.prompt_tokens_details``; ``cache_creation_tokens`` is LiteLLM's name for what is written."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """``usage.completion_tokens_details``."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    """``usage``; the last two are DeepSeek's and Moonshot's names for what was read from a cache."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of a streamed one.

    ``object`` is ``error`` in the bare errors of vLLM and SGLang.
    """

    id: str | None = None
    object: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    error: Any = None


decode_request: Final = msgspec.json.Decoder(Request).decode
decode_answer: Final = msgspec.json.Decoder(Answer).decode
