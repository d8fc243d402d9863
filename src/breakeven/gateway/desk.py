"""Decides what becomes of a request: refused, answered by the gateway itself, or carried to a target.

Everything that a stranger could do is refused here before the body is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import msgspec

from breakeven.gateway import connection as phases
from breakeven.gateway import handover, replies
from breakeven.gateway.aside import HEADER, REASONS, read_aside
from breakeven.gateway.aside_exchange import AsideExchange
from breakeven.gateway.copied import carried
from breakeven.gateway.dialects import BY_PATH, CHAT_COMPLETIONS
from breakeven.gateway.exchange import Exchange
from breakeven.gateway.heads import body_too_large
from breakeven.gateway.labels import Labels
from breakeven.gateway.outcome_desk import OUTCOMES
from breakeven.gateway.requests import BadRequestError, read_request

if TYPE_CHECKING:
    from breakeven.gateway.connection import ClientConnection
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.outcome_desk import OutcomeDesk
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared

MODELS: Final = b"/v1/models"
ONE_MODEL: Final = b"/v1/models/"
HEALTH: Final = b"/health"

_METHODS: Final = dict.fromkeys(BY_PATH, b"POST") | {MODELS: b"GET", HEALTH: b"GET", OUTCOMES: b"POST"}

_STOPPING: Final = replies.refusal(
    503, "The gateway is stopping; send the request again.", "stopping", close=True, extra=replies.RETRY_LATER
)
_FULL: Final = replies.refusal(
    503,
    "The gateway cannot write its ledger and takes no requests until it can.",
    "ledger_full",
    extra=replies.RETRY_LATER,
)
_NO_KEY: Final = replies.refusal(
    401,
    "This key is not known here. Send 'Authorization: Bearer KEY' (or 'x-api-key: KEY') with a key of this gateway.",
    "invalid_api_key",
    extra=b"www-authenticate: Bearer\r\n",
)


class Desk:
    """The desk at which every request of one worker arrives."""

    def __init__(self, shared: Shared, outcomes: OutcomeDesk) -> None:
        self.shared = shared
        self.outcomes = outcomes
        self.connections: set[ClientConnection] = set()

    @property
    def busy(self) -> bool:
        """Whether some client still waits for an answer, or for the rest of one."""
        return any(connection.busy for connection in self.connections)

    def admit(self, connection: ClientConnection) -> bool:
        """Count a connection in, unless there are too many."""
        if len(self.connections) >= self.shared.limits.max_connections:
            return False
        self.connections.add(connection)
        return True

    def gone(self, connection: ClientConnection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)

    def check_head(self, connection: ClientConnection, method: bytes, path: bytes) -> Reply | None:
        """Return why the request is refused, or None; its protocol and its key go to the connection."""
        connection.dialect = BY_PATH.get(path, CHAT_COMPLETIONS)
        wanted = _METHODS.get(path) or (b"GET" if path.startswith(ONE_MODEL) else None)
        if wanted is None and self.shared.batches and path.startswith(handover.PATHS):
            refused = self.check_now(connection)
            if refused is None:
                connection.phase = phases.HANDED
            return refused
        if wanted is None:
            return replies.refusal(404, f"There is nothing at {_shown(path)}.", "unknown_path")
        if method != wanted:
            message = f"{_shown(path)} takes {wanted.decode()}, not {_shown(method)}."
            return replies.refusal(405, message, "wrong_method", extra=b"allow: %b\r\n" % wanted)
        if path == HEALTH:
            return _STOPPING if self.shared.draining else None
        if connection.announced_bytes > self.shared.limits.body_bytes:
            return body_too_large(self.shared.limits)
        refused = self.outcomes.too_large(connection.announced_bytes) if path == OUTCOMES else None
        return refused or self.check_now(connection)

    def check_now(self, connection: ClientConnection) -> Reply | None:
        """Check what may have changed since the same head was accepted; the key goes to ``connection.key``."""
        connection.key = self.shared.state.keyring.find(connection.authorization, connection.received_s)
        if connection.key is None:
            return _NO_KEY
        if self.shared.draining:
            return _STOPPING
        return _FULL if self.shared.recorder.full else None

    def act(self, connection: ClientConnection, path: bytes, body: bytes) -> None:
        """Act on a request that was not refused."""
        if path in BY_PATH:
            refused = self.carry(connection, body)
            if refused is not None:
                connection.reply(refused)
        elif path == HEALTH:
            connection.reply(self._health())
        elif path == OUTCOMES:
            assert connection.key is not None  # checked with the head
            connection.reply(self.outcomes.take(connection.key.name, body, connection.received_s))
        else:
            connection.reply(self._models(connection, path))

    def carry(self, connection: ClientConnection, body: bytes) -> Reply | None:
        """Carry a request for a model to a target; return why not, if it is refused."""
        try:
            request = read_request(body, connection.dialect.what)
        except BadRequestError as error:
            return replies.refusal(400, str(error), "invalid_request")
        beside = bool(connection.labels) and HEADER in connection.labels  # anybody may write it; it needs our secret
        if beside and self.shared.state.keyring.is_beside(connection.authorization):
            return self._carry_aside(connection, request, body)
        route = self.shared.state.route(request.model)
        if route is None:
            return replies.unknown_model(request.model)
        if not route.is_plain:
            return carried(self.shared, connection, route, request, body).begin()
        return Exchange(self.shared, connection, route, request, body).begin()

    def _carry_aside(self, connection: ClientConnection, request: ClientRequest, body: bytes) -> Reply | None:
        """Carry a request of the process of trials to the target or the judge that it names."""
        aside = read_aside(connection.labels[HEADER], request.model)
        route = self.shared.state.aside(aside) if aside is not None else None
        if aside is None or route is None:
            return replies.unknown_model(request.model)
        exchange = AsideExchange(self.shared, connection, route, request, body)
        exchange.reason = REASONS[aside.kind]
        return exchange.begin()

    def hand_over(self, connection: ClientConnection, read: bytes) -> Reply | None:
        """Give a request for files or batches to the process that serves them; return why not, if it is away."""
        key = connection.key
        assert key is not None  # checked with the head
        if connection.transport is None:
            return None
        said = Labels(connection.labels, key, self.shared.state.spool) if connection.labels else key
        handed = handover.Handed(
            key=key.name,
            team=key.team,
            models=tuple(key.asked[0].allowed_models),
            sensitivities=tuple(said.sensitivities),
            read=handover.without_hops(read),
        )
        return handover.hand_over(self.shared.batches, connection.transport, handed)

    def _health(self) -> Reply:
        if self.shared.recorder.full:
            return _FULL
        return replies.Reply(200, b'{"status":"ok"}')

    def _models(self, connection: ClientConnection, path: bytes) -> Reply:
        key: KeyState | None = connection.key
        names = self.shared.state.models(key) if key else []
        if path == MODELS:
            return replies.Reply(200, replies.model_list(names))
        name = _shown(unquote_to_bytes(path[len(ONE_MODEL) :]))
        if name not in names:
            return replies.unknown_model(name)
        return replies.Reply(200, msgspec.json.encode(replies.model_card(name)))


def _shown(text: bytes) -> str:
    """Return what a client sent, fit to be shown to it."""
    return text[:200].decode("ascii", "replace")
