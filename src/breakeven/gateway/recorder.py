"""Keeps the row of an attempt before the last bytes of its answer leave.

Rows of one turn of the event loop are written together: one system call, however many requests ended.
When the spool cannot be written its rows wait in memory, answers go on, and past the bound new requests
are refused (or rows dropped and counted, where the configuration says so).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from breakeven.ledger.rows import Attempt
    from breakeven.ledger.spool import Spool

_log = logging.getLogger("breakeven.gateway")


class Releasable(Protocol):
    """An answer whose last bytes wait for its row."""

    def release(self) -> None:
        """Send them."""


class Recorder:
    """The one writer of a worker's spool."""

    def __init__(self, spool: Spool, loop: AbstractEventLoop) -> None:
        self._spool = spool
        self._loop = loop
        self._waiting: list[Releasable] = []
        self._scheduled = False
        self._failing = False
        self._told_dropped = 0
        self.full = False
        """Whether so many rows wait that no new request should be taken."""

    def keep(self, attempt: Attempt, answer: Releasable | None) -> None:
        """Write the row at the end of this turn, and then release ``answer``."""
        self._spool.add(attempt)
        if answer is not None:
            self._waiting.append(answer)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is buffered, then release the answers that waited for it."""
        self._scheduled = False
        kept = self._spool.flush()
        self.full = not kept and self._spool.full
        if kept is self._failing:
            self._failing = not kept
            self._say(kept=kept)
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            try:
                answer.release()
            except Exception:  # noqa: BLE001 - one answer must not hold up the others
                _log.exception("an answer could not be sent; the others are")

    def retry(self) -> None:
        """Try again to write rows that could not be written."""
        if self._failing:
            self.flush()

    def close(self) -> None:
        """Write what is left, and end the spool; rows that cannot be written now are lost, and it is said how many."""
        self.flush()
        self._spool.close()
        lost = self._spool.waiting + self._spool.dropped_rows - self._told_dropped
        if lost:
            _log.error("%d rows could not be written until the end, and are lost", lost)

    def _say(self, *, kept: bool) -> None:
        if not kept:
            _log.error("the spool cannot be written, so rows wait in memory: %s", self._spool.trouble)
            return
        dropped = self._spool.dropped_rows - self._told_dropped
        self._told_dropped += dropped
        lost = f"; {dropped} rows were dropped meanwhile, as ledger.on_full says" if dropped else ""
        _log.warning("the spool can be written again%s", lost)
