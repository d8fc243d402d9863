"""Heads of requests: the one that a client repeats, what else is bounded, the wish for another protocol taken out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway.replies import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.gateway.dialects import Dialect
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.snapshot import Limits
    from breakeven.upstreams.heads import RepeatedHead

MAX_REFUSED_BYTES: Final = 1024 * 1024
"""Of a request that is refused so much is read for politeness; then it is answered and closed."""

MAX_FRAMING_BYTES: Final = 1024 * 1024
"""A chunked body may take so much more on the wire than twice its limit, and no more."""

PASSED: Final = (b"anthropic-beta", b"openai-beta")
"""Headers of a client that its target is to see; no other one leaves this gateway."""

EPISODE: Final = b"x-breakeven-episode"
TRACE_PARENT: Final = b"traceparent"
"""Names a client's trace, which stands for an episode where none is named: https://www.w3.org/TR/trace-context/."""

_TRACE_PARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
_VERSION: Final = b"00"
"""Of ``traceparent``; later ones may have more at the end."""

_X: Final = (b"x-", b"X-")
_LABEL: Final = b"breakeven-"
LABEL_BYTES: Final = 12
"""Of ``x-breakeven-``."""

_UPGRADING: Final = (b"upgrade", b"http2-settings", b"connection")


class KnownHead(NamedTuple):
    """A head that was accepted, and what it says."""

    head: RepeatedHead
    dialect: Dialect
    authorization: bytes
    labels: dict[bytes, bytes]
    passed: bytes


class RawHeaders(dict[bytes, bytes]):
    """The headers of one request, by their names as its client writes them; labels by lower-case ones."""

    __slots__ = ()

    def take(self, name: bytes, value: bytes) -> None:
        """Take the next one; a label that comes again, however it is spelled, takes nothing of the first away."""
        if name[:2] in _X and name[2:LABEL_BYTES].lower() == _LABEL:
            name = name.lower()
            if name in self:
                value = self[name] + b"," + value
        self[name] = value


def passed_lines(spelled: Mapping[bytes, bytes], headers: Mapping[bytes, bytes]) -> bytes:
    """Return the header lines that go on to the target; ``spelled`` maps lower-case names to those of the client."""
    lines = [b"%b: %b\r\n" % (name, headers[spelled[name]]) for name in PASSED if name in spelled]
    return b"".join(lines)


def label_names(spelled: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the names, as the client writes them, of headers that say something about its requests."""
    found = [name for lower, name in spelled.items() if lower.startswith(b"x-breakeven-")]
    if TRACE_PARENT in spelled and EPISODE not in spelled:
        found.append(spelled[TRACE_PARENT])
    return found


def episode_of(labels: Mapping[bytes, bytes]) -> bytes:
    """Return the episode that a client names, else the id of the trace that it is in; empty for neither."""
    parent = labels.get(TRACE_PARENT)
    if parent is None:
        return labels.get(EPISODE, b"")
    read = _TRACE_PARENT.fullmatch(parent.strip())
    return b"" if read is None or (read[1] == _VERSION and read[3]) else read[2]


def head_too_large(limits: Limits) -> Reply:
    """Return the refusal of a head beyond the bound."""
    return refusal(431, f"The head has more than {limits.header_bytes:,} bytes.", "head_too_large")


def body_too_large(limits: Limits) -> Reply:
    """Return the refusal of a body beyond the bound."""
    return refusal(413, f"The body has more than {limits.body_bytes:,} bytes.", "body_too_large", close=True)


def head_bytes(headers: Mapping[bytes, bytes]) -> int:
    """Return what headers take on the wire."""
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def without_upgrade(method: bytes, url: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """Write a head anew, without the headers that ask for another protocol."""
    lines = [b"%b %b HTTP/1.1" % (method, url)]
    lines += [b"%b: %b" % line for line in headers.items() if line[0].lower() not in _UPGRADING]
    return b"\r\n".join(lines) + b"\r\n\r\n"
