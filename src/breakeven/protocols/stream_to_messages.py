"""A stream of chat completion chunks as Anthropic's events; ``streams`` says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.protocols import chat_wire, errors, tables
from breakeven.protocols.calls import CallOrder
from breakeven.protocols.events import DONE, MOST_EVENT_BYTES
from breakeven.protocols.translation import TOO_MANY_CALLS, StreamTranslation

if TYPE_CHECKING:
    from breakeven.protocols.calls import CallPiece
    from breakeven.protocols.tables import Fields

_TEXT: Final = "text"
_THINKING: Final = "thinking"
_NEW_BLOCKS: Final[dict[str, Fields]] = {
    _TEXT: {"type": "text", "text": ""},
    _THINKING: {"type": "thinking", "thinking": "", "signature": ""},
}
_DELTA: Final = b"event: content_block_delta\ndata: "
_OK: Final = 200
_MOST_BLANK: Final = 4096
"""Longest blank text that waits for other text."""


class ChatToMessagesStream(StreamTranslation):
    """The translation of one stream of chat completion chunks."""

    __slots__ = (
        "_answer_id", "_blank", "_block", "_calls", "_finish_reason", "_later", "_later_length", "_model", "_open",
        "_refused", "_sequence", "_started", "_usage",
    )  # fmt: skip

    def __init__(self, *, model: str) -> None:
        """Make one that tells the client ``model``."""
        super().__init__()
        self._model = model
        self._started = False
        self._answer_id: str | None = None
        self._block = -1
        """Number of the last block that was begun."""

        self._open: str | None = None
        """What the last block is, while it is open."""

        self._calls = CallOrder()
        self._later: list[tuple[str, str]] = []
        """Text that came after a call began: it waits for the calls to end."""

        self._later_length = 0
        self._blank = ""
        """Blank text that waits for other text, for it makes no block by itself."""

        self._refused = False
        self._finish_reason: str | None = None
        self._sequence: object = None
        self._usage: chat_wire.Usage | None = None

    def _terminates(self, payload: bytes) -> bool:
        return payload == DONE

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        answer = chat_wire.decode_answer(payload)
        if answer.error is not None or answer.object == "error":
            self.error = True
            out.append(b"event: error\ndata: %b\n\n" % errors.chat_error_to_messages(_OK, payload))
            return
        if answer.usage is not None:
            self._usage = answer.usage
        for choice in answer.choices or ():
            if choice.index:
                continue  # no request that was translated asks for a second answer
            if not self._started:
                self._start(answer.id, out)
            self._sequence = choice.stop_reason or choice.matched_stop or self._sequence
            self._finish_reason = choice.finish_reason or self._finish_reason
            if choice.delta is not None:
                self._take_delta(choice.delta, out)

    def _take_delta(self, delta: chat_wire.Message, out: list[bytes]) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            self._say(_THINKING, reasoning, out)
        if delta.content:
            self._say(_TEXT, delta.content, out)
        if delta.refusal:
            self._refused = True
            self._say(_TEXT, delta.refusal, out)
        for call in delta.tool_calls or ():
            for piece in self._calls.take(call):
                self._call(piece, out)
        if self._calls.is_too_much or self._later_length > MOST_EVENT_BYTES:
            self._fail(TOO_MANY_CALLS, out)

    def _start(self, answer_id: str | None, out: list[bytes]) -> None:
        self._started = True
        self._answer_id = answer_id
        message: Fields = {
            "id": tables.message_id(answer_id),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": tables.usage_of_chat(self._usage, None),
        }
        out.append(_event("message_start", {"message": message}))

    def _say(self, kind: str, text: str, out: list[bytes]) -> None:
        """Add text to the block of its kind, or begin one; once a call has begun, text waits."""
        if len(self._calls):
            self._later.append((kind, text))
            self._later_length += len(text)
            return
        if self._open != kind:
            if kind == _TEXT:
                text, self._blank = self._blank + text, ""
                if len(text) < _MOST_BLANK and not text.strip():
                    self._blank = text
                    return
            self._begin(kind, _NEW_BLOCKS[kind], out)
        encoded = msgspec.json.encode(text)
        out.append(
            b'%b{"type":"content_block_delta","index":%d,"delta":{"type":"%b_delta","%b":%b}}\n\n'
            % (_DELTA, self._block, kind.encode(), kind.encode(), encoded)
        )

    def _call(self, piece: CallPiece, out: list[bytes]) -> None:
        if piece.begins:
            number = self._block + 1
            identity = tables.call_id(piece.id, self._answer_id, number)
            self._begin("tool_use", {"type": "tool_use", "id": identity, "name": piece.name, "input": {}}, out)
            return
        out.append(
            b'%b{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":%b}}\n\n'
            % (_DELTA, self._block, msgspec.json.encode(piece.arguments))
        )

    def _begin(self, kind: str, block: Fields, out: list[bytes]) -> None:
        self._close(out)
        self._open = kind
        self._block += 1
        out.append(_event("content_block_start", {"index": self._block, "content_block": block}))

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            self._open = None
            out.append(_event("content_block_stop", {"index": self._block}))

    def _finish(self, out: list[bytes]) -> None:
        if not self._started:
            self._start(None, out)
        for piece in self._calls.rest():
            self._call(piece, out)
        calls = len(self._calls) > 0
        self._calls = CallOrder()
        for kind in (_THINKING, _TEXT):
            text = "".join(said for of, said in self._later if of == kind)
            if text.strip():
                self._say(kind, text, out)
        self._close(out)
        finish = "content_filter" if self._refused else self._finish_reason
        reason, sequence = tables.stop_of_chat(finish, self._sequence, calls=calls)
        usage = tables.usage_of_chat(self._usage, None)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        out.append(_event("message_delta", {"delta": delta, "usage": usage}))
        out.append(_event("message_stop", {}))

    def _error_event(self, message: str) -> bytes:
        return _event("error", {"error": {"type": "api_error", "message": message}})


def _event(name: str, fields: Fields) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode({"type": name} | fields))
