"""The ``breakeven`` command: one file a command, each parse → study → render."""

from __future__ import annotations

import sys
from typing import Final

import typer

from breakeven import __version__
from breakeven.cli import (
    advise,
    alerts,
    audit,
    bench,
    capacity,
    catalog,
    claims,
    config,
    demo,
    engine,
    init,
    keys,
    ledger,
    outcomes,
    outlook,
    plan,
    profile,
    route,
    savings,
    schema,
    shadow,
    shift,
    simulate,
    size,
    statement,
    up,
)
from breakeven.errors import BreakevenError
from breakeven.wiring.one_thread import one_thread

app = typer.Typer(
    name="breakeven",
    help="When does running your own language model beat paying per token? Answered from your own traffic.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_COMPUTING: Final = frozenset({"plan", "audit", "simulate", "size", "advise", "outlook", "capacity", "route"})
"""Commands that compute models, and start no process that would inherit what holds for them."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"breakeven {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001 - its callback shows it
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Decide when to run a language model yourself, fully loaded, from your own traffic."""
    if context.invoked_subcommand in _COMPUTING:
        one_thread()


app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("profile")(profile.profile)
app.command("audit")(audit.audit)
app.command("simulate")(simulate.simulate)
app.command("size")(size.size)
app.command("bench")(bench.bench)
app.command("advise")(advise.advise)
app.command("savings")(savings.savings)
app.command("statement")(statement.statement)
app.command("outlook")(outlook.outlook)
app.command("claims")(claims.claims)
app.command("demo")(demo.demo)
app.command("schema")(schema.schema)
app.command("up")(up.up)
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(alerts.app, name="alerts")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(catalog.app, name="catalog")
app.add_typer(capacity.app, name="capacity")
app.add_typer(route.app, name="route")
app.add_typer(shadow.app, name="shadow")
app.add_typer(shift.app, name="shift")
app.add_typer(engine.app, name="engine")


def main() -> None:
    """Run the command; an error that a person can act on is a message and exit code 2."""
    try:
        app()
    except BreakevenError as error:
        typer.echo(f"breakeven: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
