"""Pairs on the ledger: one request answered by an incumbent and by a candidate, and what checks said of both answers.

Written by the process of shadows and by replays, each in one transaction; saying a pair or a check again replaces it.
Texts are there only where the settings ask for them, sealed with a key that is not in the store.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

SHADOW: Final = "shadow"
"""Origin of a pair whose request came while the gateway ran: copied from live traffic."""

SHIFT: Final = "shift"
"""Likewise, copied for a shift that is under way."""

REPLAY: Final = "replay"
"""Origin of a pair that was asked later, from a file."""

SERVED: Final = "served"
"""Name of the check that says which of the two answered at all: 1 for an answer, 0 for a failure."""

EXACT, NORMAL, JSON_EQUAL, FIELDS = "exact", "normal", "json_equal", "fields"
"""Names of checks of how alike the answers are: the incumbent's score is 1, the candidate's how far it is the same."""

JUDGE: Final = "judge"
"""Name of the check by a model, asked in both orders; its version names the model and the question."""

CHECK: Final = "check"
"""Name of the user's own check, asked over HTTP about both answers."""

HUMAN: Final = "human"
"""Name of what a person said of both answers."""

BUSY_S: Final = 10.0
LAST_US: Final = (1 << 62) - 1
"""Later than any time there is."""


class Side(NamedTuple):
    """What one of the two did.  None: not known, or it gave no answer."""

    request_id: int | None
    """Under which its attempts are in the ledger."""

    input_tokens: int | None
    output_tokens: int | None
    first_byte_us: int | None
    """From the end of the request; likewise the next."""

    ended_us: int | None
    characters: int | None
    """Of the answer's text."""

    failure: str
    """Why it gave no answer; empty: it gave one."""


class Pair(NamedTuple):
    """One request and both its answers, without a word of them."""

    request_id: int
    candidate: str
    incumbent: str
    model: str
    """The name that the client asked for."""

    key: str
    task: str
    tags: str
    at_us: int
    """When the client's request came: Unix microseconds."""

    of_incumbent: Side
    of_candidate: Side
    origin: str
    """``shadow``, ``shift`` or ``replay``."""


class PairCheck(NamedTuple):
    """What one check said of both answers, each between 0 (bad) and 1 (good)."""

    request_id: int
    candidate: str
    name: str
    version: str
    """Of the judge and its question, say; empty where there is none."""

    incumbent_score: float
    candidate_score: float
    detail: str
    at_us: int
    """When it was written down; of checks written later never less, so that it can be gone on from."""

    @property
    def difference(self) -> float:
        """Return the candidate's score less the incumbent's, in [-1, 1]."""
        return self.candidate_score - self.incumbent_score


class PairText(NamedTuple):
    """Question and answers of a pair, sealed."""

    request_id: int
    candidate: str
    sealed: bytes
    expires_s: float
    """Unix seconds from which it is gone."""


class Which(NamedTuple):
    """Pairs that are asked for; empty: of any."""

    model: str = ""
    candidate: str = ""
    tasks: tuple[str, ...] = ()
    incumbent: str = ""
    key: str = ""
    origin: str = ""
    from_us: int = 0
    """When the client's request came, at the earliest."""

    until_us: int = LAST_US
    """Likewise, before which."""

    with_nodes: bool = False
    """The candidate is a pool: pairs whose candidate is a node of it too, but for those of two such nodes."""


class Scored(NamedTuple):
    """A check with the task of its pair: what a test goes on with."""

    check: PairCheck
    task: str
    received_us: int
    """When the client's request came."""


def keep(
    store: Path, pairs: Sequence[Pair] = (), checks: Sequence[PairCheck] = (), texts: Sequence[PairText] = ()
) -> None:
    """Write pairs, checks and texts down, all or none, in place of what was known of them.

    Raises ``InputError`` where the store cannot be written.
    """

    def write(connection: sqlite3.Connection) -> None:
        connection.executemany(
            f"INSERT OR REPLACE INTO pair ({_PAIR}) VALUES ({_marks(_PAIR)})", [_flat(pair) for pair in pairs]
        )
        connection.executemany(f"INSERT OR REPLACE INTO pair_check ({_CHECK}) VALUES ({_marks(_CHECK)})", checks)
        connection.executemany("INSERT OR REPLACE INTO pair_text VALUES (?, ?, ?, ?)", texts)

    if pairs or checks or texts:
        _write(store, write)


def stored_pairs(store: Path, which: Which = Which()) -> list[Pair]:  # noqa: B008 - a plain value
    """Return pairs, in the order in which their requests came.  Raises ``InputError``."""
    where, values = _where(which)
    found = _ask(store, f"SELECT {_PAIR} FROM pair p WHERE {where} ORDER BY at_us, request_id, candidate", values)
    return [_pair(row) for row in found]


def stored_checks(
    store: Path,
    which: Which = Which(),  # noqa: B008 - a plain value
    name: str = "",
    *,
    after: tuple[int, int] = (-1, 0),
) -> list[Scored]:
    """Return checks of such pairs, in the order in which they were written down.  Raises ``InputError``.

    ``name``: of the checks; empty: all.  ``after``: the last (at_us, request_id) that is known: later ones alone.
    """
    where, values = _where(which)
    more = " AND c.name = ?" if name else ""
    found = _ask(
        store,
        f"SELECT {', '.join(f'c.{column}' for column in PairCheck._fields)}, p.task, p.at_us FROM pair_check c "
        f"JOIN pair p USING (request_id, candidate) WHERE {where}{more} AND (c.at_us, c.request_id) > (?, ?) "
        "ORDER BY c.at_us, c.request_id, c.candidate, c.name, c.version",
        (*values, *([name] if name else []), *after),
    )
    return [Scored(PairCheck._make(row[:8]), row[8], row[9]) for row in found]


def sealed_texts(store: Path, which: Which, now_s: float) -> list[PairText]:
    """Return the texts that are kept of such pairs and not over, as they lie.  Raises ``InputError``."""
    where, values = _where(which)
    found = _ask(
        store,
        "SELECT t.request_id, t.candidate, t.sealed, t.expires_s FROM pair_text t "
        f"JOIN pair p USING (request_id, candidate) WHERE {where} AND t.expires_s > ? ORDER BY p.at_us, t.request_id",
        (*values, now_s),
    )
    return [PairText._make(row) for row in found]


def forget_texts(store: Path, now_s: float) -> int:
    """Remove the texts whose time is over; return how many.  Raises ``InputError``."""
    gone = 0

    def write(connection: sqlite3.Connection) -> None:
        nonlocal gone
        connection.execute("PRAGMA secure_delete = ON")
        gone = connection.execute("DELETE FROM pair_text WHERE expires_s <= ?", (now_s,)).rowcount

    if _ask(store, "SELECT 1 FROM pair_text WHERE expires_s <= ? LIMIT 1", (now_s,)):
        _write(store, write)
    return gone


_SIDES: Final = ("incumbent", "candidate")
_HEAD: Final = Pair._fields[:8]
_PAIR: Final = ", ".join((*_HEAD, *(f"{side}_{name}" for side in _SIDES for name in Side._fields), "origin"))
_CHECK: Final = ", ".join(PairCheck._fields)


def _marks(columns: str) -> str:
    return ", ".join("?" * (columns.count(",") + 1))


def _flat(pair: Pair) -> tuple[object, ...]:
    return (*pair[:8], *pair.of_incumbent, *pair.of_candidate, pair.origin)


def _pair(row: tuple[Any, ...]) -> Pair:
    width = len(Side._fields)
    sides = (Side._make(row[8 : 8 + width]), Side._make(row[8 + width : 8 + 2 * width]))
    return Pair._make((*row[:8], *sides, row[-1]))


def _where(which: Which) -> tuple[str, list[object]]:
    """Return a condition on the pairs ``p`` and what is bound in it."""
    terms = ["p.at_us >= ? AND p.at_us < ?"]
    bound: list[object] = [which.from_us, which.until_us]
    for name in ("model", "candidate", "incumbent", "key", "origin"):
        wanted = getattr(which, name)
        if wanted and name == "candidate" and which.with_nodes:
            node = f"{wanted}/"
            terms.append("(p.candidate = ? OR substr(p.candidate, 1, ?) = ?) AND substr(p.incumbent, 1, ?) <> ?")
            bound.extend((wanted, len(node), node, len(node), node))
        elif wanted:
            terms.append(f"p.{name} = ?")
            bound.append(wanted)
    if which.tasks:
        terms.append(f"p.task IN ({', '.join('?' * len(which.tasks))})")
        bound.extend(which.tasks)
    return " AND ".join(terms), bound


def _ask(store: Path, question: str, values: Iterable[object]) -> list[tuple[Any, ...]]:
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            return connection.execute(question, tuple(values)).fetchall()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _write(store: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    try:
        with closing(connect(store, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            work(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
