"""A stream of Anthropic's events as chat completion chunks; ``streams`` says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.protocols import errors, messages_wire, tables
from breakeven.protocols.events import DONE
from breakeven.protocols.translation import MOST_CALLS, TOO_MANY_CALLS, StreamTranslation

if TYPE_CHECKING:
    from breakeven.protocols.tables import Fields

_OK: Final = 200


class _OpenCall:
    """A call whose block is open."""

    __slots__ = ("given", "number", "written")

    def __init__(self, number: int, given: str) -> None:
        self.number = number
        self.given = given
        """The input that came as the block began: all of it, where no pieces follow."""

        self.written = False
        """Some piece of the arguments has gone on."""


class MessagesToChatStream(StreamTranslation):
    """The translation of one stream of Anthropic's events."""

    __slots__ = (
        "_calls", "_created_s", "_head", "_include_usage", "_model", "_name", "_open_calls", "_stop_reason", "_tail",
        "_usage",
    )  # fmt: skip

    def __init__(self, *, created_s: int, include_usage: bool) -> None:
        """Make one whose chunks bear ``created_s``, in seconds since 1970, and tell usage with ``include_usage``."""
        super().__init__()
        self._created_s = created_s
        self._include_usage = include_usage
        self._name = tables.chat_id(None)
        self._model = ""
        self._head = self._tail = b""
        self._set_frame()
        self._calls = 0
        self._open_calls: dict[int, _OpenCall] = {}
        self._stop_reason: str | None = None
        self._usage = messages_wire.Usage()

    def _set_frame(self) -> None:
        """Make the bytes around a chunk's delta, which do not change."""
        fields = {"id": self._name, "object": "chat.completion.chunk", "created": self._created_s, "model": self._model}
        self._head = b"data: " + msgspec.json.encode(fields)[:-1] + b',"choices":[{"index":0,"delta":'
        self._tail = b'}],"usage":null}\n\n' if self._include_usage else b"}]}\n\n"

    def _terminates(self, payload: bytes) -> bool:
        if b'"message_stop"' not in payload:
            return False
        try:
            return messages_wire.decode_event(payload).type == "message_stop"
        except tables.UNREADABLE:
            return False

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        if payload == DONE:
            return  # some servers of this protocol end with it all the same
        event = messages_wire.decode_event(payload)
        if event.type == "content_block_delta":
            self._take_delta(event, out)
        elif event.type == "content_block_start":
            self._begin(event, out)
        elif event.type == "content_block_stop":
            self._close(event.index or 0, out)
        elif event.type == "message_start":
            self._start(event, out)
        elif event.type == "message_delta":
            self._learn(event.usage)
            if event.delta is not None:
                self._stop_reason = event.delta.stop_reason or self._stop_reason
        elif event.type == "error":
            self.error = True
            out.append(b"data: %b\n\n" % errors.messages_error_to_chat(_OK, payload))
        elif event.type == "ping":
            out.append(b": ping\n\n")

    def _start(self, event: messages_wire.Event, out: list[bytes]) -> None:
        message = event.message or messages_wire.Answer()
        self._learn(message.usage)
        self._name = tables.chat_id(message.id)
        self._model = message.model or ""
        self._set_frame()
        self._say({"role": "assistant", "content": ""}, out)

    def _learn(self, usage: messages_wire.Usage | None) -> None:
        """Take what an event tells of usage: totals so far, so what is told again replaces what was told."""
        if usage is None:
            return
        for name in usage.__struct_fields__:
            value = getattr(usage, name)
            if value is not None:
                setattr(self._usage, name, value)

    def _begin(self, event: messages_wire.Event, out: list[bytes]) -> None:
        block = event.content_block
        if block is None:
            return
        if block.type == "text" and block.text:
            self._say({"content": block.text}, out)
        elif block.type == "thinking" and block.thinking:
            self._say({"reasoning_content": block.thinking}, out)
        elif block.type == "tool_use":
            number = self._calls
            self._calls += 1
            self._open_calls[event.index or 0] = _OpenCall(number, tables.arguments_of(block.input))
            identity = tables.call_id(block.id, self._name, number)
            function = {"name": block.name or "", "arguments": ""}
            call: Fields = {"index": number, "id": identity, "type": "function", "function": function}
            self._say({"tool_calls": [call]}, out)
            if self._calls > MOST_CALLS:
                self._fail(TOO_MANY_CALLS, out)

    def _take_delta(self, event: messages_wire.Event, out: list[bytes]) -> None:
        delta = event.delta
        if delta is None:
            return
        if delta.text:
            self._say({"content": delta.text}, out)
        elif delta.thinking:
            self._say({"reasoning_content": delta.thinking}, out)
        elif delta.partial_json:
            call = self._open_calls.get(event.index or 0)
            if call is not None:
                call.written = True
                self._say_arguments(call.number, delta.partial_json, out)

    def _close(self, index: int, out: list[bytes]) -> None:
        call = self._open_calls.pop(index, None)
        if call is not None and not call.written:
            self._say_arguments(call.number, call.given, out)

    def _say_arguments(self, number: int, text: str, out: list[bytes]) -> None:
        self._say({"tool_calls": [{"index": number, "function": {"arguments": text}}]}, out)

    def _say(self, delta: Fields, out: list[bytes]) -> None:
        out.append(
            b'%b%b,"logprobs":null,"finish_reason":null%b' % (self._head, msgspec.json.encode(delta), self._tail)
        )

    def _finish(self, out: list[bytes]) -> None:
        for index in tuple(self._open_calls):
            self._close(index, out)
        reason = tables.finish_of_messages(self._stop_reason, calls=self._calls > 0).encode()
        out.append(b'%b{},"logprobs":null,"finish_reason":"%b"%b' % (self._head, reason, self._tail))
        if self._include_usage:
            fields = {
                "id": self._name,
                "object": "chat.completion.chunk",
                "created": self._created_s,
                "model": self._model,
                "choices": [],
                "usage": tables.usage_of_messages(self._usage),
                **tables.tier_of_messages(self._usage),
            }
            out.append(b"data: %b\n\n" % msgspec.json.encode(fields))
        out.append(b"data: [DONE]\n\n")

    def _error_event(self, message: str) -> bytes:
        error = {"message": message, "type": "server_error", "param": None, "code": "api_error"}
        return b"data: %b\n\n" % msgspec.json.encode({"error": error})
