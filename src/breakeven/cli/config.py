"""``breakeven config``: what the gateway's settings say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from breakeven.gateway.snapshot import Route, Snapshot
    from breakeven.settings import Settings
    from breakeven.wiring.settings import CardNow

app = typer.Typer(help="Look at the gateway's settings.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Look at the gateway's settings."""


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Default: breakeven.yaml here, else the one provider in the environment.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what was understood; exit with code 2 and every problem where the settings cannot be used."""
    from breakeven.wiring.settings import cards_now, load_settings
    from breakeven.wiring.snapshot import build_snapshot

    settings = load_settings(file)
    snapshot, cards = build_snapshot(settings), cards_now(settings)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(understood(settings, snapshot, cards)))
    else:
        typer.echo("\n".join(lines(settings, snapshot, cards)))


@app.command()
def reload(
    file: Annotated[
        Path | None, typer.Argument(help="The settings that the gateway was started with; default: as for `up`.")
    ] = None,
) -> None:
    """Check the settings and let the running gateway take them; requests under way end as they began."""
    from breakeven.wiring.reread import tell_gateway

    process = tell_gateway(file)
    typer.echo(f"told the gateway (process {process}) to take the settings; its log says what became of it")


@app.command("import")
def import_settings(
    file: Annotated[Path, typer.Argument(help="A config.yaml of LiteLLM.")],
    output: Annotated[Path | None, typer.Option("--out", "--output", help="Write it here; default: print it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Turn a configuration of LiteLLM into a breakeven.yaml; say on stderr what is not carried over, and why."""
    from breakeven.settings.litellm import read_litellm
    from breakeven.wiring.init import write_files

    found = read_litellm(file)
    for problem in found.left_out:
        typer.echo(f"not carried over: {problem}", err=True)
    if output is None:
        typer.echo(found.text, nl=False)
        return
    write_files({output: found.text}, overwrite=force)
    typer.echo(f"wrote {output}; next: breakeven config check {output}", err=True)


def understood(settings: Settings, snapshot: Snapshot, cards: tuple[CardNow, ...]) -> dict[str, object]:
    """Return what the settings say, references in place of secrets."""
    file = settings.file
    return {
        "source": settings.source,
        "listen": file.listen.model_dump(),
        "workers": file.workers,
        "open_to_all": settings.open_to_all and not settings.has_stored_keys,
        "targets": [_target_row(name, settings, cards) for name in file.targets],
        "models": snapshot.routes,
        "keys": [entry.model_dump(mode="json", exclude={"sha256"}) for entry in file.keys],
        "keys_in_store": settings.has_stored_keys,
        "references_that_resolve": sorted(settings.secrets),
        "limits": snapshot.limits,
        "ledger": snapshot.ledger,
        "warnings": [str(warning) for warning in settings.warnings],
    }


def lines(settings: Settings, snapshot: Snapshot, cards: tuple[CardNow, ...]) -> list[str]:
    """Return the same for people, what needs attention last."""
    from breakeven.cli.up import announcement
    from breakeven.settings.reach import reach

    found = [f"{settings.source}: {announcement(settings)}"]
    found += [_model_line(route) for route in snapshot.routes]
    for name, entry in settings.file.targets.items():
        key = f"key from {entry.key}" if entry.key else "no key"
        model = f", as {entry.model}" if entry.model else ""
        way = reach(entry)
        sent = f" in {way.key_header}" if entry.key and way.key_header != "authorization" else ""
        found.append(f"target {name}: {way.url}{model}, {key}{sent}; speaks {', '.join(way.protocols)}")
        found += [f"  {_price_line(item)}" for item in cards if item.found.target == name]
    for held in settings.file.keys:
        models = ", ".join(held.models) or "all models"
        found.append(f"key {held.name}: {models}" + (f", until {held.expires}" if held.expires else ""))
    if settings.secrets:
        found.append(f"secrets found: {', '.join(sorted(settings.secrets))}")
    found += [f"warning: {warning}" for warning in settings.warnings]
    return found if settings.warnings else [*found, "no problems, no warnings"]


def _target_row(name: str, settings: Settings, cards: tuple[CardNow, ...]) -> dict[str, object]:
    from breakeven.settings.reach import reach

    entry = settings.file.targets[name]
    way = reach(entry)
    return {
        "name": name,
        "provider": way.provider.id if way.provider else None,
        "url": way.url,
        "protocols": way.protocols,
        "prefill": way.prefill,
        "key": entry.key,
        "key_header": way.key_header,
        "headers": sorted(entry.headers),
        "model": entry.model,
        "proxy": entry.proxy.url if entry.proxy else None,
        "sensitivities": entry.sensitivities,
        "timeouts": entry.timeouts.model_dump(),
        "prices": [_price_row(item) for item in cards if item.found.target == name],
    }


def _price_row(item: CardNow) -> dict[str, object]:
    return {
        "model": item.found.model,
        "priced_as": item.found.priced_as,
        "told_by_host": item.found.guessed,
        "card_now": item.card,
        "source": item.found.prices.source if item.found.prices else None,
        "checked_on": item.found.prices.checked_on if item.found.prices else None,
        "why_not": item.why,
    }


def _model_line(route: Route) -> str:
    weighted = route.policy == "weighted"
    shares = zip(route.targets, route.weights, strict=True)
    targets = ", ".join(f"{name} (weight {weight:g})" if weighted else name for name, weight in shares)
    unpriced = "; refused where no price is known" if route.refuse_unpriced else ""
    return f"model {route.model}: {targets}; {route.policy}, at most {route.max_attempts} attempt(s){unpriced}"


def _price_line(item: CardNow) -> str:
    model = f"{item.found.model}: " if item.found.model else ""
    if item.card is None:
        return f"{model}{item.why}"
    prices = item.card.prices
    shown = [
        f"{name.replace('_', ' ')} ${price.usd_per_mtok}{' and tiers' if price.tiers else ''}"
        for name in ("input", "cached_input", "cache_write", "output")
        if (price := getattr(prices, name))
    ]
    shown += [f"request ${prices.request_usd}"] if prices.request_usd else []
    source = item.found.prices.source if item.found.prices else ""
    told = ", told by its host" if item.found.guessed else ""
    return f"{model}{item.found.priced_as}{told}: {', '.join(shown)} per Mtok ({source})"
