"""What a worker knows of the checks of a model's answers: plain frozen values, as the rest of its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from breakeven.routing.verify import Rule  # noqa: TC001 - msgspec reads these annotations at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """A user's own check, asked over HTTP."""

    host: str
    port: int
    tls: bool
    host_header: str
    path: str = field(repr=False)
    """With a secret in it, where the URL is a reference."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Credentials, mostly."""

    timeout_s: float
    ca_file: str = ""
    sensitivities: tuple[str, ...] = ()
    """Kinds of data that it may see; it is not asked about requests that are marked with another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPlan:
    """How answers of a model are checked before a client gets them."""

    rule: Rule
    http: HttpCheck | None
    tasks: tuple[str, ...]
    """Whose answers are checked; empty: of all requests."""

    most_bytes: int
    """Longest answer that is held until it is checked."""

    passes_unverifiable: bool
    """Whether an answer that cannot be checked is given to the client, or another target asked."""

    verifies_last: bool
    """Whether an answer is checked too behind which there is no other target."""
