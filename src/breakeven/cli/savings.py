"""``breakeven savings``: what was saved against what would have been paid, everything counted."""

from __future__ import annotations

from typing import Annotated

import typer

from breakeven.cli.document import Html, Markdown, show_document, write_document
from breakeven.cli.ledger_options import Config, Json, Ledger, moment


def savings(
    since: Annotated[str | None, typer.Option(help="From this day or hour (UTC): 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or hour (UTC).")] = None,
    against: Annotated[
        str,
        typer.Option(help="What would have been paid, A,B: today, optimised, or prices such as openai:gpt-4o-mini."),
    ] = "today,optimised",
    today: Annotated[
        list[str] | None,
        typer.Option(help="Today's prices of a model, MODEL=PROVIDER:MODEL; default: of its first requests."),
    ] = None,
    measured_tokens: Annotated[
        bool, typer.Option("--measured-tokens", help="Rescale token counts by ratios that shadow pairs measured.")
    ] = False,
    by_day: Annotated[bool, typer.Option("--by-day", help="Each day too.")] = False,
    html: Html = None,
    markdown: Markdown = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Price requests as they would have been, minus all that was paid: idle, fixed lines and evaluation counted."""
    from breakeven.reports.as_json import to_json
    from breakeven.reports.savings import savings_document, savings_json
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.proof_savings import SavingsQuestion, today_of
    from breakeven.wiring.proof_savings import savings as work_out

    names = tuple(name.strip() for name in against.split(",") if name.strip())
    question = SavingsQuestion(
        since=moment("--since", since) if since else None,
        until=moment("--until", until) if until else None,
        against=names,
        today=tuple(today_of(text) for text in today or ()),
        measured_tokens=measured_tokens,
    )
    found = work_out(find_ledger(ledger, config), settings_path(ledger, config), question)
    document = savings_document(found, by_day=by_day)
    if write_document(document, html, markdown):
        return
    if as_json:
        typer.echo(to_json(savings_json(found)))
    else:
        show_document(document)
