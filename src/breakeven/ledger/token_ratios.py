"""How token counts of one model relate to another's, as measured: from pairs of answers to the same requests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.counterfactual import TokenRatios
from breakeven.errors import InputError
from breakeven.ledger.labels import pool_of, priced_targets
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEWEST_PAIRS: Final = 30
"""Below, a ratio says more of the few requests than of the models."""

_DIGITS: Final = Decimal("0.000001")
_PAIRS: Final = (
    "SELECT incumbent, candidate, count(*), sum(incumbent_input_tokens), sum(candidate_input_tokens), "
    "sum(incumbent_output_tokens), sum(candidate_output_tokens) FROM pair WHERE incumbent_failure = '' "
    "AND candidate_failure = '' AND incumbent_input_tokens > 0 AND candidate_input_tokens > 0 "
    "AND incumbent_output_tokens IS NOT NULL AND candidate_output_tokens IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
)


def measured_ratios(store: Path) -> dict[tuple[str, str], TokenRatios]:
    """Return ratios of sums by (who served, price list set against), where ``FEWEST_PAIRS`` were answered by both.

    Who served is a pool, else the name of its prices.  Both directions of a pair count.  Raises ``InputError`` for a
    store that cannot be read.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            priced = priced_targets(connection)
            pairs = connection.execute(_PAIRS).fetchall()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    sums: dict[tuple[str, str], list[int]] = {}
    for incumbent, candidate, *counts in pairs:
        for key, row in _ways((_named(incumbent, priced), _named(candidate, priced)), counts):
            sums[key] = [sum(both) for both in zip(sums.get(key, [0] * 5), row, strict=True)]
    return {key: _ratios(row) for key, row in sums.items() if row[0] >= FEWEST_PAIRS and row[4]}


def _named(target: str, priced: dict[str, str]) -> str:
    return pool_of(target) or priced.get(target, target)


def _ways(names: tuple[str, str], counts: list[int]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """Yield (served, set against) with pairs and tokens there and here, of input and of output; either may serve."""
    pairs, first_in, second_in, first_out, second_out = counts
    first, second = names
    yield (second, first), [pairs, first_in, second_in, first_out, second_out]
    yield (first, second), [pairs, second_in, first_in, second_out, first_out]


def _ratios(row: list[int]) -> TokenRatios:
    _, there_in, here_in, there_out, here_out = row
    return TokenRatios(
        input_ratio=(Decimal(there_in) / here_in).quantize(_DIGITS),
        output_ratio=(Decimal(there_out) / here_out).quantize(_DIGITS),
    )
