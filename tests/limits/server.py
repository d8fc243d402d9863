"""A real Redis or Valkey without a disk: started on a socket of its own, stopped, killed, and made to hang."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 15.0


class Server:
    """One server; whatever it knew is gone when it is killed."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        assert program is not None, "Neither valkey-server nor redis-server is installed: `make redis` installs one."
        self._program = program
        self._socket = folder / "server.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start it empty, and wait until it answers."""
        options = ("--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", str(self._socket))
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        until_s = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < until_s, "the server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it: connections break, and what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def hang(self) -> None:
        """Let it take what is sent, and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do what it was sent meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what it knows: of each counter, what each field holds."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            names: list[str] = client.keys("{breakeven}:*:*")
            return {
                name.removeprefix("{breakeven}:"): {field: int(n) for field, n in client.hgetall(name).items()}
                for name in names
            }

    def forget(self) -> None:
        """Empty it."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False
