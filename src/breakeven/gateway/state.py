"""A snapshot as a worker uses it: lookups that cost one dictionary access, and texts rendered once.

Built from a ``Snapshot`` at start; only the keys change later, and they are swapped whole.
"""

from __future__ import annotations

import hashlib
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.gateway.choice import RouteState
from breakeven.gateway.snapshot import StoredKeys
from breakeven.ledger import rows
from breakeven.routing.eligible import CHAT, Asked
from breakeven.routing.policies import REASONS
from breakeven.upstreams.dial import Address, tls_context
from breakeven.upstreams.pool import Pool

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Key, Route, Snapshot, Target
    from breakeven.ledger.spool import Spool

ANY_MODEL: Final = "*"
_MAX_CACHED_HEADERS: Final = 10_000
_MAX_NAMED: Final = 1_000


class KeyState:
    """A key, with its texts coded for the ledger."""

    def __init__(self, key: Key | None, spool: Spool) -> None:
        self.code = spool.code(rows.KEY, key.name) if key else 0
        self.tags = spool.code(rows.TAGS, key.tags) if key else 0
        self.asked = Asked(frozenset(key.models if key else ()), "", CHAT, inf)
        """What its requests ask for as long as they say nothing else."""

        self.expires_s = key.expires_s if key else None

    def may_use(self, model: str) -> bool:
        """Whether it may ask for that model."""
        models = self.asked.allowed_models
        return not models or model in models


class Keyring:
    """Finds the key that a request presents, by the hash of what it presents."""

    def __init__(self, keys: Iterable[Key], spool: Spool, *, open_to_all: bool) -> None:
        self._by_digest = {bytes.fromhex(key.sha256): KeyState(key, spool) for key in keys}
        self._by_header: dict[bytes, KeyState] = {}
        self._anybody = KeyState(None, spool) if open_to_all else None

    def find(self, authorization: bytes, now_s: float) -> KeyState | None:
        """Return the key of an ``Authorization`` value, or None when it is unknown or has expired.

        A key that was found is remembered by the header's bytes, which saves its hash (1 µs); unknown ones
        are not, so that strangers fill no memory.
        """
        key = self._by_header.get(authorization)
        if key is None:
            if self._anybody is not None:
                return self._anybody
            scheme, _, secret = authorization.partition(b" ")
            key = self._by_digest.get(hashlib.sha256(secret.strip()).digest()) if scheme.lower() == b"bearer" else None
            if key is None:
                return None
            if len(self._by_header) < _MAX_CACHED_HEADERS:
                self._by_header[authorization] = key
        if key.expires_s is not None and now_s >= key.expires_s:
            return None
        return key


class TargetState:
    """A target, its connections, and the head of every request to it."""

    def __init__(self, target: Target, clock: Clock, spool: Spool) -> None:
        self.name = target.name
        self.model = target.model
        self.timeouts = target.timeouts
        self.stream_usage = target.stream_usage
        self.sensitivities = target.sensitivities
        self.pool = Pool(_address(target), max_connections=target.max_connections, clock=clock)
        self.in_flight = 0
        self.code = spool.code(rows.TARGET, target.name)
        self.reply_header = b"x-breakeven-target: %b\r\n" % target.name.encode("ascii", "replace")
        self.request_head = _request_head(target)
        self.priced_as = target.priced_as


class Offer:
    """A target as it serves one logical model, with the ledger's codes of both."""

    __slots__ = ("model", "model_code", "priced_code", "renamed", "target")

    def __init__(self, target: TargetState, model: str, spool: Spool) -> None:
        self.target = target
        self.model = target.model or model
        self.renamed = self.model != model
        self.model_code = spool.code(rows.MODEL, model)
        priced_as = target.priced_as
        self.priced_code = spool.code(
            rows.PRICED_AS, priced_as[:-1] + self.model if priced_as.endswith(":*") else priced_as
        )


class State:
    """Everything a worker looks up."""

    def __init__(self, snapshot: Snapshot, clock: Clock, spool: Spool) -> None:
        self._snapshot = snapshot
        self.spool = spool
        self.targets = {target.name: TargetState(target, clock, spool) for target in snapshot.targets}
        self.routes = {
            route.model: self._route_state(route, route.model) for route in snapshot.routes if route.model != ANY_MODEL
        }
        self._any = next((route for route in snapshot.routes if route.model == ANY_MODEL), None)
        self._named: dict[str, RouteState] = {}
        self._reasons: dict[str, int] = {}
        self.decisions = tuple((text.encode(), spool.code(rows.REASON, text)) for text in REASONS)
        """Text and ledger code of a policy's reasons, by the policy's code."""

        self.keyring = self._keyring(StoredKeys())

    def route(self, model: str) -> RouteState | None:
        """Return the route of a model, or None when nobody serves it."""
        route = self.routes.get(model)
        return self._any_route(self._any, model) if route is None and self._any is not None else route

    def reason(self, text: str) -> int:
        """Return the ledger's code of a reason; reasons come from a small, fixed vocabulary."""
        code = self._reasons.get(text)
        if code is None:
            code = self._reasons[text] = self.spool.code(rows.REASON, text)
        return code

    def models(self, key: KeyState) -> list[str]:
        """Return the names that a key may ask for."""
        return [name for name in self.routes if key.may_use(name)]

    def swap_keys(self, stored: StoredKeys) -> None:
        """Take the store's keys beside those of the configuration, from the next request on."""
        self.keyring = self._keyring(stored)

    def _route_state(self, route: Route, model: str) -> RouteState:
        return RouteState(route, model, tuple(Offer(self.targets[name], model, self.spool) for name in route.targets))

    def _any_route(self, route: Route, model: str) -> RouteState:
        found = self._named.get(model)
        if found is None:
            found = self._route_state(route, model)
            if len(self._named) < _MAX_NAMED:
                self._named[model] = found
        return found

    def _keyring(self, stored: StoredKeys) -> Keyring:
        keys = (*stored.keys, *self._snapshot.keys)
        return Keyring(keys, self.spool, open_to_all=self._snapshot.open_to_all and not stored.ever_made)


def _address(target: Target) -> Address:
    tls: ssl.SSLContext | None = tls_context(target.ca_file) if target.tls else None
    proxy = target.proxy
    return Address(
        host=target.host,
        port=target.port,
        tls=tls,
        connect_s=target.timeouts.connect_s,
        proxy_host=proxy.host if proxy else "",
        proxy_port=proxy.port if proxy else 0,
        proxy_authorization=proxy.authorization if proxy else "",
    )


def _request_head(target: Target) -> bytes:
    """Return everything of a request's head up to the value of its content-length."""
    lines = [
        f"POST {target.base_path}/chat/completions HTTP/1.1",
        f"host: {target.host_header}",
        *(f"{name}: {value}" for name, value in target.headers),
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "accept-encoding: identity",
        "user-agent: breakeven",
        "content-length: ",
    ]
    return "\r\n".join(lines).encode("latin-1")
