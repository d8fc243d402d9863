"""``breakeven advise``: what to do about the mix of APIs and pools, from the ledger and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads these at run time
from breakeven.reports.words import day

if TYPE_CHECKING:
    from breakeven.studies.advice import Advice, Given
    from breakeven.wiring.advise import Advised


def advise(
    days: Annotated[int, typer.Option(min=3, max=366, help="Whole days that it rests on, the last ones.")] = 28,
    least: Annotated[float, typer.Option(min=0, help="Say nothing that saves less a month, in USD.")] = 50.0,
    today: Annotated[
        list[str] | None,
        typer.Option(help="What today's API is for a model, MODEL=PROVIDER:MODEL; default: what was first paid."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show what was weighed and is not worth it, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do not keep in the ledger what was advised.")] = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what to do: nodes, GPUs, tasks, batches at night, prices, or back to the API; each with its evidence."""
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()  # before what is imported next, which needs it
    from breakeven.cli.output import working
    from breakeven.studies.advice import Edges
    from breakeven.wiring.advise import advise as weigh
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.proof_savings import today_of

    place, settings = find_ledger(ledger, config), settings_path(ledger, config)
    with working("Weighing what could be done"):
        edges, named = Edges(least_usd_per_month=least), tuple(map(today_of, today or ()))
        found = weigh(place, settings, days=days, edges=edges, today=named, keeps=not dry_run)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(_record(found)))
        return
    _show(found, every=every)


def _show(found: Advised, *, every: bool) -> None:
    given = [item for item in found.given if item.state == "given"]
    withdrawn = [item for item in found.given if item.state == "withdrawn"]
    typer.echo(
        f"From {found.begins:%Y-%m-%d} to {found.ends:%Y-%m-%d}, {found.paid_usd_per_month:,.2f} USD a month with "
        f"everything; advice saves at least {found.least_usd_per_month:,.2f} USD a month."
    )
    if not given:
        typer.echo("Nothing to advise: leave it as it is.")
    for number, item in enumerate(given, start=1):
        _show_one(f"{number}.", item.advice, since=item)
    if len(given) > 1:
        typer.echo("Each is reckoned alone, as things are now: what they save does not add up.")
    for item in withdrawn:
        typer.echo(f"withdrawn {day(item.since_s)}: {item.advice.kind.replace('_', ' ')}, {item.advice.subject}")
    if every:
        names = {item.name for item in given}
        for advice in found.weighed:
            if (advice.kind, advice.subject) not in names:
                _show_one("not worth it:", advice)
    for note in found.notes:
        typer.echo(note, err=True)


def _show_one(mark: str, advice: Advice, since: Given | None = None) -> None:
    gain = advice.gain
    typer.echo(f"{mark} {advice.said}")
    between = f" (80 %: {gain.low_usd:,.0f} to {gain.high_usd:,.0f})" if gain.low_usd != gain.high_usd else ""
    sure = f"; it saves something with a chance of {gain.sure_fraction:.0%}" if gain.sure_fraction else ""
    typer.echo(f"   saves {gain.likely_usd:,.0f} USD a month{between}{sure}")
    for line in advice.evidence:
        typer.echo(f"   - {line}")
    if since is not None:
        typer.echo(f"   do: {advice.todo}")
        typer.echo(f"   advised since {day(since.since_s)}")


def _record(found: Advised) -> dict[str, object]:
    return {
        "from": f"{found.begins:%Y-%m-%d}",
        "to": f"{found.ends:%Y-%m-%d}",
        "paid_usd_per_month": found.paid_usd_per_month,
        "least_usd_per_month": found.least_usd_per_month,
        "advice": [_one(item.advice) | {"state": item.state, "since": day(item.since_s)} for item in found.given],
        "weighed": [_one(advice) for advice in found.weighed],
        "notes": found.notes,
    }


def _one(advice: Advice) -> dict[str, object]:
    return {
        "kind": advice.kind,
        "subject": advice.subject,
        "said": advice.said,
        "do": advice.todo,
        "saves_usd_per_month": advice.gain._asdict(),
        "evidence": advice.evidence,
        "figures": advice.figures,
    }
