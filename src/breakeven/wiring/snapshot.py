"""Turns checked settings into the one value that a worker knows; starts nothing and asks no network.

Secrets leave their references here: what comes out must not be shown or stored.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import msgspec

from breakeven.gateway.snapshot import (
    Key,
    LedgerPlan,
    Limits,
    Proxy,
    Route,
    SemanticPlan,
    SemanticTask,
    Snapshot,
    Target,
    Timeouts,
)
from breakeven.routing.eligible import PROTOCOLS
from breakeven.routing.health import Breaker
from breakeven.routing.hedge import Hedging
from breakeven.settings.address import read_address
from breakeven.settings.fallbacks import serving
from breakeven.settings.prices import ANY, priced_as
from breakeven.settings.reach import reach
from breakeven.settings.secret import is_reference
from breakeven.sources.genai import exact_price_list, known_targets
from breakeven.wiring.console import control_plan
from breakeven.wiring.limits import rules_of_entry, rules_of_quotas, shared_state_of
from breakeven.wiring.telemetry import telemetry_plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.catalog.rate_card import PriceList
    from breakeven.settings import Settings
    from breakeven.settings.file import ConfigFile, HedgingEntry, KeyEntry, ModelEntry, ProxyEntry, TargetEntry
    from breakeven.settings.reach import Reach
    from breakeven.settings.semantic import SemanticCacheEntry

MAX_ATTEMPTS = 15
"""The attempt's number has four bits in its id."""


def build_snapshot(settings: Settings) -> Snapshot:
    """Return everything that the gateway needs, secrets included."""
    file = settings.file
    limits = file.limits
    return Snapshot(
        host=file.listen.host,
        port=file.listen.port,
        workers=file.workers,
        targets=tuple(_target(name, entry, settings) for name, entry in file.targets.items()),
        routes=tuple(_route(name, entry, file) for name, entry in file.models.items()),
        keys=tuple(_key(entry) for entry in file.keys),
        open_to_all=settings.open_to_all,
        limits=Limits(
            header_bytes=limits.header_bytes,
            body_bytes=limits.body_bytes,
            header_s=limits.header_s,
            body_s=limits.body_s,
            idle_s=limits.idle_s,
            max_connections=limits.connections,
            drain_s=limits.drain_s,
        ),
        control=msgspec.msgpack.encode(control_plan(settings, file.control)) if file.control else b"",
        telemetry=msgspec.msgpack.encode(telemetry_plan(settings, file.telemetry)) if file.telemetry else b"",
        cache_bytes=file.cache.max_bytes,
        cache_entry_bytes=file.cache.max_entry_bytes,
        semantic=_semantic(file.semantic_cache) if file.semantic_cache else None,
        breaker=Breaker(**file.breaker.model_dump()),
        rules=rules_of_quotas(file.quotas),
        reserved_output_tokens=file.quotas.output_tokens,
        shared_state=shared_state_of(settings),
        ledger=LedgerPlan(
            folder=str(settings.ledger_folder),
            store=str(settings.store),
            drop_when_full=file.ledger.on_full == "drop",
            waiting_rows=file.ledger.waiting_rows,
            keep_days=file.ledger.keep_days,
            fresh=file.ledger.fresh,
        ),
        price_lists=tuple(
            _once_each(
                [
                    *(exact_price_list(name) for name in _needed_at_once(file)),
                    *settings.cards.values(),
                    *(f.prices for f in settings.prices if f.prices),
                ]
            )
        ),
    )


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


def _target(name: str, entry: TargetEntry, settings: Settings) -> Target:
    way = reach(entry)
    address = way.address
    return Target(
        name=name,
        host=address.host,
        port=address.port,
        tls=address.tls,
        host_header=address.host_header,
        base_path=address.path,
        protocols=sum(1 << PROTOCOLS.index(name) for name in set(way.protocols)),
        headers=_headers(entry, way, settings),
        model=entry.model or "",
        priced_as=priced_as(entry)[0],
        timeouts=Timeouts(**entry.timeouts.model_dump()),
        ca_file=str(settings.folder / entry.ca_file) if entry.ca_file else "",
        proxy=_proxy(entry.proxy, settings) if entry.proxy else None,
        stream_usage=way.stream_usage,
        bound=way.bound,
        prefill="" if way.prefill == "none" else way.prefill,
        context_tokens=entry.context_tokens or 0,
        max_connections=entry.max_connections,
        sensitivities=entry.sensitivities,
        provider=way.provider.id if way.provider else "",
    )


def _headers(entry: TargetEntry, way: Reach, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the key, what the provider wants in every request, and the entry's own headers, each name once."""
    sent: dict[str, str] = {}
    if entry.key is not None:
        secret = settings.secrets[entry.key].reveal()
        sent[way.key_header] = f"Bearer {secret}" if way.key_header == "authorization" else secret
    own = {name.lower(): _text(value, settings) for name, value in entry.headers.items()}
    return tuple((sent | dict(way.headers) | own).items())


def _text(value: str, settings: Settings) -> str:
    """Return a text that may be a reference, with blanks around it gone."""
    return settings.secrets[value].reveal() if is_reference(value) else value.strip()


def _proxy(entry: ProxyEntry, settings: Settings) -> Proxy:
    address = read_address(entry.url)
    authorization = ""
    if entry.user is not None and entry.password is not None:
        pair = f"{_text(entry.user, settings)}:{settings.secrets[entry.password].reveal()}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host=address.host, port=address.port, authorization=authorization)


def _route(name: str, entry: ModelEntry, file: ConfigFile) -> Route:
    """Return a model's own targets and, behind them, those of the models that stand in for it."""
    weighted = any("weight" in item.model_fields_set for item in entry.targets)
    steps = serving(file.models)[name]
    own = [item.weight for item in entry.targets]
    return Route(
        model=name,
        targets=tuple(step.target for step in steps),
        names=tuple("" if step.model == ANY else step.model for step in steps),
        weights=(*own, *(0.0 for _ in steps[len(own) :])),
        policy=entry.policy or ("weighted" if weighted else "ordered"),
        max_attempts=min(entry.max_attempts or len(steps), MAX_ATTEMPTS),
        cache_s=entry.cache.ttl_s if entry.cache else 0.0,
        continues_streams=entry.continue_streams,
        hedging=_hedging(entry.hedging) if entry.hedging else None,
        listed=_sold_by([file.targets[item.target] for item in entry.targets]) if name == "*" else (),
        refuse_unpriced=entry.unknown_price == "refuse",
    )


def _hedging(entry: HedgingEntry) -> Hedging:
    return Hedging(after_fraction=entry.after, share_fraction=entry.share, least_s=entry.least_s)


def _sold_by(entries: Iterable[TargetEntry]) -> tuple[str, ...]:
    """Return the models that the catalogue knows of targets which take any name."""
    every = {name.removesuffix("*") for name in (priced_as(entry)[0] for entry in entries) if name.endswith(":*")}
    return tuple(target.partition(":")[2] for target in known_targets() if target.partition(":")[0] + ":" in every)


def _key(entry: KeyEntry) -> Key:
    expires_s = datetime.combine(entry.expires, time(), UTC).timestamp() if entry.expires else None
    return Key(
        name=entry.name,
        sha256=entry.sha256.lower(),
        models=entry.models,
        tags=entry.tags,
        expires_s=expires_s,
        team=entry.team or "",
        rules=rules_of_entry(entry),
    )
