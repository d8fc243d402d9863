"""``breakeven shadow status``: how comparing on live requests goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads these

if TYPE_CHECKING:
    from breakeven.trials.counts import TrialsState
    from breakeven.wiring.shadow_status import CandidateStatus, ShadowStatus


def status(ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Say how comparing on live requests goes: pairs so far, what was skipped and why, and today's budget."""
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shadow_status import shadow_status

    found = shadow_status(find_ledger(ledger, config))
    if as_json:
        from msgspec.structs import asdict

        from breakeven.reports.as_json import to_json

        state = asdict(found.state) if found.state is not None else None
        typer.echo(to_json({"runs": found.runs, "state": state, "candidates": found.candidates}))
        return
    _show(found)


def _show(found: ShadowStatus) -> None:
    if found.state is None:
        typer.echo("Nothing is compared here: no gateway with trials: in its settings has run beside this ledger.")
    elif not found.runs:
        typer.echo(f"Nothing is compared now: the gateway, or its trials:, ended at {_time(found.state.at_s)}.")
    else:
        _show_state(found.state)
    if not found.candidates:
        typer.echo("There are no pairs of live requests yet.")
        return
    typer.echo("")
    for item in found.candidates:
        typer.echo(_line(item))
    typer.echo("")
    typer.echo("What they say: breakeven shadow report")


def _show_state(state: TrialsState) -> None:
    typer.echo(
        f"Comparing since {_time(state.started_s)}: {state.received_count:,} copies taken, {state.pairs_count:,} pairs "
        f"and {state.outcomes_count:,} signals written down, {state.waiting_count:,} copies waiting."
    )
    typer.echo(f"Spent today (UTC): ${float(state.spent_usd):.4f} of ${float(state.budget_usd):.2f}.")
    if state.dropped_count:
        typer.echo(f"Dropped, there being no room for them: {state.dropped_count:,} copies.")
    for why, count in sorted(state.skipped.items(), key=lambda item: -item[1]):
        typer.echo(f"Not compared: {count:,} because of {why!r}.")
    if state.trouble:
        typer.echo(f"In trouble: {state.trouble}")


def _line(item: CandidateStatus) -> str:
    failed = [
        f"{count:,} where {who} gave no answer"
        for who, count in (
            (item.candidate, item.candidate_failed_count),
            ("the incumbent", item.incumbent_failed_count),
        )
        if count
    ]
    more = [
        f"{item.judged_count:,} judged",
        *failed,
        *([f"{item.texts_count:,} with texts"] if item.texts_count else []),
    ]
    task = f"task {item.task}" if item.task else "no task"
    return (
        f"{item.model} → {item.candidate}, {task}: {item.pairs_count:,} pairs ({', '.join(more)}); "
        f"newest {_time(item.newest_s)}"
    )


def _time(at_s: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
