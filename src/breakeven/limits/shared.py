"""Limits that several workers and gateways share through Redis or Valkey, without a round trip for each request.

A request is covered by what this worker holds on lease; only where that does not suffice does it wait, at most
``PATIENCE_S``, for a grant.  Nothing is granted beyond a limit, so however many workers there are, what they reserve
together stays within it.  While the server is away each worker goes on with its lease and its part of the slack, and
tells the rest when it is back.  Clocks of the machines must agree to a second or two.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from breakeven.limits.lease import Lease, Link
from breakeven.limits.reserve import Limits, Refused, Reservation
from breakeven.limits.scripts import PUT, SEED, TAKE, put_arguments, seed_arguments, take_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from breakeven.clock import Clock
    from breakeven.limits.meter import Meter
    from breakeven.limits.reserve import Subject
    from breakeven.limits.rules import Identity, Rule

PATIENCE_S: Final = 0.25
"""The server is away when it has not answered within this time."""

ROUND_S: Final = 0.5
"""Time between two rounds, in which leases are made even and the server is looked for."""

DENIED_S: Final = 0.1
"""How long a refusal holds for requests as large, so that refused ones do not queue up for the server."""

_TRIES: Final = 4
_BATCH: Final = 100
_AWAY: Final = (RedisError, OSError, TimeoutError)

_log = logging.getLogger("breakeven.gateway")


class Sharing(NamedTuple):
    """With whom limits are shared."""

    url: str
    """``redis://``, ``rediss://`` or ``unix://``; may hold a password."""

    slack: float
    """Share of each limit that this gateway may spend while the server is away."""

    gateway: str
    """Names this gateway and its ledger, restarts included, and no other."""

    process: str
    """Tells this worker from all others of the gateway, those before a restart too."""

    workers: int


class SharedLimits(Limits):
    """The limits of one worker that shares them with others; ``start`` and ``stop`` belong around its use."""

    def __init__(
        self, rules: Iterable[Rule], sharing: Sharing, clock: Clock, used: Mapping[Identity, int] | None = None
    ) -> None:
        """Take the rules, the clock by which windows are told, and what this gateway's ledger has of them."""
        self._clock = clock
        self._link = Link(sharing.slack, sharing.workers)
        self._gateway = f"{sharing.gateway}/"
        self._worker = self._gateway + sharing.process
        self._alone = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = ""
        self._others_first = self._new_rules = False
        self._client = redis.Redis.from_url(
            sharing.url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_connect_timeout=PATIENCE_S
        )
        self._scripts = {text: self._client.register_script(text) for text in (TAKE, PUT, SEED)}
        super().__init__(rules, clock.now(), used, lambda rule, now_s: Lease(rule, now_s, self._link))

    @property
    def away(self) -> bool:
        """Whether the server cannot be asked."""
        return self._link.away

    async def start(self) -> None:
        """Look for the server once, then keep looking in the background."""
        await self.round()
        self._do(self._rounds())

    async def stop(self) -> None:
        """Give back what is free, if the server is there, and close."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lease in self._leases():
            lease.taken = 0
        await self.round()
        with suppress(*_AWAY):
            await self._client.aclose()

    def put_rules(self, rules: Iterable[Rule], now_s: float, used: Mapping[Identity, int] | None = None) -> None:
        """Take these rules in place of the former; the others learn in the next round what new ones begin with."""
        super().put_rules(rules, now_s, used)
        self._new_rules = True

    def reserve(self, subject: Subject, tokens: int, nano_usd: int, now_s: float) -> Reservation | Refused:
        """Take a request's amounts from what is on lease; a refusal is ``unsure`` where a grant may yet cover it."""
        found = super().reserve(subject, tokens, nano_usd, now_s)
        if isinstance(found, Reservation) or self._link.away or found.asked > found.rule.amount:
            return found
        lease = cast("Lease", self._meters.get(found.rule.counts))
        denied = lease is not None and now_s < lease.denied_until_s and found.asked >= lease.denied_amount
        return found if denied else found._replace(unsure=True)

    def ask(
        self, subject: Subject, tokens: int, nano_usd: int, now_s: float, then: Callable[[Reservation | Refused], None]
    ) -> None:
        """Ask for a grant; ``then`` is called once, within ``PATIENCE_S`` of the request's turn."""
        del now_s  # it is later when the answer comes
        self._do(self._ask(subject, (1, tokens, 1, nano_usd), then))

    async def round(self) -> None:
        """Make leases even with their pace, tell the others, and take in advance; see whether the server is there."""
        async with self._alone:
            try:
                if self._link.away or self._new_rules:
                    await self._tell_all()
                await self._tell()
                if self._others_first:
                    self._others_first = False  # a server that came back empty grants nothing before all have told it
                    return
                self._found()
                await self._take_ahead()
            except _AWAY as error:
                self._lost(error)

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            await self.round()

    async def _ask(
        self, subject: Subject, amounts: tuple[int, int, int, int], then: Callable[[Reservation | Refused], None]
    ) -> None:
        leases = cast("tuple[Lease, ...]", subject)
        for lease in leases:
            lease.asked += amounts[lease.place]
        try:
            async with self._alone:
                found = await self._granted(leases, amounts)
        finally:
            for lease in leases:
                lease.asked -= amounts[lease.place]
        then(found)

    async def _granted(self, leases: tuple[Lease, ...], amounts: tuple[int, int, int, int]) -> Reservation | Refused:
        """Return a reservation as soon as the leases cover it; others spend of them while this one waits."""
        _, tokens, _, nano_usd = amounts
        found = self.reserve(leases, tokens, nano_usd, self._clock.now())
        for _ in range(_TRIES):
            if isinstance(found, Reservation) or not found.unsure:
                return found
            try:
                refused = await self._take(leases, amounts)
            except _AWAY as error:
                self._lost(error)
                refused = None
            if refused is not None:
                return refused
            found = self.reserve(leases, tokens, nano_usd, self._clock.now())
        return found if isinstance(found, Reservation) else found._replace(unsure=False)

    async def _take(self, leases: tuple[Lease, ...], amounts: tuple[int, int, int, int]) -> Refused | None:
        """Ask for what the leases lack; return which limit does not allow it."""
        now_s = self._clock.now()
        short: list[tuple[Lease, int, int]] = []
        for lease in leases:
            amount = amounts[lease.place]
            if not lease.fits(amount, now_s):
                lease.even(max(lease.free, 0))
                short.append((lease, amount - lease.free, max(lease.pace, lease.asked - amount)))
        if not short:
            return None
        marks = [lease.mark for lease, _, _ in short]
        answer = await self._run(TAKE, *take_arguments(short, self._worker, now_s))
        if answer[0]:
            self._receive([lease for lease, _, _ in short], marks, answer)
            return None
        lease = short[answer[1]][0]
        lease.used = int(answer[2])
        asked = amounts[lease.place]
        lease.denied_amount, lease.denied_until_s = asked, self._clock.now() + DENIED_S
        return Refused(lease.rule, lease.used, asked, lease.waits_s(asked, now_s))

    async def _take_ahead(self) -> None:
        """Ask for as much as was spent in the last round, so that the next one need not wait."""
        now_s = self._clock.now()
        wanted = [
            (lease, 0, lease.pace - lease.free)
            for lease in self._leases()
            if lease.fits(0, now_s) and lease.free < lease.pace
        ]
        for begin in range(0, len(wanted), _BATCH):
            batch = wanted[begin : begin + _BATCH]
            leases, marks = [lease for lease, _, _ in batch], [lease.mark for lease, _, _ in batch]
            self._receive(leases, marks, await self._run(TAKE, *take_arguments(batch, self._worker, now_s)))

    async def _tell(self) -> None:
        """Tell the others what has changed, and that this worker lives."""
        now_s = self._clock.now()
        changed: list[tuple[Lease, int]] = []
        for lease in self._leases():
            lease.fits(0, now_s)
            lease.pace, lease.taken = lease.taken, 0
            lease.even(lease.pace)
            changed += ((lease, mark) for mark in lease.dirty)
        for begin in range(0, max(len(changed), 1), _BATCH):
            # What passed out of its window while an earlier part was told needs no telling.
            batch = [(lease, mark) for lease, mark in changed[begin : begin + _BATCH] if mark in lease.dirty]
            for lease, mark in batch:
                lease.dirty.discard(mark)
            await self._run(PUT, *put_arguments(batch, self._worker, now_s))  # if it fails, all are told again

    def _make_good(self, meter: Meter, delta: int, now_s: float) -> None:
        cast("Lease", meter).make_good(delta, now_s)

    async def _tell_all(self) -> None:
        """See to it that the server has what the ledger had at the start, and is told again what came since."""
        now_s = self._clock.now()
        based = []
        for lease in self._leases():
            lease.fits(0, now_s)
            lease.dirty.update(lease.granted)
            if lease.base[1] and lease.base[0] == lease.mark:
                based.append(lease)
        self._new_rules = False
        for begin in range(0, max(len(based), 1), _BATCH):
            await self._run(SEED, *seed_arguments(based[begin : begin + _BATCH], self._gateway, now_s))

    def _found(self) -> None:
        self._link.away = False
        if self._trouble:
            _log.warning("the shared limits are back, and know what was used meanwhile")
            self._trouble = ""

    def _receive(self, leases: list[Lease], marks: list[int], answer: list[Any]) -> None:
        for lease, mark, grant, total in zip(leases, marks, answer[1], answer[2], strict=True):
            lease.used = int(total)
            lease.receive(mark, int(grant))

    def _lost(self, error: BaseException) -> None:
        """Go on alone; a server that answered too late may have granted what nobody knows of, so all is told again."""
        self._link.away = self._others_first = True
        for lease in self._leases():
            lease.dirty.update(lease.granted)
        said = str(error) or type(error).__name__
        if said != self._trouble:
            self._trouble = said
            _log.warning("the shared limits are away (%s): going on within the slack", said)

    async def _run(self, script: str, keys: list[str], arguments: list[str | int]) -> list[Any]:
        async with asyncio.timeout(PATIENCE_S):
            return cast("list[Any]", await self._scripts[script](keys=keys, args=arguments))

    def _leases(self) -> Iterable[Lease]:
        return cast("Iterable[Lease]", self._meters.values())

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
