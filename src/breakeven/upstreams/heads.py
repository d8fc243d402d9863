"""Heads that repeat: bytes that were parsed and accepted once need not be parsed again.

Clients and local engines say the same in every head, but for the length of the body.  So a head is kept as the
bytes around the digits of its ``content-length``; a packet that has both, and then exactly so many bytes, is that
head with another body.  Equal bytes mean the same, so nothing is guessed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_LESSONS: Final = 4
"""Heads that are kept in vain, one after the other, before a peer is taken for one whose heads always differ."""

_LENGTH: Final = re.compile(rb"\r\n(?i:content-length):[ \t]*([0-9]+)\r\n")
_MAX_DIGITS: Final = 12


class RepeatedHead(NamedTuple):
    """A head, around the digits of its content-length."""

    before: bytes
    after: bytes

    def body_at(self, packet: bytes) -> int:
        """Return where the body begins in a packet that is this head and one whole body; else -1."""
        before, after = self
        if not packet.startswith(before):
            return -1
        start = len(before)
        end = packet.find(b"\r", start, start + _MAX_DIGITS)
        digits = packet[start:end]
        if digits.isdigit() and packet.startswith(after, end):
            at = end + len(after)
            if len(packet) - at == int(digits):
                return at
        return -1


def repeated_head(packet: bytes, body_bytes: int) -> RepeatedHead | None:
    """Return the head of a packet that was parsed and held one message with a body of that size.

    None when the packet holds anything else, or the head does not announce the size once, in digits.
    """
    end = packet.find(b"\r\n\r\n") + 4
    found = _LENGTH.search(packet, 0, end)
    if end < 4 or found is None or end + body_bytes != len(packet) or int(found[1]) != body_bytes:
        return None
    return RepeatedHead(packet[: found.start(1)], packet[found.end(1) : end])
