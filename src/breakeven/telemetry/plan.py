"""Everything that the process which sends spans and events is told at its start: plain frozen values.

Secrets are in it in the clear, so it travels only through memory, never through a file or a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target as spans describe it."""

    name: str
    provider: str
    """By the name that settings have for it; empty: not known."""

    host: str
    port: int
    protocols: tuple[str, ...]
    """Names in ``routing.eligible.PROTOCOLS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryPlan:
    """One version of what the senders know."""

    host: str
    """Of the receiver."""

    port: int
    tls: bool
    path: str
    """Of its base URL, without a slash at its end; behind it stands what is sent (``receiver.Signal``)."""

    shown: str
    """The receiver's base URL, fit to be shown."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """What every request to it carries: credentials, mostly."""

    ca_file: str
    """Authorities that vouch for it; empty: those of the system."""

    service_name: str
    version: str
    """Of the program."""

    places: tuple[Place, ...]
    teams: tuple[tuple[str, str], ...]
    """Name and team of the keys that stand in the settings."""

    folder: str
    """The ledger's."""

    store: str
