"""How far a series of queries has come, told while they run.

Each step is one call that asks the database; how far it is inside a step is what DuckDB says, where DuckDB it is.
It draws nothing: that is the part of whoever passes the callback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

Progress = Callable[[float], None]
"""Takes the share that is done, 0 to 1; called from another thread too."""

P = ParamSpec("P")
T = TypeVar("T")

EVERY_S: Final = 0.2

_COUNT_SILENTLY: Final = (
    "SET enable_progress_bar = true; SET enable_progress_bar_print = false; SET progress_bar_time = 0"
)


class Steps:
    """Runs calls one after another and tells how many of so many are done."""

    def __init__(self, step_count: int, progress: Progress | None, backend: Any = None) -> None:
        """Prepare; without a callback nothing is told and no thread is started.

        ``backend`` is the Ibis backend that the steps ask; only DuckDB tells how far a query is.
        """
        self._done = 0
        self._told = 0.0
        self._count = step_count
        self._progress = progress
        connection = getattr(backend, "con", None)
        self._share_of = getattr(connection, "query_progress", None)
        if progress is not None and connection is not None and self._share_of:
            connection.execute(_COUNT_SILENTLY)

    def __call__(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one step."""
        if self._progress is None:
            return step(*args, **kwargs)
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(self._progress, ended), daemon=True)
        watch.start()
        try:
            return step(*args, **kwargs)
        finally:
            ended.set()
            watch.join()
            self._done += 1
            self._tell(self._progress, self._done)

    def _watch(self, progress: Progress, ended: threading.Event) -> None:
        """Tell how far the running step is, until it ends."""
        while self._share_of is not None and not ended.wait(EVERY_S):
            self._tell(progress, self._done + min(max(self._share_of(), 0.0), 100.0) / 100)

    def _tell(self, progress: Progress, steps: float) -> None:
        # A step of several queries would fall back at each of them.
        self._told = max(self._told, steps / self._count)
        progress(self._told)
