"""The console that commands print to."""

from __future__ import annotations

import sys

from rich.console import Console

PIPE_COLUMNS = 140
"""Width of output that goes to a file or a pipe, where there is no terminal to ask."""


def console() -> Console:
    """Return a console as wide as the terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
