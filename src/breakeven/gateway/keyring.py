"""Virtual keys as a worker checks them: by the hash of what a request presents."""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.gateway.dialects import DIALECTS
from breakeven.gateway.handover import BEHALF, BESIDE
from breakeven.ledger import rows
from breakeven.routing.eligible import Asked, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.gateway.snapshot import Key
    from breakeven.ledger.spool import Spool

_MAX_CACHED_HEADERS: Final = 10_000


class KeyState:
    """A key, with its texts coded for the ledger."""

    def __init__(self, key: Key | None, spool: Spool, of_tags: Mapping[str, str]) -> None:
        """Take a key, or nobody's; ``of_tags``: the kind of data that a tag stands for."""
        self.name = key.name if key else ""
        self.team = key.team if key else ""
        self.tag_text = key.tags if key else ""
        self.limited = False
        """Whether any limit may hold for its requests."""

        self.code = spool.code(rows.KEY, key.name) if key else 0
        self.tags = spool.code(rows.TAGS, key.tags) if key else 0
        models = frozenset(key.models if key else ())
        self.of_tags = of_tags
        self.sensitivities = marks((key.sensitivity,), key.tags, of_tags) if key else frozenset()
        """Kinds of data that all of its requests are marked with; nothing that one says takes any of them away."""

        self.asked = tuple(Asked(models, self.sensitivities, dialect.protocol, inf) for dialect in DIALECTS)
        """By dialect, what its requests ask for as long as they say nothing else."""

        self.priority = key.priority if key else 0
        self.expires_s = key.expires_s if key else None

    def may_use(self, model: str) -> bool:
        """Whether it may ask for that model."""
        models = self.asked[0].allowed_models
        return not models or model in models


class Keyring:
    """Finds the key that a request presents, by the hash of what it presents."""

    def __init__(
        self, keys: Iterable[Key], spool: Spool, *, open_to_all: bool, of_tags: Mapping[str, str], behalf: str = ""
    ) -> None:
        """Take them; ``behalf`` is the secret with which requests come in the name of a key.

        ``of_tags``: the kind of data that a tag stands for.
        """
        self._behalf = tuple(kind + behalf.encode() + b":" for kind in (BEHALF, BESIDE)) if behalf else ()
        self._by_digest = {bytes.fromhex(key.sha256): KeyState(key, spool, of_tags) for key in keys}
        self._by_header: dict[bytes, KeyState] = {}
        self._anybody = KeyState(None, spool, of_tags) if open_to_all else None
        self.states = (*self._by_digest.values(), *([self._anybody] if self._anybody else ()))
        """All that can be found."""

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
            if key is None and secret.startswith((BEHALF, BESIDE)):
                key = self._named(secret, now_s)
            if key is None:
                return None
            if len(self._by_header) < _MAX_CACHED_HEADERS:
                self._by_header[authorization] = key
        if key.expires_s is not None and now_s >= key.expires_s:
            return None
        return key

    def is_beside(self, authorization: bytes) -> bool:
        """Whether an ``Authorization`` value is that of the process of trials."""
        begin = b"Bearer " + self._behalf[1] if self._behalf else b""
        return bool(begin) and compare_digest(authorization[: len(begin)], begin)

    def _named(self, token: bytes, now_s: float) -> KeyState | None:
        """Return the key in whose name the gateway's own process asks, where the token is that process's."""
        known = [begin for begin in self._behalf if compare_digest(token[: len(begin)], begin)]
        if not known:
            return None
        name = token[len(known[0]) :].decode("ascii", "replace")
        found = [key for key in self._by_digest.values() if key.name == name]
        valid = [key for key in found if key.expires_s is None or now_s < key.expires_s]
        return next(iter(valid or found), None)
