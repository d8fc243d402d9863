"""The few fields of completions and their chunks that metering reads, and how much text is in them.

The decoders are strict: they raise one of ``UNREADABLE`` on anything that is not of the expected types, and then
``salvage`` takes what can be had.  Nothing else of an answer is looked at, and nothing is written back.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Function(msgspec.Struct, gc=False):
    """The part of a tool call that a model writes."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """One call, or a piece of one."""

    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A ``delta`` or a ``message``.

    Reasoning comes as ``reasoning_content`` (DeepSeek, SGLang, llama.cpp) or ``reasoning`` (OpenRouter, Groq, newer
    vLLM); where both are there they are the same text.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class InputDetails(msgspec.Struct, gc=False):
    """``usage.prompt_tokens_details``.

    ``cache_write_tokens`` is OpenAI's name (https://developers.openai.com/api/docs/guides/prompt-caching: both are
    parts of ``prompt_tokens``) and OpenRouter's (https://openrouter.ai/docs/use-cases/usage-accounting);
    ``cache_creation_tokens`` is LiteLLM's (https://docs.litellm.ai/docs/completion/prompt_caching) and
    ``cache_creation_input_tokens`` any-llm's (https://github.com/mozilla-ai/any-llm/pull/896).
    """

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """``usage.completion_tokens_details``."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    """``usage`` as any of the OpenAI-compatible servers tells it.

    ``prompt_cache_hit_tokens`` is DeepSeek's (https://api-docs.deepseek.com/guides/kv_cache), ``cached_tokens`` beside
    the totals is Moonshot's, and the two ``cache_…_input_tokens`` are Anthropic's names, which LiteLLM repeats here.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers; Moonshot puts a stream's usage here."""

    delta: Message | None = None
    message: Message | None = None
    usage: Usage | None = None


class Groq(msgspec.Struct, gc=False):
    """``x_groq``: where Groq puts a stream's usage when nobody asked for it."""

    usage: Usage | None = None


class Anything(msgspec.Struct, gc=False):
    """An object whose fields do not matter."""


class Chunk(msgspec.Struct, gc=False):
    """An event of a stream, or a whole completion."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Anything | None = None
    service_tier: str | None = None
    x_groq: Groq | None = None


class TextChoice(Choice, gc=False):
    """One of the answers with what is read of it where time matters less: each field takes 10 ns of every event.

    Completions that are no chat have a ``text``; the rest tells whether an answer can be continued.
    """

    text: str | None = None
    index: Any = None
    finish_reason: Any = None


class TextChunk(msgspec.Struct, gc=False):
    """The same as ``Chunk``, of such choices."""

    choices: list[TextChoice] | None = None
    usage: Usage | None = None
    error: Anything | None = None
    service_tier: str | None = None
    x_groq: Groq | None = None


class Kind(msgspec.Struct, gc=False):
    """What an event without choices calls itself."""

    object: str | None = None


class Totals(msgspec.Struct, gc=False):
    """A whole completion whose text does not matter, because its usage is told."""

    usage: Usage | None = None
    service_tier: str | None = None


decode: Final = msgspec.json.Decoder(Chunk).decode
"""A ``Chunk``; raises one of ``UNREADABLE`` where a field is not as expected."""

decode_text: Final = msgspec.json.Decoder(TextChunk).decode
"""A ``TextChunk``, wherever ``decode`` gives a ``Chunk``, but where a ``text`` is none."""

decode_kind: Final = msgspec.json.Decoder(Kind).decode
decode_totals: Final = msgspec.json.Decoder(Totals).decode

UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding of arbitrary bytes raises."""


def utf8_bytes(text: str) -> int:
    """Return the length of a text in UTF-8; a half of a surrogate pair, or a byte that is no UTF-8, counts one."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def written_bytes(message: Message) -> int:
    """Return the bytes of text in a message or a piece of one."""
    total = utf8_bytes(message.content) if message.content else 0
    reasoning = message.reasoning_content or message.reasoning
    if reasoning:
        total += utf8_bytes(reasoning)
    if message.refusal:
        total += utf8_bytes(message.refusal)
    if message.function_call:
        total += _call_bytes(message.function_call)
    if message.tool_calls:
        for call in message.tool_calls:
            total += _call_bytes(call.function) if call.function else 0
    return total


def choice_bytes(choice: TextChoice, message: Message | None) -> int:
    """Return the bytes of text in a choice, whose ``delta`` or ``message`` is given; without one it may have a text."""
    if message is not None:
        return written_bytes(message)
    return utf8_bytes(choice.text) if choice.text else 0


def _call_bytes(function: Function) -> int:
    return utf8_bytes(function.name or "") + utf8_bytes(function.arguments or "")
