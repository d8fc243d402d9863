"""``breakeven demo``: the main job on a bundled real trace, with nothing configured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    html: Annotated[Path, typer.Option(help="Where to write the verdict as a page.")] = Path("breakeven-demo.html"),
) -> None:
    """Plan for an hour of a production chat service (Azure, 2023) that pays for gpt-4o today."""
    from breakeven.cli.output import working
    from breakeven.cli.plan import show, write_html
    from breakeven.wiring.plan import PlanRequest, run_plan, sample_trace

    typer.echo("Reading one hour of a production chat service: Azure/AzurePublicDataset, 2023-11-16, CC-BY-4.0.")
    with working("Comparing every way to serve it"):
        result = run_plan(PlanRequest(files=(sample_trace(),), today="openai:gpt-4o"))
    show(result)
    write_html(result, html)
