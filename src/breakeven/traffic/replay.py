"""Keeps arrivals in a file, so that they can be run through many simulations without being sorted or drawn anew.

It takes 24 bytes a request and 8 a block, and 12 more a request where their flows are known.  Reading goes batch by
batch: memory does not grow with their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.traffic.arrivals import BATCH_ROWS, BLOCKS_BATCH_ROWS, Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_ROW: Final = np.dtype(
    [("at_s", np.float64), ("given", np.int32), ("cached", np.int32), ("made", np.int32), ("blocks", np.int32)]
)

_LINE: Final = np.dtype([("flow", np.int32), ("deadline_s", np.float64)])


class Replay:
    """Arrivals in a folder; each call begins them anew, and several may go on at once."""

    def __init__(self, arrivals: Iterable[Arrivals], folder: Path) -> None:
        """Write them down; the folder must be there, and stay."""
        self._rows, self._blocks, self._lines = folder / "requests", folder / "blocks", folder / "lines"
        self.requests = 0
        self._block_count = 0
        with self._rows.open("wb") as rows, self._blocks.open("wb") as blocks, self._lines.open("wb") as lines:
            for batch in arrivals:
                row = np.zeros(len(batch.at_s), dtype=_ROW)
                row["at_s"], row["given"] = batch.at_s, batch.input_tokens
                row["cached"], row["made"] = batch.cached_input_tokens, batch.output_tokens
                if len(batch.block_ends):
                    row["blocks"] = np.diff(batch.block_ends, prepend=0)
                line = np.zeros(len(batch.flow), dtype=_LINE)
                line["flow"], line["deadline_s"] = batch.flow, batch.deadline_s
                rows.write(row.tobytes())
                lines.write(line.tobytes())
                blocks.write(batch.blocks.tobytes())
                self.requests += len(row)
                self._block_count += len(batch.blocks)

    def __call__(self) -> Iterator[Arrivals]:
        """Yield the arrivals, in other batches than they came in."""
        size = BLOCKS_BATCH_ROWS if self._block_count else BATCH_ROWS
        with self._rows.open("rb") as rows, self._blocks.open("rb") as blocks, self._lines.open("rb") as lines:
            while True:
                row = np.frombuffer(rows.read(size * _ROW.itemsize), dtype=_ROW)
                if not len(row):
                    return
                given, cached, made = (row[name].astype(np.int64) for name in ("given", "cached", "made"))
                found = Arrivals(row["at_s"].copy(), given, cached, made)
                if self._block_count:
                    ends = np.cumsum(row["blocks"], dtype=np.int64)
                    ids = np.frombuffer(blocks.read(8 * int(ends[-1])), dtype=np.int64).copy()
                    found = found._replace(block_ends=ends, blocks=ids)
                line = np.frombuffer(lines.read(len(row) * _LINE.itemsize), dtype=_LINE)
                if len(line):
                    found = found._replace(flow=line["flow"].astype(np.int64), deadline_s=line["deadline_s"].copy())
                yield found
