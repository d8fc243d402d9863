"""Labels of recorded requests that the ledger knows: task, tags, key and time of a request that names its id."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.ledger.ids import request_id
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.sources.recorded import Recorded
    from breakeven.wiring.ledger import LedgerPlace


def with_labels(requests: Iterator[Recorded], place: LedgerPlace) -> Iterator[Recorded]:
    """Yield requests with what the ledger knows of them, where they bear one of its ids and do not say it themselves.

    Raises ``InputError`` where the ledger cannot be read.
    """
    try:
        with closing(connect(place.store, read_only=True, busy_s=10)) as connection:
            for item in requests:
                yield _labelled(item, connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(place.store, error)) from error


def _labelled(item: Recorded, connection: sqlite3.Connection) -> Recorded:
    try:
        number = request_id(item.id)
    except ValueError:
        return item
    row = connection.execute(
        "SELECT task, tags, key, episode, model, received_us, first_byte_us, ended_us FROM attempt_said "
        "WHERE attempt_id BETWEEN ? AND ? AND outcome = 'ok' ORDER BY attempt_id DESC LIMIT 1",
        (number, number + 15),
    ).fetchone()
    if row is None:
        return item
    task, tags, key, episode, model, received_us, first_byte_us, ended_us = row
    return replace(
        item,
        task=item.task or task or "",
        tags=item.tags or tags or "",
        key=item.key or key or "",
        episode=item.episode or episode or "",
        model=item.model or model or "",
        at_us=item.at_us or received_us,
        first_byte_us=first_byte_us if item.first_byte_us is None else item.first_byte_us,
        ended_us=ended_us if item.ended_us is None else item.ended_us,
    )
