"""Turns targets and nodes of settings into what workers know of them; secrets leave their references here."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from breakeven.gateway.snapshot import (
    Node,
    Proxy,
    Target,
    Timeouts,
)
from breakeven.routing.eligible import PROTOCOLS
from breakeven.settings.address import read_address
from breakeven.settings.pools import node_target, pool_of
from breakeven.settings.prices import priced_as
from breakeven.settings.reach import reach
from breakeven.settings.secret import is_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.settings import Settings
    from breakeven.settings.pools import PoolEntry
    from breakeven.settings.reach import Reach
    from breakeven.settings.targets import ProxyEntry, TargetEntry


def target_of(name: str, entry: TargetEntry, settings: Settings) -> Target:
    """Return a target as workers know it, its secrets in it."""
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
        node=_node(name, settings.file.pools),
    )


def _node(target: str, pools: Mapping[str, PoolEntry]) -> Node | None:
    """Return what makes a target a node; None where it is none."""
    name = pool_of(target)
    pool = pools.get(name)
    if pool is None or target not in (node_target(name, node) for node in pool.node_names()):
        return None
    full = pool.full
    return Node(
        pool=name,
        engine=pool.engine,
        most_waiting_requests=full.waiting,
        most_kv_fraction=full.kv_use,
        most_ttft_s=full.ttft_s,
        back_ratio=full.back,
        slot_count=pool.slots,
        observe_s=pool.observe_s,
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
