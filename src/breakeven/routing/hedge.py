"""When a second target is asked because the first is slow to begin; the first that begins serves, the other is dropped.

A hedge costs another request, so only a share of requests may have one, and only those slower than nearly all others
are at the same target.  A stream of which the client has seen anything is never hedged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedging:
    """How often and how late hedges are sent."""

    after_fraction: float = 0.95
    """The quantile of the target's time to first byte that must have passed."""

    share_fraction: float = 0.05
    """Most hedges, as a share of requests."""

    saved_requests: float = 10.0
    """Most hedges that a quiet time saves up."""

    least_s: float = 0.05
    """Never sooner, however fast the target is."""

    def earned(self, tokens: float) -> float:
        """Return the bucket of hedges after one more request."""
        return min(self.saved_requests, tokens + self.share_fraction)

    def due(self, waited_s: float, usual_s: float, tokens: float, *, started: bool) -> bool:
        """Whether a request that has waited so long is hedged now; a hedge takes 1 from ``tokens``.

        ``usual_s`` is the quantile of its target, NaN when not known: then there is none.  ``started``: whether the
        client has seen any of the answer.
        """
        return not started and tokens >= 1.0 and waited_s >= usual_s and waited_s >= self.least_s
