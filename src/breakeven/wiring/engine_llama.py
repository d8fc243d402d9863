"""The process that ``engine run llama.cpp`` keeps up: llama.cpp inside, until it is told to stop or its keeper is gone.

Its settings come as JSON on standard input, for a key among them belongs neither into arguments nor the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.errors import BreakevenError
from breakeven.wiring.stopping import Stop

_LOOK_S: Final = 0.5


class Order(msgspec.Struct, frozen=True):
    """What to serve, how, and for whom."""

    model: str
    settings: EngineSettings
    keeper_pid: int
    """The process that started it, without which it ends."""


def main() -> int:
    """Serve what standard input orders; return 0 after a stop, 2 where it cannot be served."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        with running_engine(Path(order.model), order.settings):
            while not stop.wait(_LOOK_S) and os.getppid() == order.keeper_pid:
                pass
    except BreakevenError as error:
        sys.stderr.write(f"breakeven: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
