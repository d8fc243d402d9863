"""What targets did with the live requests of a model, row by row: what the guards of a shift are asked about.

Rows are added to the store in the order in which workers hand them over, not in that of their ids; so a reader that
goes on from where it was looks back a while, and knows by the id what it has seen.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.ids import lowest_id
from breakeven.ledger.query import Cards, usage_of
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

MIRRORED: Final = "shadow"
"""Decision of a request that a target got beside the one that served."""

NO_VERDICT: Final = ("overtaken", "over_budget")
"""Failures that say nothing of the target: another attempt was quicker, and a limit of ours."""

_SERIES: Final = (
    "SELECT s.id, p.text, d.text, f.text, s.outcome, s.rate_card, s.over_tokens FROM series s "
    "JOIN text m ON m.id = s.model LEFT JOIN text t ON t.id = s.task LEFT JOIN text p ON p.id = s.target "
    "LEFT JOIN text d ON d.id = s.decision LEFT JOIN text f ON f.id = s.failure "
    "WHERE m.text = ?1 AND (?2 IS NULL OR coalesce(t.text, '') = ?2)"
)
_DECIDED_APART: Final = ("judge",)
"""Decisions of requests that are no client's, and no answer to one."""


class LiveRow(NamedTuple):
    """One attempt that ended at a target."""

    attempt_id: int
    received_us: int
    target: str
    is_mirrored: bool
    failed: bool
    first_byte_s: float | None
    """From when it was sent there; None of a mirrored one, which is asked in another way, and where none came."""

    cost_usd: float | None
    """By the price that holds for it; None where none is known."""


def live_rows(
    store: Path, model: str, task: str | None, *, from_us: int, until_us: int, most_count: int = 200_000
) -> list[LiveRow]:
    """Return the attempts of a model's requests that came in [from_us, until_us), the newest so many, oldest first.

    ``task``: of that task alone; empty: of those without one; None: of all.  Those that clients left, that were
    answered from memory and that were never really tried are no verdict on a target, and left out.
    Raises ``InputError`` where the store cannot be read.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            return list(_rows(connection, (model, task), (from_us, until_us, most_count)))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _rows(
    connection: sqlite3.Connection, asked: tuple[str, str | None], bounds: tuple[int, int, int]
) -> Iterator[LiveRow]:
    series = {
        number: rest
        for number, *rest in connection.execute(_SERIES, asked)
        if rest[3] in (rows.OK, rows.FAILED, rows.CUT)
        and rest[1] not in _DECIDED_APART
        and (rest[3] == rows.OK or rest[2] not in NO_VERDICT)
    }
    if not series:
        return
    cards = Cards(connection)
    found = connection.execute(
        "SELECT attempt_id, received_us, queued_us, first_byte_us, series, input_tokens, cached_input_tokens, "
        "cache_write_tokens, output_tokens FROM attempt WHERE attempt_id >= ? AND received_us >= ? AND received_us < ? "
        f"AND series IN ({', '.join(map(str, series))}) ORDER BY attempt_id DESC LIMIT ?",
        (lowest_id(bounds[0]), *bounds),
    ).fetchall()
    for attempt_id, received_us, queued_us, first_byte_us, number, *tokens in reversed(found):
        target, decision, _, outcome, card_id, over_tokens = series[number]
        mirrored, failed = decision == MIRRORED, outcome != rows.OK
        known = not mirrored and rows.UNKNOWN_US not in (queued_us, first_byte_us)
        card = cards.get(card_id)
        price = (
            None
            if card is None
            else cost_usd(card, usage_of(*tokens), attempts=1, failed=failed, over_tokens=over_tokens)
        )
        yield LiveRow(
            attempt_id=attempt_id,
            received_us=received_us,
            target=target or "",
            is_mirrored=mirrored,
            failed=failed,
            first_byte_s=(first_byte_us - queued_us) / 1e6 if known else None,
            cost_usd=None if price is None else float(price),
        )
