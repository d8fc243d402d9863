"""A request that the gateway makes itself: sent as a client's would be, with limits, other targets and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.dialects import BY_PATH
from breakeven.gateway.exchange import Exchange
from breakeven.gateway.requests import read_request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.labels import Labels
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.shared import Carried, Shared
    from breakeven.routing.eligible import Asked

_EMBEDDINGS = BY_PATH[b"/v1/embeddings"]
_OK = b"HTTP/1.1 200 "


class OwnRequest:
    """The client's side of it: collects the answer and hands it on."""

    dialect = _EMBEDDINGS
    passed = b""
    keeps_alive = True
    takes_chunks = False
    transport: asyncio.Transport | None = None

    def __init__(
        self, shared: Shared, key: KeyState, labels: Labels, body: bytes, then: Callable[[bytes | None], None]
    ) -> None:
        """Prepare to ask for embeddings in the name of a key; ``then`` gets the answer's body, None for any other."""
        self.key: KeyState | None = key
        self.labels: dict[bytes, bytes] = {}
        self.received_s = shared.clock.now()
        self.exchange: Carried | None = None
        self.began_s = shared.clock.monotonic()
        self._shared = shared
        self._of = labels
        self._body = body
        self._then: Callable[[bytes | None], None] | None = then
        self._received: list[bytes] = []

    def begin(self) -> bool:
        """Send it; return whether there will be an answer, or none, to hand on."""
        request = read_request(self._body, self.dialect.what)
        route = self._shared.state.route(request.model)
        if route is None:
            return False
        exchange = _OwnExchange(self._shared, self, route, request, self._body)
        exchange.labels = self._of
        return exchange.begin() is None

    def give_up(self) -> None:
        """Let the target stop, and hand on that there is no answer."""
        if self.exchange is not None:
            self.exchange.client_left()
        self._end(None)

    def write(self, data: bytes) -> None:
        """Collect."""
        self._received.append(data)

    def reply(self, reply: Reply) -> None:
        """Hand on that there is no answer: a limit that was asked elsewhere refuses it."""
        del reply
        self._end(None)

    def done(self, *, close: bool = False) -> None:
        """Hand on the answer."""
        del close
        head, _, body = b"".join(self._received).partition(b"\r\n\r\n")
        self._end(body if head.startswith(_OK) else None)

    def _end(self, body: bytes | None) -> None:
        self.exchange = None
        then, self._then = self._then, None
        if then is not None:
            then(body)


class _OwnExchange(Exchange):
    """A request that goes wherever its kind of data may, whatever models its key may ask for."""

    __slots__ = ()

    def asked(self) -> Asked:
        return Exchange.asked(self)._replace(allowed_models=frozenset())
