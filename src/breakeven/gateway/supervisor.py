"""The first process of a running gateway: it keeps the workers and the mover alive, and serves nobody.

It binds the address, forks the others, starts again what dies, reads the keys' version twice a second, has the
settings read again on SIGHUP, and stops everything in order: the workers finish what is in flight, then the mover
empties the spool.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from breakeven.gateway.connection import SEND_BUFFER_BYTES
from breakeven.gateway.snapshot import StoredKeys, Told
from breakeven.gateway.worker import BACKLOG, LEAVE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from breakeven.clock import Clock
    from breakeven.gateway.shift_plan import ShiftPlan
    from breakeven.gateway.snapshot import Snapshot

T = TypeVar("T")

POLL_S: Final = 0.5
"""How often the version of the keys is read."""

RESTART_S: Final = 1.0
"""A process that died is started again after this time, so that one that cannot live does not spin."""

TELL_S: Final = 5.0
"""A worker that does not take its keys within this time is told again when they change."""

HUNG_S: Final = 10.0
"""A worker that has not ended so long after the end of its drain will not end by itself, and is killed."""

WORKER_NUMBERS: Final = 64
"""Request ids have room for so many; a worker that is started again gets the next number."""

_PLANS: Final = ("control", "telemetry", "batches", "trials", "virtual", "canaries", "alerts")
"""Of a snapshot, what the processes beside are told: where the gateway listens and where its ledger is, for some."""

_STOPPING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_WAKING: Final = _STOPPING | {signal.SIGCHLD, signal.SIGHUP}

_log = logging.getLogger("breakeven.gateway")


class AddressInUseError(Exception):
    """The address cannot be bound; ``str()`` says which and why."""


class UnusableError(Exception):
    """The settings were read again and cannot be used; ``str()`` says why."""


class Beside(NamedTuple):
    """A process that stands beside the data plane, and without which requests are served all the same."""

    plan: Callable[[Snapshot], bytes]
    """What it is told; empty where there is to be none."""

    run: Callable[[bytes, int], None]
    """What it does with that and the supervisor's process number, until SIGTERM or the supervisor's end."""

    last_s: float = 0.0
    """How long it may go on after the mover's end; 0: it is killed, since what it writes it writes whole."""


class Watched(NamedTuple):
    """What may change while the gateway runs: each returns what it is now when that has changed since, else None."""

    keys: Callable[[], StoredKeys | None]
    """The store's keys."""

    drained: Callable[[], tuple[str, ...] | None]
    """The targets that are out of service."""

    shifts: Callable[[], tuple[ShiftPlan, ...] | None]
    """The shifts of traffic that are under way."""


class Supervisor:
    """Forks and keeps the processes of one gateway."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        clock: Clock,
        work: Callable[[Snapshot, int, socket.socket, socket.socket], None],
        move: Callable[[Snapshot, int], None],
        watched: Watched,
        beside: Sequence[Beside],
        reread: Callable[[], Snapshot],
    ) -> None:
        """Take what the processes do.

        ``work(snapshot, number, listening, line)`` runs a worker, ``move(snapshot, pid)`` the mover: until SIGTERM or
        the end of process ``pid``, when it empties the spool, or until SIGHUP, when it leaves that to the next one.
        That process is the supervisor: a child that asked for its parent's number might be told that of whoever
        inherited it.  Both begin with the signals of ``_WAKING`` blocked, so that none is lost before they
        are ready for it.  ``watched`` is asked twice a second.  ``beside`` are the control plane and the like.
        ``reread()`` reads the settings again, and raises ``UnusableError``.
        """
        self._snapshot = snapshot
        self._clock = clock
        self._work = work
        self._move = move
        self._keys, self._drained, self._shifts = watched
        self._beside = beside
        self._reread = reread
        self._pid = os.getpid()
        self._standing: dict[Beside, int] = {}
        self._out_of_service: tuple[str, ...] = ()
        self._under_way: tuple[ShiftPlan, ...] = ()
        self._lines: dict[int, socket.socket] = {}
        self._numbers: dict[int, int] = {}
        self._mover = 0
        self._next_number = 0
        self._latest = StoredKeys()
        self._restart_at_s: list[float] = []
        self._leaving: dict[int, float] = {}  # workers that were told to end, and when they are killed if they have not
        self._troubles: dict[str, str] = {}

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; each further one kills whoever the stop waits for.

        Raises ``AddressInUseError``.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKING)
        self._listening = _listen(self._snapshot.host, self._snapshot.port)
        self._latest = self._keys() or StoredKeys()
        self._mover = self._start_mover()
        self._out_of_service = self._drained() or ()
        self._under_way = self._shifts() or ()
        for _ in range(self._snapshot.workers):
            self._start_worker()
        self._start_beside()
        self._keep()
        self._stop()

    def _keep(self) -> None:
        while True:
            arrived = signal.sigtimedwait(_WAKING, POLL_S)
            if arrived is not None and arrived.si_signo in _STOPPING:
                return
            if arrived is not None and arrived.si_signo == signal.SIGHUP:
                self._reload()
            self._reap()
            self._kill_overdue()
            self._tell_changes()
            self._restart()

    def _stop(self) -> None:
        """Workers first, then the mover, which has their last rows to move."""
        self._listening.close()
        for pid in self._lines:
            os.kill(pid, signal.SIGTERM)
            self._leaving.setdefault(pid, self._overdue_s())
        self._await(lambda: list(self._lines))
        self._mover = self._mover or self._start_mover()  # one that has just died has left rows behind
        os.kill(self._mover, signal.SIGTERM)
        self._await(lambda: [self._mover] if self._mover else [])
        self._stop_beside()

    def _await(self, left: Callable[[], Collection[int]]) -> None:
        """Wait until these processes have ended; kill them when it is asked again to stop."""
        while left():
            arrived = signal.sigtimedwait(_WAKING, POLL_S)
            if arrived is not None and arrived.si_signo in _STOPPING:
                for pid in left():
                    os.kill(pid, signal.SIGKILL)
            self._kill_overdue()
            self._reap()

    def _kill_overdue(self) -> None:
        """Kill workers that should have ended by now: one that hangs must not hold up a stop for ever."""
        now_s = self._clock.monotonic()
        for pid in [pid for pid, overdue_s in self._leaving.items() if overdue_s <= now_s]:
            self._leaving[pid] = float("inf")
            _log.error("worker %d does not end, and is killed", pid)
            os.kill(pid, signal.SIGKILL)

    def _overdue_s(self) -> float:
        return self._clock.monotonic() + LEAVE_S + self._snapshot.limits.drain_s + HUNG_S

    def _stop_beside(self) -> None:
        """Let those go on that have something to do with the last rows: for a while, or until asked to stop again."""
        for item, pid in self._standing.items():
            os.kill(pid, signal.SIGTERM if item.last_s else signal.SIGKILL)
        until_s = self._clock.monotonic() + max((item.last_s for item in self._standing), default=0.0)
        while self._standing and (left_s := until_s - self._clock.monotonic()) > 0:
            arrived = signal.sigtimedwait(_WAKING, min(left_s, POLL_S))
            if arrived is not None and arrived.si_signo in _STOPPING:
                break
            self._reap()
        for pid in self._standing.values():
            os.kill(pid, signal.SIGKILL)

    def _serving(self) -> list[int]:
        """Return the workers that take requests: one that was told to leave is none of them any more."""
        return [pid for pid in self._lines if pid not in self._leaving]

    def _start_worker(self) -> None:
        """Start one, unless those that are leaving have the last of the numbers: then it is started as one ends."""
        if len(self._lines) >= WORKER_NUMBERS:
            return
        ours, theirs = socket.socketpair()
        ours.settimeout(TELL_S)
        number = self._free_number()

        def work() -> None:
            ours.close()
            for line in self._lines.values():
                line.close()  # or a worker would keep its sibling's line open after the supervisor's death
            self._work(self._snapshot, number, self._listening, theirs)

        pid = self._fork(work)
        theirs.close()
        self._lines[pid] = ours
        self._numbers[pid] = number
        self._tell(ours, Told(keys=self._latest, drained=self._out_of_service, shifts=self._under_way))

    def _free_number(self) -> int:
        """Return the next number that no living worker has: ids of two with the same one would meet."""
        taken = set(self._numbers.values())
        while self._next_number in taken:
            self._next_number = (self._next_number + 1) % WORKER_NUMBERS
        number = self._next_number
        self._next_number = (number + 1) % WORKER_NUMBERS
        return number

    def _start_mover(self) -> int:
        def move() -> None:
            self._listening.close()  # or clients would still be let in, and not served, while it empties the spool
            for line in self._lines.values():
                line.close()
            self._move(self._snapshot, self._pid)

        return self._fork(move)

    def _start_beside(self) -> None:
        """Start those that are to stand beside, and do not."""
        for item in self._beside:
            plan = item.plan(self._snapshot)
            if plan and item not in self._standing:
                self._standing[item] = self._fork(partial(item.run, plan, self._pid))

    def _fork(self, run: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            run()
            status = 0
        except Exception:  # noqa: BLE001 - the outermost frame of a process
            _log.exception("a process of the gateway ends")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Take note of every process that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            line = self._lines.pop(pid, None)
            self._numbers.pop(pid, None)
            self._leaving.pop(pid, None)
            if line is not None:
                line.close()
            elif pid == self._mover:
                self._mover = 0
            self._standing = {item: standing for item, standing in self._standing.items() if standing != pid}
            code = os.waitstatus_to_exitcode(status)
            _log.log(logging.WARNING if code else logging.INFO, "process %d has ended with status %d", pid, code)
            self._restart_at_s.append(self._clock.monotonic() + RESTART_S)

    def _restart(self) -> None:
        now_s = self._clock.monotonic()
        if not self._restart_at_s or self._restart_at_s[0] > now_s:
            return
        self._restart_at_s.pop(0)
        if not self._mover:
            _log.info("the mover is started again")
            self._mover = self._start_mover()
        elif len(self._serving()) < self._snapshot.workers:
            _log.warning("a worker is started again")
            self._start_worker()
        else:
            self._start_beside()

    def _tell_changes(self) -> None:
        drained = self._asked("targets out of service", self._drained)
        if drained is not None:
            self._out_of_service = drained
            self._tell_all(Told(drained=drained))
        shifts = self._asked("shifts", self._shifts)
        if shifts is not None:
            self._under_way = shifts
            self._tell_all(Told(shifts=shifts))
        changed = self._asked("keys", self._keys)
        if changed is not None:
            self._latest = changed
            self._tell_all(Told(keys=self._latest))

    def _asked(self, what: str, ask: Callable[[], T | None]) -> T | None:
        """Return what has changed, or None; where that fails, what is known stays in force, and it is said once."""
        try:
            found = ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, requests are served without it
            if self._troubles.get(what) != repr(error):
                self._troubles[what] = repr(error)
                _log.exception("the %s cannot be read; those known stay in force", what)
            return None
        self._troubles.pop(what, None)
        return found

    def _reload(self) -> None:
        """Take the settings as they are now; where they cannot be used, those in force stay, and it is said why."""
        try:
            found = self._reread()
        except UnusableError as error:
            _log.error("The settings in force stay, because the new ones cannot be used. %s", error)
            return
        old = self._snapshot
        ledger = replace(old.ledger, pools=found.ledger.pools)
        self._snapshot = replace(found, host=old.host, port=old.port, ledger=ledger)
        if self._snapshot != found:
            self._snapshot = replace(self._snapshot, **{name: getattr(old, name) for name in _PLANS})
            _log.warning(
                "listen: and ledger: are taken at a start only, and with them what is said of the processes beside "
                "(control:, telemetry:, batches:, trials:, alerts:, virtual pools, canaries); all else of the new "
                "settings is in force"
            )
        _log.info("new settings are in force")
        self._tell_all(Told(snapshot=self._snapshot))
        serving = self._serving()
        for pid in serving[self._snapshot.workers :]:
            self._leaving[pid] = self._overdue_s()
            self._tell(self._lines[pid], Told(leaves=True))
        for _ in range(len(serving), self._snapshot.workers):
            self._start_worker()
        for item, pid in self._standing.items():
            if item.plan(self._snapshot) != item.plan(old):
                os.kill(pid, signal.SIGTERM)  # it is started again with the new plan, if there is one
        self._start_beside()
        if self._mover:
            os.kill(self._mover, signal.SIGHUP)
            self._mover = self._start_mover()  # with the new prices; two at once move nothing twice

    def _tell_all(self, told: Told) -> None:
        for line in self._lines.values():
            self._tell(line, told)

    def _tell(self, line: socket.socket, told: Told) -> None:
        try:
            line.sendall(msgspec.json.encode(told) + b"\n")
        except OSError:
            _log.info("a worker ended before it took what it was told")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # accepted sockets inherit it
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - its only form
    except OSError as error:
        listening.close()
        raise AddressInUseError(f"{host}:{port} cannot be listened on: {error.strerror}.") from error
    return listening
