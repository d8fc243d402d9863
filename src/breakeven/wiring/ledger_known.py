"""What closed days hold, looked up row by row: the days that an import touches are read as it comes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breakeven.ledger.rollups import DAY_US

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from breakeven.ledger.days import DayFile
    from breakeven.ledger.intake import Facts

_COLUMNS = ["attempt_id", "received_us", "ended_us", "input_tokens", "output_tokens", "decision"]


class RowsInFiles:
    """Tells the facts of a row that a file has.  Rows come by time, so the last day read is kept, and no other."""

    __slots__ = ("_day", "_files", "_folder", "_ids", "_table")

    def __init__(self, folder: Path, files: Iterable[DayFile]) -> None:
        self._folder = folder
        self._files = {file.day: file for file in files}
        self._day = -1
        self._ids: Any = None
        self._table: Any = None

    def __call__(self, received_us: int, attempt_id: int) -> Facts | None:
        """Return what tells the row of that id from others; None where its day's file has none."""
        day = received_us // DAY_US
        file = self._files.get(day)
        if file is None or not file.first_id <= attempt_id <= file.last_id:
            return None
        if day != self._day:
            self._read(file)
        place = int(self._ids.searchsorted(attempt_id))
        if self._ids[place] != attempt_id:
            return None
        _, received, ended, given, output, decision = (column[place].as_py() for column in self._table.columns)
        return received, ended, given, output, decision

    def _read(self, file: DayFile) -> None:
        import pyarrow.parquet as pq

        self._table = pq.read_table(self._folder / file.name, columns=_COLUMNS).combine_chunks()
        self._ids = self._table.column("attempt_id").to_numpy()
        self._day = file.day
