"""Whether a process was asked to stop, as the handler of a signal tells it to the thread that it interrupts.

An ``Event`` is not for that: its lock is held for a moment by who begins to wait, and a handler that comes in that
moment would wait for its own thread for ever.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Stop:
    """Is set once, by a signal's handler or another thread, and looked at by one thread."""

    def __init__(self) -> None:
        self._told: SimpleQueue[None] = SimpleQueue()  # whose ``put`` may come in the midst of its ``get``

    def set(self) -> None:
        """Ask to stop."""
        self._told.put(None)

    def is_set(self) -> bool:
        """Whether somebody has asked."""
        return not self._told.empty()

    def wait(self, longest_s: float) -> bool:
        """Wait until somebody asks, or for so long; return whether somebody has."""
        with suppress(Empty):
            self._told.get(timeout=longest_s)
            self._told.put(None)
        return self.is_set()
