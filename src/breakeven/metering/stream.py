"""Watches a stream of completion chunks go by: counts tokens, drops usage only we asked for, holds the terminator.

Chat completions and those of text alone come in chunks of the same form.  What is decided for all protocols stands in
``meter``; for this one, and why:

- With ``hide_usage`` a client that did not ask for usage still sees ``"usage":null`` in the chunks of servers that send
  it once asked (OpenAI does, in every chunk but the last:
  https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options).  Clients ignore it, and bytes
  that pass exactly as they came are worth more than its absence.
- The event to drop is one without choices and error whose usage is not null.  Azure's first event has no choices
  either, but no usage: it passes (https://github.com/AbanteAI/archive-old-cli-mentat/issues/429).
- Any line ``data: [DONE]`` is the terminator, even inside an event: clients that read by lines stop there.
- Without ``hide_usage`` and ``keeps_text`` parts of an event pass as they come.
- The last usage that is told counts, be it in an event of its own, with the last piece of content (Mistral, llama.cpp
  of old), or in every event (vLLM's ``continuous_usage_stats``).

Speed.  The chunks of one stream mostly differ in nothing but their text.  So the bytes before and after the text of one
chunk are remembered, and a packet that has both, with no quote, backslash or line end between them, is the same chunk
with another text, exactly; it need not be decoded.  Its text is put aside, and counted, or kept, with those of the next
chunks: one place in memory is touched then, and not each of the counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from breakeven.metering.framing import DROP, LAST, MOST_EVENT_BYTES, PASS
from breakeven.metering.meter import MOST_HELD_BYTES, EventMeter
from breakeven.metering.salvage import salvage
from breakeven.metering.wire import (
    UNREADABLE,
    Choice,
    Chunk,
    Message,
    TextChoice,
    TextChunk,
    decode,
    decode_kind,
    decode_text,
    utf8_bytes,
    written_bytes,
)  # fmt: skip

if TYPE_CHECKING:
    from breakeven.metering.kept import KeptText

_TERMINATOR: Final = b"data: [DONE]\n\n"
_QUOTE: Final = 34
_BACKSLASH: Final = 92
_LINE_FEED: Final = 10
_CARRIAGE_RETURN: Final = 13
_MOST_LEARNED_BYTES: Final = 1 << 16
"""Longest chunk that is remembered, and longest text between its ends: together well below the bound of an event."""

_NO_HEAD: Final = b"\n"
"""No event begins with it, nor does what is cut off for a head of no length equal it."""

_TRIES: Final = 4
"""Chunks remembered in vain, one after the other, before a stream is taken for one whose chunks differ in more."""

_MOST_UNCOUNTED_BYTES: Final = 1024
"""Text that is put aside before it is counted, but for the last piece."""

_TEXTS: Final = tuple(
    (name, f'"{name}":"'.encode(), f'"{name}": "'.encode())  # the latter as Python's json writes it
    for name in ("content", "text", "reasoning_content", "reasoning")
)
"""Fields whose text is learned, each with how its value begins."""

_VISIBLE: Final = ("content", "text")
"""Those of them that a reader sees; the others are reasoning."""


class StreamMeter(EventMeter):
    """The meter of one streamed completion."""

    __slots__ = (
        "_ending", "_head", "_head_cut", "_learned_at", "_learned_name", "_tail", "_tail_cut", "_text_cut", "_tries",
        "_uncounted",
    )  # fmt: skip

    def __init__(self, *, hide_usage: bool = False, keeps_text: bool = False) -> None:
        """See ``EventMeter``."""
        super().__init__(hide_usage=hide_usage, keeps_text=keeps_text)
        self._whole_events = hide_usage or keeps_text
        self._ending = b"\n\n"
        """What follows the data of this stream's events."""

        self._head = _NO_HEAD
        self._tail = b""
        self._head_cut, self._text_cut, self._tail_cut = _cuts(0, 0)
        self._tries = _TRIES
        self._learned_at = 0
        self._learned_name = ""
        """The field whose text stands between the head and the tail."""

        self._uncounted = bytearray()
        """Texts that have passed between the head and the tail, and are in no count yet; a line feed ends each."""

    @property
    def most_held_bytes(self) -> int:
        """Most that is kept of the terminator, which is short, and what comes after it."""
        return MOST_HELD_BYTES if self._kept is None else super().most_held_bytes

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body and return those to forward now.

        Without ``hide_usage`` that is all of them, but for a line that may become the terminator; with it whole events
        go on as they complete.  An event that is complete in ``data`` never waits.
        """
        if not self._idle:
            return self._feed_rest(data)
        if data[self._head_cut] == self._head and data[self._tail_cut] == self._tail:
            text = data[self._text_cut]
            if (
                0 < len(text) < _MOST_LEARNED_BYTES
                and _QUOTE not in text
                and _BACKSLASH not in text
                and _LINE_FEED not in text
                and _CARRIAGE_RETURN not in text
            ):
                uncounted = self._uncounted
                uncounted += text + b"\n"
                if len(uncounted) > _MOST_UNCOUNTED_BYTES:
                    self._settle()
                return data
        if data[:7] == b"data: {" and data[-2:] == b"\n\n" and len(data) <= MOST_EVENT_BYTES:
            payload = data[6:-2]
            if _LINE_FEED not in payload and _CARRIAGE_RETURN not in payload:
                verdict = self._judge(payload, False, False)  # noqa: FBT003 - hot path
                return self._withhold(data, verdict) if verdict else data
        return self._feed_events(data)

    def _feed_events(self, data: bytes) -> bytes:
        """Take a packet that begins with an event, and read whole events of the usual form as long as they last."""
        if data == _TERMINATOR:
            return self._hold(data)
        if data[-4:] == b"\r\n\r\n" and data[:7] == b"data: {" and len(data) <= MOST_EVENT_BYTES:
            payload = data[6:-4]
            if _LINE_FEED not in payload and _CARRIAGE_RETURN not in payload:
                self._ending = b"\r\n\r\n"
                verdict = self._judge(payload, False, False)  # noqa: FBT003 - hot path
                return self._withhold(data, verdict) if verdict else data
        forward = b""
        at = kept = 0
        while data[at : at + 7] == b"data: {":
            if (known := self._known_until(data, at)) > at:
                at = known
                continue
            end = data.find(b"\n\n", at)
            payload = data[at + 6 : end]
            if end < 0 or len(payload) > _MOST_LEARNED_BYTES or _LINE_FEED in payload or _CARRIAGE_RETURN in payload:
                break
            verdict = self._judge(payload, False, False)  # noqa: FBT003 - hot path
            if verdict:
                forward += data[kept:at]
                if verdict == LAST:
                    self._hold(data[at:])
                    return forward
                kept = end + 2
            at = end + 2
        forward += data[kept:at]
        rest = data[at:]
        if rest == _TERMINATOR:
            return forward + self._hold(rest)
        return forward + self._feed_framer(rest) if rest else forward

    def _known_until(self, data: bytes, at: int) -> int:
        """Count events, from ``at`` on, that differ from the learned one in their text alone; return their end."""
        head, tail = self._head, self._tail
        head_bytes = len(head)
        while data[at : at + head_bytes] == head:
            end = data.find(tail, at + head_bytes)
            text = data[at + head_bytes : end]
            if (
                end < 0
                or not 0 < len(text) < _MOST_LEARNED_BYTES
                or _QUOTE in text
                or _BACKSLASH in text
                or _LINE_FEED in text
                or _CARRIAGE_RETURN in text
            ):
                break
            self._uncounted += text + b"\n"
            at = end + len(tail)
        self._settle()
        return at

    def _feed_rest(self, data: bytes) -> bytes:
        """Take a packet that begins within an event: the framer has its end, and what follows goes the fast way."""
        if self._over:
            return self._hold(data)
        end = data.find(b"\n\n") + 2
        if not 2 <= end < len(data):
            return self._feed_framer(data)
        forward = self._feed_framer(data[:end])
        return forward + self.feed(data[end:])

    def _settle(self) -> None:
        """Count the texts that were put aside, and keep them where text is kept."""
        lines = self._uncounted
        if not lines:
            return
        texts = lines.count(b"\n")
        self._events += texts
        self._content_events += texts
        self._text_bytes += len(lines) - texts
        if self._kept is not None:
            if self._learned_name in _VISIBLE:
                self._kept.add_lines(bytes(lines))
            else:
                self._kept.add_reasoning()
        lines.clear()

    def _judge(self, payload: bytes, cut: bool, sent: bool) -> int:  # noqa: FBT001 - hot path
        self._settle()
        verdict = self._judge_chunk(payload, cut=cut, sent=sent)
        if self._kept is not None and verdict == PASS and not cut:
            _keep(self._kept, payload)
        return verdict

    def _judge_chunk(self, payload: bytes, *, cut: bool, sent: bool) -> int:
        try:
            chunk = decode(payload)
        except UNREADABLE:
            return self._judge_salvaged(payload, cut=cut, sent=sent)
        choices = chunk.choices
        if not choices or len(choices) > 1 or chunk.usage is not None or chunk.error is not None or chunk.x_groq:
            return self._count(chunk, payload, doubtful=False, sent=sent)
        choice = choices[0]
        delta = choice.delta
        if delta is None or choice.usage is not None:
            return self._judge_text(chunk, choice, payload, sent=sent)
        self._events += 1
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        length_bytes = written_bytes(delta)
        if length_bytes:
            self._content_events += 1
            self._text_bytes += length_bytes
            if self._tries:
                self._learn(payload, delta, length_bytes)
        return PASS

    def _judge_text(self, chunk: Chunk, choice: Choice, payload: bytes, *, sent: bool) -> int:
        """Count a chunk with one choice that has no delta, or usage in it: one of a completion that is no chat."""
        verdict = self._count(chunk, payload, doubtful=False, sent=sent)
        if self._tries and choice.delta is None and choice.usage is None:
            for found in _bare_choices(payload):
                self._learn(payload, found, utf8_bytes(found.text or ""))
        return verdict

    def _judge_salvaged(self, payload: bytes, *, cut: bool, sent: bool) -> int:
        salvaged = salvage(payload, Chunk)
        if salvaged is None:
            return self._skip(cut=cut, sent=sent)
        chunk, doubtful = salvaged
        return self._count(chunk, payload, doubtful=doubtful, sent=sent)

    def _count(self, chunk: Chunk, payload: bytes, *, doubtful: bool, sent: bool) -> int:
        """Count an event of any shape."""
        self._events += 1
        choices = chunk.choices or ()
        length_bytes = sum(written_bytes(choice.delta) for choice in choices if choice.delta is not None)
        if any(choice.delta is None for choice in choices):
            length_bytes += sum(utf8_bytes(choice.text) for choice in _bare_choices(payload) if choice.text)
        self._count_text(length_bytes)
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        told = [choice.usage for choice in choices] + [chunk.x_groq.usage if chunk.x_groq else None, chunk.usage]
        for usage in told:
            if usage is not None:
                self._told = usage
                self._told_doubtful = doubtful
                self._told_at = self._content_events
                self._told_last = not length_bytes
        if chunk.error is not None or (not choices and chunk.usage is None and _is_error(payload)):
            return self._take_error(payload, sent=sent)
        return DROP if self._hide_usage and not choices and chunk.usage is not None else PASS

    def _learn(self, payload: bytes, holder: Message | TextChoice, length_bytes: int) -> None:
        """Remember the bytes around the only text of a chunk, if it can be told for certain where that is.

        In valid JSON an unescaped ``"content":"``, or the same with a space, is nothing but that key and the start of
        its value; where it is there once, and the decoded text follows letter for letter, the next chunk with the same
        ends has its text there.
        """
        if self._events - self._learned_at > _TRIES:
            self._tries = _TRIES
        self._tries -= 1
        self._learned_at = self._events
        self._head, self._head_cut = _NO_HEAD, _cuts(0, 0)[0]
        for name, dense, spaced in _TEXTS:
            text = getattr(holder, name, None)
            if not text or len(payload) > _MOST_LEARNED_BYTES:
                continue
            key = dense if dense in payload else spaced
            start = payload.find(key) + len(key)
            if start < len(key) or payload.count(key) > 1:
                continue
            raw = text.encode("utf-8", "replace")
            end = start + len(raw)
            if len(raw) == length_bytes and payload[start:end] == raw and payload[end : end + 1] == b'"':
                self._head = b"data: " + payload[:start]
                self._tail = payload[end:] + self._ending
                self._head_cut, self._text_cut, self._tail_cut = _cuts(len(self._head), len(self._tail))
                self._learned_name = name


@lru_cache(maxsize=1 << 12)
def _cuts(head_bytes: int, tail_bytes: int) -> tuple[slice, slice, slice]:
    """Return what cuts head, text and tail out of a packet: few lengths there are, and many streams share them."""
    return slice(head_bytes), slice(head_bytes, -tail_bytes), slice(-tail_bytes, None)


def _keep(kept: KeptText, payload: bytes) -> None:
    """Keep the text of a chunk that passes, and note what else is in it."""
    try:
        choices = decode_text(payload).choices or ()
    except UNREADABLE:
        kept.block()
        return
    for choice in choices:
        message = choice.delta or Message(content=choice.text)
        if message.reasoning_content or message.reasoning:
            kept.add_reasoning()
        kept.add(message.content or "")
        called = message.tool_calls or message.function_call
        if called or message.refusal or choice.index or choice.finish_reason or len(choices) > 1:
            kept.block()


def _bare_choices(payload: bytes) -> list[TextChoice]:
    """Return the choices of a chunk that have no delta and may have a text."""
    try:
        chunk = decode_text(payload)
    except UNREADABLE:
        chunk = (salvage(payload, TextChunk) or (TextChunk(), False))[0]
    return [choice for choice in chunk.choices or () if choice.delta is None]


def _is_error(payload: bytes) -> bool:
    """Whether an event is vLLM's and SGLang's bare error: ``{"object":"error","message":…}``."""
    try:
        return decode_kind(payload).object == "error"
    except UNREADABLE:
        return False
