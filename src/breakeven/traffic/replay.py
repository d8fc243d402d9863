"""Keeps arrivals in a file, so that they can be run through many simulations without being sorted or drawn anew.

It takes 24 bytes a request and 8 a block.  Reading goes batch by batch: memory does not grow with their number.
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


class Replay:
    """Arrivals in a folder; each call begins them anew, and several may go on at once."""

    def __init__(self, arrivals: Iterable[Arrivals], folder: Path) -> None:
        """Write them down; the folder must be there, and stay."""
        self._rows, self._blocks = folder / "requests", folder / "blocks"
        self.requests = 0
        self._block_count = 0
        with self._rows.open("wb") as rows, self._blocks.open("wb") as blocks:
            for batch in arrivals:
                row = np.zeros(len(batch.at_s), dtype=_ROW)
                row["at_s"], row["given"] = batch.at_s, batch.input_tokens
                row["cached"], row["made"] = batch.cached_input_tokens, batch.output_tokens
                if len(batch.block_ends):
                    row["blocks"] = np.diff(batch.block_ends, prepend=0)
                rows.write(row.tobytes())
                blocks.write(batch.blocks.tobytes())
                self.requests += len(row)
                self._block_count += len(batch.blocks)

    def __call__(self) -> Iterator[Arrivals]:
        """Yield the arrivals, in other batches than they came in."""
        size = BLOCKS_BATCH_ROWS if self._block_count else BATCH_ROWS
        with self._rows.open("rb") as rows, self._blocks.open("rb") as blocks:
            while True:
                row = np.frombuffer(rows.read(size * _ROW.itemsize), dtype=_ROW)
                if not len(row):
                    return
                found = Arrivals(
                    row["at_s"].copy(), *(row[name].astype(np.int64) for name in ("given", "cached", "made"))
                )
                if self._block_count:
                    ends = np.cumsum(row["blocks"], dtype=np.int64)
                    ids = np.frombuffer(blocks.read(8 * int(ends[-1])), dtype=np.int64).copy()
                    found = found._replace(block_ends=ends, blocks=ids)
                yield found
