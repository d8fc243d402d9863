"""Starts the process that works out the hours of virtual pools, beside the gateway and off its way.

``become_virtual`` turns a fork of the supervisor into it.  It reads rows that are in the store already, so that a pool
that is only simulated costs a request nothing, and it takes what the processor has left.  Killed at any moment, it
goes on after its next start where it was: hours are whole, and what is missing is worked out.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from breakeven.errors import BreakevenError
from breakeven.wiring.becoming import become, begin

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.settings import Settings
    from breakeven.studies.virtual.plan import VirtualPlan

LOOK_S: Final = 1.0
"""How often it looks whether an hour has closed, and whether the gateway still lives."""

AGAIN_S: Final = 300.0
"""How often it looks whether something has changed in hours that were worked out: rows that came late, prices."""

_SAID: Final = (
    "The hours of virtual pools can be worked out again.",
    "The hours of virtual pools cannot be worked out; it is tried again. ",
)
_STOP: Final = frozenset({signal.SIGTERM})
_log = logging.getLogger("breakeven.virtual")


def virtual_plan(settings: Settings) -> bytes:
    """Return what the process is told, a ``VirtualPlan`` as msgpack; empty where no virtual pool is declared.

    Raises ``InputError`` for a pool that cannot be simulated.
    """
    if not any(entry.virtual for entry in settings.file.pools.values()):
        return b""
    from breakeven.studies.virtual.plan import VirtualPlan
    from breakeven.wiring.virtual_hours import virtual_pools

    plan = VirtualPlan(store=str(settings.store), pools=virtual_pools(settings.file.pools, settings.folder))
    return msgspec.msgpack.encode(plan)


def become_virtual(plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into that process; ``plan`` is a ``VirtualPlan`` as msgpack."""
    become("breakeven.wiring.virtual", plan, parent_pid)


def work_out_hours(plan: VirtualPlan, parent_pid: int, clock: Clock) -> None:
    """Work out hours as they close, until SIGTERM or the parent's end."""
    from breakeven.wiring.pools import closed_hours
    from breakeven.wiring.virtual_hours import derive

    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    given_up: set[str] = set()
    trouble, done, again_s = "", -1, 0.0

    def goes_on() -> bool:
        return signal.SIGTERM not in signal.sigpending() and os.getppid() == parent_pid

    while goes_on():
        now_s = clock.now()
        if closed_hours(now_s) != done or now_s >= again_s:
            before, trouble = trouble, ""
            try:
                derive(plan, now_s, goes_on, given_up)
            except BreakevenError as error:
                trouble = str(error)
            if trouble != before:
                _log.log(logging.ERROR if trouble else logging.WARNING, "%s", _SAID[bool(trouble)] + trouble)
            done, again_s = closed_hours(now_s), now_s + AGAIN_S
        if signal.sigtimedwait(_STOP, LOOK_S):
            return


def main(handle: int, parent_pid: int) -> int:
    """Run the process whose plan is in that memory file."""
    from breakeven.studies.virtual.plan import VirtualPlan
    from breakeven.wiring.clock import SystemClock

    work_out_hours(begin(handle, VirtualPlan), parent_pid, SystemClock())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
