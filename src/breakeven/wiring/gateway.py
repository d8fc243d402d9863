"""Starts the data plane: ``hand_over`` replaces the command's process by a lean one, ``serve`` is what runs there.

The command has imported what it needs to read settings and prices (80 MB); the gateway must not keep that.
So the snapshot, secrets included, goes into an anonymous memory file, and a fresh interpreter that imports
the data plane alone reads it there.  Nothing secret touches a disk, an argument or the environment.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from breakeven.gateway.snapshot import Snapshot
from breakeven.wiring.clock import SystemClock

if TYPE_CHECKING:
    import socket

    from breakeven.gateway.snapshot import Key, LedgerPlan

SPOOL: Final = "spool"
IDLE_S: Final = 0.2
"""How long the mover waits when the spool had little for it."""

MOVER_NICENESS: Final = 10
"""The mover may wait: on a busy core it gets a tenth of what a worker gets, and catches up later."""


def hand_over(snapshot: Snapshot) -> NoReturn:
    """Become the gateway: this process keeps its number, and nothing else."""
    handle = os.memfd_create("breakeven-snapshot", 0)  # inherited over exec, unlike with MFD_CLOEXEC
    with open(handle, "wb", closefd=False) as file:
        file.write(msgspec.msgpack.encode(snapshot))
    command = [sys.executable, "-P", "-m", "breakeven.wiring.gateway", str(handle)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def serve(handle: int) -> int:
    """Run the gateway whose snapshot is in that memory file; return the exit code."""
    from breakeven.gateway.supervisor import AddressInUseError, Supervisor

    with open(handle, "rb") as file:
        file.seek(0)
        snapshot = msgspec.msgpack.decode(file.read(), type=Snapshot)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    clock = SystemClock()
    supervisor = Supervisor(
        snapshot,
        clock=clock,
        work=partial(_work, snapshot, clock),
        move=partial(_move, snapshot, clock),
        keys=_KeysWatch(snapshot.ledger),
    )
    try:
        supervisor.run()
    except AddressInUseError as error:
        sys.stderr.write(f"breakeven: {error} Another gateway may be running; choose another with --port.\n")
        return 2
    return 0


def _work(snapshot: Snapshot, clock: SystemClock, number: int, listening: socket.socket, line: socket.socket) -> None:
    """Run one worker; ids and spool are its own."""
    from breakeven.gateway.worker import Worker
    from breakeven.ledger.ids import RequestIds
    from breakeven.ledger.spool import Spool

    # A request makes no cycles, so there is nothing for the collector to find; looking often costs 2 %.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    plan = snapshot.ledger
    spool = Spool(
        Path(plan.folder) / SPOOL,
        worker=number,
        waiting_rows=plan.waiting_rows,
        drop_when_full=plan.drop_when_full,
    )
    uniform = random.Random().random  # noqa: S311, TID251 - weights of a policy; numpy would cost the worker 30 MB
    Worker(snapshot, spool, RequestIds(number), clock, uniform).run(listening, line)


def _move(snapshot: Snapshot, clock: SystemClock) -> None:
    import signal

    del snapshot, clock
    signal.sigwait([signal.SIGTERM])


class _KeysWatch:
    def __init__(self, plan: LedgerPlan) -> None:
        self._plan = plan

    def __call__(self) -> tuple[Key, ...] | None:
        return None


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
