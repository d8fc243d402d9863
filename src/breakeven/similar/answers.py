"""The text of an answer that was kept, and whether two answers say the same.

Only an answer of text alone has one: what a tool is called with, an image or a citation is no matter of words.  What a
model thought before it answered is not compared.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

import msgspec

from breakeven.metering.framing import PASS, EventFramer

_MOST_EVENT_BYTES: Final = 1 << 20
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def answer_text(body: bytes, *, streamed: bool) -> str | None:
    """Return the text of a chat or messages answer, whole or as the events of a stream.

    None where it is empty, or anything but one answer of text alone: with calls, a refusal, an error, several choices.
    """
    try:
        if not streamed:
            pieces = _of_whole(_decode(body))
        else:
            pieces = [piece for event in _events(body) for piece in _of_event(_decode(event))]
    except (_OtherError, *_UNREADABLE):
        return None
    return "".join(pieces) or None


def same_text(one: str, other: str) -> bool:
    """Whether two texts are equal but for case, blanks and the forms of letters, or as JSON whatever its keys' order.

    In JSON, 1 and 1.0 are not taken as equal, nor 1 and true.
    """
    return _normal(one) == _normal(other) or (
        (first := _as_json(one)) is not None and (second := _as_json(other)) is not None and first == second
    )


def same_figures(one: str, other: str) -> bool:
    """Whether two texts hold the same numbers, in whatever order, and begin with the same yes or no, if with any.

    For answers that may differ in their words: "within 14 days" and "within 30 days" have vectors very much alike.
    """
    return _figures(one) == _figures(other)


class _OtherError(Exception):
    """The answer is not of text alone."""


class _Block(msgspec.Struct, gc=False):
    """A block of a message, or what an event tells of one."""

    type: str | None = None
    text: str | None = None
    citations: Any = None
    citation: Any = None
    stop_reason: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: str | None = None
    audio: Any = None
    images: Any = None
    annotations: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    message: _Message | None = None
    delta: _Message | None = None
    logprobs: Any = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    """A chat answer, a chunk of one, a message, or an event of one."""

    type: str | None = None
    error: Any = None
    choices: list[_Choice] | None = None
    content: list[_Block] | None = None
    content_block: _Block | None = None
    delta: _Block | None = None
    stop_reason: str | None = None


_decode: Final = msgspec.json.Decoder(_Answer).decode
_decode_any: Final = msgspec.json.Decoder(Any).decode
_THOUGHT: Final = frozenset({"thinking", "redacted_thinking", "thinking_delta", "signature_delta"})
_ENDS_OTHERWISE: Final = frozenset(
    {"tool_calls", "function_call", "content_filter", "tool_use", "refusal", "pause_turn"}
)
_NUMBER: Final = re.compile(r"[-+]?\d+(?:[.,:/-]\d+)*")
_SAID_FIRST: Final = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def _events(body: bytes) -> list[bytes]:
    events: list[bytes] = []

    def judge(data: bytes, cut: bool, sent: bool) -> int:  # noqa: FBT001 - as the framer calls it
        del sent
        if cut:
            raise _OtherError
        events.append(data)
        return PASS

    framer = EventFramer(judge, whole_events=True, most_event_bytes=_MOST_EVENT_BYTES)
    framer.feed(body)
    framer.close()
    if framer.unread:
        raise _OtherError
    return events


def _of_whole(answer: _Answer) -> list[str]:
    if answer.choices is not None:
        return _of_choices(answer)
    if answer.stop_reason in _ENDS_OTHERWISE:
        raise _OtherError
    return _of_blocks(answer.content)


def _of_event(event: _Answer) -> list[str]:
    if event.choices is not None:
        return _of_choices(event)
    if event.error is not None:
        raise _OtherError
    return _of_blocks([block for block in (event.content_block, event.delta) if block is not None])


def _of_choices(answer: _Answer) -> list[str]:
    """Return the texts of a chat answer or of a chunk.  Raises ``_OtherError`` where there is more than that."""
    if answer.error is not None:
        raise _OtherError
    return [text for choice in answer.choices or () for text in _of_choice(choice)]


def _of_choice(choice: _Choice) -> list[str]:
    said = choice.message or choice.delta or _Message()
    others = (said.tool_calls, said.function_call, said.refusal, said.audio, said.images, said.annotations)
    if choice.index or any(others) or choice.logprobs or choice.finish_reason in _ENDS_OTHERWISE:
        raise _OtherError
    if said.content is None:
        return []
    if not isinstance(said.content, str):
        raise _OtherError
    return [said.content]


def _of_blocks(blocks: list[_Block] | None) -> list[str]:
    """Return the texts of a message's blocks, or of pieces of them.  Raises ``_OtherError`` likewise."""
    texts = []
    for block in blocks or ():
        if block.stop_reason in _ENDS_OTHERWISE or block.citations or block.citation:
            raise _OtherError
        if block.type in {"text", "text_delta"}:
            texts.append(block.text or "")
        elif block.type is not None and block.type not in _THOUGHT:
            raise _OtherError
    return texts


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _as_json(text: str) -> str | None:
    """Return a text that is a JSON object or array with its keys in order; None where it is none."""
    try:
        value = _decode_any(text)
        return _normal(msgspec.json.encode(value, order="sorted").decode()) if isinstance(value, dict | list) else None
    except _UNREADABLE:
        return None


def _figures(text: str) -> tuple[str, list[str]]:
    plain = unicodedata.normalize("NFKC", text)
    first = _SAID_FIRST.match(plain)
    return (first[1].casefold() if first else ""), sorted(set(_NUMBER.findall(plain)))
