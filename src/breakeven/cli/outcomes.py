"""``breakeven outcomes``: what was said of answers, and what the good ones cost."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli import outcomes_cost
from breakeven.cli.ledger_options import Config, Json, Ledger, moment
from breakeven.errors import InputError
from breakeven.ledger.asked import pair_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.wiring.outcome_import import ImportedOutcomes
    from breakeven.wiring.outcomes import Asked, ListedOutcome

app = typer.Typer(
    help="What was said of answers, and what a successful one cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Since = Annotated[str | None, typer.Option(help="From this day or time on (UTC).")]
Until = Annotated[str | None, typer.Option(help="Before this day or time (UTC).")]
Where = Annotated[list[str] | None, typer.Option(help="FIELD=VALUE, such as standing=unknown or source=human; repeat.")]
MAX_SHOWN = 60


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Scores: JSON, JSON lines or CSV, also .gz.")],
    form: Annotated[str, typer.Option("--from", help="Whose they are: langfuse, tensorzero or otel (OTLP JSON).")],
    success: Annotated[
        list[str] | None,
        typer.Option(
            help="What is a success: NAME>=NUMBER, NAME<=NUMBER or NAME=LABEL, such as 'helpful>=0.5'; repeat."
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(help="Who gave scores that do not say it: user, code, judge or human; else user, otel: judge."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be brought in.")] = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring in scores that another program keeps; what was brought in before is not counted twice."""
    from breakeven.cli.output import working
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger, move_rest
    from breakeven.wiring.outcome_import import ImportPlan, import_outcomes, rule_of

    rules = tuple(rule_of(text) for text in success or ())
    plan = ImportPlan(format=form, source=source, rules=rules, dry_run=dry_run)
    place = find_ledger(ledger, config)
    with working(f"Reading {file}"):
        note = move_rest(place)
        done = import_outcomes(place, file, plan, current_s())
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(done))
        return
    _say(done, dry_run=dry_run)
    for problem in done.problems:
        typer.echo(str(problem), err=True)
    if done.problem_count > len(done.problems):
        typer.echo(f"… and {done.problem_count - len(done.problems):,} more.", err=True)
    if note:
        typer.echo(note, err=True)


@app.command("list")
def list_(
    count: Annotated[int, typer.Option("-n", "--newest", min=1, max=100_000, help="How many, the newest.")] = 20,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the newest outcomes, and whether the ledger has what they speak of."""
    from breakeven.wiring.ledger import find_ledger, move_rest
    from breakeven.wiring.outcomes import list_outcomes, record_of

    place = find_ledger(ledger, config)
    note = move_rest(place)
    found = list_outcomes(place.store, _asked(since, until, where))
    counts = {name: sum(item.standing == name for item in found) for name in ("known", "unknown", "of others")}
    if as_json:
        from breakeven.reports.as_json import to_json

        shown = [record_of(item) for item in found[-count:]]
        typer.echo(to_json({"outcomes": shown, "found": len(found), "standing": counts, "note": note}))
        return
    _show(found[-count:])
    _count_up(len(found), counts)
    if note:
        typer.echo(note, err=True)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write: .csv or .jsonl.")],
    since: Since = None,
    until: Until = None,
    where: Where = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write outcomes to a file, one a row, comments and demonstrations included."""
    from breakeven.wiring.ledger import find_ledger, move_rest
    from breakeven.wiring.outcomes import export_outcomes, list_outcomes

    place = find_ledger(ledger, config)
    note = move_rest(place)
    count = export_outcomes(list_outcomes(place.store, _asked(since, until, where)), file)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"file": file, "outcomes": count, "note": note}))
        return
    typer.echo(f"wrote {count:,} outcomes to {file}")
    if note:
        typer.echo(note, err=True)


def _asked(since: str | None, until: str | None, where: Sequence[str] | None) -> Asked:
    from breakeven.wiring.outcomes import Asked

    try:
        pairs = tuple(pair_of(item) for item in where or ())
    except ValueError as error:
        raise InputError(f"--where: {error}.") from error
    return Asked(
        since=moment("--since", since) if since else None,
        until=moment("--until", until) if until else None,
        where=pairs,
    )


def _say(done: ImportedOutcomes, *, dry_run: bool) -> None:
    verb = "would bring in" if dry_run else "brought in"
    new = "" if dry_run else f": {done.added_count:,} new, {done.replaced_count:,} known before"
    typer.echo(f"{verb} {done.read_count:,} outcomes{new}")
    typer.echo(
        f"{done.of_request_count:,} of requests, {done.of_episode_count:,} of episodes, "
        f"{done.unmatched_count:,} of nothing that the ledger has"
    )
    if done.unmatched_count:
        typer.echo("Those are kept under the ids that they bring, and count once the ledger has what they speak of.")
        _say_what_is_closed(done.unmatched_count)
    if done.verdict_count < done.read_count:
        left = done.read_count - done.verdict_count
        typer.echo(f"{left:,} do not say success or failure; --success 'NAME>=NUMBER' says which scores are one.")
    if done.problem_count:
        typer.echo(f"{done.problem_count:,} records could not be read:", err=True)


def _show(found: Sequence[ListedOutcome]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    if not found:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("time", "of", "key", "name", "source", "success", "score", "minutes", "said", "standing"):
        table.add_column(name, no_wrap=name in ("time", "standing"))
    for item in found:
        success = "" if item.success is None else "yes" if item.success else "no"
        cells = (
            f"{item.at:%Y-%m-%d %H:%M:%S}", item.request_id or f"episode {item.episode}", item.key or "", item.name,
            item.source, success, "" if item.score is None else f"{item.score:g}",
            "" if item.human_minutes is None else f"{item.human_minutes:f}", item.comment or item.demonstration or "",
            item.standing,
        )  # fmt: skip
        table.add_row(*(_shown(cell) for cell in cells))
    console().print(table)


def _count_up(count: int, counts: dict[str, int]) -> None:
    if not count:
        typer.echo("There are no such outcomes. Say some: POST /breakeven/v1/outcomes, or breakeven outcomes import.")
        return
    told = [f"{count:,} outcomes"]
    if counts["unknown"]:
        told.append(f"{counts['unknown']:,} of nothing that the ledger has")
    if counts["of others"]:
        told.append(f"{counts['of others']:,} of other keys' requests, which do not count")
    typer.echo("; ".join(told))
    _say_what_is_closed(counts["unknown"])


def _say_what_is_closed(unknown_count: int) -> None:
    """Say that closed days cannot be looked into here, where that may be why something is unknown."""
    if unknown_count and find_spec("pyarrow") is None:
        typer.echo(
            "Rows of closed days are not looked up, since that needs pyarrow: pip install 'breakeven[plan]'", err=True
        )


def _shown(text: str) -> str:
    """Return a text as it may stand in a cell: in one line, and with nothing that a terminal obeys."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: MAX_SHOWN + 1])
    cut = plain if len(plain) <= MAX_SHOWN else plain[: MAX_SHOWN - 1] + "…"
    return cut.replace("[", "\\[")


app.command("cost")(outcomes_cost.cost)
