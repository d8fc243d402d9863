"""Answered requests of a time out of the file of a closed day, for pools that are only simulated; needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.counterfactual import EVALUATION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from breakeven.capacity.compiled import Ints

_COUNTS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")


def answered_rows(
    path: Path, between_us: tuple[int, int], models: Collection[str], prices: Sequence[tuple[str, int]]
) -> Ints:
    """Return the requests to these models, or to any, that came in a time [from, before) and that an API answered.

    Shadows and judges are none.

    The array is of shape (n, 6): when each came, its place among ``prices``, and four token counts.  Groups of rows in
    which no request came in that time are not read.
    """
    came = pc.field("received_us")
    wanted = (came >= between_us[0]) & (came < between_us[1])
    wanted &= pc.field("outcome").isin([rows.OUTCOMES[code] for code in ANSWERED])
    wanted &= ~pc.field("decision").isin(EVALUATION)
    if models:
        wanted &= pc.field("model").isin(sorted(models))
    table = pq.read_table(path, columns=["received_us", "rate_card", "over_tokens", "target", *_COUNTS], filters=wanted)
    table = table.filter(pc.invert(pc.fill_null(pc.match_substring(table["target"], "/"), fill_value=False)))
    place = {price: number for number, price in enumerate(prices)}
    said = zip(table["rate_card"].to_pylist(), table["over_tokens"].to_pylist(), strict=True)
    found = np.empty((table.num_rows, 2 + len(_COUNTS)), dtype=np.int64)
    found[:, 0] = table["received_us"].to_numpy()
    found[:, 1] = [place[card or "", over] for card, over in said]
    for column, name in enumerate(_COUNTS, start=2):
        found[:, column] = table[name].to_numpy()
    return found
