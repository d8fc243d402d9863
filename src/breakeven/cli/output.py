"""The console that commands print to."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

SHOWN_AFTER_S = 1.0
PIPE_COLUMNS = 140
"""Width of output that goes to a file or a pipe, where there is no terminal to ask."""


def console() -> Console:
    """Return a console as wide as the terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


@contextmanager
def progressing(what: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on the terminal's error stream once the work takes longer than a second.

    What comes back is told the share that is done; until then the bar only says that work goes on.
    """
    errors = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        console=errors, transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    task = bar.add_task(what, total=None)
    late = Timer(SHOWN_AFTER_S, bar.start)
    late.daemon = True
    late.start()
    try:
        yield lambda share: bar.update(task, total=1.0, completed=share)
    finally:
        late.cancel()
        bar.stop()


def working(what: str) -> AbstractContextManager[object]:
    """Show on the terminal's error stream that work goes on; nothing where there is no terminal."""
    return Console(stderr=True).status(f"{what} …")
