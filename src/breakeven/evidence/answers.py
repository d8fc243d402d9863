"""What an answer holds beside its text, for signals: calls of tools, a refusal, why it ended.

Read are chat completions, completions, responses and Anthropic's messages, whole or as the events of a stream
(https://platform.openai.com/docs/api-reference, https://docs.claude.com/en/api/messages).  A tool that the provider ran
itself is passed over, and so is what a model thought.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from breakeven.protocols.events import DONE, EventReader

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError, AttributeError, TypeError, LookupError)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_LAST_EVENTS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_LENGTH: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_FILTERED: Final = frozenset({"content_filter", "refusal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool that the client is to run; ``arguments`` as JSON text, whether it is JSON or not."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnswer:
    """One answer; of several choices the first."""

    text: str = ""
    refusal: str = ""
    """What the API marks as a refusal; its text may be empty where only ``filtered`` is known."""

    filtered: bool = False
    """It ended because of a content filter or as a refusal."""

    truncated: bool = False
    """It ended at the limit of its tokens."""

    calls: tuple[Call, ...] = ()


def read_answer(body: bytes, *, streamed: bool) -> ReadAnswer | None:
    """Return what an answer holds; None of an error, or of what cannot be read."""
    try:
        return _of_events(body) if streamed else _of_whole(_decode(body))
    except _UNREADABLE:
        return None


class _Pieces:
    """An answer as its pieces come."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.names: defaultdict[int, str] = defaultdict(str)
        self.arguments: defaultdict[int, str] = defaultdict(str)
        self.ended: set[str] = set()

    def call(self, index: int, name: str | None, arguments: Any) -> None:
        """Take a call, or a piece of one."""
        self.names[index] += name or ""
        if isinstance(arguments, str):
            self.arguments[index] += arguments
        elif arguments:
            self.arguments[index] = msgspec.json.encode(arguments).decode()

    def whole(self) -> ReadAnswer:
        """Return all of them together; a call without arguments has an empty object."""
        calls = (Call(name=name, arguments=self.arguments[index] or "{}") for index, name in self.names.items())
        return ReadAnswer(
            text="".join(self.text),
            refusal="".join(self.refusal),
            filtered=not self.ended.isdisjoint(_FILTERED),
            truncated=not self.ended.isdisjoint(_LENGTH),
            calls=tuple(calls),
        )


def _of_whole(answer: dict[str, Any]) -> ReadAnswer | None:
    pieces = _Pieces()
    if answer.get("error") is not None or answer.get("status") == "failed":
        return None
    if "choices" in answer:
        _take_choice(pieces, answer["choices"][0], "message")
    elif "output" in answer:
        _take_response(pieces, answer)
    elif "content" in answer:
        for index, block in enumerate(answer["content"]):
            _take_block(pieces, index, block)
        pieces.ended.add(answer.get("stop_reason") or "")
    else:
        return None
    return pieces.whole()


def _take_choice(pieces: _Pieces, choice: dict[str, Any], key: str) -> None:
    """Take a choice of a completion, or a piece of one under ``delta``."""
    said = choice.get(key) or {}
    content = said.get("content") if said else choice.get("text")
    if isinstance(content, list):
        for part in content:
            pieces.text.append(part.get("text") or "")
            pieces.refusal.append(part.get("refusal") or "")
    else:
        pieces.text.append(content or "")
    pieces.refusal.append(said.get("refusal") or "")
    old = said.get("function_call")
    if old:
        pieces.call(0, old.get("name"), old.get("arguments"))
    for place, call in enumerate(said.get("tool_calls") or ()):
        tool = call.get("function") or call.get("custom") or {}
        index = call.get("index")
        pieces.call(place if index is None else index, tool.get("name"), tool.get("arguments"))
    pieces.ended.add(choice.get("finish_reason") or "")


def _take_response(pieces: _Pieces, answer: dict[str, Any]) -> None:
    for index, item in enumerate(answer["output"]):
        if item.get("type") == "function_call":
            pieces.call(index, item.get("name"), item.get("arguments"))
        for part in item.get("content") or () if item.get("type") == "message" else ():
            pieces.text.append(part.get("text") or "")
            pieces.refusal.append(part.get("refusal") or "")
    pieces.ended.add((answer.get("incomplete_details") or {}).get("reason") or "")


def _take_block(pieces: _Pieces, index: int, block: dict[str, Any]) -> None:
    """Take a block of a message, or a piece of one."""
    match block.get("type"):
        case "text" | "text_delta":
            pieces.text.append(block.get("text") or "")
        case "tool_use":
            pieces.call(index, block.get("name"), block.get("input"))
        case "input_json_delta":
            pieces.call(index, None, block.get("partial_json"))
        case _:
            pass


def _of_events(body: bytes) -> ReadAnswer | None:
    reader = EventReader()
    read = [*reader.feed(body), *reader.close()]
    if reader.oversized or not read:
        return None
    pieces = _Pieces()
    for event in (_decode(data) for data in read if data != DONE):
        kind = event.get("type")
        if event.get("error") is not None or kind == "error":
            return None
        if kind in _LAST_EVENTS:
            return _of_whole(event["response"])
        _take_event(pieces, event)
    return pieces.whole()


def _take_event(pieces: _Pieces, event: dict[str, Any]) -> None:
    """Take a chunk of a completion, or an event of a message."""
    kind = event.get("type")
    if "choices" in event:
        for choice in event["choices"]:
            if not choice.get("index"):
                _take_choice(pieces, choice, "delta")
    elif kind in {"content_block_start", "content_block_delta"}:
        _take_block(pieces, event["index"], event.get("content_block") or event["delta"])
    elif kind == "message_delta":
        pieces.ended.add(event["delta"].get("stop_reason") or "")
