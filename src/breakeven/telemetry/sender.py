"""Carries one kind of what lies in the outbox to a receiver, a load at a time, and drops there what was taken.

It holds no more than one load, reads no clock and waits for nothing but the receiver: its owner calls ``step`` and
waits as long as that says.  While the receiver is away everything stays in the outbox, and nobody else notices.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.telemetry.loads import Loads
    from breakeven.telemetry.plan import TelemetryPlan
    from breakeven.telemetry.receiver import Receiver

IDLE_S: Final = 1.0
"""How long it waits when there is nothing to send: nothing of it is urgent, and it goes well together."""

RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0
BUSY_S: Final = 5.0
"""How long another writer of the store is waited for."""


class Sender:
    """Sends one kind of what a ledger holds to one receiver."""

    def __init__(self, plan: TelemetryPlan, loads: Loads, receiver: Receiver, *, uniform: Callable[[], float]) -> None:
        """Take what is sent, where it goes, and draws from [0, 1) that spread repeated attempts."""
        self._store = Path(plan.store)
        self._loads = loads
        self._receiver = receiver
        self._uniform = uniform
        self.what = loads.what.capitalize()
        """What is sent, as sentences begin with it."""

        self._failures = 0
        self._done = 0
        """The last entry that was sent, as long as it could not be dropped from the outbox."""

        self._refusing = False
        self._warnings: list[str] = []
        self.trouble = ""
        """Why the last step could not send what was there; empty when it could."""

    def step(self) -> float:
        """Send one load, if there is one; return after how many seconds the next step is due."""
        try:
            with closing(connect(self._store, busy_s=BUSY_S)) as connection:
                return self._step(connection)
        except StoreMissingError:
            return IDLE_S  # nothing was ever moved
        except sqlite3.Error as error:
            return self._wait(f"{self.what} cannot be made: {trouble_of(self._store, error)}")
        except (InputError, OSError) as error:
            return self._wait(f"{self.what} cannot be made: {error}")

    def take_warnings(self) -> list[str]:
        """Return what should be told to somebody, once."""
        told, self._warnings = self._warnings, []
        return told

    def close(self) -> None:
        """Let go of the receiver; a later step begins anew."""
        self._receiver.close()

    def _step(self, connection: sqlite3.Connection) -> float:
        if self._done:
            self._drop(connection)
        load = self._loads.first(connection)
        if load is None:
            return self._go_on(IDLE_S)
        if load.item_count:
            answer = self._receiver.send(load.message)
            if not answer.taken:
                why = f"{self.what} cannot be sent to {self._receiver.shown}: {answer.why}."
                return self._wait(f"{why} They wait in the ledger's store.", answer.retry_after_s)
            self._note_refused(answer.refused_count, load.item_count, answer.why)
        if load.gone:
            self._warnings.append(load.gone)
        self._done = load.last
        self._drop(connection)
        return self._go_on(0.0)

    def _drop(self, connection: sqlite3.Connection) -> None:
        self._loads.drop(connection, self._done)
        self._done = 0  # numbers begin anew once the outbox is empty

    def _note_refused(self, refused_count: int, sent_count: int, why: str) -> None:
        """Tell of what a receiver threw away: once, until it takes all of a load again."""
        if refused_count and not self._refusing:
            count = sent_count if refused_count < 0 else refused_count
            self._warnings.append(
                f"{self._receiver.shown} refused {count} of {sent_count} {self._loads.what} ({why}), which are not "
                "sent again. Its own log says why; further refusals are not told until it takes everything."
            )
        self._refusing = bool(refused_count)

    def _go_on(self, wait_s: float) -> float:
        self.trouble = ""
        self._failures = 0
        return wait_s

    def _wait(self, trouble: str, least_s: float = 0.0) -> float:
        self.trouble = trouble
        self._failures += 1
        longest_s = min(RETRY_S * float(1 << min(self._failures - 1, 10)), MAX_RETRY_S)
        return max(longest_s * (0.5 + self._uniform() / 2), least_s)
