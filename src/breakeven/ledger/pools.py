"""Pools on the ledger: what is declared of them, and the hours that were paid, each a fact of its own.

What is declared is written down whole, hours follow from it, and both change in one transaction: whatever ends the
process, the store has the hours of what it says is declared.  Writing the same again changes nothing.  A node that is
no longer declared, alone or with its pool, was paid until that was first known, so it stays, with the prices that held
for it then; to end one earlier, say until when.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.economics.pool_hours import HOUR_US, PoolHour, PoolTerms, own_prices, pool_hours
from breakeven.errors import InputError
from breakeven.ledger.labels import pool_of
from breakeven.ledger.rows import TARGET
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BUSY_S: Final = 10.0
_PUT: Final = "INSERT OR REPLACE INTO pool_hour (pool, node, hour, from_us, paid_us) VALUES (?, ?, ?, ?, ?)"


def keep_pools(store: Path, declared: Iterable[PoolTerms], until_hour: int, now_us: int | None = None) -> int:
    """Write down what is declared, and the hours before ``until_hour``, since 1970, that follow from it.

    Nodes that are no longer declared, alone or with their pool, end now; without ``now_us``, with these hours.  Returns
    how many hours of nodes were written.  Raises ``InputError`` for a store that cannot be written.
    """
    ends_us = until_hour * HOUR_US if now_us is None else now_us
    there = {terms.name: terms for terms in declared}
    try:
        with closing(connect(store, create=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            stored = stored_pools(connection)
            count = 0
            gone = (replace(terms, nodes=()) for name, terms in stored.items() if name not in there)
            for terms in (*there.values(), *gone):
                before = stored.get(terms.name)
                count += _keep(connection, with_former(terms, before, ends_us), before, until_hour)
            connection.execute("UPDATE pool_kept SET hours = max(hours, ?)", (until_hour,))
            connection.execute("COMMIT")
            return count
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def kept_hours(store: Path) -> int:
    """Return how many hours since 1970 are written down; none where there is no store.  Raises ``InputError``."""
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            return hours_kept(connection)
    except StoreMissingError:
        return 0
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def hours_kept(connection: sqlite3.Connection) -> int:
    """Return how many hours since 1970 a store has written down."""
    return int(connection.execute("SELECT hours FROM pool_kept").fetchone()[0])


def stored_pools(connection: sqlite3.Connection) -> dict[str, PoolTerms]:
    """Return what was last declared of each pool, by name."""
    found = connection.execute("SELECT name, content FROM pool ORDER BY name")
    return {name: msgspec.json.decode(content, type=PoolTerms) for name, content in found}


def weighed_pools(store: Path) -> tuple[str, ...]:
    """Return the pools that served somebody and of which it is known what tokens take.  Raises ``InputError``."""
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            known = {name for name, terms in stored_pools(connection).items() if terms.gpu_time is not None}
            found = connection.execute("SELECT text FROM text WHERE kind = ?", (TARGET,)) if known else ()
            return tuple(sorted(known & {pool_of(text) for (text,) in found}))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def rented_pools(store: Path, closed_hours: int) -> tuple[PoolTerms, ...]:
    """Return the pools of which the store keeps the hours; none where it is behind ``closed_hours``.

    Raises ``InputError`` for a store that cannot be read.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN")
            return tuple(stored_pools(connection).values()) if hours_kept(connection) >= closed_hours else ()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def hours_of(connection: sqlite3.Connection, pool: str, hour: int) -> list[PoolHour]:
    """Return the facts of one pool in one hour."""
    found = connection.execute(
        "SELECT pool, node, hour, from_us, paid_us FROM pool_hour WHERE pool = ? AND hour = ? ORDER BY node",
        (pool, hour),
    )
    return list(map(PoolHour._make, found))


def with_former(declared: PoolTerms, stored: PoolTerms | None, ends_us: int) -> PoolTerms:
    """Return what is declared together with nodes that were before and are not now: they end then, as then priced.

    Beside former nodes each node has its prices as its own: one that is given for the whole pool later is for the
    nodes that are declared with it.
    """
    if stored is None:
        return declared
    names = {node.name for node in declared.nodes}
    gone = tuple(
        node if node.is_former else replace(node, until_us=_sooner(node.until_us, ends_us), is_former=True)
        for node in stored.nodes
        if node.name not in names and (node.is_former or node.since_us < ends_us)
    )
    if not gone:
        return declared
    now = [price for node in declared.nodes for price in own_prices(declared.prices, node.name)]
    then = [price for node in gone for price in own_prices(stored.prices, node.name)]
    return replace(declared, nodes=(*declared.nodes, *gone), prices=(*now, *then))


def all_terms(stored: Mapping[str, PoolTerms], declared: Iterable[PoolTerms], until_hour: int) -> dict[str, PoolTerms]:
    """Return all pools by name: as they are declared now, and as they were where they are not declared any more.

    Nodes that are no longer declared, and of which the store does not know that yet, end with the hours before
    ``until_hour``.
    """
    ends_us = until_hour * HOUR_US
    return {**stored, **{terms.name: with_former(terms, stored.get(terms.name), ends_us) for terms in declared}}


def _sooner(until_us: int | None, ends_us: int) -> int:
    return ends_us if until_us is None else min(until_us, ends_us)


def _keep(connection: sqlite3.Connection, terms: PoolTerms, stored: PoolTerms | None, until_hour: int) -> int:
    ((last,),) = connection.execute("SELECT max(hour) FROM pool_hour WHERE pool = ?", (terms.name,))
    since_hour = 0 if last is None else last + 1
    until_hour = max(until_hour, since_hour)  # a clock that was set back takes nothing away
    if terms != stored:
        content = msgspec.json.encode(terms, order="deterministic").decode()
        connection.execute("INSERT OR REPLACE INTO pool VALUES (?, ?)", (terms.name, content))
        if stored is not None and terms.nodes != stored.nodes:
            connection.execute("DELETE FROM pool_hour WHERE pool = ?", (terms.name,))
            since_hour = 0
    before = connection.total_changes
    connection.executemany(_PUT, pool_hours(terms, until_hour, since_hour))
    return connection.total_changes - before
