"""``breakeven engine status``: how every node of the pools is now, and what it costs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.engines import EngineLoad
    from breakeven.wiring.engine_status import NodeStatus


def status(
    config: Annotated[Path | None, typer.Option(help="Settings with the pools; default: breakeven.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Ask every node of the pools now: is it well, what does it serve, how busy is it, what does it cost."""
    from breakeven.cli.output import working
    from breakeven.wiring.engine_status import node_statuses
    from breakeven.wiring.settings import load_settings

    settings = load_settings(config)
    with working("asking the nodes"):
        found = node_statuses(settings)
    virtual = tuple(name for name, pool in settings.file.pools.items() if pool.virtual)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"nodes": [_record(item) for item in found], "virtual_pools": virtual, **_costs(found)}))
        return
    if not found:
        typer.echo("No pool in the settings has a node to ask: name some under `pools:`.")
    else:
        _show(found)
    for name in virtual:
        typer.echo(f"{name} is a virtual pool: it is only simulated.")


def _show(found: Sequence[NodeStatus]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    headings = ("node", "engine", "state", "running", "waiting", "KV use", "prefix hits", "serves", "USD/h now")
    table = Table(*headings, box=None, pad_edge=False)
    for item in found:
        load = item.load
        shown = (
            f"{item.pool}/{item.node}",
            item.engine,
            item.trouble or "well",
            _count(load.running_requests),
            _count(load.waiting_requests),
            _share(load.kv_use_fraction),
            _share(_hit_fraction(load)),
            ", ".join(item.models) or "–",
            "–" if item.usd_per_hour is None else f"{item.usd_per_hour:,.2f}",
        )
        table.add_row(*shown)
    console().print(table)
    costs = _costs(found)
    partial = f", {costs['unpriced_nodes']} of them without a price" if costs["unpriced_nodes"] else ""
    typer.echo(f"{len(found)} nodes{partial}: {costs['usd_per_hour']:,.2f} USD an hour now.")
    for item in found:
        if item.canary not in ("", "well"):
            typer.echo(f"{item.pool}/{item.node}, golden prompt: {item.canary}.")
        if item.unserved:
            typer.echo(f"{item.pool}/{item.node} does not list {item.unserved!r}, the model of its pool.")
        if item.note:
            typer.echo(f"{item.pool}/{item.node}: {item.note}.")


def _record(item: NodeStatus) -> dict[str, object]:
    load = item.load
    return {
        "pool": item.pool,
        "node": item.node,
        "engine": item.engine,
        "url": item.url,
        "well": item.is_well,
        "trouble": item.trouble,
        "running_requests": load.running_requests,
        "waiting_requests": load.waiting_requests,
        "kv_use_fraction": load.kv_use_fraction,
        "prefix_hit_tokens": load.prefix_hit_tokens,
        "prefix_query_tokens": load.prefix_query_tokens,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "models": item.models,
        "adapters": [{"name": adapter.name, "base": adapter.base} for adapter in item.adapters],
        "unserved": item.unserved,
        "usd_per_hour": item.usd_per_hour,
        "canary": item.canary,
        "note": item.note,
    }


def _costs(found: Sequence[NodeStatus]) -> dict[str, Decimal | int]:
    priced = [item.usd_per_hour for item in found if item.usd_per_hour is not None]
    return {"usd_per_hour": sum(priced, Decimal(0)), "unpriced_nodes": len(found) - len(priced)}


def _hit_fraction(load: EngineLoad) -> float | None:
    if load.prefix_hit_tokens is None or not load.prefix_query_tokens:
        return None
    return load.prefix_hit_tokens / load.prefix_query_tokens


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
