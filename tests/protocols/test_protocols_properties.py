"""However a stream is cut, whatever bytes are in it, and there and back again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import published_bodies as published
import pytest
from accumulated import Accumulator, chunks_of, completion_of, events_of, message_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from breakeven.protocols import UntranslatableError
from breakeven.protocols.requests import chat_to_messages, messages_to_chat
from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.protocols.translation import StreamTranslation

DONE = b"data: [DONE]\n\n"
texts = st.text(alphabet=st.sampled_from('ab "\\\n\r\u2028é漢😀{}:[]'), min_size=1, max_size=8)
words = texts.map(lambda text: f"x{text}x")
names = st.sampled_from(["f", "get_weather", "g-1"])
objects = st.dictionaries(texts, st.integers() | texts | st.booleans() | st.none(), max_size=3)


def translators() -> list[Callable[[], StreamTranslation]]:
    return [
        lambda: ChatToMessagesStream(model="m"),
        lambda: MessagesToChatStream(created_s=1, include_usage=True),
    ]


def run(make: Callable[[], StreamTranslation], parts: list[bytes]) -> tuple[bytes, bool, bool, bool]:
    stream = make()
    out = b"".join(map(stream.feed, parts)) + stream.end()
    return out, stream.done, stream.error, stream.broken


STREAMS = [
    (0, published.CHAT_STREAM),
    (0, published.CHAT_TOOLS_STREAM),
    (0, b"\xef\xbb\xbf: hello\r\n\r\n" + published.CHAT_STREAM.replace(b"\n", b"\r\n")),
    (0, published.CHAT_STREAM.replace(b"\n", b"\r")),
    (0, published.CHAT_STREAM.replace(b',"object', b',\ndata: "object')),
    (1, published.MESSAGES_STREAM),
    (1, published.MESSAGES_TOOLS_STREAM),
    (1, published.MESSAGES_THINKING_STREAM),
    (1, published.MESSAGES_STREAM.replace(b"\n", b"\r\n")),
    (1, published.MESSAGES_STREAM[:700] + b"\n\n" + published.MESSAGES_ERROR_EVENT),
]


@pytest.mark.parametrize("at", range(len(STREAMS)))
@given(data=st.data())
@settings(max_examples=25)
def test_cuts_do_not_matter(at: int, data: st.DataObject) -> None:
    which, body = STREAMS[at]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    make = translators()[which]
    assert run(make, parts) == run(make, [body]) == run(make, [bytes([byte]) for byte in body])


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'chatcmpl-1', 'choices': [choice]})}\n\n".encode()


@st.composite
def call_streams(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[str, Any]], str]:
    """Return chunks of text and then of parallel calls whose pieces take turns, and what they amount to."""
    said = draw(st.lists(words, max_size=3))
    made = draw(st.lists(st.tuples(names, objects), max_size=4))
    chunks = [_chunk({"content": text}) for text in said]
    rests = {}
    for index, (name, value) in enumerate(made):
        arguments = json.dumps(value, ensure_ascii=draw(st.booleans()))
        cut = draw(st.integers(0, len(arguments)))
        rests[index] = arguments[cut:]
        function = {"name": name, "arguments": arguments[:cut]}
        chunks.append(_chunk({"tool_calls": [{"index": index, "id": f"c{index}", "function": function}]}))
    chunks += [
        _chunk({"tool_calls": [{"index": index, "function": {"arguments": rests[index]}}]})
        for index in draw(st.permutations(list(rests)))
    ]
    chunks.append(_chunk({}, "tool_calls" if made else "stop"))
    return chunks, made, "".join(said)


@given(call_streams())
def test_every_stream_of_chunks_becomes_the_same_message_and_back(case: tuple[list[bytes], Any, str]) -> None:
    chunks, made, said = case
    stream = ChatToMessagesStream(model="m")
    out = b"".join(map(stream.feed, [*chunks, DONE])) + stream.end()
    message = message_of(out)
    blocks = message["content"]
    assert "".join(block["text"] for block in blocks if block["type"] == "text") == said
    assert [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"] == made
    back = MessagesToChatStream(created_s=1, include_usage=True)
    choice = completion_of(back.feed(out) + back.end()).choices[0]
    assert choice.message.content == said
    calls = choice.message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls if call.type == "function"] == [
        value for _, value in made
    ]
    assert choice.finish_reason == ("tool_calls" if made else "stop")


fragments = st.sampled_from(
    [
        b"data: ", b"event: error\n", b"\n", b"\n\n", b"\r\n", b"\r", b": ping\n", b"\xff", b"{}", b"[DONE]", b"null",
        b'{"choices":[{"delta":{"content":"a"}}]}', b'{"choices":[{"delta":{"tool_calls":[{}]}}]}', b'{"choices":[{}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":-1,"id":"x","function":{"name":"n","arguments":"]"}}]}}]}',
        b'{"choices":null,"usage":{}}', b'{"error":7}', b'{"type":"message_start"}', b'{"type":"message_delta"}',
        b'{"type":"content_block_start","content_block":{"type":"tool_use"}}', b'{"type":"content_block_stop"}',
        b'{"type":"content_block_delta","delta":{"partial_json":"{"}}', b'{"type":"message_stop"}', b'{"type":7}',
        b'{"type":"error","error":"x"}',
    ]
)  # fmt: skip


@given(st.lists(fragments | st.binary(max_size=4), max_size=14), st.integers(0, 1))
@example([b"data: ", b"[DONE]"], 0)
@settings(max_examples=300)
def test_nothing_raises_and_nothing_invalid_comes_out(parts: list[bytes], which: int) -> None:
    out, done, error, broken = run(translators()[which], parts)
    assert done or error or broken
    if which == 0:
        accumulator = Accumulator()
        for event in events_of(out):
            if event["type"] != "error":
                accumulator.take(event)
        assert accumulator.stopped == (done and not error)
    elif not error:
        chunks_of(out)
        assert out.endswith(DONE) == done


parts = st.builds(lambda text: {"type": "text", "text": text}, words) | st.just(
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
)
users = st.builds(lambda content: {"role": "user", "content": content}, words | st.lists(parts, min_size=1, max_size=3))


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return the messages of a conversation whose turns alternate, as clients write it."""
    messages = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 3))):
        messages.append(draw(users))
        answer: dict[str, Any] = {"role": "assistant", "content": draw(words)}
        made = draw(st.lists(st.tuples(names, objects), max_size=2))
        if made:
            answer["tool_calls"] = [
                {
                    "id": f"c{number}-{index}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(value)},
                }
                for index, (name, value) in enumerate(made)
            ]
        messages.append(answer)
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(words)}
            for call in answer.get("tool_calls", ())
        ]
    if messages and messages[-1]["role"] == "tool":
        return messages
    return [*messages, draw(users)]


options = st.fixed_dictionaries(
    {"max_completion_tokens": st.integers(1, 10_000)},
    optional={
        "temperature": st.floats(0, 0.99),
        "top_p": st.floats(0, 0.99),
        "top_k": st.integers(1, 99),
        "stop": st.lists(words, min_size=1, max_size=4),
        "stream": st.booleans(),
        "service_tier": st.sampled_from(["auto", "default"]),
        "reasoning_effort": st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"]),
    },
)
tools = st.fixed_dictionaries(
    {
        "tools": st.lists(
            st.fixed_dictionaries(
                {"name": names, "parameters": objects}, optional={"description": words, "strict": st.booleans()}
            ).map(lambda function: {"type": "function", "function": function}),
            min_size=1,
            max_size=3,
        )
    },
    optional={
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "function": {"name": "f"}}])
    },
)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its texts joined, as the way back joins them."""
    content = message["content"]
    if isinstance(content, list) and all(part["type"] == "text" for part in content):
        return message | {"content": "\n".join(part["text"] for part in content)}
    return message


@given(messages=conversations(), chosen=options, given_tools=tools)
def test_a_chat_request_means_the_same_there_and_back(
    messages: list[dict[str, Any]], chosen: dict[str, Any], given_tools: dict[str, Any]
) -> None:
    body = {"model": "a", "messages": messages} | chosen | given_tools
    there = chat_to_messages(json.dumps(body).encode(), model="b", default_max_tokens=1)
    back = json.loads(messages_to_chat(there, model="a", ask_for_usage=False))
    assert [_plain(message) for message in back.pop("messages")] == [
        _plain(message) for message in body.pop("messages")
    ]
    assert back == body


nested = st.recursive(st.none() | texts, st.lists, max_leaves=4).map(lambda value: json.dumps(value).encode())


@given(st.binary(max_size=60) | nested)
def test_what_is_no_request_is_refused_whatever_it_is(body: bytes) -> None:
    with pytest.raises(UntranslatableError, match="The request is no"):
        chat_to_messages(body, model="m", default_max_tokens=1)
    with pytest.raises(UntranslatableError, match="The request is no"):
        messages_to_chat(body, model="m", ask_for_usage=True)
