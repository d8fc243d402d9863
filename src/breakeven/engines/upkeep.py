"""When an engine that was started is looked at, given up and started again: numbers and one decision, no clock."""

from __future__ import annotations

from typing import Final

READY_CHECK_S: Final = 0.2
"""How often a starting engine is asked whether it is ready."""

HEALTH_CHECK_S: Final = 5.0
"""How often a running engine is asked whether it is well."""

LOST_CHECKS: Final = 3
"""Checks in a row without an answer after which an engine counts as hung."""

STEADY_S: Final = 60.0
"""An engine that was up for so long starts afresh: its next end is its first."""

STOP_S: Final = 20.0
"""How long an engine may take to stop when asked to; then it is killed."""

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0


def pause_s(ends: int) -> float:
    """Return how long to wait before an engine is started again that has ended so many times in a row."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(ends - 1, 16))
