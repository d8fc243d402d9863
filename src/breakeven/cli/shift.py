"""``breakeven shift``: traffic moved to another target step by step, under a test of its answers and live guards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from breakeven.errors import InputError

app = typer.Typer(
    help="Move a model's traffic to another target, task by task and step by step, as far as the evidence allows.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Number = Annotated[int | None, typer.Argument(help="The shift's number; default: the only one under way.")]
Shown = Annotated[int | None, typer.Argument(help="The shift's number; default: the one under way, or the last.")]
Task = Annotated[str | None, typer.Option(help="This task alone; default: all of the shift.")]
By = Annotated[str | None, typer.Option(help="Who decides, for the record; default: the user who runs this.")]
Ledger = Annotated[Path | None, typer.Option(help="Folder of the ledger; default: as the settings say.")]
Config = Annotated[Path | None, typer.Option(help="Settings that say where the ledger is; default: breakeven.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def start(
    model: Annotated[str, typer.Argument(help="The model by the name that clients use.")],
    to: Annotated[str, typer.Option(help="Target, pool or node that is to serve it: of the model or not.")],
    tasks: Annotated[str, typer.Option(help="Tasks, A,B,C, each tested for itself; *: all together.")] = "*",
    margin: Annotated[float, typer.Option(help="By how many points of 100 its answers may score worse.")] = 3.0,
    steps: Annotated[
        str, typer.Option(help="Shares of the traffic, in percent, one after the other.")
    ] = "1,5,25,50,100",
    alpha: Annotated[float, typer.Option(help="Chance of a false promotion, and of a false roll-back.")] = 0.05,
    check: Annotated[
        str | None,
        typer.Option(
            help="Whose scores are compared: judge, check, exact, schema_valid, served …; default: as trials: has."
        ),
    ] = None,
    least_requests: Annotated[int, typer.Option(help="Live requests that it must serve at each step.")] = 100,
    least_hours: Annotated[float, typer.Option(help="Hours that a step lasts at least.")] = 1.0,
    guard_error: Annotated[str, typer.Option(help="Points of 100 that it may fail more often; off: any.")] = "2",
    guard_ttft: Annotated[str, typer.Option(help="Times as late its first token may come; off: any.")] = "1.5",
    guard_cost: Annotated[str, typer.Option(help="Times as much a request may cost; off: any.")] = "off",
    stick: Annotated[
        Literal["user", "episode", "key", "request"], typer.Option(help="What is kept together at one target.")
    ] = "user",
    mirror: Annotated[float, typer.Option(help="Percent of the requests of which both targets are asked.")] = 100.0,
    asked_as: Annotated[
        str, typer.Option("--as", help="The model's name at the target; default: as the settings say.")
    ] = "",
    with_shadow: Annotated[bool, typer.Option(help="Let earlier pairs of a shadow of that target count too.")] = False,
    by: By = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Begin to move traffic at the first step; the gateway follows within a second."""
    from breakeven.cli.shift_text import shift_record, started_lines
    from breakeven.ledger.shifts import ShiftTerms
    from breakeven.wiring.shift import run_start, who

    terms = ShiftTerms(
        tasks=_names(tasks),
        steps=_steps(steps),
        check=check or "",
        margin_fraction=_between("--margin", margin, 0, 100) / 100,
        alpha_fraction=_between("--alpha", alpha, 0, 0.5),
        asked_as=asked_as,
        stick=stick,
        mirror_fraction=_between("--mirror", mirror, 0, 100, most_is_meant=True) / 100,
        counts_shadow=with_shadow,
        least_requests=int(_between("--least-requests", least_requests, 0, 1e9)),
        least_s=_between("--least-hours", least_hours, -1, 10_000) * 3600,
        guard_error_fraction=_guard("--guard-error", guard_error, 0, 100, scale=0.01),
        guard_ttft_ratio=_guard("--guard-ttft", guard_ttft, 0, 1000),
        guard_cost_ratio=_guard("--guard-cost", guard_cost, 0, 1000),
    )
    found = run_start(model, to, terms, config=config, said_by=by or who())
    if as_json:
        _print_json({"shift": shift_record(found.shift), "notes": found.notes})
        return
    for line in started_lines(found):
        typer.echo(line)


@app.command()
def status(number: Shown = None, ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Say of each task what is known, how sure it is, and how many pairs are still needed."""
    from breakeven.cli.shift_text import status_lines, status_record
    from breakeven.wiring.clock import current_s
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shift import find_shift, shift_status

    place = find_ledger(ledger, config)
    found = shift_status(place, find_shift(place.store, number, or_last=True))
    if as_json:
        _print_json(status_record(found))
        return
    for line in status_lines(found, current_s()):
        typer.echo(line)


@app.command("list")
def list_(ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Show every shift that was ever begun."""
    from breakeven.cli.shift_text import list_lines, shift_record
    from breakeven.ledger.shifts import stored_shifts
    from breakeven.wiring.ledger import find_ledger

    shifts = stored_shifts(find_ledger(ledger, config).store)
    if as_json:
        _print_json([shift_record(shift) for shift in shifts])
        return
    for line in list_lines(shifts):
        typer.echo(line)


@app.command()
def events(number: Shown = None, ledger: Ledger = None, config: Config = None, as_json: Json = False) -> None:
    """Show every decision of a shift with the evidence that it rested on, oldest first."""
    from breakeven.cli.shift_text import event_lines
    from breakeven.ledger.shifts import shift_events
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shift import find_shift

    store = find_ledger(ledger, config).store
    found = shift_events(store, find_shift(store, number, or_last=True).id)
    if as_json:
        _print_json([event._asdict() for event in found])
        return
    for line in event_lines(found):
        typer.echo(line)


@app.command()
def pause(
    number: Number = None,
    task: Task = None,
    by: By = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Hold a shift where it is, whatever the evidence says, until it is resumed; pairs are gathered on."""
    _override("pause", number, task, by, (ledger, config), as_json=as_json)


@app.command()
def resume(
    number: Number = None,
    task: Task = None,
    by: By = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let a shift go on that was paused."""
    _override("resume", number, task, by, (ledger, config), as_json=as_json)


@app.command()
def promote(
    task: Annotated[str, typer.Argument(help="The task; *: of a shift of all tasks together.")],
    number: Annotated[int | None, typer.Option("--shift", help="The shift's number; default: the only one.")] = None,
    by: By = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take one task to its next step without waiting for evidence; after the last step it is finished."""
    _override("promote", number, task, by, (ledger, config), as_json=as_json)


@app.command()
def rollback(
    number: Number = None,
    task: Task = None,
    by: By = None,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take the traffic back at once; a shift all of whose tasks are rolled back has ended."""
    _override("roll_back", number, task, by, (ledger, config), as_json=as_json)


@app.command()
def end(
    number: Number = None, by: By = None, ledger: Ledger = None, config: Config = None, as_json: Json = False
) -> None:
    """End a shift: the routes of the settings hold again, so write its target there first if it is to stay."""
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shift import find_shift, run_end, who

    store = find_ledger(ledger, config).store
    shift = find_shift(store, number)
    run_end(store, shift, by or who())
    if as_json:
        _print_json({"shift": shift.id, "state": "ended"})
        return
    typer.echo(f"Shift {shift.id} has ended; a running gateway routes {shift.model!r} as its settings say.")


def _override(
    wanted: Literal["promote", "roll_back", "pause", "resume"],
    number: int | None,
    task: str | None,
    by: str | None,
    place: tuple[Path | None, Path | None],
    *,
    as_json: bool,
) -> None:
    from breakeven.cli.shift_text import shift_record
    from breakeven.ledger.shifts import shift_of
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shift import find_shift, run_override, who

    store = find_ledger(*place).store
    shift = find_shift(store, number)
    done = run_override(store, shift, wanted, task, by or who())
    if as_json:
        _print_json({"shift": shift_record(shift_of(store, shift.id)), "done": done})
        return
    for line in done:
        typer.echo(line)


def _print_json(value: object) -> None:
    from breakeven.reports.as_json import to_json

    typer.echo(to_json(value))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names) or not all(name.isprintable() for name in names):
        raise InputError(f"--tasks {text!r} names a task without a name. Write --tasks A,B,C, or * for all together.")
    if "*" in names and len(names) > 1:
        raise InputError(f"--tasks {text!r} names all tasks and some besides. Write one or the other.")
    return names


def _steps(text: str) -> tuple[float, ...]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--steps {text!r} are no shares: write percent, rising, such as 1,5,25,50,100.") from error
    return tuple(_between("--steps", share, 0, 100, most_is_meant=True) / 100 for share in shares)


def _guard(option: str, text: str, least: float, most: float, *, scale: float = 1.0) -> float | None:
    if text.strip().lower() == "off":
        return None
    try:
        return _between(option, float(text), least, most) * scale
    except ValueError as error:
        raise InputError(f"{option} {text!r} is no number: write one such as 1.5, or off.") from error


def _between(option: str, value: float, least: float, most: float, *, most_is_meant: bool = False) -> float:
    """Return a number that lies above ``least`` and below ``most``, or is that where it is meant.  NaN does not."""
    if least < value < most or (most_is_meant and value == most):
        return value
    what = f"at most {most:g}" if most_is_meant else f"below {most:g}"
    raise InputError(f"{option} {value:g} cannot be: give a number above {max(least, 0):g} and {what}.")
