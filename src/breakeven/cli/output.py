"""The console that commands print to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PIPE_COLUMNS = 140
"""Width of output that goes to a file or a pipe, where there is no terminal to ask."""


def console() -> Console:
    """Return a console as wide as the terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def working(what: str) -> AbstractContextManager[object]:
    """Show on the terminal's error stream that work goes on; nothing where there is no terminal."""
    return Console(stderr=True).status(f"{what} …")
