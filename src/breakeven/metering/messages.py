"""Reads Anthropic's Messages API: an answer that came whole, one that comes as events, and a count of tokens.

Its counts differ from the other protocols' (https://docs.claude.com/en/docs/build-with-claude/prompt-caching):
``input_tokens`` leaves out what was read from a cache and what was written to one, so the three are added up.  A stream
(https://docs.claude.com/en/docs/build-with-claude/streaming) tells its input in ``message_start`` and the final output,
cumulative, in ``message_delta``, which may tell the input again, larger, after tools that the server ran; of each count
the last that is told stands.  Some servers tell nothing before ``message_delta``.  The terminator is the event
``message_stop``; reasoning is a part of the output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.metering.framing import LAST, PASS
from breakeven.metering.meter import EventMeter
from breakeven.metering.reading import Reading, processing_of
from breakeven.metering.salvage import salvage
from breakeven.metering.told import MOST_TOKENS, settle
from breakeven.metering.whole import Answer, read_what_is_there
from breakeven.metering.wire import UNREADABLE, Anything, Usage, utf8_bytes

if TYPE_CHECKING:
    from breakeven.metering.kept import KeptText


class MessageUsage(msgspec.Struct, gc=False):
    """``usage`` of a message, or what an event tells of it; ``input_tokens`` without the two cache counts."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    service_tier: str | None = None


class Block(msgspec.Struct, gc=False):
    """A block of content as it starts, a piece of one, or one of a whole message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    name: str | None = None


class Call(Block, gc=False):
    """A block of a message that came whole."""

    input: Any = None


class Message(msgspec.Struct, gc=False):
    """A message whose content does not matter, because its usage is told."""

    usage: MessageUsage | None = None


class WholeMessage(msgspec.Struct, gc=False):
    """A message with its content."""

    content: list[Call] | None = None
    usage: MessageUsage | None = None


class Event(msgspec.Struct, gc=False):
    """Any event of a stream."""

    type: str | None = None
    delta: Block | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: MessageUsage | None = None
    error: Anything | None = None


_decode_message: Final = msgspec.json.Decoder(Message).decode
_decode: Final = msgspec.json.Decoder(Event).decode
_NO_OUTPUT: Final = -1
_REASONING: Final = frozenset({"thinking", "redacted_thinking", "thinking_delta", "signature_delta"})
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def read_message(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens of a message that came whole; never raises, whatever the bytes.

    What its usage does not tell is estimated, as ``reading`` says; each block of content counts at least one.
    """
    try:
        usage = _decode_message(body).usage
    except UNREADABLE:
        return read_what_is_there(body, request_body_bytes, WholeMessage, _answer)
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return read_what_is_there(body, request_body_bytes, WholeMessage, _answer)
    reading = settle(_usage(usage), 0, 0, processing_of(usage.service_tier), False)  # noqa: FBT003 - hot path
    return read_what_is_there(body, request_body_bytes, WholeMessage, _answer) if reading.estimated else reading


def read_count(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens that counting tokens uses: none (https://docs.claude.com/en/docs/build-with-claude/token-counting)."""
    del body, request_body_bytes
    return Reading(0, 0, 0, 0, 0, estimated=False)


class MessagesMeter(EventMeter):
    """The meter of one streamed message; the protocol always tells usage, so there is none to hide."""

    __slots__ = ("_counts", "_text_begun")

    def __init__(self, *, hide_usage: bool = False, keeps_text: bool = False) -> None:
        """See ``EventMeter``."""
        super().__init__(hide_usage=hide_usage, keeps_text=keeps_text)
        self._counts: MessageUsage | None = None
        """Each count as it was told last."""

        self._text_begun = False
        """A block of text has started."""

    def _judge(self, payload: bytes, cut: bool, sent: bool) -> int:  # noqa: FBT001 - hot path
        doubtful = False
        try:
            event = _decode(payload)
        except UNREADABLE:
            salvaged = salvage(payload, Event)
            if salvaged is None:
                return self._skip(cut=cut, sent=sent)
            event, doubtful = salvaged
        self._events += 1
        block = event.delta or event.content_block
        if block is not None:
            length_bytes = _block_bytes(block)
            if length_bytes:
                self._content_events += 1
                self._text_bytes += length_bytes
        kind = event.type
        if kind == "content_block_delta":
            if self._kept is not None and not cut:
                self._keep(self._kept, kind, block)
            return PASS
        verdict = self._take(event, block, cut=cut, doubtful=doubtful)
        return self._take_error(payload, sent=sent) if _fails(event) else verdict

    def _take(self, event: Event, block: Block | None, *, cut: bool, doubtful: bool) -> int:
        """Count an event that is no piece of content."""
        if event.message is not None and event.message.usage is not None:
            self._tell(event.message.usage, at=_NO_OUTPUT, doubtful=doubtful)
        if event.usage is not None:
            told = event.usage.output_tokens is not None
            self._tell(event.usage, at=self._content_events if told else _NO_OUTPUT, doubtful=doubtful)
        elif doubtful:
            self._told_doubtful = True
        if self._kept is not None and not cut and not _fails(event):
            self._keep(self._kept, event.type, block)
        return LAST if event.type == "message_stop" else PASS

    def _tell(self, usage: MessageUsage, *, at: int, doubtful: bool) -> None:
        """Take over the counts that are told; ``at`` is ``content_events`` if the final output is among them."""
        counts = self._counts = self._counts or MessageUsage()
        for name in _COUNTS:
            told = getattr(usage, name)
            if told is not None:
                setattr(counts, name, told)
        if usage.service_tier is not None:
            self._service_tier = usage.service_tier
        self._told = _usage(counts)
        self._told_doubtful |= doubtful
        self._told_last = True
        if at != _NO_OUTPUT:
            self._told_at = at

    def _keep(self, kept: KeptText, kind: str | None, block: Block | None) -> None:
        """Keep the text of an event that passes, and note what else has come: only the first text can be continued."""
        if kind in {"message_start", "ping"}:
            return
        if block is None or kind not in {"content_block_start", "content_block_delta"}:
            # The end of a block: before the text that of reasoning, after it that of all that can be continued.
            if kind != "content_block_stop" or self._text_begun:
                kept.block()
        elif block.type in _REASONING:
            kept.add_reasoning()
            if self._text_begun:
                kept.block()
        elif block.type not in {"text", "text_delta"} or (block.type == "text" and self._text_begun):
            kept.block()
        else:
            self._text_begun = True
            kept.add(block.text or "")


def _fails(event: Event) -> bool:
    return event.type == "error" or event.error is not None


def _usage(told: MessageUsage) -> Usage:
    """Return the counts under the names that ``told`` settles, with all of the prompt in one."""
    cached, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    prompt = told.input_tokens
    if prompt is not None and 0 <= prompt <= MOST_TOKENS:
        prompt += sum(part for part in (cached, written) if 0 < part <= MOST_TOKENS)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=told.output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_input_tokens=written,
    )


def _block_bytes(block: Block) -> int:
    total = 0
    for text in (block.text, block.thinking, block.partial_json, block.name):
        if text:
            total += utf8_bytes(text)
    return total


def _answer(message: WholeMessage) -> Answer:
    usage = message.usage
    texts = [_block_bytes(block) + _call_bytes(block.input) for block in message.content or ()]
    return Answer(_usage(usage) if usage else None, usage.service_tier if usage else None, texts)


def _call_bytes(arguments: object) -> int:
    """Return the bytes of a tool's arguments, which come decoded here."""
    try:
        return len(json.dumps(arguments, separators=(",", ":"))) if arguments else 0
    except UNREADABLE:
        return 0
