"""``breakeven keys``: virtual keys, made and revoked while the gateway runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.errors import InputError

if TYPE_CHECKING:
    from breakeven.ledger.keys import StoredKey

app = typer.Typer(
    help="Make, list and revoke virtual keys; a running gateway follows within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Ledger = Annotated[Path | None, typer.Option(help="Folder of the ledger; default: as the settings say.")]
Config = Annotated[Path | None, typer.Option(help="Settings that say where the ledger is; default: breakeven.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the ledger will call it: one word.")],
    models: Annotated[str | None, typer.Option(help="Models it may ask for, A,B,C; default: all.")] = None,
    tags: Annotated[str, typer.Option(help="Tags of its requests that bring none, such as team=search.")] = "",
    expires: Annotated[str | None, typer.Option(help="Day (YYYY-MM-DD, UTC) from whose start it is refused.")] = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it: this once, because only its hash is kept."""
    from breakeven.ledger.keys import create_key
    from breakeven.wiring.ledger import current_s, find_ledger

    place = find_ledger(ledger, config)
    allowed = tuple(dict.fromkeys(item.strip() for item in models.split(","))) if models is not None else ()
    expires_s = _start_of_day_s(expires) if expires is not None else None
    secret = create_key(place.store, name, now_s=current_s(), models=allowed, tags=tags, expires_s=expires_s)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"name": name, "key": secret, "models": allowed, "tags": tags, "expires": expires}))
        return
    typer.echo(secret)
    typer.echo(f"The key {name!r}. It is shown this once; only its hash is kept in {place.store}.", err=True)


@app.command("list")
def list_(ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Show every key that was made here; those of breakeven.yaml are in `breakeven config check`."""
    from breakeven.ledger.keys import list_keys
    from breakeven.wiring.ledger import current_s, find_ledger

    keys, now_s = list_keys(find_ledger(ledger, config).store), current_s()
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json([_record(key, now_s) for key in keys]))
        return
    if not keys:
        typer.echo("No key has been made here: `breakeven keys create NAME`.")
        return
    from rich.table import Table

    from breakeven.cli.output import console

    table = Table("key", "shown as", "state", "models", "tags", "made", "until", box=None, pad_edge=False)
    for key in keys:
        until = _day(key.expires_s) if key.expires_s is not None else ""
        models = ", ".join(key.models) or "all"
        table.add_row(key.name, key.shown, _state(key, now_s), models, key.tags, _day(key.created_s), until)
    console().print(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Refuse a key from now on; what it asked for stays in the ledger."""
    from breakeven.ledger.keys import revoke_key
    from breakeven.wiring.ledger import current_s, find_ledger

    place = find_ledger(ledger, config)
    revoke_key(place.store, name, now_s=current_s())
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"name": name, "state": "revoked"}))
        return
    typer.echo(f"The key {name!r} is revoked; a running gateway refuses it within a second.")


def _record(key: StoredKey, now_s: float) -> dict[str, object]:
    return {
        "name": key.name,
        "shown": key.shown,
        "state": _state(key, now_s),
        "models": key.models,
        "tags": key.tags,
        "created": _day(key.created_s),
        "expires": _day(key.expires_s) if key.expires_s is not None else None,
        "revoked": _day(key.revoked_s) if key.revoked_s is not None else None,
    }


def _state(key: StoredKey, now_s: float) -> str:
    if key.revoked_s is not None:
        return "revoked"
    return "expired" if key.expires_s is not None and key.expires_s <= now_s else "valid"


def _day(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d}"


def _start_of_day_s(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InputError(f"--expires {text!r} is not a day: write it as YYYY-MM-DD, such as 2027-06-30.") from error
