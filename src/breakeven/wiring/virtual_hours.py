"""Joins virtual pools with the ledger: what settings declare of them, and their hours, worked out and asked for.

What is heavy (numba, catalogue) is imported where it is used: the process that waits for hours to close need not have
it until one has.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import InputError, MissingExtraError
from breakeven.ledger.query import Cards
from breakeven.ledger.store import connect, trouble_of
from breakeven.ledger.virtual import (
    Watched,
    keep_hours,
    keep_terms,
    known_digests,
    seen_hours,
    stored_hours,
    stored_virtual_pools,
    watch,
)
from breakeven.studies.virtual.plan import VirtualPlan, VirtualPool, as_if_there, digest_of, paid_hours
from breakeven.studies.virtual.report import virtual_answer
from breakeven.wiring.clock import current_s
from breakeven.wiring.pools import closed_hours, declared_entries, pool_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.ledger.virtual import VirtualHour, WatchedHour
    from breakeven.settings.pools import PoolEntry
    from breakeven.studies.virtual.hours import Paces
    from breakeven.studies.virtual.report import VirtualAnswer
    from breakeven.wiring.ledger import LedgerPlace

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE: Final = 500
"""Hours without a request that are written in one go; one with requests is written as soon as it is worked out."""

MISSING: Final = (
    "A virtual pool is simulated, which needs packages that are not installed here. "
    "Install them with: pip install 'breakeven[plan]'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a look at all hours came to."""

    written_hours: int = 0
    """That were worked out, for the first time or anew."""

    lost_hours: int = 0
    """That ought to be worked out, and of which rows are gone: they stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualFound:
    """An answer about virtual pools, each with the name of its node, and what has to be told beside it."""

    answers: tuple[tuple[VirtualAnswer, str], ...]
    notes: tuple[str, ...]


def virtual_pools(entries: Mapping[str, PoolEntry], folder: Path) -> tuple[VirtualPool, ...]:
    """Return the virtual ones among declared pools; ``folder`` is where their paths start.

    Raises ``InputError`` for a scenario, a model or a GPU that cannot be used, ``MissingExtraError`` without numba.
    """
    return tuple(_pool(name, entry, folder) for name, entry in entries.items() if entry.virtual)


def declared_virtual_pools(config: Path | None) -> tuple[VirtualPool, ...]:
    """Return the virtual pools that settings declare; none without settings.

    Nothing else in the settings matters here, least of all a missing secret.  Raises as ``virtual_pools`` does, and
    ``InputError`` for a pool that is not well-formed.
    """
    return () if config is None else virtual_pools(declared_entries(config), config.parent)


def derive(
    plan: VirtualPlan,
    now_s: float,
    goes_on: Callable[[], bool] = lambda: True,
    given_up: set[str] | None = None,
) -> Derived:
    """Work out every closed hour that is not known, or that would come out differently now; the newest first.

    It may end after any hour, when ``goes_on`` says no: the rest is done the next time.  ``given_up`` is kept by who
    calls again: what cannot be worked out.  Raises ``InputError`` for a
    store that cannot be used and a model that does not fit, ``MissingExtraError`` without the packages for it.
    """
    store = Path(plan.store)
    seen = seen_hours(store) if store.is_file() else (0, 0)
    written = lost = 0
    given_up = set() if given_up is None else given_up
    waiting: list[VirtualHour] = []
    for pool in plan.pools:
        if seen == (0, 0) or not goes_on():
            break
        hours = paid_hours(pool.terms, (seen[0], min(seen[1], closed_hours(now_s))))
        keep_terms(store, pool.terms, hours)
        for found in _worked_out(store, pool, hours, known_digests(store, pool.terms.name), given_up):
            if found is None:
                lost += 1
                continue
            waiting.append(found)
            written += 1
            if found.parts or len(waiting) == _AT_ONCE:
                keep_hours(store, waiting)
                waiting.clear()
            if not goes_on():
                break
    keep_hours(store, waiting)
    return Derived(written_hours=written, lost_hours=lost)


def ask_virtual(
    place: LedgerPlace,
    config: Path | None,
    hours: tuple[int | None, int | None],
    by: str,
    now_s: float | None = None,
) -> VirtualFound:
    """Return what virtual pools would have done and cost, by ``hour`` or ``day``.

    Without hours: what is in the ledger, brought up to date where ``config`` declares the pools.  With hours [from,
    before) since 1970: worked out as if all nodes of the declared pools had been there all the time; nothing is
    written.  Raises ``InputError`` for a question, settings or ledger that cannot be used, ``MissingExtraError``.
    """
    now_s = current_s() if now_s is None else now_s
    declared = declared_virtual_pools(config)
    closed = closed_hours(now_s)
    node = {pool.terms.name: pool.deployment for pool in declared}
    if hours == (None, None):
        done = derive(VirtualPlan(store=str(place.store), pools=declared), now_s) if declared else Derived()
        pools = stored_virtual_pools(place.store) | {pool.terms.name: pool.terms for pool in declared}
        answers = [
            (_answer(place.store, terms, None, by), node.get(name, "node")) for name, terms in sorted(pools.items())
        ]
        lost = done.lost_hours
    else:
        first, last = seen_hours(place.store)
        begin, end = max(hours[0] or 0, first), min(closed if hours[1] is None else hours[1], closed, last)
        if begin >= end:
            raise InputError("The ledger has no hour that is over in that time. Ask for one that it has seen.")
        if not declared:
            raise InputError(
                "No settings declare a virtual pool. Write one into breakeven.yaml (pools: NAME: virtual: true), and "
                "name the file with --config."
            )
        answers, lost = [], 0
        for pool in declared:
            there = as_if_there(pool, (begin, end))
            found = list(_worked_out(place.store, there, range(begin, end), {}, set()))
            known = sorted((item for item in found if item is not None), key=lambda item: item.hour)
            lost += len(found) - len(known)
            answers.append((_answer(place.store, there.terms, known, by), pool.deployment))
    known_answers = tuple((answer, name) for answer, name in answers if answer is not None)
    return VirtualFound(answers=known_answers, notes=tuple(_notes(lost, [answer for answer, _ in known_answers])))


def _notes(lost: int, answers: Sequence[VirtualAnswer]) -> Iterator[str]:
    if lost:
        yield f"{lost:,} hours are left as they were, or out: rows of theirs were pruned, so they cannot be worked out."
    for answer in answers:
        if answer.unbilled_hours:
            yield (
                f"partial: {answer.unbilled_hours:,} hours of {answer.terms.name} are in no figure: they were worked "
                "out for other nodes than are declared for that time."
            )


def _answer(store: Path, terms: PoolTerms, hours: Sequence[VirtualHour] | None, by: str) -> VirtualAnswer | None:
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            known = stored_hours(connection, terms.name, (0, 1 << 40)) if hours is None else hours
            return virtual_answer(terms, list(known), Cards(connection).get, by)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _worked_out(
    store: Path, pool: VirtualPool, hours: Sequence[int], known: Mapping[int, str], given_up: set[str]
) -> Iterator[VirtualHour | None]:
    """Yield the hours that are to be worked out, the newest first; None for one whose rows are not all there.

    Digests of such hours go into ``given_up``, so that nobody looks through all rows for them again.
    """
    if not len(hours):
        return
    watched: dict[int, WatchedHour] = {}
    kept_from = 0

    def look(there: Watched) -> None:
        nonlocal kept_from
        watched.update(there.hours((hours[0] - 1, hours[-1] + 1)))
        kept_from = there.kept_from()

    watch(store, pool.models, look)
    paces: Paces | None = None
    for hour in reversed(hours):
        digest = digest_of(pool, hour, watched)
        if known.get(hour) == digest:
            continue
        if hour < kept_from or digest in given_up:
            yield None
            continue
        paces = _paces(pool) if paces is None else paces
        found = _hour(store, pool, hour, paces, digest, any_came=hour in watched or hour - 1 in watched)
        if found is None:
            given_up.add(digest)
        yield found


def _hour(
    store: Path, pool: VirtualPool, hour: int, paces: Paces, digest: str, *, any_came: bool
) -> VirtualHour | None:
    """Work out one hour from its rows; None where they are fewer than the roll-ups count.

    What came after the digest was made makes another one, by which the hour is worked out again.
    """
    from breakeven.studies.virtual.hours import virtual_hour

    found: list[VirtualHour] = []
    if not any_came:
        return virtual_hour(pool, hour, None, paces, digest)

    def work(there: Watched) -> None:
        bounds = (hour - 1) * HOUR_US, (hour + 1) * HOUR_US
        told = there.hours((hour - 1, hour + 1))
        rows = there.rows(*bounds)
        if len(rows.price) != sum(item.requests for item in told.values()):
            rows = there.rows(*bounds, by_id=False)
        count = int((rows.received_us >= hour * HOUR_US).sum())
        if hour not in told or count == told[hour].requests:
            found.append(virtual_hour(pool, hour, rows, paces, digest))

    watch(store, pool.models, work)
    return found[0] if found else None


def _paces(pool: VirtualPool) -> Paces:
    if find_spec("numba") is None or find_spec("scipy") is None:
        raise MissingExtraError(MISSING)
    from breakeven.wiring.kept_code import keep_compiled

    keep_compiled()
    from breakeven.sources.catalogue import load_book
    from breakeven.sources.roofline import load_roofline
    from breakeven.studies.virtual.hours import paces_of
    from breakeven.wiring.pool_text import deployment_of

    return paces_of(deployment_of(pool.deployment, load_book(), engine=pool.engine), load_roofline())


def _pool(name: str, entry: PoolEntry, folder: Path) -> VirtualPool:
    if find_spec("numba") is None or find_spec("scipy") is None:
        raise MissingExtraError(MISSING)
    if entry.runs is None or entry.hardware is None:
        raise InputError(
            f"pools.{name}: a virtual pool is simulated from its runs and hardware. Write, for example, "
            "runs: llama-3.3-70b and hardware: 2xH100."
        )
    from breakeven.wiring.kept_code import keep_compiled

    keep_compiled()  # before the estimate, which imports some of what is compiled
    nodes = tuple(node.model_copy(update={"since": node.since or _BEGINNING}) for node in entry.nodes)
    precision = f":{entry.quantisation}" if entry.quantisation else ""
    full = entry.full
    return VirtualPool(
        terms=pool_terms(name, entry.model_copy(update={"nodes": nodes}), folder),
        deployment=f"{entry.hardware}:{entry.runs}{precision}",
        engine=entry.measured_engine,
        models=() if "*" in entry.watches else entry.watches,
        most_waiting_requests=full.waiting,
        most_kv_fraction=full.kv_use,
        most_ttft_s=full.ttft_s,
        back_ratio=full.back,
    )
