"""Closes days and prunes old ones: by a command, or once a day from the mover in a process of its own.

pyarrow takes 100 MB, so the mover starts ``python -m breakeven.wiring.ledger_upkeep STORE [KEEP_DAYS]`` and carries on.
Where pyarrow is not installed, days are summed up all the same and their rows stay in the store.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import BreakevenError, InputError
from breakeven.ledger.days import day_number
from breakeven.ledger.prune import prune
from breakeven.ledger.rollups import sum_days
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from breakeven.ledger.close import ClosedDay
    from breakeven.ledger.prune import Pruned

GRACE_S: Final = 2 * 3600
"""How long a day stays open after its midnight: a request counts to the day in which it came, and may take an hour."""

RETRY_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What a run of ``close`` did."""

    summed_day_count: int
    days: tuple[ClosedDay, ...]
    has_parquet: bool
    """Whether rows could be moved to files; without pyarrow they stay in the store."""


def close(store: Path, now_s: float) -> Closing:
    """Sum up every day that is over, and move its rows to a file.  Raises ``InputError``."""
    before_day = day_number(now_s - GRACE_S)
    try:
        with closing(connect(store, busy_s=10)) as connection:
            summed = sum_days(connection, before_day)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    if find_spec("pyarrow") is None:
        return Closing(summed_day_count=summed, days=(), has_parquet=False)
    from breakeven.ledger.close import close_days

    return Closing(summed_day_count=summed, days=close_days(store, before_day), has_parquet=True)


def prune_days(store: Path, keep_days: int, now_s: float, *, dry_run: bool = False) -> Pruned:
    """Delete rows of days that ended more than ``keep_days`` days ago.  Raises ``InputError``."""
    if keep_days < 1:
        raise InputError(f"--keep-days {keep_days}: keep one day at least.")
    return prune(store, day_number(now_s) - keep_days, dry_run=dry_run)


class Upkeep:
    """Starts the work of a day once the day is over, and tells what went wrong; the mover asks it now and then."""

    __slots__ = ("_done_day", "_keep_days", "_process", "_retry_s", "_store")

    def __init__(self, store: Path, keep_days: int | None) -> None:
        self._store = store
        self._keep_days = keep_days
        self._done_day = 0
        self._retry_s = 0.0
        self._process: subprocess.Popen[str] | None = None

    def poll(self, now_s: float) -> str:
        """Start the work when it is due; return what its last run has to tell, or nothing.  Waits for nothing."""
        if self._process is not None:
            return self._look(self._process, now_s)
        day = day_number(now_s - GRACE_S)
        if day > self._done_day and now_s >= self._retry_s:
            if self._is_anything_to_do(day, day_number(now_s)):
                self._start()
            self._done_day = day
        return ""

    def stop(self) -> None:
        """End a run under way; it may be ended at any point, and the next one goes on."""
        if self._process is not None:
            self._process.kill()  # SIGTERM would wait: it is blocked here, as in the mover
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        keep = [] if self._keep_days is None else [str(self._keep_days)]
        command = [sys.executable, "-P", "-m", "breakeven.wiring.ledger_upkeep", str(self._store), *keep]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def _look(self, process: subprocess.Popen[str], now_s: float) -> str:
        if process.poll() is None:
            return ""
        said = process.communicate()[1].strip()
        self._process = None
        if not process.returncode:
            return ""
        self._done_day, self._retry_s = 0, now_s + RETRY_S
        reason = said.splitlines()[-1] if said else f"exit code {process.returncode}"
        return f"Closed days could not be put in order, and will be tried again in an hour: {reason}"

    def _is_anything_to_do(self, before_day: int, today: int) -> bool:
        """Whether there is a day to sum up or to prune: a look that costs less than a process."""
        oldest = 0 if self._keep_days is None else today - self._keep_days
        try:
            with closing(connect(self._store, read_only=True)) as connection:
                ((found,),) = connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM rollup_hour, upkeep WHERE hour >= 24 * days_summed AND hour < 24 * ?)"
                    "OR EXISTS (SELECT 1 FROM rollup_hour, upkeep WHERE hour >= 24 * pruned_before AND hour < 24 * ?)",
                    (before_day, oldest),
                )
        except (InputError, sqlite3.Error):
            return False  # there is no store yet, or the mover tells what is wrong with it
        return bool(found)


def main(arguments: list[str]) -> int:
    """Prune and close the store that is named; say on standard error what went wrong."""
    from breakeven.wiring.clock import current_s

    store, *keep = arguments
    try:
        if keep:
            prune_days(Path(store), int(keep[0]), current_s())
        close(Path(store), current_s())
    except BreakevenError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
