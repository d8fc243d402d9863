"""``breakeven ledger query --costs``: what was served on every basis of cost, and what pools had idle."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.ledger.costs import Costs, GroupCost, PoolCost
    from breakeven.ledger.query import Question
    from breakeven.wiring.ledger_costs import CostsFound

_BASES: Final = ("marginal_usd", "allocated_usd", "loaded_usd")
_BESIDE: Final = ("bill_usd", "idle_usd", "fixed_usd", "idle_fixed_usd")


class Asked(NamedTuple):
    """What a person asks: which groups, how many of them, by what they are ranked, and which prices are set against."""

    question: Question
    top: int | None
    order: str | None
    """None: groups stand as their labels do."""

    against: str
    """Names parted by commas."""

    so_far: bool
    """Whether the hour that is not over counts too."""


def show(asked: Asked, ledger: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Answer, as tables or as JSON, from the ledger that is named."""
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_costs import query_costs
    from breakeven.wiring.ledger_prices import settings_path

    names = [name.strip() for name in asked.against.split(",") if name.strip()]
    place, settings = find_ledger(ledger, config), settings_path(ledger, config)
    found = query_costs(place, settings, asked.question, names, so_far=asked.so_far)
    groups = found.costs.groups
    shown = groups if asked.order is None else _ranked(groups, asked.order)[: asked.top]
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(_record(asked.question.by, found, shown) | {"notes": found.notes}))
        return
    _show_groups(asked.question.by, found, shown)
    _show_pools(found.costs.pools)
    until = "until now" if asked.so_far else f"hours before {found.costs.until:%Y-%m-%dT%H:00Z}"
    typer.echo(f"{until}; token counts against other prices are as they are")
    for note in found.notes:
        typer.echo(note, err=True)


def _ranked(groups: Sequence[GroupCost], order: str) -> list[GroupCost]:
    """Return groups from the largest down; by cost means fully loaded."""
    from breakeven.ledger.query import ranked

    by_labels = {group.labels: group for group in groups}
    return [by_labels[t.labels] for t in ranked((replace(g.total, cost_usd=g.loaded_usd) for g in groups), order)]


def _show_groups(by: tuple[str, ...], found: CostsFound, shown: Sequence[GroupCost]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    costs = found.costs
    table = Table(box=None, pad_edge=False)
    for label in by:
        table.add_column(label)
    lists = list(costs.groups[0].against_usd) if costs.groups else []
    numbers = ("requests", "input", "output", "marginal USD", "allocated USD", "loaded USD", "USD/Mtok", "USD/request")
    for name in (*numbers, *(f"at {name}" for name in lists)):
        table.add_column(name, justify="right")
    for group in shown:
        usage = group.total.usage
        table.add_row(
            *[label if label is not None else "–" for label in group.labels],
            *(f"{count:,}" for count in (group.total.requests, usage.input_tokens, usage.output_tokens)),
            *(_usd(cost) for cost in (group.marginal_usd, group.allocated_usd, group.loaded_usd)),
            *(_usd(cost) for cost in (group.per_mtok_usd, group.per_request_usd, *group.against_usd.values())),
        )
    whole_usd = [_of_groups(costs, name) for name in _BASES]
    width = len(by)
    if costs.pools and found.has_idle:
        idle_usd = _of_pools(costs, "idle_usd")
        idle = [Decimal(0), idle_usd, idle_usd + _of_pools(costs, "idle_fixed_usd")]
        table.add_row(*_first("idle", width), "", "", "", "", *map(_usd, idle[1:]), *[""] * (2 + len(lists)))
        whole_usd = [served + unused for served, unused in zip(whole_usd, idle, strict=True)]
    requests = f"{sum(group.total.requests for group in costs.groups):,}"
    at_lists = (_usd(_all_at(costs, name)) for name in lists)
    table.add_row(*_first("all", width), requests, "", "", *map(_usd, whole_usd), "", "", *at_lists)
    console().print(table)


def _show_pools(pools: Sequence[PoolCost]) -> None:
    if not pools:
        return
    from rich.table import Table

    from breakeven.cli.output import console

    table = Table(box=None, pad_edge=False)
    table.add_column("pool")
    if any(pool.time for pool in pools):
        table.add_column("time")
    numbers = ("paid h", "GPU h", "utilisation", "bill USD", "allocated USD", "idle USD", "people and infra USD")
    for name in numbers:
        table.add_column(name, justify="right")
    for pool in pools:
        used = pool.utilisation_fraction
        table.add_row(
            pool.pool, *((pool.time,) if pool.time else ()), f"{pool.paid_s / 3600:,.2f}", f"{pool.gpu_s / 3600:,.2f}",
            "unknown" if used is None else f"{used:.1%}",
            *map(_usd, (pool.bill_usd, pool.allocated_usd, pool.idle_usd, pool.fixed_usd)),
        )  # fmt: skip
    console().print()
    console().print(table)


def _record(by: tuple[str, ...], found: CostsFound, shown: Sequence[GroupCost]) -> dict[str, object]:
    costs = found.costs
    names = costs.groups[0].against_usd if costs.groups else ()
    total = {name: _text(_of_groups(costs, name)) for name in _BASES}
    beside = {name: _text(_of_pools(costs, name) if found.has_idle else None) for name in _BESIDE}
    return {
        "by": by,
        "until": f"{costs.until:%Y-%m-%dT%H:00Z}",
        "rows": [dict(zip(by, group.labels, strict=True)) | _group_record(group) for group in shown],
        "pools": [_pool_record(pool) for pool in costs.pools],
        "total": total | beside | {"against_usd": {name: _text(_all_at(costs, name)) for name in names}},
    }


def _group_record(group: GroupCost) -> dict[str, object]:
    return {
        "requests": group.total.requests,
        "attempts": group.total.attempt_count,
        "usage": group.total.usage,
        "gpu_s": group.gpu_s,
        "marginal_usd": f"{group.marginal_usd:f}",
        "allocated_usd": f"{group.allocated_usd:f}",
        "loaded_usd": f"{group.loaded_usd:f}",
        "loaded_usd_per_mtok": _text(group.per_mtok_usd),
        "loaded_usd_per_request": _text(group.per_request_usd),
        "provisional_usd": _text(group.total.cost_usd),
        "unbilled_attempts": group.unbilled_count,
        "against_usd": {name: _text(usd) for name, usd in group.against_usd.items()},
    }


def _pool_record(pool: PoolCost) -> dict[str, object]:
    return {
        "pool": pool.pool,
        "time": pool.time or None,
        "bill_usd": f"{pool.bill_usd:f}",
        "allocated_usd": f"{pool.allocated_usd:f}",
        "idle_usd": f"{pool.idle_usd:f}",
        "fixed_usd": f"{pool.fixed_usd:f}",
        "idle_fixed_usd": f"{pool.idle_fixed_usd:f}",
        "paid_s": f"{pool.paid_s:f}",
        "unpriced_s": f"{pool.unpriced_s:f}",
        "gpu_s": pool.gpu_s,
        "utilisation_fraction": pool.utilisation_fraction,
        "unmeasured_hours": pool.unmeasured_hours,
        "basis": pool.basis,
    }


def _of_groups(costs: Costs, name: str) -> Decimal:
    return sum((getattr(group, name) for group in costs.groups), Decimal(0))


def _of_pools(costs: Costs, name: str) -> Decimal:
    return sum((getattr(pool, name) for pool in costs.pools), Decimal(0))


def _all_at(costs: Costs, name: str) -> Decimal | None:
    """Return what everything would have cost by a list; None where a group has no figure."""
    found = [group.against_usd[name] for group in costs.groups]
    return None if None in found else sum((usd for usd in found if usd is not None), Decimal(0))


def _first(text: str, width: int) -> list[str]:
    return [text, *[""] * width][:width]


def _usd(amount_usd: Decimal | None) -> str:
    return "unknown" if amount_usd is None else f"{amount_usd:,.6f}"


def _text(amount_usd: Decimal | None) -> str | None:
    return None if amount_usd is None else f"{amount_usd:f}"
