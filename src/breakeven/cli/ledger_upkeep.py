"""Commands of ``breakeven ledger`` that change what is kept: close, prune, import and reprice; and ``last``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger, moment
from breakeven.cli.traffic import Columns, Tolerate, Zone, mapping

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from breakeven.ledger.export import ExportedAttempt
    from breakeven.ledger.reprice import Repricing
    from breakeven.wiring.ledger_import import Imported

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
RateCards = Annotated[
    list[Path] | None, typer.Option("--rate-card", help="YAML file of prices that go before all others; repeat.")
]


def last(
    count: Annotated[int, typer.Option("-n", "--requests", min=1, max=10_000, help="How many requests.")] = 20,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the newest requests, one row an attempt."""
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_last import last_requests

    found = last_requests(find_ledger(ledger, config).store, count)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json([row._asdict() for row in found]))
    else:
        _show_last(found)


def close(ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Move the rows of days that are over to Parquet files, one a day; a running gateway does it by itself."""
    from breakeven.cli.output import working
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_upkeep import close as run

    with working("Closing days"):
        done = run(find_ledger(ledger, config).store, current_s())
    if as_json:
        from breakeven.reports.as_json import to_json

        days = [item._asdict() for item in done.days]
        typer.echo(to_json({"days_summed": done.summed_day_count, "days": days, "has_parquet": done.has_parquet}))
        return
    for item in done.days:
        typer.echo(f"{item.day}  {item.rows:,} rows  {item.size_bytes:,} bytes")
    typer.echo(f"closed {len(done.days):,} days; summed up {done.summed_day_count:,}")
    if not done.has_parquet:
        typer.echo("Rows stay in the store: files need pyarrow (pip install 'breakeven[plan]').", err=True)


def prune(
    keep_days: Annotated[int, typer.Option(min=1, help="Keep the rows of so many days before today.")],
    dry_run: DryRun = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Delete rows of older days; their sums stay, so that questions to the past are answered as before."""
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_upkeep import prune_days

    done = prune_days(find_ledger(ledger, config).store, keep_days, current_s(), dry_run=dry_run)
    rows = sum(item.rows for item in done.days)
    if as_json:
        from breakeven.reports.as_json import to_json

        days = [item._asdict() for item in done.days]
        said = {"dry_run": dry_run, "rows": rows, "days": days, "outcomes": done.outcomes}
        typer.echo(to_json(said | {"files_in_use": done.files_in_use}))
        return
    span = f" from {done.days[0].day} to {done.days[-1].day}" if done.days else ""
    typer.echo(f"{'would delete' if dry_run else 'deleted'} {rows:,} rows of {len(done.days):,} days{span}")
    if done.outcomes:
        typer.echo(f"and {done.outcomes:,} outcomes that came about before")
    if done.files_in_use:
        typer.echo(f"{done.files_in_use} files are being read and go with the next run.", err=True)


def import_(
    files: Annotated[list[Path], typer.Argument(help="Exports of a ledger, or traces that `breakeven plan` reads.")],
    source: Annotated[str, typer.Option(help="What to call where they are from; default: the file's name.")] = "",
    provider: Annotated[
        str, typer.Option(help="Who sold the models, as in openai:gpt-4o; default: the likeliest.")
    ] = "",
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    rate_card: RateCards = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add requests from files, each once: what the ledger has is not added again."""
    from dataclasses import replace

    from breakeven.cli.output import working
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_import import import_file
    from breakeven.wiring.ledger_prices import price_schedule, settings_path
    from breakeven.wiring.ledger_rows import ImportOptions

    place = find_ledger(ledger, config)
    said = ImportOptions(
        source=source, provider=provider, columns=mapping(column or []), zone=zone, tolerate_fraction=tolerate
    )
    cards = price_schedule(place, settings_path(ledger, config), rate_card or [])
    done: list[Imported] = []
    for path in files:
        with working(f"Importing {path}"):
            options = replace(said, source=source or path.name.split(".")[0])
            done.append(import_file(place.store, path, cards, options, now_s=current_s()))
        if not as_json:
            _show_import(done[-1])
    warnings = cards.take_warnings()
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"files": [_record(item) for item in done], "warnings": warnings}))
        return
    for warning in warnings:
        typer.echo(warning, err=True)


def reprice(
    since: Annotated[str | None, typer.Option(help="From this day or moment (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or moment (UTC).")] = None,
    target: Annotated[str, typer.Option(help="Only this target, by its name or as openai:gpt-4o.")] = "",
    rate_card: RateCards = None,
    dry_run: DryRun = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give rows the prices that are known now, and say what that changes: nothing else changes what was."""
    from breakeven.cli.output import working
    from breakeven.ledger.reprice import Span
    from breakeven.ledger.reprice import reprice as run
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import price_schedule, settings_path

    place = find_ledger(ledger, config)
    bounds = {
        name: int(moment(f"--{name}", text).timestamp()) * 1_000_000
        for name, text in (("since", since), ("until", until))
        if text
    }
    span = Span(target=target, **{f"{name}_us": at_us for name, at_us in bounds.items()})
    cards = price_schedule(place, settings_path(ledger, config), rate_card or [])
    with working("Looking up prices"):
        done = run(place.store, cards, span, dry_run=dry_run)
    if as_json:
        from breakeven.reports.as_json import to_json

        record = {
            "dry_run": dry_run,
            "days": done.day_count,
            "lost_days": done.lost_day_count,
            "targets": _records(done),
        }
        typer.echo(to_json({**record, "warnings": cards.take_warnings()}))
        return
    _show_repricing(done, dry_run=dry_run)
    for warning in cards.take_warnings():
        typer.echo(warning, err=True)


def _show_last(found: Sequence[ExportedAttempt]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    table = Table(box=None, pad_edge=False)
    for name in ("time", "request", "key", "model", "target", "outcome"):
        table.add_column(name)
    for name in ("input", "output", "cost USD"):
        table.add_column(name, justify="right")
    for row in found:
        cost = "unknown" if row.cost_usd is None else f"{row.cost_usd:,.6f}"
        labels = (row.key or "–", row.model or "–", row.target or "–", row.failure or row.outcome)
        request = row.request_id if not row.attempt else f"  attempt {row.attempt + 1}"
        table.add_row(
            f"{row.time:%Y-%m-%d %H:%M:%S}", request, *labels, f"{row.input_tokens:,}", f"{row.output_tokens:,}", cost
        )
    console().print(table)


def _show_import(done: Imported) -> None:
    there = f", {done.repeated_count:,} were there already" if done.repeated_count else ""
    typer.echo(f"{done.file}: added {done.added_count:,} requests as {done.source}{there}")
    for note in done.notes:
        typer.echo(f"  {note}", err=True)
    if done.left_out_count:
        typer.echo(f"  {done.left_out_count:,} are left out: of days that were pruned, or still to come.", err=True)


def _record(done: Imported) -> dict[str, object]:
    return {
        "file": done.file,
        "source": done.source,
        "added": done.added_count,
        "repeated": done.repeated_count,
        "left_out": done.left_out_count,
        "notes": done.notes,
    }


def _show_repricing(done: Repricing, *, dry_run: bool) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    if done.changes:
        table = Table(box=None, pad_edge=False)
        table.add_column("target")
        table.add_column("priced as")
        for name in ("attempts", "before USD", "after USD", "change USD"):
            table.add_column(name, justify="right")
        for (target, priced_as), change in sorted(done.changes.items()):
            sums = (
                _usd(change.before_usd, change.unpriced_before_count),
                _usd(change.after_usd, change.unpriced_after_count),
                f"{change.after_usd - change.before_usd:+f}",
            )
            table.add_row(target or "–", priced_as or "–", f"{change.attempt_count:,}", *sums)
        console().print(table)
    typer.echo(
        f"{'would reprice' if dry_run else 'repriced'} {done.attempt_count:,} attempts of {done.day_count:,} days"
    )
    if done.cached_count:
        typer.echo(f"{done.cached_count:,} answers that were given again cost nothing; what they avoided is told anew.")
    if done.lost_day_count:
        typer.echo(f"{done.lost_day_count:,} days keep their old prices: their rows were pruned.", err=True)


def _usd(sum_usd: Decimal, unpriced: int) -> str:
    return f"{sum_usd:f}" + (f" ({unpriced:,} unpriced)" if unpriced else "")


def _records(done: Repricing) -> list[dict[str, object]]:
    return [
        {
            "target": target,
            "priced_as": priced_as,
            "attempts": change.attempt_count,
            "cached": change.cached_count,
            "before_usd": f"{change.before_usd:f}",
            "after_usd": f"{change.after_usd:f}",
            "unpriced_before": change.unpriced_before_count,
            "unpriced_after": change.unpriced_after_count,
        }
        for (target, priced_as), change in sorted(done.changes.items())
    ]
