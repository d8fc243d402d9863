"""Time as a port: everything that waits or stamps is handed a ``Clock``, so that a month can be run in minutes.

``wiring.clock`` has the real one.  Nothing else in the program asks the system what time it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """Something that will happen, and need not."""

    def cancel(self) -> None:
        """Let it not happen; harmless when it already did."""


class Clock(Protocol):
    """The time of day, a stopwatch that never goes back, and an alarm."""

    def now(self) -> float:
        """Return the time of day as Unix seconds."""

    def monotonic(self) -> float:
        """Return seconds of a stopwatch that starts anywhere and never goes back."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back once after that many seconds, unless cancelled."""
