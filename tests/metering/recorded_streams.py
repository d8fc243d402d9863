"""Streams as servers send them, each with where its shape is from, and what they amount to.

Shapes are from the pages named; texts are shortened and ids replaced.  "Invented" ones show a shape that is described
there, and shown nowhere.
"""

from __future__ import annotations

from typing import NamedTuple


class Recorded(NamedTuple):
    """A stream and what is to be read off it; ``usage_events`` are those that vanish when usage is hidden."""

    source: str
    events: tuple[bytes, ...]
    counts: tuple[int, int, int, int]
    """Input, output, cached input, cache write."""

    usage_events: tuple[int, ...] = ()
    estimated: bool = False
    content_events: int = 0

    @property
    def body(self) -> bytes:
        """Return the bytes of the whole stream."""
        return b"".join(self.events)


REQUEST_BYTES = 210
DONE = b"data: [DONE]\n\n"


def event(data: str) -> bytes:
    """Return an event of the usual form."""
    return f"data: {data}\n\n".encode()


def _openai(rest: str) -> bytes:
    return event(
        '{"id":"chatcmpl-D0q8","object":"chat.completion.chunk","created":1769092764,"model":"gpt-4o-mini-2024-07-18",'
        f'"service_tier":"default","system_fingerprint":"fp_29330a9688",{rest}}}'
    )


def _delta(delta: str, finish: str = "null") -> str:
    return f'"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]'


def _completion(choice: str) -> bytes:
    return event(
        f'{{"choices":[{{{choice}}}],"created":1757389182,"model":"DeepSeek-V3.1:Q2_K_XL",'
        '"system_fingerprint":"b6351-5d804a49","object":"text_completion","id":"chatcmpl-qzz1"}'
    )


OPENAI_USAGE = (
    '"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,'
    '"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},'
    '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}'
)

STREAMS = {
    "openai": Recorded(
        "https://platform.openai.com/docs/api-reference/chat-streaming/streaming and, for the numbers, "
        "https://platform.openai.com/docs/guides/prompt-caching",
        (
            _openai(_delta('{"role":"assistant","content":"","refusal":null}') + ',"usage":null,"obfuscation":"v4"'),
            _openai(_delta('{"content":"Hello"}') + ',"usage":null,"obfuscation":"ZGF"'),
            _openai(_delta('{"content":" World"}') + ',"usage":null,"obfuscation":"kJ"'),
            _openai(_delta("{}", '"stop"') + ',"usage":null,"obfuscation":"0wmdEAC"'),
            _openai('"choices":[],' + OPENAI_USAGE + ',"obfuscation":""'),
            DONE,
        ),
        (2006, 300, 1920, 0),
        usage_events=(4,),
        content_events=2,
    ),
    "openai without usage, as it is when nobody asked": Recorded(
        "https://github.com/ENTERPILOT/GoModel/pull/46",
        (
            _openai(_delta('{"role":"assistant","content":"","refusal":null}') + ',"obfuscation":"v4"'),
            _openai(_delta('{"content":"Hello, World, and all of you"}') + ',"obfuscation":"ZGF"'),
            _openai(_delta('{"content":"!"}') + ',"obfuscation":"0wmdEAC"'),
            _openai(_delta("{}", '"stop"') + ',"obfuscation":"0wmdEAC"'),
            DONE,
        ),
        (53, 8, 0, 0),  # ceil(210 / 4) and ceil((28 + 1) / 4)
        estimated=True,
        content_events=2,
    ),
    "vllm with usage in every event": Recorded(
        "https://github.com/vllm-project/vllm-omni/pull/2313",
        (
            event(
                '{"id":"chatcmpl-98","object":"chat.completion.chunk","created":1778166117,"model":"Qwen3",'
                '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,'
                '"finish_reason":null}],"usage":{"prompt_tokens":15,"total_tokens":15,"completion_tokens":0},'
                '"prompt_token_ids":null}'
            ),
            event(
                '{"id":"chatcmpl-98","object":"chat.completion.chunk","created":1778166117,"model":"Qwen3",'
                '"choices":[{"index":0,"delta":{"content":"v"},"logprobs":null,"finish_reason":null,'
                '"token_ids":null}],"usage":{"prompt_tokens":15,"total_tokens":16,"completion_tokens":1}}'
            ),
            event(
                '{"id":"chatcmpl-98","object":"chat.completion.chunk","created":1778166117,"model":"Qwen3",'
                '"choices":[{"index":0,"delta":{"content":"LLM"},"logprobs":null,"finish_reason":"stop",'
                '"stop_reason":null}],"usage":{"prompt_tokens":15,"total_tokens":18,"completion_tokens":3}}'
            ),
            event(
                '{"id":"chatcmpl-98","object":"chat.completion.chunk","created":1778166117,"model":"Qwen3",'
                '"choices":[],"usage":{"prompt_tokens":15,"total_tokens":18,"completion_tokens":3}}'
            ),
            DONE,
        ),
        (15, 3, 0, 0),
        usage_events=(3,),
        content_events=2,
    ),
    "llama.cpp with timings": Recorded(
        "https://github.com/ggml-org/llama.cpp/issues/16048",
        (
            event(
                '{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],'
                '"created":1758108431,"id":"chatcmpl-Ca","model":"gemma","object":"chat.completion.chunk"}'
            ),
            event(
                '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hi"}}],"created":1758108431,'
                '"id":"chatcmpl-Ca","model":"gemma","object":"chat.completion.chunk"}'
            ),
            event(
                '{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1758108431,'
                '"id":"chatcmpl-Ca","model":"gemma","object":"chat.completion.chunk"}'
            ),
            event(
                '{"choices":[],"created":1758108431,"id":"chatcmpl-Ca","model":"gemma",'
                '"object":"chat.completion.chunk",'
                '"usage":{"completion_tokens":31,"prompt_tokens":75,"total_tokens":106},'
                '"timings":{"cache_n":0,"prompt_n":75,"prompt_ms":180.025,"predicted_n":31,"predicted_ms":875.429}}'
            ),
            DONE,
        ),
        (75, 31, 0, 0),
        usage_events=(3,),
        content_events=1,
    ),
    "llama.cpp of old, with usage beside the last choice": Recorded(
        "https://github.com/ggml-org/llama.cpp/issues/15443",
        (
            event('{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"?"}}],"id":"chatcmpl-Cb"}'),
            event(
                '{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"id":"chatcmpl-Cb",'
                '"usage":{"completion_tokens":42,"prompt_tokens":17,"total_tokens":59},"timings":{"prompt_n":17}}'
            ),
            DONE,
        ),
        (17, 42, 0, 0),
        content_events=1,
    ),
    "deepseek reasoning, cache hits, usage beside the last choice": Recorded(
        "https://api-docs.deepseek.com/api/create-chat-completion and https://api-docs.deepseek.com/guides/kv_cache; "
        "it keeps the connection alive with comments",
        (
            b": keep-alive\n\n",
            event(
                '{"id":"1f63","object":"chat.completion.chunk","created":1718345013,"model":"deepseek-reasoner",'
                '"system_fingerprint":"fp_a4","choices":[{"index":0,"delta":{"role":"assistant","content":null,'
                '"reasoning_content":""},"finish_reason":null,"logprobs":null}],"usage":null}'
            ),
            event(
                '{"id":"1f63","object":"chat.completion.chunk","created":1718345013,"model":"deepseek-reasoner",'
                '"system_fingerprint":"fp_a4","choices":[{"index":0,"delta":{"content":null,'
                '"reasoning_content":"Okay"},"finish_reason":null,"logprobs":null}],"usage":null}'
            ),
            event(
                '{"id":"1f63","object":"chat.completion.chunk","created":1718345013,"model":"deepseek-reasoner",'
                '"system_fingerprint":"fp_a4","choices":[{"index":0,"delta":{"content":"Hi",'
                '"reasoning_content":null},"finish_reason":null,"logprobs":null}],"usage":null}'
            ),
            event(
                '{"id":"1f63","object":"chat.completion.chunk","created":1718345013,"model":"deepseek-reasoner",'
                '"system_fingerprint":"fp_a4","choices":[{"index":0,"delta":{"content":"","reasoning_content":null},'
                '"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1030,"completion_tokens":19,'
                '"total_tokens":1049,"prompt_tokens_details":{"cached_tokens":960},'
                '"completion_tokens_details":{"reasoning_tokens":9},'
                '"prompt_cache_hit_tokens":960,"prompt_cache_miss_tokens":70}}'
            ),
            DONE,
        ),
        (1030, 19, 960, 0),
        content_events=2,
    ),
    "deepseek as Alibaba sells it, without a space after the colon": Recorded(
        "https://github.com/karthink/gptel/pull/592; usage invented",
        (
            b'data:{"id":"chatcmpl-75","choices":[{"index":0,"delta":{"role":"assistant"}}],"created":1740552606}\n\n',
            b'data:{"id":"chatcmpl-75","choices":[{"index":0,"delta":{"reasoning_content":"Okay"}}]}\n\n',
            b'data:{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}\n\n',
            b"data:[DONE]\n\n",
        ),
        (9, 7, 0, 0),
        usage_events=(2,),
        content_events=1,
    ),
    "azure, whose first event has neither choices nor usage": Recorded(
        "https://github.com/AbanteAI/archive-old-cli-mentat/issues/429",
        (
            event(
                '{"id":"","choices":[],"created":0,"model":"","object":"","system_fingerprint":null,'
                '"prompt_filter_results":[{"prompt_index":0,"content_filter_results":'
                '{"hate":{"filtered":false,"severity":"safe"}}}]}'
            ),
            event(
                '{"id":"chatcmpl-8P","object":"chat.completion.chunk","created":1701059531,"model":"gpt-35-turbo",'
                '"choices":[{"index":0,"finish_reason":null,"delta":{"content":" have"},'
                '"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}'
            ),
            event(
                '{"id":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{},'
                '"content_filter_offsets":{"check_offset":26}}],"created":0,"model":"","object":""}'
            ),
            event(
                '{"id":"chatcmpl-8P","object":"chat.completion.chunk","created":1701059531,"model":"gpt-35-turbo",'
                '"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":14}}'
            ),
            DONE,
        ),
        (12, 2, 0, 0),
        usage_events=(3,),
        content_events=1,
    ),
    "openrouter with comments and cache writes": Recorded(
        "https://openrouter.ai/docs/api-reference/streaming and, for usage, "
        "https://openrouter.ai/docs/use-cases/usage-accounting",
        (
            b": OPENROUTER PROCESSING\n\n",
            b": OPENROUTER PROCESSING\n\n",
            event(
                '{"id":"gen-1","provider":"Anthropic","model":"anthropic/claude","object":"chat.completion.chunk",'
                '"created":1750000000,"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},'
                '"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}'
            ),
            event(
                '{"id":"gen-1","object":"chat.completion.chunk","choices":[],"usage":{"completion_tokens":2,'
                '"completion_tokens_details":{"reasoning_tokens":0},"cost":0.95,'
                '"cost_details":{"upstream_inference_cost":19},"prompt_tokens":194,'
                '"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":100,"audio_tokens":0},'
                '"total_tokens":196}}'
            ),
            DONE,
        ),
        (194, 2, 0, 100),
        usage_events=(3,),
        content_events=1,
    ),
    "mistral, with usage beside the last choice": Recorded(
        "https://github.com/mistralai/client-python/issues/16 and https://docs.mistral.ai/api; usage invented",
        (
            event(
                '{"id": "cmpl-82", "model": "mistral-tiny", "choices": [{"index": 0, "delta": {"role": "assistant"}, '
                '"finish_reason": null}]}'
            ),
            event(
                '{"id": "cmpl-82", "object": "chat.completion.chunk", "created": 1702637377, "model": "mistral-tiny",'
                ' "choices": [{"index": 0, "delta": {"role": null, "content": "It"}, "finish_reason": null}]}'
            ),
            event(
                '{"id": "cmpl-82", "object": "chat.completion.chunk", "created": 1702637377, "model": "mistral-tiny",'
                ' "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], '
                '"usage": {"prompt_tokens": 14, "total_tokens": 26, "completion_tokens": 12}}'
            ),
            DONE,
        ),
        (14, 12, 0, 0),
        content_events=1,
    ),
    "mistral's reasoning, in parts": Recorded(
        "https://docs.mistral.ai/capabilities/reasoning; the stream is invented",
        (
            event(
                '{"id":"cmpl-83","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":'
                '[{"type":"text","text":"12345678"}]}]},"finish_reason":null}]}'
            ),
            event('{"id":"cmpl-83","choices":[{"index":0,"delta":{"content":"1234"},"finish_reason":null}]}'),
            DONE,
        ),
        (53, 3, 0, 0),
        estimated=True,
        content_events=2,
    ),
    "groq, with usage in its own corner": Recorded(
        "https://github.com/vercel/ai/issues/1651",
        (
            event(
                '{"id":"chatcmpl-85","object":"chat.completion.chunk","created":1716131679,"model":"llama3-8b-8192",'
                '"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],'
                '"x_groq":{"id":"req_01hy"}}'
            ),
            event(
                '{"id":"chatcmpl-85","object":"chat.completion.chunk","created":1716131679,"model":"llama3-8b-8192",'
                '"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"x_groq":{"id":"req_01hy",'
                '"usage":{"queue_time":0.075,"prompt_tokens":23,"completion_tokens":19,"total_tokens":42}}}'
            ),
            DONE,
        ),
        (23, 19, 0, 0),
        content_events=1,
    ),
    "moonshot, with usage inside the choice": Recorded(
        "https://github.com/earendil-works/pi/issues/2017; numbers invented",
        (
            event('{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}'),
            event(
                '{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":'
                '{"prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":10}}]}'
            ),
            DONE,
        ),
        (19, 13, 10, 0),
        content_events=1,
    ),
    "xai, whose reasoning stands beside the completion": Recorded(
        "https://github.com/vercel/ai/pull/12425; prompt from its total",
        (
            event('{"id":"x","choices":[{"index":0,"delta":{"content":"4"}}]}'),
            event(
                '{"id":"x","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":331,'
                '"prompt_tokens_details":{"text_tokens":12,"audio_tokens":0,"image_tokens":0,"cached_tokens":5},'
                '"completion_tokens_details":{"reasoning_tokens":317,"audio_tokens":0}}}'
            ),
            DONE,
        ),
        (12, 319, 5, 0),
        usage_events=(1,),
        content_events=1,
    ),
    "llama.cpp's completions of text alone": Recorded(
        "https://github.com/ikawrakow/ik_llama.cpp/issues/767; usage invented",
        (
            _completion('"text":"Hello","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":"!","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":" How","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":"","index":0,"logprobs":null,"finish_reason":"length"'),
            event('{"choices":[],"usage":{"completion_tokens":3,"prompt_tokens":4,"total_tokens":7}}'),
            DONE,
        ),
        (4, 3, 0, 0),
        usage_events=(4,),
        content_events=3,
    ),
    "completions of text alone without usage": Recorded(
        "https://github.com/ikawrakow/ik_llama.cpp/issues/767",
        (
            _completion('"text":"Hello","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":"!","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":" How are you today","index":0,"logprobs":null,"finish_reason":null'),
            _completion('"text":"","index":0,"logprobs":null,"finish_reason":"length"'),
            DONE,
        ),
        (53, 6, 0, 0),  # ceil(210 / 4) and ceil((5 + 1 + 18) / 4)
        estimated=True,
        content_events=3,
    ),
    "event lines, ids and carriage returns": Recorded(
        "https://html.spec.whatwg.org/multipage/server-sent-events.html; invented",
        (
            b'\xef\xbb\xbfevent: message\r\nid: 1\r\ndata: {"choices":[{"delta":{"content":"Hi"}}]}\r\n\r\n',
            b'data: {"choices":[{"delta":\r\ndata: {"content":"there"}}]}\r\n\r\n',
            b'retry: 100\rdata: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\r\r',
            b"data: [DONE]\r\n\r\n",
        ),
        (5, 3, 0, 0),
        usage_events=(2,),
        content_events=2,
    ),
}
