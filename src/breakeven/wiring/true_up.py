"""Makes good what running budgets were charged provisionally for pools: the difference to what hours came to.

What was made good is kept for each limit by the day.  So it can be found again from the store, and only what changed
is added: an attempt that ended after its hour had closed, a price that was corrected, and a limit that began between
two looks count once each, as they would after a restart.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError
from breakeven.ledger.pools import kept_hours
from breakeven.ledger.used import true_up_by_day
from breakeven.limits.rules import nano_usd, window_edges
from breakeven.wiring.pools import closed_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.gateway.snapshot import Snapshot, StoredKeys
    from breakeven.ledger.used import By, Used
    from breakeven.limits.rules import Identity, Rule, Scope, Window

    Owners = Callable[[By | Used], Iterable[tuple[Scope, str]]]
    """Against whose limits something counts."""

    Days = dict[int, Decimal]
    """Dollars by day since 1970."""

_log = logging.getLogger("breakeven.gateway")

ASK_S: Final = 10.0
"""How long the store is left alone after a look at it."""

LATE_HOURS: Final = 6
"""So long after it closed an hour is looked at again: attempts that last, or wait in the spool, come to it late."""

WINDOWS: Final[tuple[Window, ...]] = ("day", "month")
"""Whose uses the ledger remembers."""

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


class _Question(NamedTuple):
    """What is to be looked up in the store."""

    store: Path
    begins: Mapping[Identity, int]
    """The budgets, and the moment (Unix seconds) from which on each is to be known."""

    owners: Owners
    closed_hours: int
    made_good_hours: int
    """If the store has just these hours, nothing is to be looked up."""

    pools: tuple[PoolTerms, ...]


class _Found(NamedTuple):
    """What the store says."""

    asked: _Question
    hours: int
    """Up to which hour since 1970."""

    more_usd: Mapping[Identity, Days]
    """Of each budget that was asked for."""


def in_thread(look: Callable[[], None]) -> None:
    """Look aside from the event loop."""
    threading.Thread(target=look, name="true-up", daemon=True).start()


def owners_in(snapshot: Snapshot, stored: StoredKeys) -> Owners:
    """Return what says against whose limits something counts: the teams of keys and the providers of targets."""
    teams = {key.name: key.team for key in (*stored.keys, *snapshot.keys)}
    return owners_of(teams, {target.name: target.provider for target in snapshot.targets})


def owners_of(teams: Mapping[str, str], providers: Mapping[str, str]) -> Owners:
    """Return what says against whose limits something counts."""

    def owners(by: By | Used) -> list[tuple[Scope, str]]:
        found: list[tuple[Scope, str]] = [
            ("key", by.key), ("team", teams.get(by.key, "")), ("model", by.model), ("target", by.target),
            ("provider", providers.get(by.target, "")),
        ]  # fmt: skip
        return found + list(dict.fromkeys(("tag", tag.strip()) for tag in by.tags.split(",")))

    return owners


class TrueUp:
    """What a worker asks now and then: by how much pools' hours that closed since change what was used."""

    __slots__ = (
        "_aside", "_asked_s", "_found", "_hours", "_in_force", "_latest_s", "_looking", "_made_good", "_pools",
        "_trouble",
    )  # fmt: skip

    def __init__(self, aside: Callable[[Callable[[], None]], None] = in_thread) -> None:
        """Take what runs a look at the store, now or meanwhile."""
        self._aside = aside
        self._in_force: frozenset[Identity] = frozenset()
        self._made_good: dict[Identity, Days] = {}
        """Of each budget, and of a day or a month only while that runs."""

        self._hours = 0
        self._pools: tuple[PoolTerms, ...] = ()
        """As declared when all hours of the windows were looked at last."""

        self._asked_s = self._latest_s = float("-inf")
        self._looking = False
        self._found: _Found | None = None
        self._trouble = ""

    def take(self, rules: Iterable[Rule]) -> set[Identity]:
        """Learn which limits are in force from now on, and return those of days and months that are new."""
        wanted = {rule.counts for rule in rules if rule.window in WINDOWS}
        fresh = wanted - self._in_force
        self._in_force = frozenset(wanted)
        self._made_good = {counts: days for counts, days in self._made_good.items() if counts in wanted}
        return fresh

    def begin(
        self, snapshot: Snapshot, now_s: float, fresh: Iterable[Identity], seen: Iterable[Identity], owners: Owners
    ) -> dict[Identity, Decimal]:
        """Return what has to be added to what new budgets were charged provisionally; it is then made good.

        Those that are not ``seen`` have no attempts yet.  Raises ``InputError`` for a store that cannot be read.
        """
        begins = {counts: window_edges(counts[3], now_s)[0] for counts in seen if counts[2] == "usd"}
        found = _look(_question(snapshot, begins, owners, now_s))
        if found is None:
            self._made_good.update((counts, {}) for counts in fresh)
            return {}
        if not self._made_good:
            self._hours, self._pools = found.hours, snapshot.ledger.pools
        self._made_good.update((counts, dict(found.more_usd.get(counts, {}))) for counts in fresh)
        return {counts: sum(days.values(), Decimal(0)) for counts, days in found.more_usd.items()}

    def __call__(self, snapshot: Snapshot, stored: StoredKeys, now_s: float) -> dict[Identity, int]:
        """Return this worker's part of the corrections, by what a limit counts; mostly none, and then at no cost.

        Only of the days and months that are still running.  Where the hour is not written down yet, or the store
        cannot be read, a later call asks again.
        """
        if self._found is None and not self._looking and self._is_due(snapshot, now_s):
            self._asked_s = now_s
            begins = self._begins(snapshot, now_s)
            asked = _question(snapshot, begins, owners_in(snapshot, stored), now_s)._replace(
                made_good_hours=self._hours
            )
            self._looking = True
            self._aside(partial(self._look, asked))
        found, self._found = self._found, None
        return self._change(found, now_s, snapshot.workers) if found else {}

    def _is_due(self, snapshot: Snapshot, now_s: float) -> bool:
        """Whether to look: an hour has closed, or a clock was set back.

        Where no pool is declared nobody writes hours down.
        """
        if not (snapshot.ledger.pools and self._in_force) or closed_hours(now_s) == self._hours:
            return False
        return not 0 <= now_s - self._asked_s < ASK_S

    def _edges(self, now_s: float) -> dict[str, int]:
        """Return when windows began; a clock that goes back changes nothing, as in the meters."""
        self._latest_s = max(self._latest_s, now_s)
        return {window: window_edges(window, self._latest_s)[0] for window in WINDOWS}

    def _begins(self, snapshot: Snapshot, now_s: float) -> dict[Identity, int]:
        """Return from when on each budget may have changed."""
        late_s = (min(self._hours, closed_hours(now_s)) - LATE_HOURS) * _HOUR_S // _DAY_S * _DAY_S
        is_known = snapshot.ledger.pools == self._pools
        edges = self._edges(now_s)
        return {
            counts: max(edges[counts[3]], late_s if is_known and counts in self._made_good else 0)
            for counts in self._in_force
            if counts[2] == "usd"
        }

    def _look(self, asked: _Question) -> None:
        try:
            self._found = _look(asked)
            self._trouble = ""
        except InputError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.error("Pools' closed hours change no budget until the store can be read. %s", error)
        finally:
            self._looking = False

    def _change(self, found: _Found, now_s: float, workers: int) -> dict[Identity, int]:
        """Keep what was found, and return what of it is new."""
        changes: dict[Identity, int] = {}
        edges = self._edges(now_s)
        for counts, more_usd in found.more_usd.items():
            if counts not in self._in_force:
                continue
            first_day = edges[counts[3]] // _DAY_S
            known = self._made_good.get(counts)
            before = {day: usd for day, usd in (known or {}).items() if day >= first_day}
            looked_day = found.asked.begins[counts] // _DAY_S
            after = {day: usd for day, usd in before.items() if day < looked_day}
            after |= {day: usd for day, usd in more_usd.items() if day >= first_day}
            self._made_good[counts] = after
            change = _part(after, workers) - _part(before, workers)
            if change and known is not None:  # else nobody knows what of it this limit was charged
                changes[counts] = change
        self._hours, self._pools = found.hours, found.asked.pools
        return changes


def _question(snapshot: Snapshot, begins: Mapping[Identity, int], owners: Owners, now_s: float) -> _Question:
    return _Question(
        store=Path(snapshot.ledger.store),
        begins=begins,
        owners=owners,
        closed_hours=closed_hours(now_s),
        made_good_hours=-1,
        pools=snapshot.ledger.pools,
    )


def _look(asked: _Question) -> _Found | None:
    """Look up what is to be added; a clock that was ahead may have had later hours written down than have closed."""
    if not asked.begins:
        return None
    hours = min(kept_hours(asked.store), asked.closed_hours)
    if hours == asked.made_good_hours:
        return None
    by_owner: dict[tuple[Scope, str], list[Identity]] = {}
    for counts in asked.begins:
        by_owner.setdefault(counts[:2], []).append(counts)

    def whose(by: By) -> list[tuple[Scope, str]]:
        return [owner for owner in asked.owners(by) if owner in by_owner]

    since = datetime.fromtimestamp(min(asked.begins.values()), UTC)
    more_usd: dict[Identity, Days] = {counts: {} for counts in asked.begins}
    for (day, owner), usd in true_up_by_day(asked.store, since, hours, whose).items():
        for counts in by_owner[owner]:
            if day * _DAY_S >= asked.begins[counts]:
                more_usd[counts][day] = usd
    return _Found(asked, hours, more_usd)


def _part(days: Days, workers: int) -> int:
    """Return one worker's part of what was made good, in billionths of a dollar."""
    return -(-nano_usd(sum(days.values(), Decimal(0))) // workers)
