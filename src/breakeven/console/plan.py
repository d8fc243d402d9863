"""Everything that the control plane is told at its start: plain frozen values, references and hashes, no secrets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a caller may do; each may do what those before it may."""

    ANYONE = 0
    """Without a token: whether it lives."""

    VIEWER = 1
    """Read everything but keys."""

    OPERATOR = 2
    """Take targets out of service and back, hold shifts or take them back, have the settings read again."""

    ADMIN = 3
    """Make, rotate and revoke keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of the control plane, known by its hash alone."""

    name: str
    sha256: str
    """Hex digest of the whole token, in lower case."""

    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTarget:
    """A target as it may be shown."""

    name: str
    url: str
    model: str
    priced_as: str
    key: str
    """The reference to its key, never the key; empty when it has none."""

    headers: tuple[str, ...]
    """Names of further headers; values are not shown, whether they are secrets or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownModel:
    """A model as clients name it."""

    name: str
    policy: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlan:
    """One version of what the control plane knows."""

    host: str
    port: int
    names: tuple[str, ...]
    """Host names besides its own and those of loopback by which it may be called."""

    tokens: tuple[Token, ...]
    """Empty only on loopback: then everybody on this machine may read, and nobody change anything."""

    version: str
    """Of the program."""

    source: str
    """Where the settings stand."""

    listen: str
    """``host:port`` of the gateway."""

    workers: int
    targets: tuple[ShownTarget, ...]
    models: tuple[ShownModel, ...]
    keys: tuple[str, ...]
    """Names of the keys that stand in the settings."""

    folder: str
    """The ledger's."""

    store: str
