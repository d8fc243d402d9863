"""Whether and when another attempt is made for a request; never more than its cap, never past its deadline.

There is one counter: the attempts begun for one client's request, whatever they are for (another target, the same one
again, another model, a hedge).  It starts at 0 with the request, grows by one with every request that goes out, and is
what ``attempts`` means below; nothing that nests keeps a count of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

UNTRIED, FAILED, FAILED_FOR_GOOD = range(3)
"""What became of a target in this request; policies see the last two alike."""

_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a request is sent, and how long it waits in between."""

    max_attempts: int
    """Most attempts for one client's request."""

    first_delay_s: float = 0.25
    """Longest wait before the second attempt at the same target; twice as long before each further one."""

    max_delay_s: float = 5.0
    """Longest wait of all; a target that wants more is not waited for."""

    def may_go_on(self, attempts: int, left_s: float) -> bool:
        """Whether another target may be tried, which needs no waiting; ``left_s`` is the rest of the request's time."""
        return attempts < self.max_attempts and left_s > 0.0

    def delay_s(self, attempts: int, uniform: float, retry_after_s: float | None, left_s: float) -> float | None:
        """Return how long to wait before a target is tried again, or None: it is not.

        Between the same targets only, or when all have failed once.  ``attempts`` is at least 1; ``uniform`` in [0, 1)
        spreads clients over the whole wait ("full jitter",
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/); ``retry_after_s``: what the target
        asked for, which is never undercut.
        """
        if not self.may_go_on(attempts, left_s):
            return None
        longest_s = self.first_delay_s * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
        delay_s = uniform * min(longest_s, self.max_delay_s)
        if retry_after_s is not None:
            if retry_after_s > self.max_delay_s:
                return None
            delay_s = max(delay_s, retry_after_s)
        return delay_s if delay_s < left_s else None


def next_round(tried: Sequence[int]) -> tuple[int, ...]:
    """Return who may be tried once all have failed: those for which a little time may help."""
    return tuple(UNTRIED if state == FAILED else state for state in tried)
