"""How a fork of the supervisor becomes one of the processes beside the data plane.

A fresh interpreter imports what that process needs alone.  It reads its plan, secrets included, from an anonymous
memory file: nothing touches a disk, an argument or the environment.  The number of its parent it is told, and does not
ask: a parent that has died by then would have left it to another one, for which it would live on.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

NICENESS: Final = 10
"""Of those that may wait: on a busy core each gets a tenth of what a worker gets, and no request for a model waits."""


def become(
    module: str, plan: bytes, parent_pid: int, more: Sequence[str] = (), *, niceness: int = NICENESS
) -> NoReturn:
    """Run a module of ours in place of this process, with the arguments ``HANDLE PARENT_PID MORE...``."""
    handle = in_memory(plan)
    os.nice(niceness)
    command = [sys.executable, "-P", "-m", module, str(handle), str(parent_pid), *more]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter and module


def in_memory(content: bytes) -> int:
    """Return the handle of an anonymous memory file that holds this, and outlives an exec."""
    handle = os.memfd_create("breakeven", 0)  # inherited over exec, unlike with MFD_CLOEXEC
    with open(handle, "wb", closefd=False) as file:
        file.write(content)
    return handle


def begin(handle: int, shape: type[T]) -> T:
    """Return what such a file holds as msgpack, let go of it, and log to standard error from here on."""
    with open(handle, "rb") as file:
        file.seek(0)
        plan = msgspec.msgpack.decode(file.read(), type=shape)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    return plan


def reached(host: str) -> str:
    """Return where a gateway that listens on that host is reached from its own machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
