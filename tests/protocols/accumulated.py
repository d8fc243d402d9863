"""What clients make of translated streams: OpenAI's SDK, and an accumulator of Anthropic's events.

Anthropic's SDK is no dependency here, so its part is written from the documented order of events
(https://docs.claude.com/en/docs/build-with-claude/streaming#event-types), and stricter: a block is begun with the next
number, gets deltas of its own kind only while it is open, no two are open at a time, and each is ended once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx2
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

Body = dict[str, Any]
_FIELDS = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "thinking")}


def events_of(stream: bytes) -> list[Body]:
    """Return the data of Anthropic's events, checking that each is named as it should be."""
    events = []
    for raw in stream.decode().split("\n\n")[:-1]:
        match = re.fullmatch(r"event: (\w+)\ndata: (.*)", raw)
        assert match, raw
        data = json.loads(match[2])
        assert data["type"] == match[1]
        events.append(data)
    return events


class Accumulator:
    """A message, as far as its events have come."""

    def __init__(self) -> None:
        self.message: Body = {}
        self.open: int | None = None
        self.json = ""
        self.stopped = False

    def take(self, event: Body) -> None:
        assert not self.stopped, "an event after message_stop"
        kind = event["type"]
        if kind == "ping":
            return
        assert (kind == "message_start") == (not self.message), "message_start comes first, once"
        getattr(self, f"_{kind}")(event)

    def _message_start(self, event: Body) -> None:
        self.message = event["message"]
        assert self.message["content"] == []
        assert self.message["type"] == "message"
        assert self.message["role"] == "assistant"
        assert {"input_tokens", "output_tokens"} <= self.message["usage"].keys()

    def _content_block_start(self, event: Body) -> None:
        assert self.open is None, "one block at a time"
        assert event["index"] == len(self.message["content"])
        self.open = event["index"]
        self.json = ""
        self.message["content"].append(event["content_block"])

    def _content_block_delta(self, event: Body) -> None:
        assert event["index"] == self.open, "a delta of a block that is not open"
        block, delta = self.message["content"][-1], event["delta"]
        if delta["type"] == "input_json_delta":
            assert block["type"] == "tool_use"
            self.json += delta["partial_json"]
            return
        kind, field = _FIELDS[delta["type"]]
        assert block["type"] == kind
        assert delta[field], "an empty delta"
        block[field] += delta[field]

    def _content_block_stop(self, event: Body) -> None:
        assert event["index"] == self.open, "a block is ended once"
        self.open = None
        if self.json:
            self.message["content"][-1]["input"] = json.loads(self.json)

    def _message_delta(self, event: Body) -> None:
        assert self.open is None
        self.message |= event["delta"]
        self.message["usage"] |= event["usage"]

    def _message_stop(self, event: Body) -> None:
        assert event == {"type": "message_stop"}
        assert self.message["stop_reason"]
        self.stopped = True


def message_of(stream: bytes) -> Body:
    """Return the message that a stream of Anthropic's events makes; it has to end properly."""
    accumulator = Accumulator()
    for event in events_of(stream):
        accumulator.take(event)
    assert accumulator.stopped
    return accumulator.message


def chunks_of(stream: bytes) -> list[ChatCompletionChunk]:
    """Return the chunks that OpenAI's SDK reads; it raises ``openai.APIError`` at an error."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = httpx2.MockTransport(lambda _: answer)
    with (
        httpx2.Client(transport=transport) as http_client,
        openai.OpenAI(api_key="none", base_url="http://target/v1", http_client=http_client, max_retries=0) as client,
    ):
        return list(client.chat.completions.create(model="m", messages=[], stream=True))


def completion_of(stream: bytes) -> ChatCompletion:
    """Return the completion that OpenAI's SDK makes of a stream; it has to end properly."""
    assert stream.endswith(b"data: [DONE]\n\n")
    state = ChatCompletionStreamState()
    for chunk in chunks_of(stream):
        state.handle_chunk(chunk)
    return state.get_final_completion()
