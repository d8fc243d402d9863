"""Starts the process that alerts, beside the gateway: ``become_alerts`` turns a fork of the supervisor into it.

Its plan holds secrets of receivers.  It reads what is in the store already, so that it costs a request nothing.
Killed at any moment, it knows after its next start who was told what: at worst somebody is told twice.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from breakeven.wiring.becoming import become, begin

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.wiring.alert_plan import AlertsPlan

LOOK_S: Final = 1.0
"""How often it looks whether the gateway still lives."""

FIRST_S: Final = 2.0
"""After its start it waits so long, for the workers to say how they are."""

_STOP: Final = frozenset({signal.SIGTERM})


def become_alerts(plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into that process; ``plan`` is an ``AlertsPlan`` as msgpack."""
    become("breakeven.wiring.alerts", plan, parent_pid)


def alert(plan: AlertsPlan, parent_pid: int, clock: Clock) -> None:
    """Look every so often until SIGTERM or the parent's end; a step is never cut short but by a kill."""
    from breakeven.wiring.alerting import Alerting

    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    alerting = Alerting(plan)
    next_s = clock.monotonic() + min(FIRST_S, plan.every_s)
    while os.getppid() == parent_pid:
        left_s = next_s - clock.monotonic()
        if signal.sigtimedwait(_STOP, max(min(left_s, LOOK_S), 0.0)):
            return
        if left_s <= LOOK_S and clock.monotonic() >= next_s:
            alerting.round(clock.now())
            next_s = clock.monotonic() + plan.every_s


def main(handle: int, parent_pid: int) -> int:
    """Run the process whose plan is in that memory file."""
    from breakeven.wiring.alert_plan import AlertsPlan
    from breakeven.wiring.clock import SystemClock

    alert(begin(handle, AlertsPlan), parent_pid, SystemClock())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
