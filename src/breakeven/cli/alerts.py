"""``breakeven alerts``: what was alerted, and whether receivers can be reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads these at run time

if TYPE_CHECKING:
    from breakeven.studies.alerts import Notice

app = typer.Typer(
    help="See what was alerted, and try whether receivers of alerts can be reached.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="What is over too, of the last 30 days.")] = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what is raised now, since when, and who was told."""
    from breakeven.wiring.alert_send import stored_notices
    from breakeven.wiring.ledger import find_ledger

    notices = stored_notices(find_ledger(ledger, config).store)
    shown = sorted(
        (notice for notice in notices if every or notice.state == "raised"),
        key=lambda notice: (notice.state != "raised", -notice.since_s),
    )
    if as_json:
        from breakeven.reports.alerts import record_of
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"alerts": [record_of(notice) | {"told": dict(notice.told)} for notice in shown]}))
        return
    if not shown:
        typer.echo("Nothing is raised." if not every else "Nothing was alerted in the last 30 days.")
    for notice in shown:
        _show(notice)


@app.command("test")
def try_(
    config: Annotated[Path | None, typer.Option(help="Settings with alerts:; default: breakeven.yaml.")] = None,
    only: Annotated[list[str] | None, typer.Option("--to", help="Only this receiver; repeat for more.")] = None,
    as_json: Json = False,
) -> None:
    """Send a test alert, and that it is over, to every receiver of the settings; exit with 1 where one fails."""
    from breakeven.wiring.alert_test import try_receivers

    found = try_receivers(config, tuple(only or ()))
    if as_json:
        from breakeven.reports.as_json import to_json

        rows = [{"receiver": item.name, "where": item.shown, "trouble": why or None} for item, why in found]
        typer.echo(to_json({"receivers": rows}))
    else:
        for item, why in found:
            typer.echo(f"{item.name}: {item.shown}: {'not told: ' + why if why else 'told'}")
    if any(why for _, why in found):
        raise typer.Exit(1)


def _show(notice: Notice) -> None:
    from datetime import UTC, datetime

    since = datetime.fromtimestamp(notice.since_s, UTC)
    names = ", ".join(sorted(name for name, state in notice.told.items() if state == notice.state))
    word = "over" if notice.state == "over" else notice.severity
    typer.echo(f"{word}  {notice.kind.replace('_', ' ')}: {notice.subject}  since {since:%Y-%m-%d %H:%MZ}")
    typer.echo(f"  {notice.said}")
    if notice.todo and notice.state == "raised":
        typer.echo(f"  {notice.todo}")
    typer.echo(f"  told: {names or 'nobody yet'}")
