"""Runs the commands that settings name for nodes: what starts one, stops it, or starts it afresh.

A command is a list of arguments, never a shell's line; it gets ``BREAKEVEN_POOL`` and ``BREAKEVEN_NODE`` beside our
environment, and is ended when its time is over.  What it starts may outlive it: its own end alone is waited for.  What
such an engine goes on to say takes room in a file that has no name, so it had better be sent elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)

_SHOWN_CHARACTERS: Final = 500
_READ_BYTES: Final = 4 * _SHOWN_CHARACTERS
_NOT_PASSED_ON: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""What the gateway sets for itself (``wiring.gateway.MALLOC``), and an engine that is started here would inherit."""


def run_for_node(name: str, what: str, command: Sequence[str], *, timeout_s: float) -> bool:
    """Run a command for the node ``POOL/NODE``; return whether it ended in time and with code 0.

    ``what`` is what it does, in a word for the log; what it says is logged.
    """
    _log.info("%s: %s: %s", name, what, " ".join(command))
    try:
        with tempfile.TemporaryFile() as output:  # a pipe would be held open by whatever the command leaves running
            return _run(name, what, command, timeout_s, output)
    except OSError as error:
        _log.error("%s: %s: %s cannot be run: %s.", name, what, command[0], error.strerror)
        return False


def _run(name: str, what: str, command: Sequence[str], timeout_s: float, output: IO[bytes]) -> bool:
    """Do so; what it says goes to that file.  Raises ``OSError`` where it cannot be started."""
    process = subprocess.Popen(  # noqa: S603 - the user's own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_environment(name),
        process_group=0,
    )
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _log.error("%s: %s did not end in %g s and was ended.%s", name, what, timeout_s, _shown(output))
        return False
    level = logging.ERROR if code else logging.INFO
    _log.log(level, "%s: %s ended with code %d.%s", name, what, code, _shown(output))
    return code == 0


def _environment(name: str) -> dict[str, str]:
    from breakeven.settings.passed_on import environment_with  # not every process that may run one carries settings

    pool, _, node = name.partition("/")
    passed_on = environment_with({"BREAKEVEN_POOL": pool, "BREAKEVEN_NODE": node})
    return {name: value for name, value in passed_on.items() if name not in _NOT_PASSED_ON}


def _shown(output: IO[bytes]) -> str:
    """Return the end of what was said, for the log; where the file is written next stays as it is."""
    size_bytes = os.fstat(output.fileno()).st_size
    said = os.pread(output.fileno(), _READ_BYTES, max(size_bytes - _READ_BYTES, 0))
    text = said.decode(errors="replace").strip()
    return f" It said: {text[-_SHOWN_CHARACTERS:]}" if text else ""
