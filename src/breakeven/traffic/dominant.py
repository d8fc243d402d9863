"""Which model a log says its traffic went to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.traffic.schema import INPUT_TOKENS, MODEL, OUTPUT_TOKENS

if TYPE_CHECKING:
    from breakeven.traffic.trace import Trace


def dominant_model(trace: Trace) -> str | None:
    """Return the model that most tokens went to; None where the log names none."""
    table = trace.table
    named = table.filter(table[MODEL].notnull())
    sums = named.group_by(MODEL).aggregate(tokens=(named[INPUT_TOKENS] + named[OUTPUT_TOKENS]).sum())
    rows = sums.order_by(sums.tokens.desc()).limit(1).to_pyarrow().to_pylist()
    return str(rows[0][MODEL]) if rows else None
