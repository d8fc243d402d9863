"""``breakeven keys``: virtual keys, made, rotated and revoked while the gateway runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from breakeven.errors import InputError
from breakeven.reports.words import day, moment

if TYPE_CHECKING:
    from breakeven.ledger.keys import KeyLimits, StoredKey

_DURATION: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

app = typer.Typer(
    help="Make, rotate, list and revoke virtual keys; a running gateway follows within a second.",
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
    team: Annotated[str, typer.Option(help="Team whose quotas it shares: one word.")] = "",
    sensitivity: Annotated[
        str, typer.Option(help="Kinds of data that all of its requests are marked with, A,B, such as local-only.")
    ] = "",
    priority: Annotated[
        int, typer.Option(help="Of its requests where they wait for a node: higher ones go first; -100 to 100.")
    ] = 0,
    requests_per_minute: Annotated[int | None, typer.Option(help="Most requests in any 60 seconds.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Most tokens, in and out, in any 60 seconds.")] = None,
    parallel: Annotated[int | None, typer.Option(help="Most requests at once.")] = None,
    budget_day: Annotated[str | None, typer.Option(help="Most US dollars a day (UTC), such as 2.50.")] = None,
    budget_month: Annotated[str | None, typer.Option(help="Most US dollars a calendar month (UTC).")] = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it: this once, because only its hash is kept."""
    from breakeven.ledger.keys import KeyLimits, create_key
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger

    place = find_ledger(ledger, config)
    allowed = tuple(dict.fromkeys(item.strip() for item in models.split(","))) if models is not None else ()
    expires_s = _start_of_day_s(expires) if expires is not None else None
    limits = KeyLimits(
        minute_requests=requests_per_minute,
        minute_tokens=tokens_per_minute,
        parallel_requests=parallel,
        day_usd=_dollars("--budget-day", budget_day),
        month_usd=_dollars("--budget-month", budget_month),
        sensitivity=sensitivity,
        priority=priority,
    )
    secret = create_key(
        place.store,
        name,
        now_s=current_s(),
        models=allowed,
        tags=tags,
        expires_s=expires_s,
        team=team,
        limits=limits,
    )
    if as_json:
        from breakeven.reports.as_json import to_json

        said = {"name": name, "key": secret, "models": allowed, "tags": tags, "expires": expires, "team": team}
        more = {"sensitivity": sensitivity, "priority": priority, "limits": _limits_record(limits)}
        typer.echo(to_json({**said, **more}))
        return
    typer.echo(secret)
    typer.echo(f"The key {name!r}. It is shown this once; only its hash is kept in {place.store}.", err=True)


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    overlap: Annotated[str, typer.Option(help="How long the secret so far works on: 0s, 30m, 24h, 7d.")] = "24h",
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret and show it; name, limits and what was used of them stay."""
    from breakeven.ledger.keys import rotate_key
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger

    place, overlap_s, now_s = find_ledger(ledger, config), _duration_s(overlap), current_s()
    secret = rotate_key(place.store, name, now_s=now_s, overlap_s=overlap_s)
    until = moment(now_s + overlap_s)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"name": name, "key": secret, "former_until": until}))
        return
    typer.echo(secret)
    typer.echo(
        f"The new secret of {name!r}. It is shown this once; the one so far works until {until}, "
        "and one before it no longer.",
        err=True,
    )


@app.command("list")
def list_(ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Show every key that was made here; those of breakeven.yaml are in `breakeven config check`."""
    from breakeven.ledger.keys import list_keys
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger

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

    headings = ("key", "shown as", "state", "team", "models", "tags", "sensitivity", "limits", "made", "until")
    table = Table(*headings, box=None, pad_edge=False)
    for key in keys:
        until = day(key.expires_s) if key.expires_s is not None else ""
        models = ", ".join(key.models) or "all"
        state, limits = _state(key, now_s), _limits_in_words(key.limits)
        said = key.team, models, key.tags, key.limits.sensitivity, limits
        table.add_row(key.name, key.shown, state, *said, day(key.created_s), until)
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
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger

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
        "sensitivity": key.limits.sensitivity,
        "priority": key.limits.priority,
        "team": key.team,
        "limits": _limits_record(key.limits),
        "former_until": moment(key.former_until_s) if key.former_until_s > now_s else None,
        "created": day(key.created_s),
        "expires": day(key.expires_s) if key.expires_s is not None else None,
        "revoked": day(key.revoked_s) if key.revoked_s is not None else None,
    }


def _limits_record(limits: KeyLimits) -> dict[str, int | Decimal | None]:
    return {
        "requests_per_minute": limits.minute_requests,
        "tokens_per_minute": limits.minute_tokens,
        "parallel": limits.parallel_requests,
        "budget_day_usd": limits.day_usd,
        "budget_month_usd": limits.month_usd,
    }


def _limits_in_words(limits: KeyLimits) -> str:
    said = (
        (limits.minute_requests, "{:,} requests/min"),
        (limits.minute_tokens, "{:,} tokens/min"),
        (limits.parallel_requests, "{:,} at once"),
        (limits.day_usd, "{:,} USD/day"),
        (limits.month_usd, "{:,} USD/month"),
    )
    return ", ".join(text.format(amount) for amount, text in said if amount is not None)


def _state(key: StoredKey, now_s: float) -> str:
    if key.revoked_s is not None:
        return "revoked"
    return "expired" if key.expires_s is not None and key.expires_s <= now_s else "valid"


def _dollars(option: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InputError(f"{option} {text!r} is no amount: write US dollars as a number, such as 2.50.") from error


def _duration_s(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InputError(f"--overlap {text!r} is no time: write a whole number and s, m, h or d, such as 24h.")
    return float(int(found[1]) * _UNIT_S[found[2]])


def _start_of_day_s(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InputError(f"--expires {text!r} is not a day: write it as YYYY-MM-DD, such as 2027-06-30.") from error
