"""Asks every node of the settings' pools how it is, all at once, and says what they cost now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.console.canaries import live_canaries
from breakeven.engines import ENGINES, Adapter, EngineLoad
from breakeven.engines.dialects import UNKNOWN
from breakeven.settings.pools import node_target
from breakeven.wiring.clock import current_moment
from breakeven.wiring.engine_ask import NoAnswerError, ask, door_of
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from breakeven.engines import Engine
    from breakeven.engines.degraded import Watched
    from breakeven.gateway.snapshot import Target
    from breakeven.settings import Settings
    from breakeven.settings.pools import NodeEntry, PoolEntry
    from breakeven.wiring.engine_ask import Door

_ANSWER_S: Final = 5.0
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """How a node is at this moment."""

    pool: str
    node: str
    engine: str
    url: str
    trouble: str
    """Why it does not serve; empty when it is well."""

    load: EngineLoad
    models: tuple[str, ...]
    adapters: tuple[Adapter, ...]
    unserved: str
    """The pool's model where the engine does not list it; empty when it does, or none is named."""

    usd_per_hour: Decimal | None
    """What it costs now; None where nothing says so, 0 where it is not paid for now."""

    canary: str
    """How its answers to the golden prompt are; empty where nobody asks it."""

    note: str
    """What to do about something that it does not tell; empty for nothing."""

    @property
    def is_well(self) -> bool:
        """Whether it answers that it is healthy."""
        return not self.trouble


def node_statuses(settings: Settings) -> tuple[NodeStatus, ...]:
    """Return how every node is, in the order of the settings; nodes of virtual pools are left out."""
    targets = {target.name: target for target in build_snapshot(settings).targets}
    now = current_moment()
    said = live_canaries(settings.ledger_folder, now.timestamp())
    asked = [
        _Asked(pool_name, pool, name, node, targets[node_target(pool_name, name)], said)
        for pool_name, pool in settings.file.pools.items()
        if not pool.virtual
        for name, node in zip(pool.node_names(), pool.nodes, strict=True)
    ]
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(asked)) or 1) as threads:
        return tuple(threads.map(lambda item: _status(item, now), asked))


def usd_per_hour_at(pool: PoolEntry, name: str, node: NodeEntry, at: datetime) -> Decimal | None:
    """Return what a node costs an hour at that moment: 0 before and after it is paid for, None where nothing says.

    Of prices that hold from one moment on the last counts, as in the pool's bill.
    """
    if (node.since is not None and at < node.since) or (node.until is not None and at >= node.until):
        return Decimal(0)
    changed = [item for item in pool.prices if item.node in (None, name) and item.since <= at]
    return max(reversed(changed), key=lambda item: item.since).usd_per_hour if changed else node.usd_per_hour


class _Asked(NamedTuple):
    """A node of the settings in its parts."""

    pool_name: str
    pool: PoolEntry
    name: str
    node: NodeEntry
    target: Target
    canaries: Mapping[str, Watched]


def _status(asked: _Asked, now: datetime) -> NodeStatus:
    pool, engine, door, trouble = asked.pool, ENGINES[asked.pool.engine], door_of(asked.target), ""
    try:
        ask(door, engine.health_path, timeout_s=_ANSWER_S)
    except NoAnswerError as error:
        trouble = str(error)
    listed = _answer(door, engine.models_path) if not trouble else b""
    models = engine.read_models(listed)
    load, note = _load(engine, door) if not trouble else (UNKNOWN, "")
    return NodeStatus(
        pool=asked.pool_name,
        node=asked.name,
        engine=pool.engine,
        url=door.root,
        trouble=trouble,
        load=load,
        models=models,
        adapters=engine.read_adapters(listed),
        unserved=pool.model if pool.model and models and pool.model not in models else "",
        usd_per_hour=usd_per_hour_at(pool, asked.name, asked.node, now),
        canary=canary_words(asked.canaries.get(asked.target.name)),
        note=note,
    )


def canary_words(node: Watched | None) -> str:
    """Return how a node's answers to the golden prompt are; nothing where nobody asks it."""
    if node is None:
        return ""
    if node.is_degraded:
        where = "out of service" if node.is_out else "in service, since nothing else is"
        return f"degraded, {'being started afresh' if node.is_restarting else where}"
    return (
        f"bad answers: {node.bad_count}" if node.bad_count else "well" if node.begins is not None else "no answer yet"
    )


def _load(engine: Engine, door: Door) -> tuple[EngineLoad, str]:
    if engine.metrics_path is None:
        return UNKNOWN, f"{engine.title} has no metrics: the gateway counts what it has in flight there itself"
    load = engine.read_load(_answer(door, engine.metrics_path))
    if load.is_known:
        return load, ""
    how = f": start it with {engine.metrics_flag}" if engine.metrics_flag else ""
    return load, f"{engine.title} tells no load on {engine.metrics_path}{how}"


def _answer(door: Door, path: str) -> bytes:
    try:
        return ask(door, path, timeout_s=_ANSWER_S)
    except NoAnswerError:
        return b""
