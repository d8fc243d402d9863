"""``breakeven catalog``: what the program knows, with date, age and source of every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from breakeven.studies.catalogue import Section

app = typer.Typer(
    help="Show models, GPUs, rentals, prices and assumptions, with date, age and source.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Search = Annotated[str | None, typer.Option(help="Show only rows that contain this text.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def models(search: Search = None, as_json: Json = False) -> None:
    """Show open-weight models: parameters, layers, KV heads, context, precisions, public scores."""
    _show("models", search, as_json)


@app.command()
def gpus(search: Search = None, as_json: Json = False) -> None:
    """Show GPUs: memory, bandwidth, dense FLOPS, power."""
    _show("gpus", search, as_json)


@app.command()
def rentals(search: Search = None, as_json: Json = False) -> None:
    """Show dated offers of GPU time: on demand, spot, reserved, serverless; and what owning costs."""
    _show("rentals", search, as_json)


@app.command()
def assumptions(search: Search = None, as_json: Json = False) -> None:
    """Show assumptions: low, likely, high, unit, basis, source."""
    _show("assumptions", search, as_json)


@app.command()
def prices(search: Search = None, as_json: Json = False) -> None:
    """Show API prices per million tokens today, from genai-prices; --search narrows thousands of models."""
    _show("prices", search, as_json)


def _show(section: Section, search: str | None, as_json: bool) -> None:
    from breakeven.cli.output import console
    from breakeven.reports.as_json import to_json
    from breakeven.reports.catalogue import catalogue_table
    from breakeven.wiring.plan import catalogue_rows

    rows = catalogue_rows(section, search)
    if as_json:
        typer.echo(to_json([row.record for row in rows]))
    else:
        console().print(catalogue_table(section, rows))
