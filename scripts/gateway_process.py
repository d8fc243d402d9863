"""A gateway as users run it, in a folder of its own, watched from outside: its processes, memory, open files, log.

For scripts that put one under load for long.  It is started with ``breakeven up`` and knows one key; nothing in it
is replaced by anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

KEY: Final = "sk-be-of-the-scripts"
READY_S: Final = 30.0
STOP_S: Final = 90.0
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
_CARDS: Final = {
    "rate_cards": [
        {
            "provider": "scripts",
            "model": "priced",
            "source": "made up",
            "checked_on": "2026-01-01",
            "prices": [{"input_usd_per_mtok": "0.15", "output_usd_per_mtok": "0.6"}],
        }
    ]
}


class Seen(NamedTuple):
    """One process at one moment."""

    name: str
    """``supervisor``, ``mover``, or ``worker`` with its number in the order of process ids."""

    pid: int
    resident_kib: int
    open_files: int


class GatewayProcess:
    """One running gateway; a context in which it lives."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Write settings (without ``listen``, ``keys``, ``rate_cards`` and ``ledger``) to a folder."""
        self.folder = folder
        self.port = free_port()
        self.log = folder / "gateway.log"
        self.store = folder / "ledger" / "ledger.sqlite"
        (folder / "rate_cards.yaml").write_text(json.dumps(_CARDS))
        key = {"name": "scripts", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
        plan = {"folder": str(folder / "ledger")}
        written = {
            "listen": {"host": "127.0.0.1", "port": self.port},
            "keys": [key],
            "rate_cards": ["rate_cards.yaml"],
            "ledger": plan,
            **settings,
        }
        (folder / "breakeven.yaml").write_text(json.dumps(written))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "breakeven", "up", "--config", str(self.folder / "breakeven.yaml")]
        with self.log.open("ab") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        until_s = time.monotonic() + READY_S
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > until_s:
                self._kill()
                sys.exit(f"the gateway does not serve:\n{self.said()[-4000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def stop(self) -> int:
        """Ask it to stop, wait until it has, and return its exit code; -9 when it had to be killed."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return -signal.SIGKILL

    def seen(self) -> list[Seen]:
        """Return its processes, the supervisor first; those that end meanwhile are left out."""
        group = self._process.pid
        processes = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        pids = sorted(pid for pid in processes if _group_of(pid) == group)
        found, workers = [], 0
        for pid in pids:
            name = "supervisor" if pid == group else "mover" if _niceness(pid) > _niceness(group) else "worker"
            if name == "worker":
                workers += 1
                name = f"worker {workers}"
            with suppress(OSError):
                resident_kib = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB
                found.append(Seen(name, pid, resident_kib, len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        return found

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def complaints(self) -> list[str]:
        """Return the lines of its log that tell of a bug: exceptions, and processes that had to be started again."""
        marks = ("Traceback", "Error:", "could not be handled", "could not be sent", "process of the", "started again")
        return [line for line in self.said().splitlines() if any(mark in line for mark in marks)]

    def _serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
                line.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                return line.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z"] + ["0"] * 50


def _group_of(pid: int) -> int:
    fields = _stat(pid)
    return 0 if fields[0] == "Z" else int(fields[2])


def _niceness(pid: int) -> int:
    return int(_stat(pid)[16])
