"""``breakeven outlook``: how far break-even is, and what the month will have cost."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from breakeven.cli.document import Html, Markdown, show_document, write_document
from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads them
from breakeven.errors import InputError


def outlook(
    budget: Annotated[str | None, typer.Option(help="The month's budget in USD: how likely it is passed.")] = None,
    today: Annotated[
        list[str] | None,
        typer.Option(help="Today's prices of a model, MODEL=PROVIDER:MODEL; default: of its first requests."),
    ] = None,
    html: Html = None,
    markdown: Markdown = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look ahead: each pool's break-even with the day it is expected, and the month's bill with its interval."""
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()  # before what is imported next, which needs it
    from breakeven.cli.output import working
    from breakeven.reports.as_json import to_json
    from breakeven.reports.outlook import outlook_document, outlook_json
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.proof_outlook import OutlookQuestion
    from breakeven.wiring.proof_outlook import outlook as work_out
    from breakeven.wiring.proof_savings import today_of

    question = OutlookQuestion(
        budget_usd=_budget(budget) if budget else None, today=tuple(today_of(text) for text in today or ())
    )
    with working("Looking ahead"):
        found = work_out(find_ledger(ledger, config), settings_path(ledger, config), question)
    document = outlook_document(found)
    if write_document(document, html, markdown):
        return
    if as_json:
        typer.echo(to_json(outlook_json(found)))
    else:
        show_document(document)


def _budget(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found <= 0:
        raise InputError(f"--budget {text!r} is no amount: write dollars, such as 12000.")
    return found
