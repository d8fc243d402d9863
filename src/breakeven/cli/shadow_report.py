"""``breakeven shadow report``: what pairs of answers say of a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger, moment

if TYPE_CHECKING:
    from breakeven.studies.shadow.result import ShadowReport

Model = Annotated[str | None, typer.Option(help="Pairs of this model, by the name that clients use; default: all.")]
Candidate = Annotated[str | None, typer.Option(help="Pairs with this candidate; default: all.")]
Incumbent = Annotated[str | None, typer.Option(help="Pairs with this incumbent; default: all.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Pairs of this task; repeat; default: all.")]
Origin = Annotated[str | None, typer.Option(help="Only pairs from: shadow, shift or replay.")]


def report(
    model: Model = None,
    candidate: Candidate = None,
    incumbent: Incumbent = None,
    task: Tasks = None,
    origin: Origin = None,
    since: Annotated[str | None, typer.Option(help="From this time on, such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    margin: Annotated[float, typer.Option(help="Points of 100 by which the candidate may be worse.")] = 5.0,
    alpha: Annotated[float, typer.Option(help="Chance of a false answer that you accept.")] = 0.05,
    check: Annotated[str, typer.Option(help="The check that decides; default: the best that judged most.")] = "",
    rate_card: Annotated[list[Path] | None, typer.Option(help="Further rate cards; repeat for more.")] = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say of each candidate and task whether it is good enough, how sure that is, and how many pairs it still takes."""
    from breakeven.cli.output import working
    from breakeven.ledger.pairs import LAST_US, Which
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.shadow import ShadowQuestion, run_shadow_report, terms_of

    which = Which(
        model=model or "",
        candidate=candidate or "",
        tasks=tuple(task or ()),
        incumbent=incumbent or "",
        origin=origin or "",
        from_us=_us("--since", since, 0),
        until_us=_us("--until", until, LAST_US),
    )
    question = ShadowQuestion(which=which, terms=terms_of(margin, alpha, check), cards=tuple(rate_card or ()))
    place = find_ledger(ledger, config)
    with working("Reading pairs"):
        found = run_shadow_report(place, settings_path(ledger, config), question)
    show(found, as_json=as_json)


def show(found: ShadowReport, *, as_json: bool) -> None:
    """Print a comparison."""
    import json

    from breakeven.cli.output import console
    from breakeven.reports.shadow import shadow_json, shadow_lines

    if as_json:
        typer.echo(json.dumps(shadow_json(found), indent=2, allow_nan=False))
        return
    out = console()
    for line in shadow_lines(found):
        out.print(line)


def _us(option: str, text: str | None, otherwise: int) -> int:
    return int(moment(option, text).timestamp() * 1e6) if text else otherwise
