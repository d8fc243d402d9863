"""Addresses as people write them, taken apart and refused where they could mislead or smuggle something in."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from breakeven.forbidden import EVERYWHERE, is_forbidden

_PORTS: Final = {"http": 80, "https": 443}
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
)
_PLAIN: Final = re.compile(r"[!-~]+")
_ENDPOINTS: Final = ("/chat/completions", "/completions", "/responses", "/embeddings", "/messages")


class Address(NamedTuple):
    """A URL in parts."""

    host: str
    """Without the brackets of an IPv6 address."""

    port: int
    tls: bool
    host_header: str
    path: str
    """Without a slash at its end; empty for the root."""


def read_address(url: str) -> Address:
    """Take an http or https URL apart.  Raises ``ValueError`` in words that never repeat its credentials."""
    if not _PLAIN.fullmatch(url):
        raise ValueError("a URL has no blanks, line breaks or other characters beyond ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL: its host or its port (1 to 65535) cannot be read") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.netloc:
        raise ValueError("a URL begins with http:// or https:// and a host, such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not stand in a URL: name them by reference (env:NAME or file:PATH) instead")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a URL here has no ? and no # part")
    host = checked_host(parts.hostname or "")
    if is_forbidden(host):
        raise ValueError(f"{host} is no place for a target: machines get their own credentials there")
    if port == 0:
        raise ValueError("the port of a URL lies between 1 and 65535")
    shown = f"[{host}]" if ":" in host else host
    return Address(
        host=host,
        port=port or _PORTS[scheme],
        tls=scheme == "https",
        host_header=shown if port in (None, _PORTS[scheme]) else f"{shown}:{port}",
        path=parts.path.rstrip("/"),
    )


def check_target_url(url: str) -> str:
    """Return the URL of a target as it is.  Raises ``ValueError`` when it cannot be one."""
    address = read_address(url)
    added = next((end for end in _ENDPOINTS if address.path.endswith(end)), "")
    if added:
        raise ValueError(f"leave {added} out: the gateway adds it")
    return url


def check_proxy_url(url: str) -> str:
    """Return the URL of a CONNECT proxy as it is.  Raises ``ValueError`` when it cannot be one."""
    address = read_address(url)
    if address.tls:
        raise ValueError(
            "a proxy is spoken to in plain HTTP (http://…); what goes through it to the target is encrypted"
        )
    if address.path:
        raise ValueError("the URL of a proxy has no path: write http://HOST:PORT")
    return url


def checked_host(host: str) -> str:
    """Return a host in lower case.  Raises ``ValueError`` when it is neither a name nor an IP address."""
    lower = host.lower()
    try:
        return str(ip_address(lower))
    except ValueError:
        if not _HOST_NAME.fullmatch(lower) or lower.replace(".", "").isdigit():
            raise ValueError(f"{host[:80]!r} is neither a host name nor an IP address") from None
    return lower


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def reaches_itself(target: Address, host: str, port: int) -> bool:
    """Whether a target is the gateway that listens on that host and port."""
    local = is_loopback(target.host) and (host in EVERYWHERE or is_loopback(host))
    return target.port == port and (local or target.host == host)
