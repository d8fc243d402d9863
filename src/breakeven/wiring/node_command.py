"""Runs the commands that settings name for nodes: what starts one, stops it, or starts it afresh.

A command is a list of arguments, never a shell's line; it gets ``BREAKEVEN_POOL`` and ``BREAKEVEN_NODE`` beside our
environment, and is ended when its time is over.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)

_SHOWN_CHARACTERS: Final = 500


def run_for_node(name: str, what: str, command: Sequence[str], *, timeout_s: float) -> bool:
    """Run a command for the node ``POOL/NODE``; return whether it ended in time and with code 0.

    ``what`` is what it does, in a word for the log; what it says is logged.
    """
    from breakeven.settings.passed_on import environment_with  # not every process that may run one carries settings

    _log.info("%s: %s: %s", name, what, " ".join(command))
    pool, _, node = name.partition("/")
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment_with({"BREAKEVEN_POOL": pool, "BREAKEVEN_NODE": node}),
            process_group=0,
        )
    except OSError as error:
        _log.error("%s: %s: %s cannot be run: %s.", name, what, command[0], error.strerror)
        return False
    try:
        said = process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        _log.error("%s: %s did not end in %g s and was ended.%s", name, what, timeout_s, _shown(said))
        return False
    succeeded = process.returncode == 0
    level = logging.INFO if succeeded else logging.ERROR
    _log.log(level, "%s: %s ended with code %d.%s", name, what, process.returncode, _shown(said))
    return succeeded


def _shown(said: bytes) -> str:
    text = said.decode(errors="replace").strip()
    return f" It said: {text[-_SHOWN_CHARACTERS:]}" if text else ""
