"""How far a series of queries has come, told while they run.

Each step is one call that asks the database; how far it is inside a step is what DuckDB says, where DuckDB it is.
It draws nothing: that is the part of whoever passes the callback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from ibis.expr.types import Table

Progress = Callable[[float], None]
"""Takes the share that is done, 0 to 1; called from another thread too."""

P = ParamSpec("P")
T = TypeVar("T")

EVERY_S: Final = 0.2


class Steps:
    """Runs calls one after another and tells how many of so many are done."""

    def __init__(self, table: Table, step_count: int, progress: Progress | None) -> None:
        """Prepare; without a callback nothing is told and no thread is started."""
        self._done = 0
        self._count = step_count
        self._progress = progress
        self._connection = getattr(table.get_backend(), "con", None) if progress else None

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
            self._progress(self._done / self._count)

    def _watch(self, progress: Progress, ended: threading.Event) -> None:
        """Tell how far the running step is, until it ends."""
        share_of = getattr(self._connection, "query_progress", None)
        while share_of is not None and not ended.wait(EVERY_S):
            within = min(max(share_of(), 0.0), 100.0) / 100
            progress((self._done + within) / self._count)
