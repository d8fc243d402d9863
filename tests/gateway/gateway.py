"""A gateway as users run it: ``breakeven up`` in a process of its own, settings in a file, ledger in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import ledger
from gateway.wire import CutOffError, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.ledger import Row

Settings = dict[str, Any]

KEY = "sk-be-of-the-tests"
PATIENCE_S = 15.0

MERE_OWNER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Run by root, it has no right to write what its files' modes forbid: a read-only store is one for it too."""

TIMEOUTS = {"connect_s": 2, "first_token_s": 4, "between_tokens_s": 4, "total_s": 20}
"""Of targets whose patience is not what a test is about."""

FORGIVING = {"failed_requests": 1_000_000, "refused_requests": 1_000_000, "max_held_s": 0.001}
"""Tests that share a gateway would otherwise see what those before them did to its targets."""

HASTY = {"connect_s": 1, "first_token_s": 1, "between_tokens_s": 1, "total_s": 3}
"""Of targets that are given up soon, yet not for the half second that a busy machine may stand still."""


def target(url: str, **fields: Any) -> Settings:
    """A target whose prices are known."""
    return {"url": url, "prices": "tests:priced", "timeouts": TIMEOUTS, **fields}


def settings(targets: Settings, models: Settings, **fields: Any) -> Settings:
    """Everything that ``breakeven.yaml`` needs; the port is chosen when the gateway starts."""
    key = {"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    return {
        "targets": targets,
        "models": models,
        "keys": [key],
        "rate_cards": ["rate_cards.yaml"],
        "breaker": FORGIVING,
        **fields,
    }


RATE_CARDS: Settings = {
    "rate_cards": [
        {
            "provider": "tests",
            "model": "priced",
            "source": "made up for the tests",
            "checked_on": "2026-01-01",
            "prices": [
                {"input_usd_per_mtok": "0.15", "cached_input_usd_per_mtok": "0.075", "output_usd_per_mtok": "0.6"}
            ],
        }
    ]
}


class Gateway:
    """One gateway in one folder; it can be stopped, killed and started again."""

    def __init__(self, folder: Path, configured: Settings, rate_cards: Settings | None = None) -> None:
        self.folder = folder
        self.ledger_folder = folder / "ledger"
        self.store = folder / configured.get("ledger", {}).get("store", "ledger/ledger.sqlite")
        self._said: list[bytes] = []
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.set_rate_cards(rate_cards or RATE_CARDS)
        self.configure(configured)

    @property
    def base_url(self) -> str:
        """What a client sets as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    def configure(self, configured: Settings) -> None:
        """Write the settings, in the part of YAML that is JSON; they hold from the next start."""
        plan = {"folder": "ledger", **configured.get("ledger", {})}
        listen = {"host": "127.0.0.1", "port": self.port}
        written = {**configured, "listen": listen, "ledger": plan}
        (self.folder / "breakeven.yaml").write_text(json.dumps(written))

    def set_rate_cards(self, cards: Settings) -> None:
        """Write the prices; they hold from the next start."""
        (self.folder / "rate_cards.yaml").write_text(json.dumps(cards))

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.begin()
        wait_for(self._serves, "the gateway does not serve", self._why)

    def begin(self) -> None:
        """Start it, and do not wait."""
        if self._process is not None:
            self.wait()
        command = [sys.executable, "-m", "breakeven", "up", "--config", str(self.folder / "breakeven.yaml")]
        self._process = subprocess.Popen(
            [*MERE_OWNER, *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def workers(self) -> list[int]:
        """The processes that serve."""
        return [pid for pid, is_mover in self._forks().items() if not is_mover]

    def mover(self) -> int:
        """The process that moves rows to the store: the one that is nice to the others."""
        return next(pid for pid, is_mover in self._forks().items() if is_mover)

    def alive(self) -> list[int]:
        """Every process of it that has not ended, whether or not its parent still lives."""
        return [pid for pid in _processes() if _runs_in_group(pid, self.pid)]

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit code."""
        self.terminate()
        return self.wait()

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> int:
        """Wait until it has stopped; return its exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S + 15)

    def kill(self) -> None:
        """Kill everything at once, as a machine's memory killer would; nothing if it has stopped."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        wait_for(lambda: not self.alive(), "a process survives SIGKILL")

    def line(self) -> Line:
        """A connection to it, for those who write HTTP by hand."""
        return Line(self.port)

    def rows(self, request_id: str, attempts: int = 1) -> list[Row]:
        """The rows of one request, oldest first, once so many attempts are in the store."""
        found: list[Row] = []

        def settled() -> bool:
            found[:] = ledger.rows_of(self.store, request_id)
            return len(found) >= attempts

        wait_for(settled, f"request {request_id} is not in the ledger", self._why)
        return found

    def row(self, request_id: str) -> Row:
        """The row of a request that needed one attempt."""
        (row,) = self.rows(request_id)
        return row

    def newest_row(self, after: int = 0, **wanted: object) -> Row:
        """The only row after a number of rows that has these values, once it is in the store."""
        found: list[Row] = []

        def settled() -> bool:
            rows = ledger.all_rows(self.store)[after:]
            found[:] = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
            return bool(found)

        wait_for(settled, f"no row with {wanted} in the ledger", self._why)
        assert len(found) == 1, found
        return found[0]

    def all_rows(self) -> list[Row]:
        """Every row in the store now."""
        return ledger.all_rows(self.store)

    def said(self) -> str:
        """What it wrote to its log."""
        return b"".join(self._said).decode(errors="replace")

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Keep what it says; through a pipe, because a limit on its files must not silence it."""
        assert process.stdout is not None
        with process.stdout as stream:
            self._said.extend(iter(lambda: os.read(stream.fileno(), 1 << 16), b""))

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended at once:\n{self.said()}"
        try:
            with self.line() as line:
                return line.ask("GET", "/health").status == 200
        except (OSError, CutOffError):  # not yet, or a worker of the one that was killed before, on its way out
            return False

    def _forks(self) -> dict[int, bool]:
        """The first process's children that run its own program, and whether each is the mover, once there is one."""
        found: dict[int, bool] = {}

        def there() -> bool:
            found.clear()
            for pid in self.alive():
                is_nicer = _niceness(pid) > _niceness(self.pid)  # asked first: one that has ended has no command
                if _parent(pid) == self.pid and "wiring.gateway" in command_of(pid):
                    found[pid] = is_nicer
            return sum(found.values()) == 1

        wait_for(there, "there is no mover")
        return found

    def _why(self) -> str:
        return self.said()[-4000:]


@contextlib.contextmanager
def running_gateway(folder: Path, configured: Settings, rate_cards: Settings | None = None) -> Iterator[Gateway]:
    """A gateway while the context lasts, killed at its end if it still runs."""
    started = Gateway(folder, configured, rate_cards)
    try:
        started.start()
        yield started
    finally:
        started.kill()


def wait_for(condition: Callable[[], bool], what: str, why: Callable[[], str] = str) -> None:
    """Wait until a condition holds; say what did not come when it does not."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"{what}\n{why()}"
        time.sleep(0.01)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def command_of(pid: int) -> str:
    """The arguments of a process; nothing when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def _niceness(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getpriority(os.PRIO_PROCESS, pid)
    return 0


def _runs_in_group(pid: int, group: int) -> bool:
    state, _, process_group = _stat(pid)
    return process_group == group and state not in "ZX"


def _parent(pid: int) -> int:
    return _stat(pid)[1]


def _stat(pid: int) -> tuple[str, int, int]:
    """The state, the parent and the group of a process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state, parent, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
        return state, int(parent), int(group)
    return "X", 0, 0
