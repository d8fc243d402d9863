"""Puts the pieces of tool calls, which may come mixed, into an order in which one call ends before the next begins.

Chat completions say of each piece which call it belongs to, and pieces of several may take turns; Anthropic's blocks
come one after the other.  So the first call goes on at once, and pieces of another wait until the first is known to be
complete: when its arguments are a whole JSON object and another call begins, or at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breakeven.protocols import chat_wire, tables
from breakeven.protocols.events import MOST_EVENT_BYTES
from breakeven.protocols.translation import MOST_CALLS

if TYPE_CHECKING:
    from breakeven.protocols.chat_wire import ToolCall


class CallPiece(NamedTuple):
    """What is to be said next of the calls: a new one begins, or the arguments of the last go on."""

    begins: bool
    id: str | None
    name: str
    arguments: str


class _Call:
    """One call as far as it has come."""

    __slots__ = ("begun", "id", "length", "name", "pieces", "sent")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.pieces: list[str] = []
        self.length = 0
        self.sent = 0
        """How many of the pieces have gone on."""

        self.begun = False

    def is_complete(self) -> bool:
        """Whether the arguments are a whole object; of a call too long to be kept that is not known."""
        return (
            self.sent == len(self.pieces) > 0
            and self.pieces[-1].rstrip()[-1:] == "}"
            and tables.is_object("".join(self.pieces))
        )


class CallOrder:
    """The calls of one answer."""

    __slots__ = ("_at", "_by_index", "_calls", "_waiting")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int | None, _Call] = {}
        self._at = 0
        """The call whose pieces go on as they come."""

        self._waiting = 0
        """Length of all pieces that had to wait."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def is_too_much(self) -> bool:
        """Whether there are more calls, or is more that waits, than is held."""
        return len(self._calls) > MOST_CALLS or self._waiting > MOST_EVENT_BYTES

    def take(self, piece: ToolCall) -> list[CallPiece]:
        """Take one piece; return what can go on now.

        A piece belongs to the call of its ``index``.  Where a server gives several calls one index, or none, a name
        with another id begins a new one (https://github.com/ai-dynamo/dynamo/pull/4723).
        """
        function = piece.function or chat_wire.Function()
        call = self._by_index.get(piece.index)
        another = bool(call and piece.id and call.id and piece.id != call.id)
        begins = call is None or bool(function.name and (another or (piece.index is None and not piece.id)))
        if call is None or begins:
            call = self._by_index[piece.index] = _Call()
            self._calls.append(call)
        call.id = call.id or piece.id
        call.name = call.name or function.name or ""
        if function.arguments:
            call.pieces.append(function.arguments)
            call.length += len(function.arguments)
            if call is not self._calls[self._at]:
                self._waiting += len(function.arguments)
        return self._advance(may_move=begins)

    def rest(self) -> list[CallPiece]:
        """Return all that has not gone on."""
        pieces: list[CallPiece] = []
        for call in self._calls[self._at :]:
            self._say(call, pieces)
        return pieces

    def _advance(self, *, may_move: bool) -> list[CallPiece]:
        pieces: list[CallPiece] = []
        while self._calls[self._at].name:
            call = self._calls[self._at]
            self._say(call, pieces)
            if not may_move or self._at + 1 == len(self._calls) or not call.is_complete():
                break
            call.pieces.clear()
            call.sent = 0
            self._at += 1
        return pieces

    def _say(self, call: _Call, pieces: list[CallPiece]) -> None:
        if not call.begun:
            call.begun = True
            pieces.append(CallPiece(begins=True, id=call.id, name=call.name, arguments=""))
        text = "".join(call.pieces[call.sent :])
        if text:
            pieces.append(CallPiece(begins=False, id=call.id, name=call.name, arguments=text))
        call.sent = len(call.pieces)
        if call.length > MOST_EVENT_BYTES:
            call.pieces.clear()
            call.sent = 0
