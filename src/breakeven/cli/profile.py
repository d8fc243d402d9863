"""``breakeven profile``: what a traffic is, before any price is set beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping


def profile(
    files: Files = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say what a log holds: sizes, lengths, peaks, growth, repetition, and what the tokens went to."""
    from breakeven.cli.output import console, progressing
    from breakeven.reports.as_json import to_json
    from breakeven.reports.terminal import profile_view
    from breakeven.wiring.plan import PlanRequest, run_profile

    with progressing("Reading the traffic") as progress:
        found, notes = run_profile(
            PlanRequest(
                files=tuple(files or ()),
                columns=mapping(column or []),
                zone=zone,
                tolerate_fraction=tolerate,
                progress=progress,
            )
        )
    if as_json:
        typer.echo(to_json({"profile": found, "notes": notes}))
    else:
        console().print(profile_view(found, notes))
