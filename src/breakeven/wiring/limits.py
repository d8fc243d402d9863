"""Joins limits with what they are of: keys of the store and of the file, quotas, the ledger, and the shared state.

Light: a worker imports it.  What speaks to a server is imported where there is one.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from breakeven.errors import InputError, MissingExtraError
from breakeven.gateway.snapshot import Key, SharedState
from breakeven.ledger.pools import kept_hours
from breakeven.ledger.used import true_up, used_since
from breakeven.limits.reserve import Limits
from breakeven.limits.rules import Identity, Kind, Rule, Scope, Window, divided, nano_usd, window_edges
from breakeven.wiring.pools import closed_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Snapshot, StoredKeys
    from breakeven.ledger.keys import StoredKey
    from breakeven.ledger.used import Used
    from breakeven.settings import Settings
    from breakeven.settings.file import KeyEntry
    from breakeven.settings.limits import QuotaEntry, QuotasEntry

GATEWAY_ID: Final = "gateway.id"
"""In the ledger's folder: what a shared state calls the gateway that keeps this ledger."""

_LIMITS: Final[tuple[tuple[Kind, Window], ...]] = (
    ("parallel", "none"),
    ("requests", "minute"),
    ("tokens", "minute"),
    ("usd", "day"),
    ("usd", "month"),
)


def rules_of_entry(entry: KeyEntry) -> tuple[Rule, ...]:
    """Return the limits of a key of the file."""
    return _rules("key", entry.name, *_amounts(entry.quota))


def rules_of_quotas(quotas: QuotasEntry) -> tuple[Rule, ...]:
    """Return the limits of teams, tags, models, targets and providers."""
    sections: tuple[tuple[Scope, Mapping[str, QuotaEntry]], ...] = (
        ("team", quotas.teams), ("tag", quotas.tags), ("model", quotas.models), ("target", quotas.targets),
        ("provider", quotas.providers),
    )  # fmt: skip
    return tuple(
        rule
        for scope, section in sections
        for name, quota in section.items()
        for rule in _rules(scope, name, *_amounts(quota))
    )


def keys_of_stored(key: StoredKey, now_s: float) -> tuple[Key, ...]:
    """Return a key of the store, and beside it the secret before its last rotation while that works."""
    limits = key.limits
    counts = (limits.parallel_requests, limits.minute_requests, limits.minute_tokens)
    rules = _rules("key", key.name, counts, (limits.day_usd, limits.month_usd))
    present = Key(
        name=key.name,
        sha256=key.sha256,
        models=key.models,
        tags=key.tags,
        expires_s=key.expires_s,
        team=key.team,
        sensitivity=limits.sensitivity,
        priority=limits.priority,
        rules=rules,
    )
    if key.former_until_s <= now_s:
        return (present,)
    ends_s = key.former_until_s if key.expires_s is None else min(key.former_until_s, key.expires_s)
    return present, replace(present, sha256=key.former_sha256, expires_s=ends_s)


def shared_state_of(settings: Settings) -> SharedState | None:
    """Return where limits are shared, credentials included."""
    entry = settings.file.shared_state
    if entry is None:
        return None
    url = entry.url
    if entry.password is not None:
        way, _, place = url.partition("://")
        password = quote(settings.secrets[entry.password].reveal(), safe="")
        url = f"{way}://{quote(entry.user or '', safe='')}:{password}@{place}"
    return SharedState(url=url, slack_fraction=entry.slack)


def all_rules(snapshot: Snapshot, stored: StoredKeys) -> tuple[Rule, ...]:
    """Return every limit that is in force: as a worker takes it, which without a shared state is its part."""
    rules = (*snapshot.rules, *(rule for key in (*stored.keys, *snapshot.keys) for rule in key.rules))
    return rules if snapshot.shared_state else divided(rules, snapshot.workers)


def used_now(snapshot: Snapshot, stored: StoredKeys, now_s: float) -> dict[Identity, int]:
    """Return what the ledger has of the present days and months, for limits to begin with: as a worker takes it.

    What is still in the spool is not in it.  A provider is charged with what the targets used that are its own now.
    Attempts that a pool served count with their part of its closed hours, else at their provisional price.
    Raises ``InputError`` for a store that cannot be read.
    """
    rules = all_rules(snapshot, stored)
    teams, providers = _owners(snapshot, stored)
    store = Path(snapshot.ledger.store)
    used: dict[Identity, int] = {}
    for window in ("day", "month"):
        wanted = {rule.counts for rule in rules if rule.window == window}
        if wanted:
            begins = datetime.fromtimestamp(window_edges(window, now_s)[0], UTC)
            parts = used_since(store, begins, kept_hours(store))
            used |= sum_used(parts, wanted, teams, providers)
    share = 1 if snapshot.shared_state else snapshot.workers
    return {counts: -(-amount // share) for counts, amount in used.items()}


class TrueUp:
    """What a running worker asks now and then: by how much pools' hours that closed since change what was used."""

    __slots__ = ("_made_good",)

    def __init__(self, snapshot: Snapshot) -> None:
        """Begin with the hours that ``used_now`` has made good: make it when limits are opened."""
        self._made_good = kept_hours(Path(snapshot.ledger.store))

    def __call__(self, snapshot: Snapshot, stored: StoredKeys, now_s: float) -> dict[Identity, int]:
        """Return this worker's part of the corrections, by what a limit counts; mostly none, and then at no cost.

        Only of the days and months that are still running.  Where the hour is not written down yet, or the store
        cannot be read, the next call asks again.
        """
        if closed_hours(now_s) <= self._made_good:
            return {}
        store = Path(snapshot.ledger.store)
        try:
            kept = kept_hours(store)
            found = self._corrections(snapshot, stored, now_s, kept) if kept > self._made_good else {}
        except InputError:
            return {}
        self._made_good = max(kept, self._made_good)
        return {counts: -(-amount // snapshot.workers) for counts, amount in found.items() if amount}

    def _corrections(self, snapshot: Snapshot, stored: StoredKeys, now_s: float, kept: int) -> dict[Identity, int]:
        teams, providers = _owners(snapshot, stored)
        wanted = {rule.counts for rule in all_rules(snapshot, stored) if rule.kind == "usd"}
        found: dict[Identity, int] = {}
        for window in ("day", "month"):
            ruled = {counts for counts in wanted if counts[3] == window}
            begins_s = max(window_edges(window, now_s)[0], self._made_good * 3600)
            if ruled and begins_s < kept * 3600:
                parts = true_up(Path(snapshot.ledger.store), datetime.fromtimestamp(begins_s, UTC), kept)
                found |= sum_used(parts, ruled, teams, providers)
        return found


def open_limits(snapshot: Snapshot, stored: StoredKeys, clock: Clock) -> Limits:
    """Return the limits of a worker with what the ledger has of them; await ``start`` before their use.

    Raises ``InputError`` for a store that cannot be read, ``MissingExtraError`` without the package for a shared state.
    """
    now_s = clock.now()
    rules, used = all_rules(snapshot, stored), used_now(snapshot, stored, now_s)
    if snapshot.shared_state is None:
        return Limits(rules, now_s, used)
    try:
        from breakeven.limits.shared import SharedLimits, Sharing
    except ImportError as error:
        raise MissingExtraError("shared_state needs the package for it: pip install 'breakeven[redis]'.") from error
    sharing = Sharing(
        url=snapshot.shared_state.url,
        slack=snapshot.shared_state.slack_fraction,
        gateway=gateway_id(Path(snapshot.ledger.folder)),
        process=secrets.token_hex(8),
        workers=snapshot.workers,
    )
    return SharedLimits(rules, sharing, clock, used)


def gateway_id(folder: Path) -> str:
    """Return the id of the gateway that keeps its ledger in a folder, which is given one at the first time."""
    path = folder / GATEWAY_ID
    made = secrets.token_hex(8)
    draft = folder / f"{GATEWAY_ID}.{made}"
    draft.write_text(made, encoding="ascii")
    with suppress(FileExistsError):
        os.link(draft, path)  # whole or not at all, and one for all workers
    draft.unlink()
    return path.read_text(encoding="ascii")


def _owners(snapshot: Snapshot, stored: StoredKeys) -> tuple[dict[str, str], dict[str, str]]:
    """Return the teams of keys, and the providers of targets."""
    return (
        {key.name: key.team for key in (*stored.keys, *snapshot.keys)},
        {target.name: target.provider for target in snapshot.targets},
    )


def _amounts(
    quota: QuotaEntry,
) -> tuple[tuple[int | None, int | None, int | None], tuple[Decimal | None, Decimal | None]]:
    counts = (quota.parallel, quota.requests_per_minute, quota.tokens_per_minute)
    return counts, (quota.budget_day_usd, quota.budget_month_usd)


def _rules(
    scope: Scope,
    name: str,
    counts: tuple[int | None, int | None, int | None],
    budgets_usd: tuple[Decimal | None, Decimal | None],
) -> tuple[Rule, ...]:
    amounts = (*counts, *(None if budget is None else nano_usd(budget) for budget in budgets_usd))
    return tuple(
        Rule(scope, name, kind, amount, window)
        for (kind, window), amount in zip(_LIMITS, amounts, strict=True)
        if amount is not None
    )


def sum_used(
    used: Iterable[Used], wanted: set[Identity], teams: Mapping[str, str], providers: Mapping[str, str]
) -> dict[Identity, int]:
    """Return what was used of each limit, in its units; teams are of keys and providers of targets."""
    sums = dict.fromkeys(wanted, 0)
    costs_usd = dict.fromkeys((counts for counts in wanted if counts[2] == "usd"), Decimal(0))
    by_owner: dict[tuple[Scope, str], list[Identity]] = {}
    for counts in wanted:
        by_owner.setdefault(counts[:2], []).append(counts)
    for part in used:
        owners: list[tuple[Scope, str]] = [
            ("key", part.key), ("team", teams.get(part.key, "")), ("model", part.model), ("target", part.target),
            ("provider", providers.get(part.target, "")),
        ]  # fmt: skip
        owners += dict.fromkeys(("tag", tag.strip()) for tag in part.tags.split(","))
        for counts in (counts for owner in owners for counts in by_owner.get(owner, ())):
            if counts[2] == "usd":
                costs_usd[counts] += part.cost_usd
            else:
                sums[counts] += part.used_tokens if counts[2] == "tokens" else part.ended_requests
    return sums | {counts: nano_usd(cost_usd) for counts, cost_usd in costs_usd.items()}
