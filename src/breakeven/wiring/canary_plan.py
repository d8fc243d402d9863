"""What the process of canaries is told: plain values, the nodes' keys included, so it travels through memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.engines.canary import Golden
from breakeven.engines.following import filled
from breakeven.gateway.snapshot import Target  # noqa: TC001 - msgspec reads these annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.gateway.snapshot import Route, Snapshot
    from breakeven.settings import Settings
    from breakeven.settings.canaries import CanaryEntry
    from breakeven.settings.pools import PoolEntry

_ANY_MODEL: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A node that is asked."""

    target: Target = field(repr=False)
    model: str
    """The name that it knows its model by."""

    restart: tuple[str, ...]
    """Command that starts it afresh; empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """A pool and what its nodes are asked."""

    name: str
    golden: Golden
    every_s: float
    timeout_s: float
    """For a command."""

    nodes: tuple[NodePlan, ...]
    hours: str = ""
    """When its nodes are up, and asked; empty: always."""

    time_zone: str = "UTC"

    @property
    def mark(self) -> str:
        """What tells what these nodes are asked from anything that others are, or were."""
        return self.golden.mark(self.nodes[0].model)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanariesPlan:
    """One version of what the process knows."""

    folder: str
    """The ledger's."""

    pools: tuple[PoolPlan, ...]


def canaries_plan(settings: Settings, snapshot: Snapshot) -> bytes:
    """Return what the process is told, a ``CanariesPlan`` as msgpack; empty where no pool has a canary."""
    pools = tuple(
        _pool_plan(name, entry, entry.canary, snapshot)
        for name, entry in settings.file.pools.items()
        if entry.canary is not None and not entry.virtual
    )
    if not pools:
        return b""
    return msgspec.msgpack.encode(CanariesPlan(folder=str(settings.ledger_folder), pools=pools))


def _pool_plan(name: str, entry: PoolEntry, canary: CanaryEntry, snapshot: Snapshot) -> PoolPlan:
    nodes = (
        NodePlan(
            target=target,
            model=_model_of(target, snapshot.routes),
            restart=filled(canary.restart or (), name, target.name.partition("/")[2]),
        )
        for target in snapshot.targets
        if target.node is not None and target.node.pool == name
    )
    return PoolPlan(
        name=name,
        golden=Golden(prompt=canary.prompt, expected=canary.expect),
        every_s=canary.every_s,
        timeout_s=canary.timeout_s,
        nodes=tuple(nodes),
        hours=entry.schedule.hours if entry.schedule else "",
        time_zone=entry.schedule.time_zone if entry.schedule else "UTC",
    )


def _model_of(target: Target, routes: Iterable[Route]) -> str:
    """Return the name that a node knows its model by: the pool's, else that by which clients' requests go there."""
    if target.model:
        return target.model
    for route in routes:
        if target.name not in route.targets:
            continue
        at = route.targets.index(target.name)
        own, behind = (names[at] if names else "" for names in (route.own_names, route.names))
        name = own or behind or route.model
        if name != _ANY_MODEL:
            return name
    return ""
