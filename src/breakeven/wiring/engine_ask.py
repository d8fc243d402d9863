"""Asks engines over HTTP, one question at a time: for commands; the gateway has its own way."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.engines.dialects.exposition import MAX_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.gateway.snapshot import Target


class NoAnswerError(Exception):
    """An engine did not answer, or refused; ``str()`` is why, fit for a table."""


@dataclass(frozen=True, slots=True)
class Door:
    """The way to an engine: the root of its server, and what has to be sent or trusted on the way."""

    root: str
    headers: Mapping[str, str]
    proxy: str | None = None
    proxy_authorization: str = ""
    """Value of ``Proxy-Authorization``; empty when the proxy asks for none."""

    ca_file: Path | None = None

    def __repr__(self) -> str:  # its headers hold secrets
        return f"Door({self.root})"


def door_of(target: Target) -> Door:
    """Return the way to the server that a target is on, as the gateway goes it."""
    proxy = target.proxy
    return Door(
        root=f"{'https' if target.tls else 'http'}://{target.host_header}{target.base_path.removesuffix('/v1')}",
        headers=dict(target.headers),
        proxy=f"http://{proxy.host}:{proxy.port}" if proxy else None,
        proxy_authorization=proxy.authorization if proxy else "",
        ca_file=Path(target.ca_file) if target.ca_file else None,
    )


def ask(door: Door, path: str, *, timeout_s: float, body: bytes | None = None) -> bytes:
    """Return the body of the answer to ``GET path``, or to ``POST`` where there is a body to send.

    Raises ``NoAnswerError`` where there is none, or one of another status than 200.
    """
    request = urllib.request.Request(  # noqa: S310 - an address of the settings, checked there to be http or https
        door.root + path, data=body, headers={"content-type": "application/json", **door.headers}
    )
    if door.proxy_authorization:
        request.add_header("Proxy-Authorization", door.proxy_authorization)  # moved into the CONNECT where there is one
    try:
        with _opener(door).open(request, timeout=timeout_s) as answer:
            read: bytes = answer.read(MAX_PAGE_BYTES + 1)
            return read
    except urllib.error.HTTPError as error:
        error.close()
        raise NoAnswerError(f"answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswerError(_why(error)) from error


def _opener(door: Door) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({"http": door.proxy, "https": door.proxy} if door.proxy else {})
    ]
    if door.ca_file is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(door.ca_file))))
    return urllib.request.build_opener(*handlers)


_REASONS: Final = {"timed out": "does not answer in time", "Connection refused": "nothing listens there"}


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return next((said for part, said in _REASONS.items() if part in text), text)
