"""The process of files and batches: its parts, joined, for as long as it is to go on."""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.batches.adopt import Adoption
from breakeven.batches.app import Api
from breakeven.batches.calls import Calls
from breakeven.batches.drain import Drain
from breakeven.batches.handout import Handout
from breakeven.batches.provider import Provider
from breakeven.batches.provider_rows import ProviderRows
from breakeven.batches.room import Room
from breakeven.batches.sheet import HANDLES, RESULTS, result_file
from breakeven.batches.standing import Standing
from breakeven.batches.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.batches.plan import BatchesPlan
    from breakeven.clock import Clock

SWEEP_S: Final = 60.0
"""How often it looks for files whose time is over."""

SPARE_HANDLES: Final = 640
"""For everything but the files of batches in work: connections of clients and of lines, uploads, the stores."""

_log = logging.getLogger("breakeven.batches")


class Service:
    """Everything that runs in it."""

    def __init__(
        self, plan: BatchesPlan, secret: str, folder: Path, clock: Clock, uniform: Callable[[], float]
    ) -> None:
        """Open the store in a folder of its own; ``secret`` vouches for requests in the name of a key."""
        self._store = Store(folder)
        self._clock = clock
        self._calls = Calls(plan.host, plan.port, secret)
        self.drain = Drain(plan, self._store, self._calls, clock, uniform)
        handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.drain.most_sheets = max(1, (handles - SPARE_HANDLES - plan.slots) // HANDLES)
        if plan.provider is not None:
            self.drain.handout = Handout(
                plan.provider,
                Provider(plan.provider.target),
                self._store,
                ProviderRows(plan.provider, Path(plan.store)),
                clock,
                standing=Standing(plan.provider, Path(plan.store), clock),
                is_pressing=self.drain.is_pressing,
            )
        self._room = Room(plan, self.drain, clock)
        api = Api(plan, self._store, clock, self.drain.open)
        api.submitted = self.drain.wake
        self._adoption = Adoption(api.app(), Path(plan.folder))

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Serve and drain as long as ``goes_on()``."""
        open_batches = self._store.open_batches()
        results = (result_file(batch, kind) for batch in open_batches for kind in RESULTS)
        self._store.forget_strays({*results, *(batch.input_file for batch in open_batches)})
        self._adoption.listen()
        beside = [asyncio.create_task(self._sweep()), asyncio.create_task(self._room.run())]
        try:
            await self.drain.run(lambda: goes_on() and not any(task.done() for task in beside))
        finally:
            for task in beside:
                task.cancel()
            if self.drain.handout is not None:
                self.drain.handout.close()
            await self._adoption.close()
            self._calls.close()
            self._store.close()

    async def _sweep(self) -> None:
        while True:
            try:
                for name in self._store.expired_files(self._clock.now()):
                    self._store.delete_file(name)
            except (OSError, sqlite3.Error) as error:
                _log.warning("files whose time is over cannot be removed now: %s", error)
            await asyncio.sleep(SWEEP_S)
