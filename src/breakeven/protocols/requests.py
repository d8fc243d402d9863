"""Requests of one protocol as the other's.

What has a counterpart is translated, what would change the meaning if it were left out is refused with an
``UntranslatableError``, and the rest is left out: a field that no table names, too.

Chat completions to Anthropic's messages
----------------------------------------
| field | becomes |
|---|---|
| model | the name given by the caller |
| max_completion_tokens, max_tokens | max_tokens, the first that is set; Anthropic demands one, so a default is put in |
| system and developer messages, wherever they stand | system, one text block each, as Anthropic's own layer [1] does |
| user and assistant messages | the same; neighbours of one role become one; ``name`` is dropped |
| tool messages | tool_result blocks, before all else of the one user message that follows the calls |
| text, refusal parts | text blocks; blank ones are dropped, for Anthropic refuses them [2] |
| image_url | image: data URLs as base64 (JPEG, PNG, GIF, WebP), https as url; ``detail`` is dropped |
| file with PDF data | document; other files are refused |
| tool_calls | tool_use; the arguments byte for byte, "" as {}, what is no object as Anthropic advises (``tables``) |
| reasoning_content of earlier turns | dropped: without a signature it is refused |
| a last message of the assistant | kept, and so continued, but for its last white space, which is refused |
| tools | the same, with strict; custom tools are refused; if there are none, but there are calls in the conversation, \
the called names without a schema and tool_choice none, for Anthropic wants them defined [3] |
| tool_choice | none, auto, required (any), a named function (tool); allowed_tools is refused |
| parallel_tool_calls: false | disable_parallel_tool_use |
| temperature | the same below 1; from 1 on left out: Anthropic's own layer caps it at 1 [1], which is its default |
| top_p, top_k | the same; a top_p of 1, which does nothing, is left out, for newer models refuse any |
| stop | stop_sequences; blank ones are refused, for Anthropic refuses them [6] |
| stream | the same; stream_options are dropped: messages always tell their usage |
| reasoning_effort | output_config.effort (minimal as low) with adaptive thinking, which needs no thinking of earlier \
turns [4], but not where a tool is forced, which excludes it; none as thinking disabled |
| response_format | json_schema as output_config.format [5]; json_object is refused; text is the default |
| service_tier | default as standard_only; auto, fast, priority and scale as auto; flex is dropped |
| cache_control (of parts, messages, tools) | kept where it stands; none is ever put in |
| n > 1, logprobs, top_logprobs, logit_bias, penalties other than 0, audio, modalities other than text, functions, \
function_call, web_search_options, moderation | refused |
| user, safety_identifier, metadata, store, seed, prediction, verbosity, prompt_cache_* | dropped: they name, keep, or \
hint; names of people are not spread to a second provider |

Anthropic's messages to chat completions
----------------------------------------
| field | becomes |
|---|---|
| model | the name given by the caller |
| max_tokens | max_completion_tokens, the name that is not deprecated, or the one that the target knows |
| system | the first system message; several texts are joined by a line end |
| user and assistant messages | the same; a user's texts without an image become one text, joined by a line end; the \
assistant's are joined by nothing, for they are one flow |
| system messages between turns | the same, where they stand |
| image | image_url; document: a file if it is a base64 PDF, text if it is text |
| tool_result | a tool message; those of one turn come first, for they must follow the calls; is_error is said before \
the text, for there is no field; images go to the user message that follows, with the call's id |
| tool_use | tool_calls, the input byte for byte |
| thinking, redacted_thinking | dropped |
| tools | functions, with strict; Anthropic's own tools, run by it or not, are refused |
| tool_choice | auto, any (required), tool (named), none; disable_parallel_tool_use as parallel_tool_calls: false |
| temperature, top_p, top_k | the same; top_k is known to vLLM, SGLang and llama.cpp, and not to OpenAI, which says so |
| stop_sequences | stop |
| stream | the same, with stream_options.include_usage if the caller asks for usage |
| output_config.effort | reasoning_effort, the same word |
| thinking | enabled: reasoning_effort by its budget, low under 4,096 tokens, high from 16,384, else medium, unless \
the effort is told; disabled: none; adaptive and between_tools: left to the model |
| output_config.format | response_format json_schema, named output, strict |
| service_tier | standard_only as default, auto as auto |
| server tools' blocks, search_result, other documents, citations, files by id, mcp_servers, container, inference_geo \
| refused |
| metadata.user_id, cache_control, context_management, speed, diagnostics | dropped |

[1] https://platform.claude.com/docs/en/api/openai-sdk
[2] https://github.com/anthropics/claude-code/issues/23440
[3] https://github.com/BerriAI/litellm/issues/4687
[4] https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
[5] https://platform.claude.com/docs/en/build-with-claude/structured-outputs
[6] https://github.com/BerriAI/litellm/issues/3286
"""

from __future__ import annotations

from typing import Final

import msgspec

from breakeven.protocols import UntranslatableError, chat_wire, messages_wire
from breakeven.protocols.options_to_chat import chat_options
from breakeven.protocols.options_to_messages import messages_options, refuse_chat_options
from breakeven.protocols.tables import UNREADABLE, Fields
from breakeven.protocols.turns_to_chat import chat_turns
from breakeven.protocols.turns_to_messages import messages_turns

_NOT_A_REQUEST: Final = "The request is no {}: {}. Correct it and send it again."


def chat_to_messages(body: bytes, *, model: str, default_max_tokens: int) -> bytes:
    """Return a chat completion request as a messages request.

    ``default_max_tokens`` stands where the request sets no limit.  Raises ``UntranslatableError``.
    """
    try:
        request = chat_wire.decode_request(body)
        refuse_chat_options(request)
        system, turns = messages_turns(request.messages)
        fields: Fields = {"model": model, "max_tokens": default_max_tokens} | messages_options(request, turns)
        if system:
            fields["system"] = system
        fields["messages"] = turns
        return msgspec.json.encode(fields)
    except UntranslatableError:
        raise
    except UNREADABLE as error:
        raise UntranslatableError(_NOT_A_REQUEST.format("chat completion request", error)) from None


def messages_to_chat(body: bytes, *, model: str, ask_for_usage: bool, bound: str = "max_completion_tokens") -> bytes:
    """Return a messages request as a chat completion request.

    ``ask_for_usage``: a streamed answer is to end in its usage; ``bound``: the key that bounds it, Mistral knowing
    ``max_tokens`` alone.  Raises ``UntranslatableError``.
    """
    try:
        request = messages_wire.decode_request(body)
        fields: Fields = {"model": model} | chat_options(request, bound)
        if request.stream and ask_for_usage:
            fields["stream_options"] = {"include_usage": True}
        fields["messages"] = chat_turns(request)
        return msgspec.json.encode(fields)
    except UntranslatableError:
        raise
    except UNREADABLE as error:
        raise UntranslatableError(_NOT_A_REQUEST.format("messages request", error)) from None
