"""Joins limits with what they are of: keys of the store and of the file, quotas, the ledger, and the shared state.

Light: a worker imports it.  What speaks to a server is imported where there is one.
"""

from __future__ import annotations

import logging
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
from breakeven.ledger.used import known_keys, used_since
from breakeven.limits.reserve import Limits
from breakeven.limits.rules import Identity, Kind, Rule, Scope, Window, divided, nano_usd, window_edges
from breakeven.wiring.true_up import WINDOWS, owners_in, owners_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Snapshot, StoredKeys
    from breakeven.ledger.keys import StoredKey
    from breakeven.ledger.used import Used
    from breakeven.settings import Settings
    from breakeven.settings.file import KeyEntry
    from breakeven.settings.limits import QuotaEntry, QuotasEntry
    from breakeven.wiring.true_up import Owners, TrueUp

_log = logging.getLogger("breakeven.gateway")

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


def used_now(snapshot: Snapshot, stored: StoredKeys, now_s: float, true_up: TrueUp) -> dict[Identity, int]:
    """Return what the ledger has of the present days and months, for new limits to begin with: as a worker takes it.

    What is still in the spool is not in it.  A provider is charged with what the targets used that are its own now.
    Attempts that a pool served count with their part of its closed hours, else at their provisional price; ``true_up``
    says which limits are new, and makes good what comes after.  Hours are not walked through for keys that nobody used
    yet: they are made while requests wait.  Raises ``InputError`` for a store that cannot be read.
    """
    fresh = true_up.take(all_rules(snapshot, stored))
    if not fresh:
        return {}
    store, owners = Path(snapshot.ledger.store), owners_in(snapshot, stored)
    used_names = known_keys(store, {name for scope, name, *_ in fresh if scope == "key"})
    seen = {counts for counts in fresh if counts[0] != "key" or counts[1] in used_names}
    counted: dict[Identity, int] = {}
    costs_usd: dict[Identity, Decimal] = {}
    for window in WINDOWS:
        wanted = {counts for counts in seen if counts[3] == window}
        if wanted:
            begins = datetime.fromtimestamp(window_edges(window, now_s)[0], UTC)
            sums = _summed(used_since(store, begins), wanted, owners)
            counted |= sums[0]
            costs_usd |= sums[1]
    for counts, more_usd in true_up.begin(snapshot, now_s, fresh, seen, owners).items():
        costs_usd[counts] += more_usd
    used = counted | {counts: nano_usd(cost_usd) for counts, cost_usd in costs_usd.items()}
    share = 1 if snapshot.shared_state else snapshot.workers
    return dict.fromkeys(fresh, 0) | {counts: -(-amount // share) for counts, amount in used.items()}


def rules_in_force(
    snapshot: Snapshot, stored: StoredKeys, now_s: float, true_up: TrueUp
) -> tuple[tuple[Rule, ...], dict[Identity, int]]:
    """Return the limits of other settings or keys for a worker that runs, and what those that are new begin with.

    That is nothing where the store cannot be read: the worker goes on, with what it counted of the others.
    """
    rules = all_rules(snapshot, stored)
    try:
        return rules, used_now(snapshot, stored, now_s, true_up)
    except InputError as error:
        _log.error("Limits that are new begin with nothing used. %s", error)
        return rules, {}


def open_limits(snapshot: Snapshot, stored: StoredKeys, clock: Clock, true_up: TrueUp) -> Limits:
    """Return the limits of a worker with what the ledger has of them; await ``start`` before their use.

    ``true_up`` is then to be asked what changes.
    Raises ``InputError`` for a store that cannot be read, ``MissingExtraError`` without the package for a shared state.
    """
    now_s = clock.now()
    true_up.take(())  # whatever was in force before, all of these are new
    rules, used = all_rules(snapshot, stored), used_now(snapshot, stored, now_s, true_up)
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
    counted, costs_usd = _summed(used, wanted, owners_of(teams, providers))
    return counted | {counts: nano_usd(cost_usd) for counts, cost_usd in costs_usd.items()}


def _summed(
    used: Iterable[Used], wanted: set[Identity], owners: Owners
) -> tuple[dict[Identity, int], dict[Identity, Decimal]]:
    """Return what was used of each limit of requests or tokens, and what was spent of each budget, in dollars."""
    sums = {counts: 0 for counts in wanted if counts[2] != "usd"}
    costs_usd = {counts: Decimal(0) for counts in wanted if counts[2] == "usd"}
    by_owner: dict[tuple[Scope, str], list[Identity]] = {}
    for counts in wanted:
        by_owner.setdefault(counts[:2], []).append(counts)
    for part in used:
        for counts in (counts for owner in owners(part) for counts in by_owner.get(owner, ())):
            if counts[2] == "usd":
                costs_usd[counts] += part.cost_usd
            else:
                sums[counts] += part.used_tokens if counts[2] == "tokens" else part.ended_requests
    return sums, costs_usd
