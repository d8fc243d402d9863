"""Starts the data plane: ``hand_over`` replaces the command's process by a lean one, ``serve`` is what runs there.

The command has imported what it needs to read settings and prices (80 MB); the gateway must not keep that.
So the snapshot, secrets included, goes into an anonymous memory file, and a fresh interpreter that imports
the data plane alone reads it there.  Nothing secret touches a disk, an argument or the environment.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import random  # noqa: TID251 - see _work
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from breakeven.catalog.rate_card import PriceList
from breakeven.console.canaries import degraded_targets
from breakeven.console.drained import read_drained
from breakeven.console.worker_state import WorkerState, state_path, write_state
from breakeven.gateway.snapshot import Snapshot, StoredKeys
from breakeven.ledger.keys import KeysWatch
from breakeven.wiring import batches, trials
from breakeven.wiring.alerts import become_alerts
from breakeven.wiring.becoming import NICENESS, begin, in_memory
from breakeven.wiring.canaries import become_canaries
from breakeven.wiring.clock import SystemClock, current_s
from breakeven.wiring.console import become_control
from breakeven.wiring.ledger import LOCK_NAME, SPOOL_NAME, LedgerPlace, forget_ledger, id_floor, open_mover
from breakeven.wiring.ledger_upkeep import Upkeep
from breakeven.wiring.limits import keys_of_stored
from breakeven.wiring.pools import PoolHours
from breakeven.wiring.shifts_told import ShiftsUnderWay
from breakeven.wiring.stillness import Stillness
from breakeven.wiring.telemetry import LAST_S, become_sender
from breakeven.wiring.virtual import become_virtual

if TYPE_CHECKING:
    import socket

    from breakeven.gateway.desk import Desk
    from breakeven.gateway.snapshot import LedgerPlan
    from breakeven.gateway.supervisor import Beside
    from breakeven.ledger.spool import Spool
    from breakeven.wiring.reread import Origin

IDLE_S: Final = 0.2
"""How long the mover waits when the spool had little for it."""

MANY_ROWS: Final = 5_000
"""After a step of so many rows the next follows at once."""

MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": 4 << 20, "MALLOC_TRIM_THRESHOLD_": 8 << 20}
"""How glibc keeps memory: without, each body of 64 KiB is given back to the system and fetched again, page by page."""

REREAD_S: Final = 60.0
"""Within which settings are read again, or not at all: meanwhile nothing that died is started again."""

_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGHUP})
_log = logging.getLogger("breakeven.gateway")


def hand_over(snapshot: Snapshot, origin: Origin) -> NoReturn:
    """Become the gateway: this process keeps its number, and nothing else; ``origin`` is where to read again."""
    handle = in_memory(msgspec.msgpack.encode(snapshot))
    command = [sys.executable, "-P", "-m", "breakeven.wiring.gateway", str(handle), origin.as_text()]
    sys.stdout.flush()
    sys.stderr.flush()
    for name, size_bytes in MALLOC.items():
        os.putenv(name, str(size_bytes))
    os.execv(command[0], command)  # noqa: S606 - our own interpreter and module


def serve(handle: int, origin: str) -> int:
    """Run the gateway whose snapshot is in that memory file; ``origin`` is where its settings are.  Return the code."""
    from breakeven.gateway.supervisor import AddressInUseError, Supervisor, Watched

    snapshot = replace(begin(handle, Snapshot), behalf=secrets.token_hex(32))
    try:
        lock = _lock(snapshot.ledger)
    except OSError as error:
        sys.stderr.write(f"breakeven: the ledger's folder {snapshot.ledger.folder} cannot be used: {error.strerror}.\n")
        return 2
    if lock is None:
        sys.stderr.write(f"breakeven: {_taken(snapshot.ledger)}\n")
        return 2
    if snapshot.ledger.fresh:
        _forget(snapshot.ledger)
    keys = _StoredKeys(Path(snapshot.ledger.store))
    _settle_spool(snapshot, keys() or StoredKeys())
    if said := PoolHours(Path(snapshot.ledger.store), snapshot.ledger.pools).poll(current_s()):
        _log.warning("%s", said)
    supervisor = Supervisor(
        snapshot,
        clock=SystemClock(),
        work=partial(_work, id_floor(_place(snapshot.ledger))),
        move=_move,
        watched=Watched(
            keys=_StoredKeys(Path(snapshot.ledger.store)),
            drained=_Drained(Path(snapshot.ledger.folder)),
            shifts=ShiftsUnderWay(Path(snapshot.ledger.store)),
        ),
        beside=_beside(snapshot, origin),
        reread=partial(_reread, origin, snapshot.behalf),
    )
    try:
        supervisor.run()
    except AddressInUseError as error:
        sys.stderr.write(f"breakeven: {error} Another gateway may be running; choose another with --port.\n")
        return 2
    return 0


def _beside(snapshot: Snapshot, origin: str) -> tuple[Beside, ...]:
    """Return what stands beside the data plane, where the settings ask for it."""
    from breakeven.gateway.supervisor import Beside

    return (
        Beside(plan=lambda settings: settings.control, run=partial(become_control, origin)),
        Beside(plan=lambda settings: settings.telemetry, run=become_sender, last_s=LAST_S + 1),
        Beside(
            plan=lambda settings: settings.batches,
            run=partial(batches.become_batches, snapshot.behalf, snapshot.host, snapshot.port),
            last_s=batches.LAST_S,
        ),
        Beside(
            plan=lambda settings: settings.trials,
            run=partial(trials.become_trials, snapshot.behalf, snapshot.host, snapshot.port),
            last_s=trials.LAST_S,
        ),
        Beside(plan=lambda settings: settings.virtual, run=become_virtual),
        Beside(plan=lambda settings: settings.canaries, run=become_canaries),
        Beside(plan=lambda settings: settings.alerts, run=become_alerts),
    )


def _settle_spool(snapshot: Snapshot, stored: StoredKeys) -> None:
    """Move what the last run left in its spool, where budgets ask what was used: the workers read the store alone."""
    from breakeven.wiring.limits import all_rules

    if any(rule.window in ("day", "month") for rule in all_rules(snapshot, stored)):
        mover = open_mover(_place(snapshot.ledger), snapshot.price_lists, _resolve, tells=bool(snapshot.telemetry))
        mover.drain()
        for said in (*mover.take_warnings(), mover.trouble):
            if said:
                _log.warning("%s", said)
        mover.close()


def _work(floor: int, snapshot: Snapshot, number: int, listening: socket.socket, line: socket.socket) -> None:
    """Run one worker; ids and spool are its own."""
    from breakeven.gateway.worker import Limiting, Worker
    from breakeven.ledger.ids import RequestIds
    from breakeven.ledger.outcome_spool import OutcomeSpool
    from breakeven.ledger.spool import Spool
    from breakeven.wiring.limits import open_limits, rules_in_force
    from breakeven.wiring.true_up import TrueUp

    # A request makes no cycles, so there is nothing for the collector to find; looking often costs 2 %.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    plan = snapshot.ledger
    spool = Spool(
        _place(plan).spool,
        worker=number,
        waiting_rows=plan.waiting_rows,
        drop_when_full=plan.drop_when_full,
    )
    uniform = random.Random().random  # noqa: S311 - draws by weight; numpy would cost the worker 30 MB
    clock = SystemClock()
    true_up = TrueUp()
    Worker(
        snapshot,
        spool,
        RequestIds(number, floor),
        clock,
        uniform=uniform,
        limiting=Limiting(
            opened=partial(open_limits, clock=clock, true_up=true_up),
            in_force=lambda settings, keys: rules_in_force(settings, keys, clock.now(), true_up),
            made_good=lambda settings, keys: true_up(settings, keys, clock.now()),
        ),
        say=_Saying(Path(plan.folder), number, clock),
        outcomes=OutcomeSpool(_place(plan).spool, worker=number),
    ).run(listening, line)


def _move(snapshot: Snapshot, supervisor_pid: int) -> None:
    """Carry rows from the spool into the store until SIGTERM or the supervisor's end, then empty the spool.

    At SIGHUP another mover takes its place, so it ends at once: while requests come the spool is never empty.
    """
    os.nice(NICENESS)
    plan = snapshot.ledger
    mover = open_mover(_place(plan), snapshot.price_lists, _resolve, tells=bool(snapshot.telemetry))
    upkeep = Upkeep(Path(plan.store), plan.keep_days)
    hours = PoolHours(Path(plan.store), plan.pools)
    trouble = ""
    while True:
        moved = mover.step()
        for warning in mover.take_warnings():
            _log.warning("%s", warning)
        if mover.trouble != trouble:
            trouble = mover.trouble
            _log.log(logging.ERROR if trouble else logging.WARNING, "%s", trouble or "The store can be written again.")
        is_behind = moved >= MANY_ROWS
        for said in () if is_behind else (upkeep.poll(current_s()), hours.poll(current_s())):
            if said:
                _log.warning("%s", said)
        arrived = signal.sigtimedwait(_ENDING, 0 if is_behind else IDLE_S)
        if arrived or os.getppid() != supervisor_pid:
            break
    upkeep.stop()
    if arrived is None or arrived.si_signo != signal.SIGHUP:
        mover.drain()
        if mover.trouble:
            _log.error("%s What was not moved stays in the spool, and is moved at the next start.", mover.trouble)
    mover.close()


def _resolve(priced_as: str) -> PriceList | None:
    """Look up the prices of a name in a process of its own: it takes 55 MB, once per new name."""
    command = [sys.executable, "-P", "-m", "breakeven.wiring.price", priced_as]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own module
    return msgspec.json.decode(done.stdout, type=PriceList) if done.returncode == 0 else None


def _reread(origin: str, behalf: str) -> Snapshot:
    """Read the settings again in a process of its own, which may take 80 MB; nothing touches a disk."""
    from breakeven.gateway.supervisor import UnusableError

    command = [sys.executable, "-P", "-m", "breakeven.wiring.reread", origin]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=REREAD_S
        )
    except subprocess.TimeoutExpired as error:
        raise UnusableError(
            f"They could not be read within {REREAD_S:g} s: look whether each file that they name can be."
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UnusableError(said or f"Reading them ended with exit code {done.returncode}.")
    for line in done.stderr.decode(errors="replace").splitlines():
        _log.warning("%s", line)
    try:
        return replace(msgspec.msgpack.decode(done.stdout, type=Snapshot), behalf=behalf)
    except msgspec.MsgspecError as error:
        raise UnusableError(
            f"Another version of breakeven is installed by now: restart the gateway to run it. ({error})"
        ) from error


class _Saying:
    """What a worker calls once a second: it writes how it is, for the control plane to read."""

    def __init__(self, folder: Path, number: int, clock: SystemClock) -> None:
        self._path = state_path(folder, number)
        self._clock = clock
        self._started_s = clock.now()
        self._trouble = ""

    def __call__(self, desk: Desk, spool: Spool) -> None:
        shared = desk.shared
        targets = shared.state.targets.values()
        now_s = self._clock.monotonic()
        state = WorkerState(
            at_s=self._clock.now(),
            started_s=self._started_s,
            in_flight={target.name: target.in_flight for target in targets},
            open={t.name: t.health.wait_s(now_s) for t in targets if not t.health.may_try(now_s)},
            waiting_rows=spool.waiting,
            dropped_rows=spool.dropped_rows,
            skipped_events=shared.skipped_events,
            connections=len(desk.connections),
            first_byte={target.name: target.first_bytes for target in targets},
            similar=shared.similar.hits() if shared.similar is not None else {},
        )
        try:
            write_state(self._path, msgspec.json.encode(state))
            self._trouble = ""
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("the control plane is not told how this worker is: %s", error)


class _Drained:
    """What the supervisor asks twice a second: the targets that are out of service, when they have changed.

    People take them out, and the process of canaries does, each for themselves.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: frozenset[str] | None = None
        self._drained: frozenset[str] = frozenset()

    def __call__(self) -> tuple[str, ...] | None:
        self._drained = read_drained(self._folder, self._drained)
        found = self._drained | degraded_targets(self._folder, current_s())
        if found == self._known:
            return None
        self._known = found
        return tuple(sorted(found))


class _StoredKeys:
    """What the supervisor asks twice a second: the store's keys, when they have changed."""

    def __init__(self, store: Path) -> None:
        self._still = Stillness(store, SystemClock())
        self._watch = KeysWatch(store)
        self._trouble = ""

    def __call__(self) -> StoredKeys | None:
        if self._still() and not self._trouble:
            return None
        changed = self._watch.changed()
        if self._watch.trouble != self._trouble:
            self._trouble = self._watch.trouble
            if self._trouble:
                _log.error("The keys cannot be read; those known stay in force. %s", self._trouble)
        if changed is None:
            return None
        now_s = SystemClock().now()
        keys = tuple(key for stored in changed for key in keys_of_stored(stored, now_s))
        return StoredKeys(keys=keys, ever_made=self._watch.ever_made)


def _place(plan: LedgerPlan) -> LedgerPlace:
    return LedgerPlace(store=Path(plan.store), spool=Path(plan.folder) / SPOOL_NAME)


def _lock(plan: LedgerPlan) -> int | None:
    """Hold the ledger's folder until the last process of this gateway has ended; None when another one does."""
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.ftruncate(file, 0)
    os.write(file, b"%d\n" % os.getpid())
    return file


def _taken(plan: LedgerPlan) -> str:
    """Say who holds a ledger's folder: another gateway, or processes that one has left behind."""
    with suppress(OSError, ValueError):  # the number is not there yet
        first = int((Path(plan.folder) / LOCK_NAME).read_bytes())
        if not Path(f"/proc/{first}").exists():
            return (
                f"the gateway that kept its ledger in {plan.folder} has ended without its other processes, which are "
                "finishing their answers. Try again in a moment."
            )
    return (
        f"another gateway keeps its ledger in {plan.folder}. Two would mix their rows: stop it, or give this one a "
        "folder of its own (ledger.folder)."
    )


def _forget(plan: LedgerPlan) -> None:
    """Begin anew: the ledger of the last run goes."""
    forget_ledger(_place(plan))


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1]), sys.argv[2]))
