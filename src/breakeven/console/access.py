"""Who may do what: tokens by their digests, and the host names by which the control plane may be called."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.console.call import RefusedError
from breakeven.console.plan import Role
from breakeven.forbidden import EVERYWHERE

if TYPE_CHECKING:
    from breakeven.console.plan import ControlPlan

_HOST: Final = re.compile(r"(\[[0-9a-f:.%]{1,64}\]|[a-z0-9._-]{1,253})(:\d{1,5})?", re.IGNORECASE)


class Caller(NamedTuple):
    """Somebody who calls."""

    name: str
    role: Role


_NOBODY: Final = Caller("", Role.ANYONE)


class Gate:
    """Lets callers in, or not."""

    def __init__(self, plan: ControlPlan) -> None:
        self._tokens = tuple((bytes.fromhex(token.sha256), token) for token in plan.tokens)
        self._names = frozenset({"localhost", plan.host, *plan.names})
        self._by_any_address = plan.host in EVERYWHERE

    def admit(self, authorization: str, needed: Role, *, browser: bool) -> Caller:
        """Return who calls.  Raises ``RefusedError`` for somebody unknown, and for one who may not.

        ``browser`` takes a token as the password of HTTP Basic too, which a browser asks for.  Browsers send that
        along with requests that another site makes, so it must not be allowed where anything is changed, unless that
        takes a form of our own page (``forms``).
        """
        if needed is Role.ANYONE:
            return _NOBODY
        caller = self._caller(authorization, browser=browser)
        if caller.role >= needed:
            return caller
        if caller.name:
            message = f"The token {caller.name!r} has the role {caller.role.name.lower()}; this needs {_said(needed)}."
        elif self._tokens:
            raise RefusedError(401, "no_token", "Send 'Authorization: Bearer TOKEN' with a token of control: tokens.")
        else:
            message = f"This needs {_said(needed)}, and there are no tokens. Add one under control: tokens."
        raise RefusedError(403, "not_allowed", message)

    def check_host(self, header: str) -> None:
        """Refuse a call by another name than ours: a page elsewhere may have its own name point here.

        Raises ``RefusedError``.
        """
        found = _HOST.fullmatch(header)
        name = found[1].strip("[]").lower().rstrip(".") if found else ""
        with suppress(ValueError):
            address = ip_address(name)
            if address.is_loopback or self._by_any_address:  # no page can have an address of ours for its own
                return
            name = str(address)
        if name in self._names:
            return
        raise RefusedError(
            421, "unknown_host", "The Host header names another host than this one. Add it to control: names."
        )

    def _caller(self, authorization: str, *, browser: bool) -> Caller:
        if not authorization:
            return Caller("", Role.ANYONE if self._tokens else Role.VIEWER)
        token = _token_in(authorization, browser=browser)
        digest = hashlib.sha256(token).digest()
        found: Caller | None = None
        for known, item in self._tokens:  # all of them, so that time does not tell which came close
            if hmac.compare_digest(known, digest) and token:
                found = Caller(item.name, item.role)
        if found is None:
            raise RefusedError(401, "unknown_token", "This token is not known here.")
        return found


def _token_in(authorization: str, *, browser: bool) -> bytes:
    """Return the token of a header's value; empty for one that has none."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode("latin-1", "replace")
    if kind.lower() == "basic" and browser:
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    return b""


def _said(role: Role) -> str:
    return f"the role {role.name.lower()}"
