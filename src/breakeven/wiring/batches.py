"""Starts the process of files and batches: ``become_batches`` turns a fork of the supervisor into it.

Its plan holds the credentials of a provider.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random  # noqa: TID251 - spreads repeated attempts
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from breakeven.batches.plan import BatchesPlan, KeyTerms, ProviderPlan
from breakeven.wiring.becoming import become, begin, reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.catalog.rate_card import PriceList
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.settings.batches import BatchesEntry, BatchProviderEntry

FOLDER_NAME: Final = "batches"
"""In the ledger's folder."""

LAST_S: Final = 3.0
"""How long it may take to end."""

LOCK_NAME: Final = "batches.lock"
"""In the same folder; held by the one process that works there."""

CHECK_S: Final = 0.1
"""How often it asks whether another process still holds that."""

THREADS_S: Final = 1.0
"""How long threads may take at the end, with calls to a provider above all."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("breakeven.batches")


def batches_plan(entry: BatchesEntry, snapshot: Snapshot) -> BatchesPlan:
    """Return what the process of files and batches is told, secrets included."""
    return BatchesPlan(
        folder=snapshot.ledger.folder,
        store=snapshot.ledger.store,
        slots=entry.slots,
        max_share_fraction=entry.max_share,
        idle_s=entry.hours * 3600,
        max_file_bytes=entry.max_file_bytes,
        max_stored_bytes=entry.max_stored_bytes,
        max_requests=entry.max_requests,
        keep_s=entry.keep_days * 86_400.0,
        nodes=tuple(target for target in snapshot.targets if target.node is not None),
        provider=_provider_plan(entry.provider, snapshot) if entry.provider else None,
    )


def _provider_plan(entry: BatchProviderEntry, snapshot: Snapshot) -> ProviderPlan:
    """Return what is told of a provider: the models whose routes name its target, and what they cost there."""
    targets = {target.name: target for target in snapshot.targets}
    lists = {prices.target: prices for prices in snapshot.price_lists}
    models: dict[str, str] = {}
    calls: dict[str, tuple[PriceList, ...]] = {}
    prices: dict[str, PriceList] = {}
    for route in snapshot.routes:
        if entry.target not in route.targets or route.model == "*":
            continue
        none = ("",) * len(route.targets)
        known = []
        for name, own, asked_as in zip(route.targets, route.own_names or none, route.names or none, strict=True):
            target = targets[name]
            there = own or target.model or asked_as or route.model
            found = lists.get(target.priced_as.replace("*", there))
            if found is not None and target.node is None:
                known.append(found)
            if name == entry.target:
                models[route.model] = there
                prices.update({route.model: found} if found is not None else {})
        calls[route.model] = tuple(known)
    return ProviderPlan(
        target=targets[entry.target],
        models=models,
        prices=prices,
        calls=calls,
        keys=tuple(
            KeyTerms(
                name=key.name, models=key.models, tags=key.tags, sensitivity=key.sensitivity, expires_s=key.expires_s
            )
            for key in snapshot.keys
        ),
        sensitivity_of_tags=dict(snapshot.sensitivity_of_tags),
        last_s=entry.hours * 3600,
        max_requests=entry.max_requests,
        max_bytes=entry.max_bytes,
    )


def become_batches(secret: str, host: str, port: int, plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into that process.

    ``secret`` vouches for its requests in the name of a key; host and port are those on which the gateway listens;
    ``plan`` is a ``BatchesPlan`` as msgpack.
    """
    told = msgspec.msgpack.encode((secret, reached(host), port, plan))
    become("breakeven.wiring.batches", told, parent_pid)


def serve_batches(plan: BatchesPlan, secret: str, parent_pid: int) -> None:
    """Serve and drain until SIGTERM, SIGINT or the parent's end."""
    import uvloop

    asked_to_stop: list[int] = []
    for number in _STOPPING:
        signal.signal(number, lambda number, _: asked_to_stop.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def goes_on() -> bool:
        return not asked_to_stop and os.getppid() == parent_pid

    folder = Path(plan.folder) / FOLDER_NAME
    if hold(folder, goes_on) is not None:
        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(plan, secret, folder, goes_on))


def hold(folder: Path, goes_on: Callable[[], bool]) -> int | None:
    """Keep others from a folder until this process has ended; wait until nobody does, or not ``goes_on()``: None then.

    One whose gateway was killed may be about to notice: until it has, it writes the same results.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    tries = 0
    while goes_on():
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.log(logging.DEBUG if tries else logging.WARNING, "another process is still at work in %s", folder)
            tries += 1
            time.sleep(CHECK_S)
        else:
            return handle
    os.close(handle)
    return None


async def _serve(plan: BatchesPlan, secret: str, folder: Path, goes_on: Callable[[], bool]) -> None:
    """Serve, and leave behind what threads do that does not end soon: the next process finds what they did."""
    from breakeven.batches.service import Service
    from breakeven.wiring.clock import SystemClock

    threads = ThreadPoolExecutor(thread_name_prefix="batches")
    asyncio.get_running_loop().set_default_executor(threads)
    uniform = random.Random().random  # noqa: S311 - when to try again
    await Service(plan, secret, folder, SystemClock(), uniform).run(goes_on)
    ending = Thread(target=threads.shutdown, daemon=True)
    ending.start()
    ending.join(THREADS_S)


def main(handle: int, parent_pid: int) -> int:
    """Run the process whose plan is in that memory file."""
    secret, host, port, content = begin(handle, tuple[str, str, int, bytes])
    plan = msgspec.msgpack.decode(content, type=BatchesPlan)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each batch in work holds files open
    try:
        serve_batches(msgspec.structs.replace(plan, host=host, port=port), secret, parent_pid)
    except Exception:  # noqa: BLE001 - the outermost frame of a process
        _log.exception("the process of files and batches ends")
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), int(sys.argv[2])))  # an upload that is under way is not waited for
