"""What an attempt can die of, whether another target is tried for it, and what the client is told in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway import replies
from breakeven.upstreams.connection import CONNECT_TIMEOUT, SATURATED

if TYPE_CHECKING:
    from breakeven.gateway.replies import Reply

FIRST_TOKEN_TIMEOUT: Final = "first_token_timeout"  # noqa: S105 - a token of a language model
BETWEEN_TOKENS_TIMEOUT: Final = "between_tokens_timeout"
TOTAL_TIMEOUT: Final = "total_timeout"
ERROR_EVENT: Final = "error_event"
NO_DONE: Final = "ended_without_done"
LEFT: Final = "client_left"

_TIMEOUTS: Final = frozenset({CONNECT_TIMEOUT, FIRST_TOKEN_TIMEOUT, BETWEEN_TOKENS_TIMEOUT, TOTAL_TIMEOUT})
_OUR_CREDENTIALS: Final = frozenset({401, 403})
_ELSEWHERE_MAYBE: Final = frozenset({401, 403, 404, 408, 429})


class Failure(NamedTuple):
    """Why an attempt failed: a word for the ledger, a clause for people."""

    reason: str
    detail: str
    status: int = 0
    """HTTP status of the target's answer; 0 when it gave none."""

    @property
    def retried(self) -> bool:
        """Whether another target may do better; the total time-out leaves no time for one."""
        if self.status:
            return self.status >= 500 or self.status < 400 or self.status in _ELSEWHERE_MAYBE
        return self.reason != TOTAL_TIMEOUT

    @property
    def passed_on(self) -> bool:
        """Whether the client sees the target's own answer: not when it speaks of our credentials, or redirects."""
        return self.status >= 400 and self.status not in _OUR_CREDENTIALS

    def reply(self, extra: bytes) -> Reply:
        """Return what the client is told when nobody else can answer."""
        status = 504 if self.reason in _TIMEOUTS else 503 if self.reason == SATURATED else 502
        extra += replies.RETRY_LATER if status == 503 else b""
        return replies.refusal(status, f"No target could answer: {self.detail}.", self.reason, extra=extra)


def answered(target: str, status: int) -> Failure:
    """Return the failure of a target that answered with an error."""
    if status in _OUR_CREDENTIALS:
        return Failure(f"status_{status}", f"{target} does not accept the credentials configured for it", status)
    return Failure(f"status_{status}", f"{target} answered {status}", status)
