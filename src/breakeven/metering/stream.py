"""Watches a stream of chat completion chunks go by: counts tokens, drops usage only we asked for, holds the terminator.

The lines are those of server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).  The reading and the bytes
that pass are the same however the stream is cut into packets, no byte is altered, and nothing raises.  Whether the
stream is a success is not judged here.

What is decided, and why:

- With ``hide_usage`` a client that did not ask for usage still sees ``"usage":null`` in the chunks of servers that send
  it once asked (OpenAI does, in every chunk but the last:
  https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options).  Clients ignore it, and bytes
  that pass exactly as they came are worth more than its absence.
- The event to drop is one without choices and error whose usage is not null.  Azure's first event has no choices
  either, but no usage: it passes (https://github.com/AbanteAI/archive-old-cli-mentat/issues/429).
- Any line ``data: [DONE]`` is the terminator, even inside an event: clients that read by lines stop there.
- The last usage that is told counts, be it in an event of its own, with the last piece of content (Mistral, llama.cpp
  of old), or in every event (vLLM's ``continuous_usage_stats``).
- An event that is no JSON object counts as one that bears content, since something was generated for it.
- An event of more than ``framing.MOST_EVENT_BYTES`` passes unread: no target can make us hold more.

Speed.  The chunks of one stream mostly differ in nothing but their text.  So the bytes before and after the text of one
chunk are remembered, and a packet that has both, with no quote, backslash or line end between them, is the same chunk
with another text, exactly; it need not be decoded.
"""

from __future__ import annotations

from typing import Final

from breakeven.metering.framing import MOST_EVENT_BYTES, EventFramer
from breakeven.metering.reading import Reading, processing_of, tokens_of_bytes
from breakeven.metering.salvage import salvage
from breakeven.metering.told import settle
from breakeven.metering.wire import UNREADABLE, Chunk, Message, Usage, decode, decode_kind, written_bytes

_TERMINATOR: Final = b"data: [DONE]\n\n"
_QUOTE: Final = 34
_BACKSLASH: Final = 92
_LINE_FEED: Final = 10
_CARRIAGE_RETURN: Final = 13
_MOST_LEARNED_BYTES: Final = 1 << 16
"""Longest chunk that is remembered, and longest text between its ends: together well below the bound of an event."""

_NO_HEAD: Final = b"none"
"""With a length of 0 it equals nothing."""

MOST_HELD_BYTES: Final = 1 << 16
"""Most that is kept of the terminator and what comes after it: no client reads on."""

_TRIES: Final = 4
"""Chunks remembered in vain, one after the other, before a stream is taken for one whose chunks differ in more."""

_TEXTS: Final = ("content", "reasoning_content", "reasoning")


class StreamMeter:
    """The meter of one streamed answer."""

    __slots__ = (
        "_ending", "_framer", "_head", "_head_bytes", "_hide_usage", "_idle", "_learned_at", "_service_tier", "_tail",
        "_tail_at", "_text_bytes", "_told", "_told_at", "_told_doubtful", "_told_last", "_tries", "content_events",
        "done", "error", "events", "held", "malformed",
    )  # fmt: skip

    def __init__(self, *, hide_usage: bool) -> None:
        """``hide_usage``: we asked for the usage event and the client did not, so it is dropped."""
        self._hide_usage = hide_usage
        self._framer: EventFramer | None = None
        """Made when something comes that is not a whole event: many streams never need it."""

        self._idle = True
        """The next byte begins an event, and the terminator has not come."""

        self._ending = b"\n\n"
        """What follows the data of this stream's events."""

        self._head = _NO_HEAD
        self._head_bytes = 0
        self._tail = b""
        self._tail_at = 0
        self._tries = _TRIES
        self._learned_at = 0
        self._text_bytes = 0
        self._service_tier: str | None = None
        self._told: Usage | None = None
        self._told_doubtful = False
        self._told_last = False
        """Usage came in an event without text: not a running count beside content, in which more may be on its way."""

        self._told_at = 0
        """``content_events`` when usage was told last."""

        self.events = 0
        """Events with data that were read, the terminator not among them."""

        self.content_events = 0
        self.malformed = False
        """Some event was no JSON object."""

        self.error = False
        """Some event carried an error."""

        self.done = False
        """The terminator has come."""

        self.held = b""
        """The terminator's bytes and those after it, kept back from what ``feed`` returns."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body and return those to forward now.

        Without ``hide_usage`` that is all of them, but for a line that may become the terminator; with it whole events
        go on as they complete.  An event that is complete in ``data`` never waits.
        """
        if self._idle:
            if data[: self._head_bytes] == self._head and data[self._tail_at :] == self._tail:
                text = data[self._head_bytes : self._tail_at]
                if (
                    0 < len(text) < _MOST_LEARNED_BYTES
                    and _QUOTE not in text
                    and _BACKSLASH not in text
                    and _LINE_FEED not in text
                    and _CARRIAGE_RETURN not in text
                ):
                    self.events += 1
                    self.content_events += 1
                    self._text_bytes += len(text)
                    return data
            if data[:7] == b"data: {" and data[-2:] == b"\n\n" and len(data) <= MOST_EVENT_BYTES:
                payload = data[6:-2]
                if _LINE_FEED not in payload and _CARRIAGE_RETURN not in payload:
                    return b"" if self._judge(payload, False) and self._hide_usage else data  # noqa: FBT003 - hot path
            return self._feed_events(data)
        return self._feed_rest(data)

    def close(self) -> bytes:
        """Take the end of the body, whole or cut, and return what is left to forward before ``held``.

        To be called before ``reading`` is final: an event without its blank line is read here, if it can be, and a
        terminator without a line end found.  Calling it again is harmless.
        """
        framer = self._framer
        if framer is None or self.done:
            return b""
        forward, terminator = framer.close()
        if terminator:
            self._hold(terminator)
        return forward

    def reading(self, request_body_bytes: int, complete: bool) -> Reading:  # noqa: FBT001 - the gateway's call
        """Return the tokens of what has passed so far.

        ``complete``: the body ended as its framing promised.  Told usage stands as it is if it came after all content;
        of a stream that was cut, only if it came without content beside it.  Otherwise told input stands, and output is
        the larger of what was told and what passed, *estimated*.
        """
        input_tokens = tokens_of_bytes(request_body_bytes)
        output_tokens = max(self.content_events, tokens_of_bytes(self._text_bytes))
        processing = processing_of(self._service_tier)
        if self._told is None:
            return Reading(input_tokens, output_tokens, 0, 0, processing, estimated=True)
        reading = settle(self._told, input_tokens, output_tokens, processing, self._told_doubtful)
        if self._told_at == self.content_events and (complete or self._told_last):
            return reading
        return reading._replace(output_tokens=max(reading.output_tokens, output_tokens), estimated=True)

    def _feed_events(self, data: bytes) -> bytes:
        """Take a packet that begins with an event, and read whole events of the usual form as long as they last."""
        if data == _TERMINATOR:
            return self._hold(data)
        if data[-4:] == b"\r\n\r\n" and data[:7] == b"data: {" and len(data) <= MOST_EVENT_BYTES:
            payload = data[6:-4]
            if _LINE_FEED not in payload and _CARRIAGE_RETURN not in payload:
                self._ending = b"\r\n\r\n"
                return b"" if self._judge(payload, False) and self._hide_usage else data  # noqa: FBT003 - hot path
        forward = b""
        at = kept = 0
        while data[at : at + 7] == b"data: {":
            end = data.find(b"\n\n", at)
            payload = data[at + 6 : end]
            if end < 0 or len(payload) > _MOST_LEARNED_BYTES or _LINE_FEED in payload or _CARRIAGE_RETURN in payload:
                break
            if self._judge(payload, False) and self._hide_usage:  # noqa: FBT003 - hot path
                forward += data[kept:at]
                kept = end + 2
            at = end + 2
        forward += data[kept:at]
        rest = data[at:]
        if rest == _TERMINATOR:
            return forward + self._hold(rest)
        return forward + self._feed_framer(rest) if rest else forward

    def _feed_rest(self, data: bytes) -> bytes:
        """Take a packet that begins within an event: the framer has its end, and what follows goes the fast way."""
        if self.done:
            return self._hold(data)
        end = data.find(b"\n\n") + 2
        if not 2 <= end < len(data):
            return self._feed_framer(data)
        forward = self._feed_framer(data[:end])
        return forward + self.feed(data[end:])

    def _feed_framer(self, data: bytes) -> bytes:
        framer = self._framer
        if framer is None:
            framer = self._framer = EventFramer(self._judge, whole_events=self._hide_usage)
        if self.events:
            framer.at_start = False
        forward, terminator = framer.feed(data)
        self._idle = framer.idle
        if terminator:
            self._hold(terminator)
        return forward

    def _hold(self, data: bytes) -> bytes:
        """Keep back the terminator, and whatever comes after it."""
        self._idle = False
        self.done = True
        self.held += data[: MOST_HELD_BYTES - len(self.held)]
        return b""

    def _judge(self, payload: bytes, cut: bool) -> bool:  # noqa: FBT001 - hot path
        """Count one event; return whether its usage is all it has."""
        try:
            chunk = decode(payload)
        except UNREADABLE:
            return self._judge_salvaged(payload, cut=cut)
        choices = chunk.choices
        if not choices or len(choices) > 1 or chunk.usage is not None or chunk.error is not None or chunk.x_groq:
            return self._count(chunk, payload, doubtful=False)
        choice = choices[0]
        delta = choice.delta
        if delta is None or choice.usage is not None:
            return self._count(chunk, payload, doubtful=False)
        self.events += 1
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        length_bytes = written_bytes(delta)
        if length_bytes:
            self.content_events += 1
            self._text_bytes += length_bytes
            if self._tries:
                self._learn(payload, delta, length_bytes)
        return False

    def _judge_salvaged(self, payload: bytes, *, cut: bool) -> bool:
        salvaged = salvage(payload)
        if salvaged is not None:
            return self._count(salvaged.chunk, payload, doubtful=salvaged.doubtful)
        if not cut:
            self.events += 1
            self.content_events += 1
            self.malformed = True
        return False

    def _count(self, chunk: Chunk, payload: bytes, *, doubtful: bool) -> bool:
        """Count an event of any shape; return whether its usage is all it has."""
        self.events += 1
        choices = chunk.choices or ()
        length_bytes = sum(written_bytes(choice.delta) for choice in choices if choice.delta is not None)
        if length_bytes:
            self.content_events += 1
            self._text_bytes += length_bytes
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        if chunk.error is not None or (not choices and chunk.usage is None and _is_error(payload)):
            self.error = True
        told = [choice.usage for choice in choices] + [chunk.x_groq.usage if chunk.x_groq else None, chunk.usage]
        for usage in told:
            if usage is not None:
                self._told = usage
                self._told_doubtful = doubtful
                self._told_at = self.content_events
                self._told_last = not length_bytes
        return not choices and chunk.usage is not None and chunk.error is None

    def _learn(self, payload: bytes, delta: Message, length_bytes: int) -> None:
        """Remember the bytes around the only text of a chunk, if it can be told for certain where that is.

        In valid JSON an unescaped ``"content":"``, or the same with a space, is nothing but that key and the start of
        its value; where it is there once, and the decoded text follows letter for letter, the next chunk with the same
        ends has its text there.
        """
        if self.events - self._learned_at > _TRIES:
            self._tries = _TRIES
        self._tries -= 1
        self._learned_at = self.events
        self._head, self._head_bytes = _NO_HEAD, 0
        for name in _TEXTS:
            text = getattr(delta, name)
            key = f'"{name}":"'.encode()
            if key not in payload:
                key = f'"{name}": "'.encode()  # as Python's json writes it
            start = payload.find(key) + len(key)
            if not text or start < len(key) or payload.count(key) > 1 or len(payload) > _MOST_LEARNED_BYTES:
                continue
            raw = text.encode("utf-8", "replace")
            end = start + len(raw)
            if len(raw) == length_bytes and payload[start:end] == raw and payload[end : end + 1] == b'"':
                self._head = b"data: " + payload[:start]
                self._head_bytes = len(self._head)
                self._tail = payload[end:] + self._ending
                self._tail_at = -len(self._tail)


def _is_error(payload: bytes) -> bool:
    """Whether an event is vLLM's and SGLang's bare error: ``{"object":"error","message":…}``."""
    try:
        return decode_kind(payload).object == "error"
    except UNREADABLE:
        return False
