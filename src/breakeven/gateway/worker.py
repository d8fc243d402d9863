"""One process of the data plane: an event loop, the listening socket, a spool, and a line to the supervisor.

Keys and new settings come over the line, one JSON object each time; when it ends, the supervisor has died, and the
worker finishes what it has and ends too.  The store it reads only where limits need to know what was used before.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import uvloop

from breakeven.gateway.connection import ClientConnection
from breakeven.gateway.desk import Desk
from breakeven.gateway.outcome_desk import OutcomeDesk
from breakeven.gateway.recorder import Recorder
from breakeven.gateway.shared import Shared
from breakeven.gateway.snapshot import StoredKeys, Told
from breakeven.gateway.state import State
from breakeven.gateway.watch import Watch
from breakeven.limits.reserve import Limits
from breakeven.upstreams.pool import IDLE_S

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.ledger.ids import RequestIds
    from breakeven.ledger.outcome_spool import OutcomeSpool
    from breakeven.ledger.spool import Spool
    from breakeven.limits.rules import Identity, Rule

    InForce = tuple[Iterable[Rule], Mapping[Identity, int]]

TICK_S: Final = 0.1
"""How often requests in flight are held against their time-outs."""

SWEEP_TICKS: Final = 10
"""After so many ticks idle and half-sent connections are looked at."""

POOL_SWEEP_TICKS: Final = int(IDLE_S / 2 / TICK_S)
BACKLOG: Final = 4096

LEAVE_S: Final = 1.0
"""A worker that leaves the others serves on for so long: whoever has just been let in has yet to send its request."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_TOLD: Final = msgspec.json.Decoder(Told)


class SupervisorLine(asyncio.Protocol):
    """The worker's end of the line to its supervisor."""

    def __init__(self, take: Callable[[Told], None], ended: Callable[[], None]) -> None:
        self._take = take
        self._ended = ended
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Take each whole line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(_TOLD.decode(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that nobody supervises any more."""
        del exc
        self._ended()


class Limiting(NamedTuple):
    """Where limits come from, and what was used of them; each is asked with the settings and the store's keys."""

    opened: Callable[[Snapshot, StoredKeys], Limits]
    """Makes the limits of a worker that starts."""

    in_force: Callable[[Snapshot, StoredKeys], InForce]
    """Returns the rules of other settings, and what was used of them before."""

    made_good: Callable[[Snapshot, StoredKeys], Mapping[Identity, int]]
    """Returns by how much pools' hours that have closed change what was used; asked once a second."""


class Worker:
    """Serves until told to stop."""

    def __init__(
        self, snapshot: Snapshot, spool: Spool, ids: RequestIds, clock: Clock, *, uniform: Callable[[], float],
        limiting: Limiting, say: Callable[[Desk, Spool], None], outcomes: OutcomeSpool,
    ) -> None:  # fmt: skip
        """Take what it works with; ``say`` tells how the worker is, once a second."""
        self._limiting = limiting
        self._say = say
        self._snapshot = snapshot
        self._keys = StoredKeys()
        self._spool = spool
        self._outcomes = outcomes
        self._ids = ids
        self._clock = clock
        self._uniform = uniform
        self._ticks = 0
        self._drain_until_s = float("inf")
        self._server: asyncio.Server | None = None

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
            snapshot=self._snapshot,
            quotas=Limits((), self._clock.now()),
            uniform=self._uniform,
        )
        self._recollect()
        self._watch = Watch(self._state, self._clock)
        self._desk = Desk(self._shared, OutcomeDesk(self._outcomes))
        for number in _STOPPING:
            loop.add_signal_handler(number, self._drain)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        await loop.create_connection(lambda: SupervisorLine(self._take, self._drain), sock=line)
        await self._informed.wait()  # before the keys are known nobody is let in
        self._shared.quotas = self._limiting.opened(self._snapshot, self._keys)
        await self._shared.quotas.start()
        self._mark_limited()
        if not self._shared.draining:  # or it was told to end before it began
            self._server = await loop.create_server(
                lambda: ClientConnection(self._desk, self._shared), sock=listening, backlog=BACKLOG
            )
        self._clock.call_later(TICK_S, self._tick)
        await self._stopped.wait()
        self._let_nobody_in()
        await self._end()

    async def _end(self) -> None:
        """Close what is left; an exchange that outlived the drain leaves its row as a client that left."""
        self._watch.stop()
        for connection in list(self._desk.connections):
            connection.abort()
        for target in self._state.targets.values():
            target.pool.close()
        if self._shared.similar is not None:
            self._shared.similar.close()
        if self._shared.copies is not None:
            self._shared.copies.close()
        await asyncio.sleep(0)
        await self._shared.quotas.stop()
        self._recorder.close()
        self._outcomes.close()

    def _take(self, told: Told) -> None:
        """Use what is new from the next request on; those under way end as they began."""
        if told.snapshot is not None:
            self._snapshot = told.snapshot
            self._state = self._state.renewed(told.snapshot)
            self._shared.state = self._state
            self._shared.take(told.snapshot)
            self._recollect()
            self._watch.stop()
            self._watch = Watch(self._state, self._clock)
        if told.keys is not None:
            self._keys = told.keys
            self._state.swap_keys(told.keys)
        if told.drained is not None:
            self._state.drain(told.drained)
        if told.shifts is not None:
            self._state.shift(told.shifts)
        if self._informed.is_set() and (told.snapshot or told.keys):
            rules, used = self._limiting.in_force(self._snapshot, self._keys)
            self._shared.quotas.put_rules(rules, self._clock.now(), used)
            self._mark_limited()
        self._informed.set()
        if told.leaves:
            self._leave()

    def _recollect(self) -> None:
        """Begin anew with answers to similar questions: other targets might answer otherwise."""
        if self._shared.similar is not None:
            self._shared.similar.close()
        self._shared.similar = None
        if self._snapshot.semantic is not None:
            from breakeven.gateway.similar import SimilarAnswers  # noqa: PLC0415 - with numpy, which nobody else needs

            self._shared.similar = SimilarAnswers(self._snapshot.semantic, self._shared)

    def _mark_limited(self) -> None:
        """Note which keys and targets have limits: no other one is asked about them."""
        quotas = self._shared.quotas
        for key in self._state.keyring.states:
            key.limited = quotas.concerns(key.name, key.team)
        for target in self._state.targets.values():
            target.limited = quotas.target_subject(target.name, target.provider) is not None

    def _tick(self) -> None:
        self._clock.call_later(TICK_S, self._tick)
        now_s = self._shared.now_s = self._clock.monotonic()
        for connection in list(self._desk.connections):
            if connection.exchange is not None:
                connection.exchange.tick(now_s)
        if self._shared.similar is not None:
            self._shared.similar.tick(now_s)
        self._recorder.retry()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            for connection in list(self._desk.connections):
                connection.sweep(now_s)
            self._say(self._desk, self._spool)
            if more := self._limiting.made_good(self._snapshot, self._keys):
                self._shared.quotas.make_good(more, self._clock.now())
        if self._ticks % POOL_SWEEP_TICKS == 0:
            for target in self._state.targets.values():
                target.pool.sweep()
        if self._shared.draining and (not self._desk.busy or now_s > self._drain_until_s):
            self._stopped.set()

    def _leave(self) -> None:
        """Let the other workers have the clients that are still to come, and end once those here are answered."""
        if self._server is None:
            self._drain()
        else:
            self._let_nobody_in()
            self._clock.call_later(LEAVE_S, self._drain)

    def _let_nobody_in(self) -> None:
        if self._server is not None:
            self._server.close()

    def _drain(self) -> None:
        """Take no new requests; those in flight may finish, for a while."""
        self._informed.set()
        if not self._shared.draining:
            self._shared.draining = True
            self._drain_until_s = self._clock.monotonic() + self._snapshot.limits.drain_s
            for connection in list(self._desk.connections):
                connection.drain()
