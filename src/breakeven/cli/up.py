"""``breakeven up``: the gateway, from its settings until it is stopped."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from breakeven.settings import Settings


def up(
    config: Annotated[
        Path | None,
        typer.Option(help="Settings; default: breakeven.yaml here, else the one provider in the environment."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address instead of the file's.")] = None,
    port: Annotated[int | None, typer.Option(help="Listen on this port instead.", min=1, max=65_535)] = None,
    workers: Annotated[int | None, typer.Option(help="Start so many processes instead.", min=1, max=63)] = None,
) -> None:
    """Serve one OpenAI-compatible address: check, route, meter and keep every request."""
    from breakeven.settings import Overrides
    from breakeven.wiring.gateway import hand_over
    from breakeven.wiring.reread import Origin
    from breakeven.wiring.settings import load_settings
    from breakeven.wiring.snapshot import build_snapshot

    # A gateway that is told to read its settings again while it starts does so once it has: the mask outlives the exec.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    overrides = Overrides(host=host, port=port, workers=workers)
    settings = load_settings(config, overrides)
    snapshot = build_snapshot(settings, lambda warning: typer.echo(f"warning: {warning}", err=True))
    for warning in settings.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(announcement(settings), err=True)
    hand_over(snapshot, Origin(config=config, overrides=overrides))


def announcement(settings: Settings) -> str:
    """Return the one line that says where the gateway is, who may use it, and where it keeps its ledger."""
    listen = settings.file.listen
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    parts = [f"breakeven serves {models_line(settings)} at http://{host}:{listen.port}/v1"]
    if settings.open_to_all and not settings.has_stored_keys:
        parts.append("no key needed: this machine only, until you make one with `breakeven keys create NAME`")
    else:
        parts.append(keys_line(settings))
    parts.append(
        f"ledger in {settings.ledger_folder}{' (emptied at every start)' if settings.file.ledger.fresh else ''}"
    )
    control = settings.file.control
    if control is not None:
        where = f"[{control.host}]" if ":" in control.host else control.host
        parts.append(f"control plane at http://{where}:{control.port}")
    return " · ".join(parts)


def models_line(settings: Settings) -> str:
    """Return in words what can be asked for."""
    names = [name for name in settings.file.models if name != "*"]
    if "*" in settings.file.models:
        targets = ", ".join(item.target for item in settings.file.models["*"].targets)
        names.append(f"every {'other ' if names else ''}model of {targets}")
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} models"


def keys_line(settings: Settings) -> str:
    """Return in words which keys there are."""
    count = len(settings.file.keys)
    found = [f"{count} in the file"] if count else []
    found += ["those of the store"] if settings.has_stored_keys else []
    return (
        f"keys: {' and '.join(found)}"
        if found
        else "a key is needed, and there is none yet: `breakeven keys create NAME`"
    )
