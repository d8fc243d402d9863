"""Reads the traffic that a person names: a ledger, or files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.traffic.trace import Trace


def read_traffic(
    files: Sequence[str | Path], *, columns: Mapping[str, str], zone: str | None, tolerate_fraction: float
) -> Trace:
    """Return the traffic of ``ledger:FOLDER``, or of logs; see ``ledger_trace`` and ``read_trace``.

    Raises ``InputError`` where a ledger is not named alone.
    """
    from breakeven.traffic.read import read_trace
    from breakeven.wiring.ledger_trace import is_ledger, ledger_trace

    if any(is_ledger(item) for item in files):
        if len(files) > 1 or columns or zone:
            raise InputError(
                "A ledger is read alone, and knows its own columns and times. "
                "Name just ledger:FOLDER, without --column and --zone."
            )
        return ledger_trace(files[0])
    return read_trace(
        [Path(item) for item in files],
        mapping=dict(columns) or None,
        zone=zone,
        tolerate_fraction=tolerate_fraction,
    )
