"""Bodies from the documentation of both protocols, each with the page it is from; long ones are shortened.

What the tests make up themselves stands in the tests, and is published nowhere.
"""

from __future__ import annotations

from typing import Any

CHAT_URL = "https://platform.openai.com/docs/api-reference/chat/create"
MESSAGES_URL = "https://docs.claude.com/en/docs/build-with-claude/working-with-messages"
TOOLS_URL = "https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview"
STREAMING_URL = "https://docs.claude.com/en/docs/build-with-claude/streaming"
ERRORS_URL = "https://docs.claude.com/en/api/errors"

Body = dict[str, Any]

CHAT_REQUEST: Body = {
    "model": "gpt-4.1",
    "messages": [
        {"role": "developer", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello!"},
    ],
}
"""``CHAT_URL``, "Default"."""

CHAT_IMAGE_REQUEST: Body = {
    "model": "gpt-4.1",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this image?"},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://upload.wikimedia.org/wikipedia/commons/boardwalk.jpg"},
                },
            ],
        }
    ],
    "max_tokens": 300,
}
"""``CHAT_URL``, "Image input"; the image's address is shortened."""

CHAT_TOOLS_REQUEST: Body = {
    "model": "gpt-4.1",
    "messages": [{"role": "user", "content": "What is the weather like in Boston today?"}],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_current_weather",
                "description": "Get the current weather in a given location",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    },
                    "required": ["location"],
                },
            },
        }
    ],
    "tool_choice": "auto",
}
"""``CHAT_URL``, "Functions"."""

CHAT_ANSWER: Body = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-4.1-2025-04-14",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello! How can I assist you today?",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "default",
}
"""``CHAT_URL``, "Default"."""

CHAT_TOOLS_ANSWER: Body = {
    "id": "chatcmpl-abc123",
    "object": "chat.completion",
    "created": 1699896916,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_abc123",
                        "type": "function",
                        "function": {"name": "get_current_weather", "arguments": '{\n"location": "Boston, MA"\n}'},
                    }
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
}
"""``CHAT_URL``, "Functions"."""

CHAT_CACHED_USAGE: Body = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
"""https://platform.openai.com/docs/guides/prompt-caching."""


def _chunk(delta: str, finish: str = "null") -> bytes:
    return (
        'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini",'
        '"system_fingerprint":"fp_44709d6fcb",'
        f'"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}\n\n'
    ).encode()


CHAT_STREAM = (
    _chunk('{"role":"assistant","content":""}')
    + _chunk('{"content":"Hello"}')
    + _chunk("{}", '"stop"')
    + b"data: [DONE]\n\n"
)
"""https://platform.openai.com/docs/api-reference/chat-streaming/streaming; the terminator is told in the text there."""

CHAT_TOOLS_STREAM = (
    _chunk(
        '{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_DdmO9pD3xa9XTPNJ32zg2hcA",'
        '"function":{"arguments":"","name":"get_weather"},"type":"function"}]}'
    )
    + b"".join(
        _chunk(f'{{"tool_calls":[{{"index":0,"id":null,"function":{{"arguments":"{piece}","name":null}}}}]}}')
        for piece in (r"{\"", "location", r"\":\"", "Paris", ",", " France", r"\"}")
    )
    + _chunk("{}", '"tool_calls"')
    + b"data: [DONE]\n\n"
)
"""https://platform.openai.com/docs/guides/function-calling?api-mode=chat#streaming shows the deltas."""

MESSAGES_REQUEST: Body = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1024,
    "messages": [
        {"role": "user", "content": "Hello, Claude"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Can you describe LLMs to me?"},
    ],
}
"""``MESSAGES_URL``, "Multiple conversational turns"."""

MESSAGES_PREFILL_REQUEST: Body = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1,
    "messages": [
        {"role": "user", "content": "What is latin for Ant? (A) Apoidea, (B) Rhopalocera, (C) Formicidae"},
        {"role": "assistant", "content": "The answer is ("},
    ],
}
"""``MESSAGES_URL``, "Putting words in Claude's mouth"."""

MESSAGES_TOOLS_REQUEST: Body = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1024,
    "tools": [
        {
            "name": "get_weather",
            "description": "Get the current weather in a given location",
            "input_schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                    "unit": {
                        "type": "string",
                        "enum": ["celsius", "fahrenheit"],
                        "description": "The unit of temperature, either celsius or fahrenheit",
                    },
                },
                "required": ["location"],
            },
        }
    ],
    "messages": [
        {"role": "user", "content": "What is the weather like in San Francisco?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I'll check the current weather in San Francisco for you."},
                {
                    "type": "tool_use",
                    "id": "toolu_01A09q90qw90lq917835lq9",
                    "name": "get_weather",
                    "input": {"location": "San Francisco, CA", "unit": "celsius"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01A09q90qw90lq917835lq9",
                    "content": "15 degrees",
                }
            ],
        },
    ],
}
"""``TOOLS_URL``, "Single tool example"."""

MESSAGES_ANSWER: Body = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello!"}],
    "model": "claude-sonnet-4-5",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 6},
}
"""``MESSAGES_URL``, "Basic request and response"."""

MESSAGES_TOOLS_ANSWER: Body = {
    "id": "msg_01Aq9w938a90dw8q",
    "model": "claude-sonnet-4-5",
    "stop_reason": "tool_use",
    "role": "assistant",
    "content": [
        {"type": "text", "text": "I'll check the current weather in San Francisco for you."},
        {
            "type": "tool_use",
            "id": "toolu_01A09q90qw90lq917835lq9",
            "name": "get_weather",
            "input": {"location": "San Francisco, CA", "unit": "celsius"},
        },
    ],
}
"""``TOOLS_URL``, "Single tool example"; it shows neither ``type`` nor ``usage``."""


def _event(data: str) -> bytes:
    name = data.split('"type":', 1)[1].split('"')[1]
    return f"event: {name}\ndata: {data}\n\n".encode()


def _block(index: int, block: str, *deltas: str) -> str:
    return "|".join(
        [
            f'{{"type":"content_block_start","index":{index},"content_block":{block}}}',
            *(f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}' for delta in deltas),
            f'{{"type":"content_block_stop","index":{index}}}',
        ]
    )


def _stream(*events: str) -> bytes:
    return b"".join(_event(event) for group in events for event in group.split("|"))


MESSAGES_STREAM = _stream(
    '{"type": "message_start", "message": {"id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyy", "type": "message", '
    '"role": "assistant", "content": [], "model": "claude-sonnet-4-5-20250929", "stop_reason": null, '
    '"stop_sequence": null, "usage": {"input_tokens": 25, "output_tokens": 1}}}',
    '{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}',
    '{"type": "ping"}',
    '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}',
    '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "!"}}',
    '{"type": "content_block_stop", "index": 0}',
    '{"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence":null}, '
    '"usage": {"output_tokens": 15}}',
    '{"type": "message_stop"}',
)
"""``STREAMING_URL``, "Basic streaming request"."""

MESSAGES_TOOLS_STREAM = _stream(
    '{"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant",'
    '"model":"claude-sonnet-4-5-20250929","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},'
    '"content":[],"stop_reason":null}}',
    _block(
        0,
        '{"type":"text","text":""}',
        '{"type":"text_delta","text":"Okay"}',
        '{"type":"text_delta","text":", let\'s check the weather for San Francisco, CA:"}',
    ),
    _block(
        1,
        '{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"get_weather","input":{}}',
        '{"type":"input_json_delta","partial_json":""}',
        r'{"type":"input_json_delta","partial_json":"{\"location\":"}',
        r'{"type":"input_json_delta","partial_json":" \"San Francisco, CA\""}',
        r'{"type":"input_json_delta","partial_json":", \"unit\": \"fahrenheit\"}"}',
    ),
    '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}',
    '{"type":"message_stop"}',
)
"""``STREAMING_URL``, "Streaming request with tool use"; some deltas are joined."""

MESSAGES_THINKING_STREAM = _stream(
    '{"type": "message_start", "message": {"id": "msg_01...", "type": "message", "role": "assistant", "content": [], '
    '"model": "claude-sonnet-4-5-20250929", "stop_reason": null, "stop_sequence": null}}',
    _block(
        0,
        '{"type": "thinking", "thinking": ""}',
        r'{"type": "thinking_delta", "thinking": "Let me solve this step by step:\n\n1. First break down 27 * 453"}',
        r'{"type": "thinking_delta", "thinking": "\n2. 453 = 400 + 50 + 3"}',
        '{"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds..."}',
    ),
    _block(1, '{"type": "text", "text": ""}', '{"type": "text_delta", "text": "27 * 453 = 12,231"}'),
    '{"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}}',
    '{"type": "message_stop"}',
)
"""``STREAMING_URL``, "Streaming request with extended thinking"; two of six deltas of thinking."""

MESSAGES_ERROR_EVENT = _event('{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}')
"""``STREAMING_URL``, "Error events"."""

MESSAGES_ERROR: Body = {
    "type": "error",
    "error": {"type": "not_found_error", "message": "The requested resource could not be found."},
    "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
}
"""``ERRORS_URL``, "Error shapes"."""

CHAT_ERROR: Body = {
    "error": {
        "message": "Incorrect API key provided: sk-1234. You can find your API key at https://platform.openai.com.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}
"""https://platform.openai.com/docs/guides/error-codes shows the text; the shape is that of the API reference."""
