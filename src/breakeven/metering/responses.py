"""Reads OpenAI's Responses API: an answer that came whole, and one that comes as events.

A stream (https://platform.openai.com/docs/api-reference/responses-streaming) tells its usage in the event that ends it:
``response.completed``, ``response.incomplete`` or ``response.failed``, each with all of the response.  That event is
the terminator; one that failed is held as the others are, and leaves ``done`` unset.  OpenAI sends no ``[DONE]`` after
it and some servers do; where one comes instead, it ends the stream, for clients stop there.  Tokens from a cache are
parts of the input, those of reasoning parts of the output
(https://platform.openai.com/docs/api-reference/responses/object).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from breakeven.metering.framing import LAST, PASS
from breakeven.metering.meter import EventMeter
from breakeven.metering.reading import Reading, processing_of
from breakeven.metering.salvage import salvage
from breakeven.metering.told import settle
from breakeven.metering.whole import Answer, read_what_is_there
from breakeven.metering.wire import UNREADABLE, Anything, InputDetails, OutputDetails, Usage, utf8_bytes

if TYPE_CHECKING:
    from breakeven.metering.kept import KeptText

MOST_RESPONSE_BYTES: Final = 1 << 24
"""Longest event that is held and read.

The last event repeats the whole answer, images and all, and the stream cannot be told to have ended without it.
"""


class ResponseUsage(msgspec.Struct, gc=False):
    """``usage`` of a response."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Response(msgspec.Struct, gc=False):
    """A response whose output does not matter, because its usage is told."""

    usage: ResponseUsage | None = None
    service_tier: str | None = None


class Part(msgspec.Struct, gc=False):
    """A part of a message, of reasoning or of a summary of it."""

    text: str | None = None
    refusal: str | None = None


class Item(msgspec.Struct, gc=False):
    """One of the things that a response is made of: a message, reasoning, a call of a tool."""

    type: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None


class WholeResponse(Response, gc=False):
    """A response with its output."""

    output: list[Item] | None = None


class AddedItem(msgspec.Struct, gc=False):
    """An item as it begins: what it is, and the name of a tool."""

    type: str | None = None
    name: str | None = None


class Event(msgspec.Struct, gc=False):
    """Any event of a stream."""

    type: str | None = None
    delta: str | None = None
    item: AddedItem | None = None
    response: Response | None = None
    error: Anything | None = None


_decode_response: Final = msgspec.json.Decoder(Response).decode
_decode: Final = msgspec.json.Decoder(Event).decode

_TEXT: Final = "response.output_text.delta"
_REASONING: Final = "response.reasoning"
"""What the kinds of events begin with that bring reasoning, or a summary of it."""

_WRITTEN: Final = frozenset(
    {
        _TEXT,
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.reasoning.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary.delta",
        "response.reasoning_summary_text.delta",
    }
)
"""Kinds of events whose ``delta`` is a piece of text that the model wrote."""

_ADDED: Final = "response.output_item.added"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PART_ADDED: Final = "response.content_part.added"
_SILENT: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
"""Kinds of events that bring nothing of the answer."""


def read_response(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens of a response that came whole; never raises, whatever the bytes.

    What its usage does not tell is estimated, as ``reading`` says; each item of the output counts at least one.
    """
    try:
        response = _decode_response(body)
    except UNREADABLE:
        return read_what_is_there(body, request_body_bytes, WholeResponse, _answer)
    usage = response.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return read_what_is_there(body, request_body_bytes, WholeResponse, _answer)
    reading = settle(_usage(usage), 0, 0, processing_of(response.service_tier), False)  # noqa: FBT003 - hot path
    return read_what_is_there(body, request_body_bytes, WholeResponse, _answer) if reading.estimated else reading


class ResponsesMeter(EventMeter):
    """The meter of one streamed response; the protocol always tells usage, so there is none to hide."""

    __slots__ = ("_message_begun",)

    most_event_bytes: ClassVar[int] = MOST_RESPONSE_BYTES

    def __init__(self, *, hide_usage: bool = False, keeps_text: bool = False) -> None:
        """See ``EventMeter``."""
        super().__init__(hide_usage=hide_usage, keeps_text=keeps_text)
        self._message_begun = False
        """A message has begun, where text is kept."""

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
        kind = event.type
        if kind in _WRITTEN:
            if event.delta:
                self._content_events += 1
                self._text_bytes += utf8_bytes(event.delta)
            if self._kept is not None and not cut:
                self._keep(self._kept, event)
            return PASS
        if kind not in _ENDS and (kind == "error" or event.error is not None):
            return self._take_error(payload, sent=sent)
        verdict = self._take(event, cut=cut, doubtful=doubtful)
        if self.error:
            self.error_event = self.error_event or payload
        return verdict

    def _take(self, event: Event, *, cut: bool, doubtful: bool) -> int:
        """Count an event that is no piece of text."""
        kind, response = event.type, event.response
        if kind == _ADDED and event.item is not None and event.item.name:
            self._count_text(utf8_bytes(event.item.name))
        if response is not None and response.service_tier is not None:
            self._service_tier = response.service_tier
        if kind in _ENDS:
            self._end(event, doubtful=doubtful)
            return LAST
        if self._kept is not None and not cut:
            self._keep(self._kept, event)
        return PASS

    def _end(self, event: Event, *, doubtful: bool) -> None:
        """Take what the last event tells; none before it tells usage that stands."""
        if event.type == "response.failed":
            self.error = self._error_held = True
        usage = event.response.usage if event.response is not None else None
        if usage is not None:
            self._told = _usage(usage)
            self._told_doubtful = doubtful
            self._told_last = True
            self._told_at = self._content_events

    def _keep(self, kept: KeptText, event: Event) -> None:
        """Keep the text of an event that passes, and note what else has come."""
        kind = event.type or ""
        item = event.item
        if kind == _TEXT:
            kept.add(event.delta or "")
        elif kind.startswith(_REASONING) or (item is not None and item.type == "reasoning"):
            kept.add_reasoning()
        elif kind == _ADDED and item is not None and item.type == "message" and not self._message_begun:
            self._message_begun = True
        elif kind == _PART_ADDED and not kept.begun:
            return
        elif kind.startswith("response.") and kind not in _SILENT:
            kept.block()


def _usage(told: ResponseUsage) -> Usage:
    """Return the counts under the names that ``told`` settles."""
    return Usage(
        prompt_tokens=told.input_tokens,
        completion_tokens=told.output_tokens,
        total_tokens=told.total_tokens,
        prompt_tokens_details=told.input_tokens_details,
        completion_tokens_details=told.output_tokens_details,
    )


def _answer(response: WholeResponse) -> Answer:
    usage = response.usage
    return Answer(
        _usage(usage) if usage else None, response.service_tier, [_item_bytes(item) for item in response.output or ()]
    )


def _item_bytes(item: Item) -> int:
    texts = [item.name, item.arguments, item.input]
    for part in (item.content or []) + (item.summary or []):
        texts += [part.text, part.refusal]
    return sum(utf8_bytes(text) for text in texts if text)
