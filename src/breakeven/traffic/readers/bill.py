"""A bill: token totals by month, and by model where it says, without times.

A bill shows volume and cost but no peaks, so capacity for it rests on an assumed utilisation.
Daily totals are not read: with a time on each row they would pass for requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.layout import Layout
from breakeven.traffic.readers.mapped import find_columns
from breakeven.traffic.readers.names import BILL_NAMES, KNOWN_NAMES, guess, require
from breakeven.traffic.schema import INPUT_TOKENS, MONTH, OUTPUT_TOKENS, TIME
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

NEEDED: Final = (MONTH, INPUT_TOKENS, OUTPUT_TOKENS)
_MONTH_VALUE: Final = re.compile(r"\d{4}[-/]\d{2}([-/]\d{2}.*)?|[A-Za-z]{3,9} \d{4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillReader:
    """Reads rows that carry a month instead of a time."""

    name: str = "bill"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the user names a month column, or one is found that holds months and no time is."""
        if MONTH in options.mapping:
            return True
        if TIME in options.mapping or guess(head, KNOWN_NAMES[TIME]):
            return False
        column = guess(head, BILL_NAMES[TIME])
        values = [value for value in head.sample.get(column.name, ()) if value] if column else []
        return bool(values) and any(_MONTH_VALUE.fullmatch(value) for value in values)

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the rows under the user's names and the guessed ones."""
        known = {MONTH if name == TIME else name: names for name, names in BILL_NAMES.items()}
        columns, notes = find_columns(head, options.mapping, known)
        require(head, columns, NEEDED, known)
        columns[TIME] = columns.pop(MONTH)
        return stage(backend, head, Layout(kind="bill", columns=columns, notes=notes))
