"""Starts the process that asks nodes golden prompts, beside the gateway and off its way.

``become_canaries`` turns a fork of the supervisor into it.  Its plan holds the nodes' keys.  What it says of nodes, the
supervisor reads (``console.canaries``).  Killed at any moment, the next one goes on from there.  It has little to do,
and no low priority: engines that its commands start would inherit that.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NoReturn

from breakeven.wiring.becoming import become, begin
from breakeven.wiring.stopping import Stop

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.wiring.canary_plan import CanariesPlan

LOOK_S: Final = 1.0
"""How often it looks, at least, what has come and whether the gateway still lives."""

MOST_AT_ONCE: Final = 64
"""Nodes that are asked at a time."""


def become_canaries(plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into that process; ``plan`` is a ``CanariesPlan`` as msgpack."""
    become("breakeven.wiring.canaries", plan, parent_pid, niceness=0)


def watch(plan: CanariesPlan, parent_pid: int, clock: Clock, stop: Stop) -> None:
    """Look every so often until told to stop, or the parent's end.

    A command that is under way is waited for, since half a start helps nobody; not so when the parent has ended: who
    comes next does not know of us.
    """
    from breakeven.wiring.canary_watch import CanaryWatch

    asking = ThreadPoolExecutor(max_workers=MOST_AT_ONCE, thread_name_prefix="ask")
    watching = CanaryWatch(plan, clock, asking)
    look_s = min(LOOK_S, *(pool.every_s for pool in plan.pools))
    while os.getppid() == parent_pid and not stop.is_set():
        watching.step()
        stop.wait(look_s)
    while os.getppid() == parent_pid and watching.is_restarting():
        watching.end()
        watching.wait(look_s)


def main(handle: int, parent_pid: int) -> int:
    """Run the process whose plan is in that memory file."""
    from breakeven.wiring.canary_plan import CanariesPlan
    from breakeven.wiring.clock import SystemClock

    plan = begin(handle, CanariesPlan)
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for number in (signal.SIGINT, signal.SIGHUP):  # of a terminal: the supervisor sees to them
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # commands would begin with what the supervisor has blocked
    watch(plan, parent_pid, SystemClock(), stop)
    return 0


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), int(sys.argv[2])))  # answers that are still to come are not waited for
