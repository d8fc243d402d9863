"""``breakeven statement``: a month's invoices and pool bills against the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breakeven.cli.document import Html, Markdown, show_document, write_document
from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads them


def statement(
    month: Annotated[str, typer.Argument(help="The month, such as 2026-11 (UTC).")],
    invoice: Annotated[
        list[Path] | None,
        typer.Option(help="A cost export of OpenAI or Anthropic, JSON or CSV, or any bill as CSV; repeat for more."),
    ] = None,
    html: Html = None,
    markdown: Markdown = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Set a month's invoices and pool bills against the ledger, and list what differs with its likely reasons."""
    from breakeven.reports.as_json import to_json
    from breakeven.reports.statement import statement_document, statement_json
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.proof_statement import month_of
    from breakeven.wiring.proof_statement import statement as work_out

    place, settings = find_ledger(ledger, config), settings_path(ledger, config)
    found = work_out(place, settings, month_of(month), tuple(invoice or ()))
    document = statement_document(found)
    if write_document(document, html, markdown):
        return
    if as_json:
        typer.echo(to_json(statement_json(found)))
    else:
        show_document(document)
