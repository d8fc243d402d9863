"""``breakeven audit``: what requests are for, and what a smaller target could take of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping


def audit(
    log: Files = None,
    today: Annotated[str | None, typer.Option(help="What serves it now; default: what most tokens went to.")] = None,
    smaller: Annotated[str | None, typer.Option(help="The smaller target; default: the maker's next cheaper.")] = None,
    table: Annotated[Path | None, typer.Option(help="Task table: what breakeven route table measured.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Column with the prompt, for --classifier.")] = None,
    classifier: Annotated[Path | None, typer.Option(help="Tells tasks from prompts: of breakeven route train.")] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day whose prices hold; default: today.")
    ] = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say what a log's requests are for, what they cost, and what a smaller target could take at what risk."""
    import json

    from breakeven.cli.output import console, working
    from breakeven.reports.audit import audit_json, audit_lines
    from breakeven.wiring.audit import AuditRequest, run_audit
    from breakeven.wiring.plan import PlanRequest

    traffic = PlanRequest(
        files=tuple(log or ()),
        today=today,
        as_of=as_of.date() if as_of else None,
        columns=mapping(column or []),
        zone=zone,
        tolerate_fraction=tolerate,
    )
    with working("Reading the log"):
        found = run_audit(
            AuditRequest(traffic=traffic, smaller=smaller, table=table, classifier=classifier, prompt=prompt)
        )
    if as_json:
        typer.echo(json.dumps(audit_json(found), indent=2, allow_nan=False))
        return
    out = console()
    for line in audit_lines(found):
        out.print(line, markup=False, emoji=False)  # names out of logs may hold brackets
