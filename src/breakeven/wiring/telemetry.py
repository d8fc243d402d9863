"""Starts the sender of telemetry: ``become_sender`` turns a fork of the supervisor into it, ``send`` runs there.

Its plan holds credentials of the receiver.
"""

from __future__ import annotations

import logging
import os
import random  # noqa: TID251 - spreads repeated attempts, see _senders
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from breakeven.telemetry.plan import Place, TelemetryPlan
from breakeven.wiring.becoming import become, begin

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.settings import Settings
    from breakeven.settings.telemetry import TelemetryEntry
    from breakeven.telemetry.sender import Sender

LAST_S: Final = 5.0
"""How long it may go on sending once it is to stop; what is left is sent after the next start."""

LOOK_S: Final = 1.0
"""How often it looks whether the gateway still lives while it waits."""

_STOP: Final = frozenset({signal.SIGTERM})
_log = logging.getLogger("breakeven.telemetry")


def telemetry_plan(settings: Settings, entry: TelemetryEntry) -> TelemetryPlan:
    """Return what the sender is told, credentials of the receiver included."""
    import breakeven
    from breakeven.settings.reach import reach
    from breakeven.settings.secret import is_reference

    address = entry.address
    places = []
    for name, target in settings.file.targets.items():
        way = reach(target)
        places.append(
            Place(
                name=name,
                provider=way.provider.id if way.provider else "",
                host=way.address.host,
                port=way.address.port,
                protocols=tuple(way.protocols),
            )
        )
    return TelemetryPlan(
        host=address.host,
        port=address.port,
        tls=address.tls,
        path=address.path,
        shown=f"{'https' if address.tls else 'http'}://{address.host_header}{address.path}",
        headers=tuple(
            (name.lower(), settings.secrets[value].reveal() if is_reference(value) else value.strip())
            for name, value in entry.headers.items()
        ),
        ca_file=str(settings.folder / entry.ca_file) if entry.ca_file else "",
        service_name=entry.service_name,
        version=breakeven.__version__,
        places=tuple(places),
        teams=tuple((key.name, key.team) for key in settings.file.keys if key.team),
        folder=str(settings.ledger_folder),
        store=str(settings.store),
    )


def become_sender(plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into the sender; ``plan`` is a ``TelemetryPlan`` as msgpack."""
    become("breakeven.wiring.telemetry", plan, parent_pid)


class _Line:
    """A sender and when its next step is due: while one kind is not taken, the other goes on."""

    def __init__(self, sender: Sender, clock: Clock) -> None:
        self.sender = sender
        self._clock = clock
        self._due_s = clock.monotonic()
        self._trouble = ""

    def go_on(self) -> float:
        """Take a step if one is due; return after how many seconds the next one is."""
        if self._clock.monotonic() >= self._due_s:
            wait_s = self.sender.step()
            self._due_s = self._clock.monotonic() + wait_s
            self.say()
        return max(self._due_s - self._clock.monotonic(), 0.0)

    def say(self) -> None:
        """Tell what is new: that something cannot be sent, once, and that it can again."""
        for warning in self.sender.take_warnings():
            _log.warning("%s", warning)
        if self.sender.trouble and not self._trouble:
            _log.error("%s It is tried again, and told when it works.", self.sender.trouble)
        elif self._trouble and not self.sender.trouble:
            _log.warning("%s are sent again.", self.sender.what)
        self._trouble = self.sender.trouble


def send(plan: TelemetryPlan, parent_pid: int) -> None:
    """Send until SIGTERM, and then for a moment what is left; at the parent's end, stop at once.

    SIGTERM stays blocked, as it was at the start, and is looked for between two steps.
    """
    from breakeven.wiring.clock import SystemClock

    clock = SystemClock()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    lines = [_Line(sender, clock) for sender in _senders(plan)]
    asked = False
    while not asked and os.getppid() == parent_pid:
        asked = _is_asked_to_stop(min([line.go_on() for line in lines]), parent_pid, clock)
    until_s = clock.monotonic() + LAST_S
    for line in lines:
        while asked and not line.sender.step() and clock.monotonic() < until_s:
            continue
        line.say()
        line.sender.close()


def _senders(plan: TelemetryPlan) -> list[Sender]:
    from breakeven.telemetry.loads import KINDS
    from breakeven.telemetry.receiver import Receiver
    from breakeven.telemetry.sender import Sender

    instance = _instance(Path(plan.folder))
    uniform = random.Random().random  # noqa: S311 - when to try again
    kinds = [kind(plan, instance) for kind in KINDS]
    return [Sender(plan, loads, Receiver(plan, loads.signal), uniform=uniform) for loads in kinds]


def _is_asked_to_stop(wait_s: float, parent_pid: int, clock: Clock) -> bool:
    """Wait for SIGTERM so long, or until the parent has ended; return whether it came."""
    until_s = clock.monotonic() + wait_s
    while True:
        left_s = max(until_s - clock.monotonic(), 0.0)
        if signal.sigtimedwait(_STOP, min(left_s, LOOK_S)):
            return True
        if left_s <= LOOK_S or os.getppid() != parent_pid:
            return False


def _instance(folder: Path) -> str:
    """Return the id of the gateway that keeps its ledger there."""
    from breakeven.wiring.limits import GATEWAY_ID, gateway_id

    path = folder / GATEWAY_ID
    return path.read_text(encoding="ascii") if path.is_file() else gateway_id(folder)


def main(handle: int, parent_pid: int) -> int:
    """Run the sender whose plan is in that memory file."""
    send(begin(handle, TelemetryPlan), parent_pid)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
