"""The real clock: the only place in the program that asks the system for the time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.clock import Timer


class SystemClock:
    """The machine's time; ``call_later`` needs a running event loop."""

    def __init__(self) -> None:
        # Bound to the C functions: a method around each would cost more than the call.
        self.now = time.time  # noqa: TID251 - the one place
        self.monotonic = time.monotonic

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back once after that many seconds, unless cancelled."""
        return asyncio.get_running_loop().call_later(delay_s, callback)
