"""One process of the data plane: an event loop, the listening socket, a spool, and a line to the supervisor.

Keys come over the line, one JSON object each time; when it ends, the supervisor has died, and the worker
finishes what it has and ends too.  It never opens the store.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

from breakeven.gateway.connection import ClientConnection
from breakeven.gateway.desk import Desk
from breakeven.gateway.recorder import Recorder
from breakeven.gateway.shared import Shared
from breakeven.gateway.snapshot import StoredKeys
from breakeven.gateway.state import State
from breakeven.upstreams.pool import IDLE_S

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.ledger.ids import RequestIds
    from breakeven.ledger.spool import Spool

TICK_S: Final = 0.1
"""How often requests in flight are held against their time-outs."""

SWEEP_TICKS: Final = 10
"""After so many ticks idle and half-sent connections are looked at."""

POOL_SWEEP_TICKS: Final = int(IDLE_S / 2 / TICK_S)
BACKLOG: Final = 4096

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_KEYS: Final = msgspec.json.Decoder(StoredKeys)


class SupervisorLine(asyncio.Protocol):
    """The worker's end of the line to its supervisor."""

    def __init__(self, take_keys: Callable[[StoredKeys], None], ended: Callable[[], None]) -> None:
        self._take_keys = take_keys
        self._ended = ended
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Take each whole line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take_keys(_KEYS.decode(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that nobody supervises any more."""
        del exc
        self._ended()


class Worker:
    """Serves until told to stop."""

    def __init__(
        self, snapshot: Snapshot, spool: Spool, ids: RequestIds, clock: Clock, uniform: Callable[[], float]
    ) -> None:
        self._snapshot = snapshot
        self._spool = spool
        self._ids = ids
        self._clock = clock
        self._uniform = uniform
        self._ticks = 0
        self._drain_until_s = float("inf")

    def run(self, listening: socket.socket, line: socket.socket) -> None:
        """Serve on a listening socket until SIGTERM, SIGINT or the end of the line to the supervisor."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(listening, line))

    async def _serve(self, listening: socket.socket, line: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._informed = asyncio.Event()
        self._recorder = Recorder(self._spool, loop)
        self._state = State(self._snapshot, self._clock, self._spool)
        self._shared = Shared(
            state=self._state,
            recorder=self._recorder,
            ids=self._ids,
            clock=self._clock,
            limits=self._snapshot.limits,
            uniform=self._uniform,
        )
        self._desk = Desk(self._shared)
        for number in _STOPPING:
            loop.add_signal_handler(number, self._drain)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        await loop.create_connection(lambda: SupervisorLine(self._take_keys, self._drain), sock=line)
        await self._informed.wait()  # before the keys are known nobody is let in
        server = await loop.create_server(
            lambda: ClientConnection(self._desk, self._shared), sock=listening, backlog=BACKLOG
        )
        self._clock.call_later(TICK_S, self._tick)
        await self._stopped.wait()
        server.close()
        await self._end()

    async def _end(self) -> None:
        """Close what is left; an exchange that outlived the drain leaves its row as a client that left."""
        for connection in list(self._desk.connections):
            connection.abort()
        for target in self._state.targets.values():
            target.pool.close()
        await asyncio.sleep(0)
        self._recorder.close()

    def _take_keys(self, stored: StoredKeys) -> None:
        self._state.swap_keys(stored)
        self._informed.set()

    def _tick(self) -> None:
        self._clock.call_later(TICK_S, self._tick)
        now_s = self._shared.now_s = self._clock.monotonic()
        for connection in list(self._desk.connections):
            if connection.exchange is not None:
                connection.exchange.tick(now_s)
        self._recorder.retry()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            for connection in list(self._desk.connections):
                connection.sweep(now_s)
        if self._ticks % POOL_SWEEP_TICKS == 0:
            for target in self._state.targets.values():
                target.pool.sweep()
        if self._shared.draining and (not self._desk.busy or now_s > self._drain_until_s):
            self._stopped.set()

    def _drain(self) -> None:
        """Take no new requests; those in flight may finish, for a while."""
        self._informed.set()
        if not self._shared.draining:
            self._shared.draining = True
            self._drain_until_s = self._clock.monotonic() + self._snapshot.limits.drain_s
            for connection in list(self._desk.connections):
                connection.drain()
