"""``breakeven ledger virtual``: what pools that nobody rents would have done with the ledger's requests, and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger, moment
from breakeven.errors import InputError

if TYPE_CHECKING:
    from decimal import Decimal

    from breakeven.studies.virtual.report import VirtualAnswer, VirtualCost

_HOUR_S = 3600


def virtual(
    from_: Annotated[
        str | None,
        typer.Option("--from", help="As if the pool's nodes had been there from this hour on (UTC); writes nothing."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Before this hour (UTC); likewise.")] = None,
    by: Annotated[str, typer.Option(help="Group by hour or day.")] = "day",
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what virtual pools would have served, cost and saved, before anything is rented."""
    from breakeven.cli.output import working
    from breakeven.studies.virtual.report import TIMES
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.virtual_hours import ask_virtual

    if by not in TIMES:
        raise InputError(f"--by {by}: virtual pools are told by {' or '.join(TIMES)}.")
    hours = begin, end = _hour("--from", from_), _hour("--to", to)
    if begin is not None and end is not None and begin >= end:
        raise InputError(f"--from {from_} is not before --to {to}.")
    with working("Working hours out"):
        found = ask_virtual(find_ledger(ledger, config), settings_path(ledger, config), hours, by)
    if as_json:
        from breakeven.reports.as_json import to_json

        pools = [_record(answer, node) for answer, node in found.answers]
        typer.echo(to_json({"by": by, "pools": pools, "notes": found.notes}))
        return
    _show(found.answers)
    for note in found.notes:
        typer.echo(note, err=True)


def _hour(option: str, text: str | None) -> int | None:
    """Return the hour since 1970 that an option says."""
    if text is None:
        return None
    hour, rest_s = divmod(moment(option, text).timestamp(), _HOUR_S)
    if rest_s:
        raise InputError(f"{option} {text}: virtual pools are simulated by the hour. Give a full hour.")
    return int(hour)


def _show(answers: tuple[tuple[VirtualAnswer, str], ...]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console
    from breakeven.studies.virtual.report import sentence_of

    if not answers:
        typer.echo(
            "No virtual pool has an hour yet. Declare one (pools: NAME: virtual: true); hours follow as they close."
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("pool")
    table.add_column("time", no_wrap=True)
    numbers = (
        "requests",
        "served",
        "used",
        "TTFT p50",
        "p99",
        "queue p99",
        "bill USD",
        "idle",
        "API",
        "saved",
        "loaded",
    )
    for name in numbers:
        table.add_column(name, justify="right")
    for answer, _ in answers:
        for cost in (*answer.groups, *((answer.whole,) if len(answer.groups) > 1 else ())):
            table.add_row(*_cells(cost))
    console().print(table)
    typer.echo(
        "used: utilisation; API: what the served requests really cost there; saved: API - bill; "
        "loaded: saved with people and infrastructure counted; in USD"
    )
    for answer, node in answers:
        typer.echo(sentence_of(answer, node))
        for note in notes_of(answer):
            typer.echo(note, err=True)


def notes_of(answer: VirtualAnswer) -> list[str]:
    """Return what a pool's figures leave out."""
    whole, notes = answer.whole, []
    if whole.unpriced_count:
        notes.append(f"partial: {whole.unpriced_count:,} requests have no known price; their cost is in no figure.")
    if whole.unpriced_s:
        notes.append(f"partial: {whole.unpriced_s / 3600:,.2f} node-hours have no price; the bill leaves them out.")
    return notes


def _cells(cost: VirtualCost) -> list[str]:
    return [
        cost.pool,
        cost.time or "all",
        f"{cost.requests:,}",
        _share(cost.served_fraction),
        _share(cost.utilisation_fraction),
        *(_seconds(value) for value in (cost.ttft_p50_s, cost.ttft_p99_s, cost.queue_p99_s)),
        *(_usd(value) for value in (cost.bill_usd, cost.idle_usd, cost.avoided_usd)),
        *(_usd(value) for value in (cost.saved_usd, cost.saved_loaded_usd)),
    ]


def _share(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g} s"


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _record(answer: VirtualAnswer, node: str) -> dict[str, object]:
    from breakeven.studies.virtual.report import sentence_of

    return {
        "pool": answer.terms.name,
        "node": node,
        "from": f"{answer.begins:%Y-%m-%dT%H:00Z}",
        "to": f"{answer.ends:%Y-%m-%dT%H:00Z}",
        "pays_since": f"{answer.pays_since:%Y-%m-%dT%H:00Z}" if answer.pays_since else None,
        "rows": [_cost_record(cost) for cost in answer.groups],
        "total": _cost_record(answer.whole),
        "sentence": sentence_of(answer, node),
        "notes": notes_of(answer),
    }


def _cost_record(cost: VirtualCost) -> dict[str, object]:
    exact = (
        "paid_s", "busy_s", "used_s", "bill_usd", "idle_usd", "fixed_usd", "avoided_usd", "left_usd", "saved_usd",
        "saved_loaded_usd",
    )  # fmt: skip
    times = ("ttft_p50_s", "ttft_p95_s", "ttft_p99_s", "queue_p50_s", "queue_p99_s")
    return {
        "time": cost.time or None,
        "hours": cost.hours,
        "requests": cost.requests,
        "served_requests": cost.served_requests,
        "overflowed_requests": cost.requests - cost.served_requests,
        "served": cost.served,
        "utilisation_fraction": cost.utilisation_fraction,
        **{name: getattr(cost, name) for name in times},
        **{name: f"{getattr(cost, name):f}" for name in exact},
        "unpriced_requests": cost.unpriced_count,
        "unpriced_s": f"{cost.unpriced_s:f}",
    }
