"""``breakeven outcomes cost``: what a successful answer cost, by task, target, key, week."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger, moment
from breakeven.errors import InputError
from breakeven.ledger.asked import pair_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.economics.outcome_costs import Estimate
    from breakeven.ledger.query import Question
    from breakeven.studies.outcomes import Asked, OutcomeCost, OutcomeCosts, Rivals


_SMALL_USD = 0.01


def cost(
    by: Annotated[
        str, typer.Option(help="Group by these, A,B: key, task, model, target, pool, tag:NAME, day, week.")
    ] = "task,target",
    since: Annotated[str | None, typer.Option(help="From this day or hour (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or hour (UTC).")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only those with LABEL=VALUE, such as task=sql; repeat for more; VALUE none: without one."),
    ] = None,
    failure_usd: Annotated[
        str | None, typer.Option(help="What a failure costs you: adds it to each, and says who is cheapest then.")
    ] = None,
    human_usd_per_hour: Annotated[
        str | None, typer.Option(help="What an hour of the people costs who check and mend answers.")
    ] = None,
    names: Annotated[
        str, typer.Option(help="Names of outcomes, A,B, by which users and programs say whether the job was done.")
    ] = "outcome",
    least_score: Annotated[
        float | None, typer.Option(help="An outcome with a score and no verdict is a success from this score on.")
    ] = None,
    mature_hours: Annotated[
        float, typer.Option(min=0, help="Leave out what ended in these last hours: words on it may still come.")
    ] = 72.0,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="The hour that is not over counts too, as if it ended now.")
    ] = False,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what a success cost: all attempts at fully loaded cost, and people's minutes, over what succeeded."""
    from breakeven.cli.output import working
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.outcome_costs import query_outcome_costs

    asked = _asked(by, where or [], names, least_score, (human_usd_per_hour, failure_usd))
    place, settings = find_ledger(ledger, config), settings_path(ledger, config)
    with working("Adding up attempts"):
        found = query_outcome_costs(
            place, settings, _hours(since, until), asked, mature_hours=mature_hours, so_far=so_far
        )
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(_record(found)))
        return
    _show(found, asked)
    for note in found.notes:
        typer.echo(note, err=True)


def _asked(
    by: str, where: Sequence[str], names: str, least_score: float | None, prices: tuple[str | None, str | None]
) -> Asked:
    from breakeven.economics.outcome_words import WordRules
    from breakeven.studies.outcomes import Asked

    human, failure = prices
    return Asked(
        by=_split(by),
        where=tuple(_pair(item) for item in where),
        rules=WordRules(names=frozenset(_split(names)), least_score=least_score),
        human_usd_per_hour=_amount("--human-usd-per-hour", human),
        failure_usd=_amount("--failure-usd", failure),
    )


def _hours(since: str | None, until: str | None) -> Question:
    from breakeven.ledger.query import Question

    return Question(
        since=moment("--since", since) if since else None, until=moment("--until", until) if until else None
    )


def _show(found: OutcomeCosts, asked: Asked) -> None:
    from breakeven.studies.outcomes.words import rivals_text

    if not found.groups:
        typer.echo("No request in these hours has these labels; nothing to show.")
        typer.echo("Hours that are not over are left out, unless --so-far takes them in.")
        return
    _show_groups(found, failures=asked.failure_usd is not None)
    for line in _under(found):
        typer.echo(line)
    for rivals in found.rivals:
        typer.echo(rivals_text(rivals))
    if found.rivals:
        typer.echo(
            "Compared with idle time. As routed, targets may have got different requests; `breakeven shadow report` "
            "compares the same ones."
        )
    for line in _cheapest(found, asked):
        typer.echo(line)


def _show_groups(found: OutcomeCosts, *, failures: bool) -> None:
    """Print what came of it, and below what it cost: one table would be too wide to read."""
    groups = found.groups
    counts = {
        "episodes": [f"{group.subject_count:,}" for group in groups],
        "good": [f"{group.success_count:,}" for group in groups],
        "bad": [f"{group.failure_count:,}" for group in groups],
        "unknown": [f"{group.unknown_count:,}" for group in groups],
        "success": [_share(group.success_fraction) for group in groups],
        "too young": [f"{group.young_count:,}" for group in groups] if any(g.young_count for g in groups) else [],
    }
    money = {
        "spent": [_usd(group.loaded_usd) for group in groups],
        "elsewhere": [_usd(g.elsewhere_usd) for g in groups] if any(g.elsewhere_count for g in groups) else [],
        "people": [_people(group) for group in groups] if any(group.human_minutes for group in groups) else [],
        "USD/success": [_price(group.usd_per_success) for group in groups],
        "if unknown": [_bounds(group) for group in groups] if any(g.unknown_count for g in groups) else [],
        "with idle": [_likely(group.whole_usd_per_success) for group in groups] if found.idle_usd else [],
        "evaluation": [_usd(g.evaluation_usd) for g in groups] if any(g.evaluation_usd for g in groups) else [],
        "if failing costs": [_usd(group.with_failures_usd) for group in groups] if failures else [],
    }
    for columns in (counts, money):
        _print(found.by, groups, {name: cells for name, cells in columns.items() if cells})
        typer.echo()


def _print(by: Sequence[str], groups: Sequence[OutcomeCost], columns: dict[str, list[str]]) -> None:
    from rich.table import Table

    from breakeven.cli.output import console

    table = Table(box=None, pad_edge=False)
    for label in by:
        table.add_column(label)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for place, group in enumerate(groups):
        cells = (cells[place] for cells in columns.values())
        table.add_row(*[label if label is not None else "–" for label in group.labels], *cells)
    console().print(table)


def _share(share: Estimate | None) -> str:
    return "unknown" if share is None else f"{share.likely:.1%} ({share.low:.0%}–{share.high or 1:.0%})"


def _price(price: Estimate | None) -> str:
    if price is None:
        return "unknown"
    return f"{_usd(price.likely)} ({_usd(price.low)}–{'any' if price.high is None else _usd(price.high)})"


def _likely(price: Estimate | None) -> str:
    return "unknown" if price is None else _usd(price.likely)


def _people(group: OutcomeCost) -> str:
    return "no rate" if group.human_usd is None else _usd(group.human_usd)


def _bounds(group: OutcomeCost) -> str:
    return f"{_usd(group.bounds.all_good_usd)}–{_usd(group.bounds.none_good_usd)}"


def _under(found: OutcomeCosts) -> Iterable[str]:
    """Yield the lines under the table: what it adds up to."""
    yield "USD, fully loaded; in brackets 95 %; if unknown: all of them good, or none; with idle: of pools, too"
    parts = [f"in groups {_usd(found.attributed_usd)}"]
    parts += [f"not asked for {_usd(found.left_out_usd)}"] if found.left_out_usd else []
    parts += [f"of deleted rows {_usd(found.deleted_usd)}"] if found.deleted_usd else []
    parts += [f"idle {_usd(found.idle_usd)}"] if found.idle_usd else []
    yield f"all that was paid before {found.until:%Y-%m-%dT%H:00Z}: {_usd(found.billed_usd)} USD ({', '.join(parts)})"
    said = ", ".join(f"{name} {count:,}" for name, count in found.said_by)
    if said:
        yield f"whose word counted: {said}"


def _cheapest(found: OutcomeCosts, asked: Asked) -> Iterable[str]:
    """Yield which target is cheapest with what a failure costs, for each task, or whatever else groups share."""
    from breakeven.studies.outcomes.study import best_with_failures

    if asked.failure_usd is None:
        return
    for labels, name, usd in best_with_failures(found):
        where = ", ".join(label for label in labels if label)
        text = f"at {asked.failure_usd} USD a failure, {name} is cheapest: {_usd(usd)} USD each"
        yield f"{where}: {text}" if where else text


def _record(found: OutcomeCosts) -> dict[str, object]:
    from breakeven.studies.outcomes.words import rivals_text

    return {
        "by": found.by,
        "until": f"{found.until:%Y-%m-%dT%H:00Z}",
        "mature_before": f"{found.mature_before:%Y-%m-%dT%H:%M:%SZ}",
        "rows": [_row(found.by, group) for group in found.groups],
        "rivals": [_rivals(found.by, rivals) | {"text": rivals_text(rivals)} for rivals in found.rivals],
        "said_by": dict(found.said_by),
        "total": {
            "billed_usd": _text(found.billed_usd),
            "attributed_usd": _text(found.attributed_usd),
            "left_out_usd": _text(found.left_out_usd),
            "deleted_usd": _text(found.deleted_usd),
            "idle_usd": _text(found.idle_usd),
        },
        "notes": found.notes,
    }


def _row(by: tuple[str, ...], group: OutcomeCost) -> dict[str, object]:
    return dict(zip(by, group.labels, strict=True)) | {
        "episodes": group.subject_count,
        "requests": group.request_count,
        "successes": group.success_count,
        "failures": group.failure_count,
        "unknown": group.unknown_count,
        "attempts": group.attempt_count,
        "attempts_elsewhere": group.elsewhere_count,
        "young": group.young_count,
        "loaded_usd": _text(group.loaded_usd),
        "elsewhere_usd": _text(group.elsewhere_usd),
        "idle_usd": _text(group.idle_usd),
        "human_minutes": _text(group.human_minutes),
        "human_usd": _text(group.human_usd),
        "evaluation_usd": _text(group.evaluation_usd),
        "young_usd": _text(group.young_usd),
        "success_fraction": group.success_fraction,
        "usd_per_success": group.usd_per_success,
        "inference_usd_per_success": group.inference_usd_per_success,
        "whole_usd_per_success": group.whole_usd_per_success,
        "unknown_bounds": group.bounds,
        "with_failures_usd_per_episode": group.with_failures_usd,
    }


def _rivals(by: tuple[str, ...], rivals: Rivals) -> dict[str, object]:
    return {name: label for name, label in zip(by, rivals.labels, strict=True) if label is not None} | {
        "cheaper": rivals.cheaper,
        "dearer": rivals.dearer,
        "cheaper_usd_per_episode": rivals.cheaper_usd,
        "dearer_usd_per_episode": rivals.dearer_usd,
        "failure_price": rivals.price,
    }


def _split(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _pair(item: str) -> tuple[str, str]:
    try:
        return pair_of(item)
    except ValueError as error:
        raise InputError(f"--where {item!r} should read LABEL=VALUE, such as --where task=sql.") from error


def _amount(option: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InputError(f"{option} {text!r} is no amount: write US dollars, such as 0.05 or 40.") from error


def _usd(amount: Decimal | float | None) -> str:
    """Write an amount with the digits that a person compares; JSON has them all."""
    if amount is None:
        return "unknown"
    size = abs(float(amount))
    return f"{amount:,.2f}" if size >= 10 or not amount else f"{amount:,.4f}" if size >= _SMALL_USD else f"{amount:.3g}"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
