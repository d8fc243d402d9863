"""``breakeven demo``: the whole program on a bundled real trace, with nothing configured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    html: Annotated[Path, typer.Option(help="Where to write the verdict as a page.")] = Path("breakeven-demo.html"),
) -> None:
    """Plan for an hour and for two weeks of production services, then send a slice through the gateway."""
    from breakeven.cli.output import console, working
    from breakeven.cli.plan import show, write_html
    from breakeven.reports.beside import beside_view
    from breakeven.wiring.plan import PlanRequest, run_plan, sample_trace, two_weeks

    typer.echo("Reading one hour of a production chat service: Azure/AzurePublicDataset, 2023-11-16, CC-BY-4.0.")
    with working("Comparing every way to serve it"):
        result = run_plan(PlanRequest(files=(sample_trace(),), today="openai:gpt-4o"))
    show(result)
    write_html(result, html)
    typer.echo(
        "\nBeside it two weeks of a larger production service (alibaba/ServeGen, Apache-2.0): what more data changes "
        "is how\nsure the answer is.\n"
    )
    with working("Comparing every way to serve those"):
        longer = run_plan(PlanRequest(files=two_weeks(), today="openai:gpt-4o"))
    console().print(beside_view([("one hour", result), ("two weeks", longer)]))
    _show_gateway()


def _show_gateway() -> None:
    """Replay a slice of the trace through the gateway and a real engine, and print what the ledger says."""
    from breakeven.cli.ledger import show_totals
    from breakeven.cli.output import working
    from breakeven.wiring.demo import ANSWER_SHARE, PROMPT_SHARE, REQUESTS, SPEED, missing_parts, replay_slice

    if missing := missing_parts():
        typer.echo(f"\nThe gateway is not shown: that needs pip install {' '.join(missing)}.")
        return
    typer.echo(
        f"\nThe gateway: the first {REQUESTS} requests of that hour, {SPEED} times faster, with 1/{PROMPT_SHARE} of "
        f"their prompts and 1/{ANSWER_SHARE} of\ntheir answers, sent with OpenAI's SDK through `breakeven up` "
        "to llama.cpp, which runs a small model of random weights."
    )
    with working("Replaying"):
        replay = replay_slice()
    typer.echo(
        f"{replay.requests} requests, {replay.streamed_requests} of them streamed, in {replay.duration_s:.1f} s. "
        "The ledger says (cost: what gpt-4o would have charged for these tokens):\n"
    )
    show_totals(("model", "target", "task"), replay.totals)
