"""An answer in one protocol whose client speaks another: read as the target wrote it, sent as the client reads it.

Only routes that must cross use this.  A translated answer is held until it is whole, or passes event by event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway.answer import StreamedAnswer, WholeAnswer, end_of, framed
from breakeven.gateway.dialects import CHAT_COMPLETIONS, MESSAGES_API
from breakeven.gateway.failures import UNTRANSLATABLE
from breakeven.protocols import UntranslatableError
from breakeven.protocols.answers import chat_answer_to_messages, messages_answer_to_chat
from breakeven.protocols.errors import chat_error_to_messages, messages_error_to_chat
from breakeven.protocols.requests import chat_to_messages, messages_to_chat
from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream

if TYPE_CHECKING:
    from breakeven.gateway.account import Account
    from breakeven.gateway.client import Receiver
    from breakeven.gateway.dialects import Dialect
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.targets import Offer
    from breakeven.metering.reading import Reading

DEFAULT_MAX_TOKENS: Final = 4096
"""Of an answer in Anthropic's protocol, which wants a bound, where the client of the other one gave none."""

MOST_HELD_BYTES: Final = 32 * 1024 * 1024
"""A longer answer is not translated; the longest that models write have a hundredth of it."""

_JSON: Final = b"content-type: application/json\r\n"
_EVENTS: Final = b"content-type: text/event-stream\r\n"


class Crossing(NamedTuple):
    """From a client's protocol to a target's and back."""

    client: Dialect
    target: Dialect

    def request(self, body: bytes, request: ClientRequest, offer: Offer) -> bytes:
        """Return the body that an offer's target understands.  Raises ``UntranslatableError``."""
        if self.target is MESSAGES_API:
            return chat_to_messages(body, model=offer.model, default_max_tokens=DEFAULT_MAX_TOKENS)
        asks = bool(request.stream) and offer.target.stream_usage
        return messages_to_chat(body, model=offer.model, ask_for_usage=asks, bound=offer.target.bound)

    def answer(self, body: bytes, status: int, created_s: int) -> bytes:
        """Return a whole answer, or an error, as the client reads it."""
        if status >= 400:
            to_chat = self.client is CHAT_COMPLETIONS
            return messages_error_to_chat(status, body) if to_chat else chat_error_to_messages(status, body)
        if self.client is CHAT_COMPLETIONS:
            return messages_answer_to_chat(body, created_s=created_s)
        return chat_answer_to_messages(body)

    def answering(
        self, client: Receiver, status: int, lines: bytes, account: Account, *, streamed: bool
    ) -> TranslatedAnswer | TranslatedStream:
        """Return what brings the target's answer to the client."""
        created_s = account.received_us // 1_000_000
        if not streamed:
            return TranslatedAnswer(client, status, lines, self, created_s)
        if self.client is CHAT_COMPLETIONS:
            options = account.request.stream_options
            wants_usage = bool(options is not None and options.include_usage)
            return TranslatedStream(
                client, lines, self, MessagesToChatStream(created_s=created_s, include_usage=wants_usage)
            )
        return TranslatedStream(client, lines, self, ChatToMessagesStream(model=account.request.model))


class TranslatedAnswer(WholeAnswer):
    """A whole answer, held until it can be translated."""

    def __init__(self, client: Receiver, status: int, lines: bytes, crossing: Crossing, created_s: int) -> None:
        super().__init__(client, status, _JSON + lines)
        self._read = crossing.target.read_answer
        self._crossing = crossing
        self._created_s = created_s
        self._raw = b""

    def body(self, data: bytes) -> None:
        """Take the next bytes."""
        self._held_bytes += len(data)
        if self._held_bytes <= MOST_HELD_BYTES:
            self._parts.append(data)

    def end(self) -> str:
        """Return why it cannot be translated, or nothing."""
        self._raw = b"".join(self._parts)
        try:
            self._parts = [self._crossing.answer(self._raw, self.status, self._created_s)]
        except UntranslatableError:
            return UNTRANSLATABLE
        return UNTRANSLATABLE if self._held_bytes > MOST_HELD_BYTES else ""

    def reading(self, request_body_bytes: int, *, complete: bool) -> Reading:
        """Return what it used, by what the target said."""
        del complete  # as in every whole answer
        return self._read(self._raw or b"".join(self._parts), request_body_bytes)

    def finish(self, *, close: bool, line: bytes = b"") -> bytes:
        """Return the bytes that end it; an error of the target is translated here."""
        if self.status >= 400:
            self._parts = [self._crossing.answer(b"".join(self._parts), self.status, self._created_s)]
        return super().finish(close=close, line=line)


class TranslatedStream(StreamedAnswer):
    """A stream whose events are translated as they come."""

    __slots__ = ("_translator",)

    def __init__(
        self,
        client: Receiver,
        lines: bytes,
        crossing: Crossing,
        translator: ChatToMessagesStream | MessagesToChatStream,
    ) -> None:
        super().__init__(client, _EVENTS + lines, crossing.target.meter(hide_usage=False))
        self._translator = translator

    def body(self, data: bytes) -> None:
        """Pass on what the next bytes mean, with the head before the first of them."""
        data = self._translator.feed(self._meter.feed(data))
        if data:
            head = b"" if self.started else self._head()
            self._client.write(head + framed(self._client, data))

    def chunk(self, data: bytes, chunk: bytes) -> None:
        """Pass on what the next bytes mean; the chunk that they came as is none of the client's."""
        del chunk
        self.body(data)

    def last(self, data: bytes) -> None:
        """Pass on what the last bytes mean."""
        self.body(data)

    def end(self) -> str:
        """Take the end of the body; return why this is no whole answer although it ended as one, or nothing."""
        why = super().end()
        self._rest = self._translator.feed(self._rest)
        return why or (UNTRANSLATABLE if self._translator.error and not self._meter.error else "")

    def _held(self) -> bytes:
        return self._translator.feed(self._meter.held)

    def finish(self, *, close: bool, line: bytes = b"") -> bytes:
        """Return the bytes that end it; a stream that broke gets no clean end."""
        if self._meter.error:
            return super().finish(close=close, line=line)
        head = b"" if self.started else self._head()
        rest = self._rest + self._held() + self._translator.end()
        return head + (framed(self._client, rest) if rest else b"") + end_of(self._client)
