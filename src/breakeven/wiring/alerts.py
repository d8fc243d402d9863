"""Starts the process that alerts, beside the gateway: ``become_alerts`` turns a fork of the supervisor into it.

A fresh interpreter imports what that needs alone, and reads its plan, secrets of receivers included, from an anonymous
memory file, as the gateway does.  It reads what is in the store already, so that it costs a request nothing.  Killed at
any moment, it knows after its next start who was told what: at worst somebody is told twice.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.wiring.alert_plan import AlertsPlan

NICENESS: Final = 10
"""On a busy core it may wait: no request for a model does, for it."""

LOOK_S: Final = 1.0
"""How often it looks whether the gateway still lives."""

FIRST_S: Final = 2.0
"""After its start it waits so long, for the workers to say how they are."""

_STOP: Final = frozenset({signal.SIGTERM})


def become_alerts(plan: bytes) -> NoReturn:
    """Turn a fork of the supervisor into that process; ``plan`` is an ``AlertsPlan`` as msgpack."""
    handle = os.memfd_create("breakeven-alerts", 0)  # inherited over exec, unlike with MFD_CLOEXEC
    with open(handle, "wb", closefd=False) as file:
        file.write(plan)
    os.nice(NICENESS)
    command = [sys.executable, "-P", "-m", "breakeven.wiring.alerts", str(handle), str(os.getppid())]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter and module


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

    with open(handle, "rb") as file:
        file.seek(0)
        plan = msgspec.msgpack.decode(file.read(), type=AlertsPlan)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    alert(plan, parent_pid, SystemClock())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
