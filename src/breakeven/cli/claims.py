"""``breakeven claims``: published figures, recomputed by the product's own functions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def claims(
    file: Annotated[Path | None, typer.Argument(help="Your own claims (CSV); default: the bundled ones.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Recompute published cost claims from their own inputs: as published, recomputed, verdict, why."""
    from breakeven.cli.output import console
    from breakeven.reports.as_json import to_json
    from breakeven.reports.claims import claims_markdown, claims_table
    from breakeven.wiring.plan import run_claims

    results = run_claims(file)
    if as_json:
        typer.echo(to_json(results))
    elif markdown:
        typer.echo(claims_markdown(results))
    else:
        console().print(claims_table(results))
