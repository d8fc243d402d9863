"""``control:`` of ``breakeven.yaml``: where the control plane listens, and who may do what there."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from pydantic import Field

from breakeven.forbidden import EVERYWHERE
from breakeven.settings.address import is_loopback
from breakeven.settings.fields import Digest, Host, Label, Port, Reference
from breakeven.settings.secret import Secret
from breakeven.sources.shape import Place
from breakeven.sources.written import Strict

RoleName = Literal["viewer", "operator", "admin"]
"""Names of ``console.plan.Role`` in lower case; a test keeps the two together."""

MIN_TOKEN_CHARACTERS: Final = 16
"""Shorter tokens could be guessed."""

_OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()


class TokenEntry(Strict):
    """A token of the control plane: its digest, or a reference to it."""

    name: Label = Field(description="What the log calls who brings it.")
    sha256: Digest | None = Field(None, description="SHA-256 of the whole token, in hex; never the token itself.")
    token: Reference | None = Field(None, description="Reference to the token, in its place: env:NAME or file:PATH.")
    role: RoleName = Field(
        description="viewer: reads; operator: also takes targets out of service, holds shifts of traffic or takes them "
        "back, and has the settings read again; "
        "admin: also makes, rotates and revokes keys."
    )

    def digest(self, secrets: Mapping[str, Secret]) -> str:
        """Return its digest in lower case; a reference is looked up among ``secrets``."""
        if self.sha256 is not None:
            return self.sha256.lower()
        assert self.token is not None, "one of the two is there"
        return hashlib.sha256(secrets[self.token].reveal().encode()).hexdigest()


class ControlEntry(Strict):
    """The control plane: a page, metrics, usage and keys, on an address of its own."""

    host: Host = Field("127.0.0.1", description="Address to listen on; beyond loopback, tokens are needed.")
    port: Port = Field(9401, description="TCP port to listen on.")
    names: tuple[Host, ...] = Field(
        (), description="Further host names by which it is called, as behind a proxy or in a cluster."
    )
    tokens: tuple[TokenEntry, ...] = Field(
        (), description="Who may do what; without any, everybody on this machine may read, and nobody change anything."
    )


class Slip(NamedTuple):
    """Something wrong in the section: where in it, what, and what to do."""

    place: Place
    what: str
    fix: str = ""


def slips(entry: ControlEntry, secrets: Mapping[str, Secret], listen_host: str, listen_port: int) -> Iterator[Slip]:
    """Yield what is wrong with the section as a whole; ``secrets`` are the references that resolve."""
    if not entry.tokens and not is_loopback(entry.host):
        what = f"listening on {entry.host} needs tokens, or everybody who reaches it could see what you spend."
        yield Slip(("host",), what, "List one under control: tokens:, or listen on 127.0.0.1.")
    same_host = entry.host == listen_host or {entry.host, listen_host} & EVERYWHERE
    if entry.port == listen_port and same_host:
        yield Slip(("port",), "this is the gateway's own port (listen: port).", "Give one of the two another.")
    names: set[str] = set()
    digests: dict[str, str] = {}
    for index, token in enumerate(entry.tokens):
        place: Place = ("tokens", index)
        if token.name in names:
            yield Slip((*place, "name"), f"the name {token.name!r} stands twice: the log could not tell them apart.")
        names.add(token.name)
        if (token.sha256 is None) == (token.token is None):
            yield Slip(place, "a token has either sha256 or token.", "Give one of the two.")
        elif token.token is None or token.token in secrets:
            yield from _of_token(token, place, secrets, digests)


def _of_token(
    token: TokenEntry, place: Place, secrets: Mapping[str, Secret], digests: dict[str, str]
) -> Iterator[Slip]:
    digest = token.digest(secrets)
    too_short = token.token is not None and len(secrets[token.token].reveal()) < MIN_TOKEN_CHARACTERS
    if too_short or digest == _OF_NOTHING:
        fix = "Make one with `openssl rand -hex 32`."
        yield Slip(place, f"a token has at least {MIN_TOKEN_CHARACTERS} characters, so that it cannot be guessed.", fix)
    if digest in digests:
        yield Slip(place, f"this is the same token as {digests[digest]!r}.")
    digests[digest] = token.name
