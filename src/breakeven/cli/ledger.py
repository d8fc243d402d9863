"""``breakeven ledger``: what the gateway has kept, summed up or row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli import ledger_costs, ledger_upkeep, ledger_virtual
from breakeven.cli.ledger_options import Config, Json, Ledger, moment
from breakeven.errors import InputError
from breakeven.ledger.asked import pair_of, record_of

if TYPE_CHECKING:
    from breakeven.ledger.query import Question, Total

app = typer.Typer(
    help="Look at what the gateway has kept: every attempt, its tokens and what it cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def query(
    by: Annotated[
        str,
        typer.Option(help="Group by these, A,B: key, task, tag:NAME, model, target, pool, outcome, hour, day, …"),
    ] = "model",
    since: Annotated[
        str | None, typer.Option(help="From this day or hour (UTC): 2026-11-21, 2026-11-21T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or hour (UTC).")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with LABEL=VALUE, such as key=search; repeat for more; VALUE none: without one."),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many groups, the largest first.")] = None,
    order: Annotated[str | None, typer.Option(help="Largest first: cost, requests, attempts, input, output.")] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Marginal, allocated and fully loaded cost, with what pools had idle.")
    ] = False,
    against: Annotated[
        str, typer.Option(help="With costs: what it would have cost at these, A,B, such as openai:gpt-4o-mini.")
    ] = "",
    so_far: Annotated[
        bool, typer.Option("--so-far", help="With costs: the hour that is not over too, as if it ended now.")
    ] = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Sum up requests, attempts, tokens and cost, from the hourly roll-ups."""
    from breakeven.ledger.query import ask, ranked, sum_of
    from breakeven.wiring.ledger import find_ledger, waiting_note

    question = _question(by, since, until, where or [])
    order = "cost" if order is None and top is not None else order
    if costs or against or so_far:
        ledger_costs.show(ledger_costs.Asked(question, top, order, against, so_far), ledger, config, as_json=as_json)
        return
    place = find_ledger(ledger, config)
    totals = ask(place.store, question)
    whole, note = sum_of(totals), waiting_note(place)
    shown = totals if order is None else ranked(totals, order)[:top]
    if as_json:
        from breakeven.reports.as_json import to_json

        rows = [_record(question, total) for total in shown]
        typer.echo(to_json({"by": question.by, "rows": rows, "total": _record(question, whole), "note": note}))
    else:
        show_totals(question.by, shown, whole)
        if note:
            typer.echo(note, err=True)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write: .csv, .jsonl or .parquet.")],
    form: Annotated[
        str,
        typer.Option("--format", help="rows: one an attempt; focus: charges by day, as FOCUS 1.2 (.csv, .parquet)."),
    ] = "rows",
    since: Annotated[str | None, typer.Option(help="With focus: from this day or hour (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="With focus: before this day or hour (UTC).")] = None,
    against: Annotated[
        str,
        typer.Option(help="With focus: write savings as credit rows, against today, optimised or PROVIDER:MODEL."),
    ] = "",
    by: Annotated[str, typer.Option(help="With focus: charges of a day or of an hour.")] = "day",
    account: Annotated[str, typer.Option(help="With focus: the billing account that rows name.")] = "breakeven",
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write one row an attempt, with its texts, times and exact cost, which `breakeven plan` reads; or FOCUS."""
    from breakeven.cli import ledger_focus
    from breakeven.cli.output import working
    from breakeven.wiring.ledger import find_ledger, waiting_note
    from breakeven.wiring.ledger_export import export as write

    asked = ledger_focus.Asked(form, since, until, against, by, account)
    if ledger_focus.is_focus(asked):
        ledger_focus.write(file, asked, ledger, config, as_json=as_json)
        return
    place = find_ledger(ledger, config)
    with working(f"Writing {file}"):
        count = write(place.store, file)
    note = waiting_note(place)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"file": file, "attempts": count, "note": note}))
    else:
        typer.echo(f"wrote {count:,} attempts to {file}")
        if note:
            typer.echo(note, err=True)


def show_totals(by: tuple[str, ...], totals: tuple[Total, ...], whole: Total | None = None) -> None:
    """Print a table of totals, grouped by those labels, and the sum of all, also of those that are not shown."""
    from rich.table import Table

    from breakeven.cli.output import console
    from breakeven.ledger.query import sum_of

    whole = whole or sum_of(totals)
    if not totals:
        typer.echo("No attempts match.")
        return
    table = Table(box=None, pad_edge=False)
    for label in by:
        table.add_column(label)
    for name in ("requests", "attempts", "input", "cached", "cache write", "output", "estimated", "cost USD"):
        table.add_column(name, justify="right")
    for total in totals:
        table.add_row(*[label if label is not None else "–" for label in total.labels], *_figures(total))
    if len(totals) > 1 or whole.attempt_count > totals[0].attempt_count:
        table.add_row(*["all", *[""] * len(by)][: len(by)], *_figures(whole))
    console().print(table)
    if whole.cached_count:
        typer.echo(
            f"cached: {whole.cached_count:,} requests were answered from memory, which avoided "
            f"{whole.avoided_usd:,.6f} USD."
        )
    if whole.is_partial:
        typer.echo(f"partial: {whole.unpriced_count:,} attempts have no known price; their cost is in no figure.")


def _figures(total: Total) -> list[str]:
    usage = total.usage
    counts = (
        total.requests, total.attempt_count, usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens,
        usage.output_tokens,
    )  # fmt: skip
    share = total.estimated_count / total.attempt_count if total.attempt_count else 0
    return [*(f"{count:,}" for count in counts), f"{share:.1%}", _cost(total)]


def _cost(total: Total) -> str:
    if total.cost_usd is None:
        return "unknown"
    return f"{total.cost_usd:,.6f}{' (partial)' if total.is_partial else ''}"


def _record(question: Question, total: Total) -> dict[str, object]:
    return dict(zip(question.by, total.labels, strict=False)) | record_of(total) | {"usage": total.usage}


def _question(by: str, since: str | None, until: str | None, where: list[str]) -> Question:
    from breakeven.ledger.query import Question

    return Question(
        by=tuple(item.strip() for item in by.split(",")) if by else (),
        since=moment("--since", since) if since else None,
        until=moment("--until", until) if until else None,
        where=tuple(_pair(item) for item in where),
    )


def _pair(item: str) -> tuple[str, str]:
    try:
        return pair_of(item)
    except ValueError as error:
        raise InputError(f"--where {item!r} should read LABEL=VALUE, such as --where key=search.") from error


app.command()(ledger_upkeep.last)
app.command()(ledger_virtual.virtual)
app.command()(ledger_upkeep.close)
app.command()(ledger_upkeep.prune)
app.command("import")(ledger_upkeep.import_)
app.command()(ledger_upkeep.reprice)
