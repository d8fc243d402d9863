"""Turns checked settings into the one value that a worker knows; starts nothing and asks no network.

Secrets leave their references here: what comes out must not be shown or stored.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import msgspec

from breakeven.economics.pool_hours import pool_price_list
from breakeven.gateway.snapshot import (
    Key,
    LedgerPlan,
    Limits,
    SemanticPlan,
    SemanticTask,
    Snapshot,
)
from breakeven.routing.health import Breaker
from breakeven.settings.check_tasks import tables_of
from breakeven.settings.prices import priced_as
from breakeven.sources.genai import exact_price_list, known_targets
from breakeven.wiring.alert_plan import alerts_plan
from breakeven.wiring.batches import batches_plan
from breakeven.wiring.canary_plan import canaries_plan
from breakeven.wiring.console import control_plan
from breakeven.wiring.limits import rules_of_entry, rules_of_quotas, shared_state_of
from breakeven.wiring.pools import gateway_pools
from breakeven.wiring.routes import route_of, tasks_plan
from breakeven.wiring.targets import target_of
from breakeven.wiring.telemetry import telemetry_plan
from breakeven.wiring.trials import copy_rules, trials_plan
from breakeven.wiring.virtual import virtual_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from breakeven.catalog.rate_card import PriceList
    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.settings import Settings
    from breakeven.settings.file import ConfigFile, KeyEntry, LimitsEntry
    from breakeven.settings.semantic import SemanticCacheEntry


def _unheard(_: str) -> None:
    """Take a warning where nobody is there to read it."""


def build_snapshot(settings: Settings, warn: Callable[[str], None] = _unheard) -> Snapshot:
    """Return everything that the gateway needs, secrets included; ``warn`` is told what it has to do without."""
    file = settings.file
    tables = tables_of(file.tasks, settings.folder) if file.tasks else ()
    pools = gateway_pools(file.pools, settings.folder, warn)
    snapshot = Snapshot(
        host=file.listen.host,
        port=file.listen.port,
        workers=file.workers,
        targets=tuple(target_of(name, entry, settings) for name, entry in file.targets.items()),
        routes=tuple(route_of(name, entry, settings, tables) for name, entry in file.models.items()),
        tasks=tasks_plan(file.tasks, settings.folder) if file.tasks else None,
        keys=tuple(_key(entry) for entry in file.keys),
        open_to_all=settings.open_to_all,
        limits=_limits(file.limits),
        control=msgspec.msgpack.encode(control_plan(settings, file.control)) if file.control else b"",
        telemetry=msgspec.msgpack.encode(telemetry_plan(settings, file.telemetry)) if file.telemetry else b"",
        virtual=virtual_plan(settings),
        cache_bytes=file.cache.max_bytes,
        cache_entry_bytes=file.cache.max_entry_bytes,
        semantic=_semantic(file.semantic_cache) if file.semantic_cache else None,
        breaker=Breaker(**file.breaker.model_dump()),
        rules=rules_of_quotas(file.quotas),
        reserved_output_tokens=file.quotas.output_tokens,
        shared_state=shared_state_of(settings),
        sensitivity_of_tags=tuple(file.sensitivity_of_tags.items()),
        ledger=_ledger(settings, pools),
        price_lists=_price_lists(settings, pools),
    )
    snapshot = replace(snapshot, canaries=canaries_plan(settings, snapshot))
    if file.trials is not None:
        trials = msgspec.msgpack.encode(trials_plan(file.trials, settings, snapshot))
        snapshot = replace(snapshot, trials=trials, copies=copy_rules(file.trials))
    if file.alerts is not None:
        snapshot = replace(snapshot, alerts=msgspec.msgpack.encode(alerts_plan(settings, file.alerts, snapshot)))
    if file.batches is None:
        return snapshot
    return replace(snapshot, batches=msgspec.msgpack.encode(batches_plan(file.batches, snapshot)))


def _limits(entry: LimitsEntry) -> Limits:
    return Limits(
        header_bytes=entry.header_bytes,
        body_bytes=entry.body_bytes,
        header_s=entry.header_s,
        body_s=entry.body_s,
        idle_s=entry.idle_s,
        max_connections=entry.connections,
        drain_s=entry.drain_s,
    )


def _ledger(settings: Settings, pools: tuple[PoolTerms, ...]) -> LedgerPlan:
    entry = settings.file.ledger
    return LedgerPlan(
        folder=str(settings.ledger_folder),
        store=str(settings.store),
        drop_when_full=entry.on_full == "drop",
        waiting_rows=entry.waiting_rows,
        keep_days=entry.keep_days,
        fresh=entry.fresh,
        pools=pools,
    )


def _price_lists(settings: Settings, pools: Sequence[PoolTerms]) -> tuple[PriceList, ...]:
    lists = [
        *(exact_price_list(name) for name in _needed_at_once(settings.file)),
        *settings.cards.values(),
        *(found.prices for found in settings.prices if found.prices),
        *(prices for pool in pools if (prices := pool_price_list(pool)) is not None),
    ]
    return tuple(_once_each(lists))


def _semantic(entry: SemanticCacheEntry) -> SemanticPlan:
    return SemanticPlan(
        embeddings_model=entry.embeddings,
        tasks=tuple(
            SemanticTask(
                name=name,
                least_similarity_ratio=task.similarity,
                most_false_fraction=task.most_false_hits,
                checked_fraction=task.checked_share,
                ttl_s=task.ttl_s,
                similar_answers=task.same_answer == "similar",
                answer_similarity_ratio=task.answer_similarity,
            )
            for name, task in entry.tasks.items()
        ),
        max_entry_count=entry.max_entries,
        max_bytes=entry.max_bytes,
        timeout_s=entry.timeout_s,
    )


def _needed_at_once(file: ConfigFile) -> Iterable[str]:
    """Yield targets whose prices decide whether a request is taken, though its model is not in the file."""
    anything = file.models.get("*")
    if anything is None or anything.unknown_price != "refuse":
        return
    every = {priced_as(file.targets[item.target])[0].removesuffix("*") for item in anything.targets}
    yield from (name for name in known_targets() if name.partition(":")[0] + ":" in every)


def _once_each(lists: Iterable[PriceList]) -> Iterable[PriceList]:
    return {item.target: item for item in lists}.values()


def _key(entry: KeyEntry) -> Key:
    expires_s = datetime.combine(entry.expires, time(), UTC).timestamp() if entry.expires else None
    return Key(
        name=entry.name,
        sha256=entry.sha256.lower(),
        models=entry.models,
        tags=entry.tags,
        expires_s=expires_s,
        team=entry.team or "",
        sensitivity=entry.sensitivity or "",
        priority=entry.priority,
        rules=rules_of_entry(entry),
    )
