"""Which headers a target may be sent besides the gateway's own, and which of them look like secrets."""

from __future__ import annotations

import re
from typing import Final

HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
HEADER_VALUE: Final = re.compile(r"[ -~]{1,8192}")
OURS: Final = frozenset(
    {
        "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
        "upgrade", "te", "trailer", "expect", "accept", "accept-encoding", "user-agent", "proxy-authorization",
        "proxy-connection",
    }
)  # fmt: skip
"""Headers that frame a request or that the gateway writes itself."""

_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"(bearer|basic) |sk-|gsk_|xai-|key-", re.IGNORECASE)


def looks_secret(name: str, value: str) -> bool:
    """Whether a header carries what belongs into the environment."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.match(value))
