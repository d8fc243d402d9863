"""Targets as a worker uses them: their connections, and everything about a request to them that never changes."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from breakeven.gateway.dialects import DIALECTS, reached, spoken_to
from breakeven.gateway.node_load import NodeLoad
from breakeven.gateway.price_tag import PriceTag
from breakeven.ledger import rows
from breakeven.routing.fullness import Limits
from breakeven.routing.health import Health
from breakeven.routing.latency import FirstBytes, Latency
from breakeven.upstreams.dial import Address, tls_context
from breakeven.upstreams.pool import Pool

if TYPE_CHECKING:
    import ssl

    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Node, Target
    from breakeven.ledger.cards import CardSchedule
    from breakeven.ledger.spool import Spool
    from breakeven.routing.health import Breaker


class TargetState:
    """A target, its connections, and the head of every request to it."""

    def __init__(self, target: Target, clock: Clock, spool: Spool, breaker: Breaker) -> None:
        self.name = target.name
        self.provider = target.provider
        self.model = target.model
        self.timeouts = target.timeouts
        self.stream_usage = target.stream_usage
        self.bound = target.bound
        self.sensitivities = target.sensitivities
        self.protocols = reached(target.protocols)
        self.pool = Pool(address_of(target), max_connections=target.max_connections, clock=clock)
        self.in_flight = 0
        self.health = Health(replace(breaker, probe_s=target.timeouts.total_s))
        self.latency: Latency | None = None
        """Time to first byte; remembered where a policy looks at it."""

        self.load: NodeLoad | None = None
        """Of a pool's node: how busy it is."""

        if target.node is not None:
            self.latency = Latency() if target.node.most_ttft_s is not None else None
            self.load = NodeLoad(_limits(target.node), target.node.slot_count)
        self.first_bytes = FirstBytes()
        """Times from a request to the first byte of its answer."""

        self.limited = False
        """Whether it has limits of its own, or of its provider's."""

        self.context_tokens = target.context_tokens
        self.prefill = target.prefill
        self.code = spool.code(rows.TARGET, target.name)
        self.reply_header = b"x-breakeven-target: %b\r\n" % target.name.encode("ascii", "replace")
        self.spoken = tuple(spoken_to(dialect, target.protocols) for dialect in DIALECTS)
        """By dialect of a client, the one in which this target is spoken to."""

        self.request_heads = tuple(_request_head(target, dialect.suffix) for dialect in DIALECTS)
        """By dialect, everything of a request's head up to the value of its content-length."""

        self.priced_as = target.priced_as


class Offer:
    """A target as it serves one logical model, with the ledger's codes of both."""

    __slots__ = ("model", "model_code", "price", "priced_code", "renamed", "target")

    def __init__(
        self, target: TargetState, model: str, names: tuple[str, str], spool: Spool, schedule: CardSchedule
    ) -> None:
        """Let a target serve a model; ``names``: its name there for this model alone, and that for which it stands in.

        The first is mostly empty, the second mostly the model itself.
        """
        self.target = target
        self.model = names[0] or target.model or names[1]
        self.renamed = self.model != model
        self.model_code = spool.code(rows.MODEL, model)
        priced_as = target.priced_as[:-1] + self.model if target.priced_as.endswith(":*") else target.priced_as
        self.priced_code = spool.code(rows.PRICED_AS, priced_as)
        self.price = PriceTag(priced_as, schedule)


def _limits(node: Node) -> Limits:
    return Limits(
        most_waiting=node.most_waiting_requests,
        most_kv_fraction=node.most_kv_fraction,
        most_ttft_s=inf if node.most_ttft_s is None else node.most_ttft_s,
        back_ratio=node.back_ratio,
    )


def address_of(target: Target) -> Address:
    """Return where a target is and how it is reached."""
    tls: ssl.SSLContext | None = tls_context(target.ca_file) if target.tls else None
    proxy = target.proxy
    return Address(
        host=target.host,
        port=target.port,
        tls=tls,
        connect_s=target.timeouts.connect_s,
        proxy_host=proxy.host if proxy else "",
        proxy_port=proxy.port if proxy else 0,
        proxy_authorization=proxy.authorization if proxy else "",
    )


def _request_head(target: Target, suffix: str) -> bytes:
    lines = [
        f"POST {target.base_path}{suffix} HTTP/1.1",
        f"host: {target.host_header}",
        *(f"{name}: {value}" for name, value in target.headers),
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "accept-encoding: identity",
        "user-agent: breakeven",
        "content-length: ",
    ]
    return "\r\n".join(lines).encode("latin-1")
