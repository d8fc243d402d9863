"""The real clock: the only place in the program that asks the system for the time of day.

So that a month can be run in minutes, the date may be another than the machine's: ``BREAKEVEN_CLOCK`` then names a
file of eight bytes, a double in the machine's order, which tells by how many seconds every process of the program is
ahead.  Whoever runs that month moves it on.  Stopwatches and alarms stay the machine's: time-outs mean what they say.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from breakeven.clock import Timer

VARIABLE: Final = "BREAKEVEN_CLOCK"
_SECONDS: Final = struct.Struct("d")


def _time_of_day() -> Callable[[], float]:
    path = os.environ.get(VARIABLE)  # noqa: TID251 - no setting: it concerns the machine, and every process alike
    if not path:
        return time.time  # noqa: TID251 - the one place
    with Path(path).open("rb") as file:
        ahead = mmap.mmap(file.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)

    def shifted_s() -> float:
        return time.time() + float(_SECONDS.unpack_from(ahead)[0])  # noqa: TID251 - the one place

    return shifted_s


current_s: Final = _time_of_day()
"""Return the time of day as Unix seconds."""


def current_moment() -> datetime:
    """Return the time of day as a moment, UTC."""
    return datetime.fromtimestamp(current_s(), UTC)


def current_date() -> date:
    """Return the day that it is, UTC."""
    return current_moment().date()


class SystemClock:
    """The machine's time; ``call_later`` needs a running event loop."""

    def __init__(self) -> None:
        # Bound to the C functions: a method around each would cost more than the call.
        self.now = current_s
        self.monotonic = time.monotonic

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back once after that many seconds, unless cancelled."""
        return asyncio.get_running_loop().call_later(delay_s, callback)
