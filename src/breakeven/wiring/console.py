"""Starts the control plane: ``become_control`` turns a fork of the supervisor into it, ``serve_control`` runs there.

Its plan holds no secrets, and is no argument all the same: those are for everybody to read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from breakeven.console.plan import ControlPlan, Role, ShownModel, ShownTarget, Token
from breakeven.wiring.becoming import become, begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from breakeven.console.looks import Look
    from breakeven.evidence.shift import Override
    from breakeven.settings import Settings
    from breakeven.settings.control import ControlEntry

BACKLOG: Final = 64
THREADS: Final = 4
RETRY_S: Final = 5.0
"""How long it waits before it tries again to listen on a port that is taken."""

ENDING_S: Final = 5.0
"""How long a process that has closed its output may take to end."""

_RELOADING: Final = threading.Lock()
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("breakeven.console")


def control_plan(settings: Settings, entry: ControlEntry) -> ControlPlan:
    """Return what the control plane is told: references and digests, no secret in the clear."""
    import breakeven
    from breakeven.settings.prices import priced_as
    from breakeven.settings.reach import reach
    from breakeven.settings.secret import shown_reference

    file = settings.file
    targets = tuple(
        ShownTarget(
            name=name,
            url=reach(target).url,
            model=target.model or "",
            priced_as=priced_as(target)[0],
            key=shown_reference(target.key) if target.key else "",
            headers=tuple(target.headers),
        )
        for name, target in file.targets.items()
    )
    models = tuple(
        ShownModel(name=name, policy=model.policy or "", targets=tuple(item.target for item in model.targets))
        for name, model in file.models.items()
    )
    return ControlPlan(
        host=entry.host,
        port=entry.port,
        names=entry.names,
        tokens=tuple(
            Token(name=token.name, sha256=token.digest(settings.secrets), role=Role[token.role.upper()])
            for token in entry.tokens
        ),
        version=breakeven.__version__,
        source=settings.source,
        listen=f"{file.listen.host}:{file.listen.port}",
        workers=file.workers,
        targets=targets,
        models=models,
        keys=tuple(key.name for key in file.keys),
        folder=str(settings.ledger_folder),
        store=str(settings.store),
    )


def become_control(origin: str, plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into the control plane; ``plan`` is a ``ControlPlan`` as msgpack.

    ``origin`` is where the settings are, as ``wiring.reread`` takes it.
    """
    become("breakeven.wiring.console", plan, parent_pid, [origin])


def serve_control(plan: ControlPlan, origin: str, parent_pid: int) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end."""
    from concurrent.futures import ThreadPoolExecutor

    from breakeven.console.app import build_app
    from breakeven.console.call import Console
    from breakeven.console.looks import Looks
    from breakeven.console.metrics import Metrics
    from breakeven.console.server import serve
    from breakeven.wiring.clock import SystemClock

    asked_to_stop: list[int] = []
    for number in _STOPPING:
        signal.signal(number, lambda number, _: asked_to_stop.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def goes_on() -> bool:
        return not asked_to_stop and os.getppid() == parent_pid

    listening = _listen(plan.host, plan.port, goes_on)
    if listening is None:
        return
    clock, folder, store = SystemClock(), Path(plan.folder), Path(plan.store)
    asking = _Asking(plan, origin)
    console = Console(
        plan=plan,
        store=store,
        folder=folder,
        clock=clock,
        reload=lambda: _reload(origin, parent_pid),
        metrics=Metrics(plan, store, folder, clock),
        looks=Looks(asking.ask, clock),
        override=lambda number, wanted, task, said_by: _override(store, number, wanted, task, said_by),
        form_secret=secrets.token_bytes(32),
    )
    try:
        with listening, ThreadPoolExecutor(THREADS) as threads:
            asyncio.run(serve(build_app(console, threads), listening, goes_on))
    finally:
        asking.end()


class _Asking:
    """Has what takes long worked out in processes of their own, which end with this one."""

    def __init__(self, plan: ControlPlan, origin: str) -> None:
        self._arguments = [origin, plan.store, plan.folder]
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._has_ended = False

    def ask(self, looks: Sequence[Look]) -> Iterator[bytes]:
        """Yield a line of JSON a look, as each is done.  Raises ``OSError`` where no process can be started."""
        command = [sys.executable, "-P", "-m", "breakeven.wiring.console_looks", *self._arguments, ",".join(looks)]
        with self._lock:
            if self._has_ended:
                return
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603 - our own
            self._children.add(child)
        try:
            assert child.stdout is not None
            yield from child.stdout
        finally:
            self._finish(child)

    def end(self) -> None:
        """End those under way, and start none any more."""
        with self._lock:
            self._has_ended = True
            for child in self._children:
                child.kill()

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for its end, which is near: it has said all, or nobody listens any more."""
        assert child.stdout is not None
        child.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(ENDING_S)
        child.kill()
        child.wait()
        with self._lock:
            self._children.discard(child)
        if child.returncode and not self._has_ended:
            why = "it took too long" if child.returncode == -signal.SIGALRM else f"exit code {child.returncode}"
            _log.error("What moves and what it brought could not all be worked out: %s.", why)


def _override(store: Path, number: int, wanted: Override, task: str | None, said_by: str) -> tuple[str, ...]:
    from breakeven.ledger.shifts import shift_of
    from breakeven.wiring.shift import run_override

    return run_override(store, shift_of(store, number), wanted, task, said_by)


def _listen(host: str, port: int, goes_on: Callable[[], bool]) -> socket.socket | None:
    """Listen, and while the port is taken try again: the gateway serves meanwhile.  None when it is to stop."""
    trouble = ""
    while goes_on():
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            if str(error) != trouble:
                trouble = str(error)
                _log.error(
                    "The control plane cannot listen on %s:%d (%s) and tries again. Choose another control: port.",
                    host, port, error.strerror,
                )  # fmt: skip
            time.sleep(RETRY_S)
        else:
            return listening
    return None


def _reload(origin: str, parent_pid: int) -> str:
    """Check the settings in a process of its own, which takes 80 MB, then tell the gateway; return why not."""
    command = [sys.executable, "-P", "-m", "breakeven.wiring.reread", origin]
    with _RELOADING:
        done = subprocess.run(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        return done.stderr.decode(errors="replace").strip()
    if os.getppid() != parent_pid:
        return "The gateway has just ended."
    os.kill(parent_pid, signal.SIGHUP)
    return ""


def main(handle: int, parent_pid: int, origin: str) -> int:
    """Run the control plane whose plan is in that memory file."""
    serve_control(begin(handle, ControlPlan), origin, parent_pid)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
