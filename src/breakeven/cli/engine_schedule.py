"""``breakeven engine schedule``: nodes up in the hours of their timetables, down in the others."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from breakeven.engines.following import Follower


def schedule(
    config: Annotated[Path | None, typer.Option(help="Settings with the pools; default: breakeven.yaml.")] = None,
    once: Annotated[bool, typer.Option("--once", help="One round of commands, then end: for cron.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show which nodes should be up now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --show: as JSON.")] = False,
) -> None:
    """Start and stop nodes at the hours of `schedule:`, by the commands that it names, until Ctrl-C."""
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.engine_schedule import follow, followers_of
    from breakeven.wiring.settings import load_settings

    settings = load_settings(config)
    if show or as_json:
        _show(followers_of(settings), current_s(), as_json=as_json)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if not follow(settings, once=once) and once:
        raise typer.Exit(1)


def _show(followers: tuple[Follower, ...], now_s: float, *, as_json: bool) -> None:
    from breakeven.engines.following import wanted_up

    up, rows = wanted_up(followers, now_s), []
    for node in followers:
        change_s = node.timetable.next_change_s(now_s)
        until = f"{datetime.fromtimestamp(change_s, UTC):%Y-%m-%dT%H:%MZ}" if change_s is not None else None
        rows.append({"node": node.name, "up": up[node.name], "until": until})
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"nodes": rows}))
        return
    for row in rows:
        typer.echo(f"{row['node']}  {'up' if row['up'] else 'down'} until {row['until'] or 'further notice'}")
