"""Reads the settings of a running gateway again: by order of a person, and in a process of its own for the gateway.

The gateway's processes are lean: they cannot read settings.  So its first process, told by SIGHUP, runs this module,
which writes the new snapshot, secrets included, into the pipe between the two.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from breakeven.errors import BreakevenError, InputError
from breakeven.settings import Overrides
from breakeven.wiring.ledger import LOCK_NAME
from breakeven.wiring.settings import load_settings
from breakeven.wiring.snapshot import build_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the settings of a gateway stem from."""

    config: Path | None
    """None: ``breakeven.yaml`` of the folder it was started in, or the environment."""

    overrides: Overrides

    def as_text(self) -> str:
        """Return it as one argument of a command."""
        given = self.overrides
        config = str(self.config) if self.config else None
        return msgspec.json.encode([config, given.host, given.port, given.workers]).decode()

    @classmethod
    def from_text(cls, text: str) -> Origin:
        """Return what ``as_text`` wrote."""
        config, host, port, workers = msgspec.json.decode(text)
        return cls(config=Path(config) if config else None, overrides=Overrides(host=host, port=port, workers=workers))


def tell_gateway(config: Path | None) -> int:
    """Check the settings, and have the gateway that runs on them read them again; return its process number.

    Raises ``InputError`` where they cannot be used, or where no gateway runs on them: nothing is told then.
    """
    folder = load_settings(config).ledger_folder
    process = _running(folder / LOCK_NAME)
    if process is None:
        raise InputError(
            f"No gateway keeps its ledger in {folder}, so there is none to tell. Start one with `breakeven up`, or "
            "name the settings that it was started with."
        )
    try:
        os.kill(process, signal.SIGHUP)
    except ProcessLookupError as error:
        raise InputError(
            f"The gateway that keeps its ledger in {folder} has ended, and its last answers are being finished. "
            "Start another one with `breakeven up`."
        ) from error
    return process


def _running(lock: Path) -> int | None:
    """Return the number of the process that holds the lock; a number alone may be another process's by now."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(lock.read_text(encoding="ascii"))
    except OSError:
        pass
    return None


def _warn(warning: str) -> None:
    sys.stderr.write(f"{warning}\n")


def main(origin: str) -> int:
    """Write the snapshot to the standard output; what is wrong, or doubtful, to the standard error.

    It begins with the signals blocked that the gateway waits for, and takes those to stop again: the gateway hears
    nothing until this has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    given = Origin.from_text(origin)
    try:
        settings = load_settings(given.config, given.overrides)
        snapshot = build_snapshot(settings, _warn)
    except BreakevenError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.writelines(f"{warning}\n" for warning in settings.warnings)
    sys.stdout.buffer.write(msgspec.msgpack.encode(snapshot))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
