"""Answered requests of a time out of the file of a closed day, for pools that are only simulated; needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_COLUMNS: Final = [
    "received_us", "rate_card", "over_tokens", "input_tokens", "cached_input_tokens", "cache_write_tokens",
    "output_tokens",
]  # fmt: skip


def answered_rows(path: Path, begins_us: int, ends_us: int, models: Collection[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the fields of ``WatchedRow`` of each request to these models, or to any, that an API answered.

    Groups of rows in which no request came in that time are not read.
    """
    came = pc.field("received_us")
    wanted = (came >= begins_us) & (came < ends_us)
    wanted &= pc.field("outcome").isin([rows.OUTCOMES[code] for code in ANSWERED])
    if models:
        wanted &= pc.field("model").isin(sorted(models))
    table = pq.read_table(path, columns=[*_COLUMNS, "target"], filters=wanted)
    for target, at_us, card, *rest in zip(
        table["target"].to_pylist(), *(table[name].to_pylist() for name in _COLUMNS), strict=True
    ):
        if "/" not in (target or ""):
            yield at_us, card or "", *rest
