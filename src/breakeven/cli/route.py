"""``breakeven route``: what routing by task saves, the table that it goes by, and the classifier that tells tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

app = typer.Typer(no_args_is_help=True, help="Route by task: judge policies, make task tables, train classifiers.")

File = Annotated[Path, typer.Argument(help="Labelled rows: CSV, JSON, JSON lines or Parquet (also .gz).")]
Weak = Annotated[str, typer.Option(help="Column with the score of the weak, cheap target: 0 to 1, true or false.")]
Strong = Annotated[str, typer.Option(help="Column with the score of the strong, safe target.")]
Task = Annotated[str | None, typer.Option(help="Column that names the task; default: all rows are of one.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn: the same seed, the same answer.")]


@app.command("eval")
def evaluate(
    file: File,
    weak: Weak,
    strong: Strong,
    task: Task = None,
    prompt: Annotated[str | None, typer.Option(help="Column with the prompt, for policies that read it.")] = None,
    price_ratio: Annotated[float, typer.Option(help="What a weak call costs of a strong one.")] = 0.04,
    weak_cost: Annotated[str | None, typer.Option(help="Column with the cost of the weak call, in any unit.")] = None,
    strong_cost: Annotated[str | None, typer.Option(help="Column with the cost of the strong call.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="random, length, task table, prompt, task and prompt, oracle; repeat; default: all."),
    ] = None,
    margin: Annotated[
        list[float] | None,
        typer.Option(help="How much worse a task may score in a task table; repeat; default: 0.01, 0.02, 0.05."),
    ] = None,
    seed: Seed = 1,
    charts: Annotated[Path | None, typer.Option(help="Also draw cost against quality into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Judge routing policies on labelled data: cost against quality, with what can be counted on."""
    import json

    from breakeven.cli.output import progressing
    from breakeven.reports.routes import evaluation_json, evaluation_lines
    from breakeven.wiring.route import PairsRequest, run_route_eval

    request = PairsRequest(
        file=file,
        weak=weak,
        strong=strong,
        task=task,
        prompt=prompt,
        weak_cost=weak_cost,
        strong_cost=strong_cost,
        price_ratio=price_ratio,
        seed=seed,
    )
    with progressing("Judging policies") as progress:
        found = run_route_eval(request, policies=policy or (), margins=margin or (), progress=progress)
    if charts:
        from breakeven.cli.plan import write_drawn
        from breakeven.reports.charts.routes import route_charts

        write_drawn(route_charts(found), charts)
    if as_json:
        typer.echo(json.dumps(evaluation_json(found), indent=2, allow_nan=False))
        return
    _print(evaluation_lines(found))


@app.command()
def table(
    file: File,
    weak: Weak,
    strong: Strong,
    task: Annotated[str, typer.Option(help="Column that names the task.")],
    margin: Annotated[
        float, typer.Option(help="How much worse the weak target may score: 0.02 is 2 points of 100.")
    ] = 0.02,
    out: Annotated[
        Path | None, typer.Option(help="Write the table there, for tasks: tables: of breakeven.yaml.")
    ] = None,
    weak_target: Annotated[
        str | None, typer.Option(help="Target or pool that the table speaks of; default: as the column.")
    ] = None,
    strong_target: Annotated[str | None, typer.Option(help="The safe target; default: as the column.")] = None,
    least_pairs: Annotated[int, typer.Option(help="Pairs of a task below which nothing is allowed.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Make the table that says which tasks the weak target may have, by the lower bound of what was measured."""
    import json

    from breakeven.reports.routes import table_json, table_lines
    from breakeven.wiring.route import PairsRequest
    from breakeven.wiring.route_files import run_route_table

    found = run_route_table(
        PairsRequest(file=file, weak=weak, strong=strong, task=task),
        margin=margin,
        least_pairs=least_pairs,
        weak_target=weak_target,
        strong_target=strong_target,
        out=out,
    )
    if as_json:
        typer.echo(json.dumps(table_json(found), indent=2, allow_nan=False))
    else:
        _print(table_lines(found))
    if out:
        typer.echo(f"wrote {out}", err=True)


@app.command()
def train(
    file: File,
    prompt: Annotated[str, typer.Option(help="Column with the prompt: what the user's last message says.")] = "prompt",
    task: Annotated[str, typer.Option(help="Column with its task.")] = "task",
    error: Annotated[
        float, typer.Option(help="Share of tasks told that may be wrong; it abstains for the rest.")
    ] = 0.05,
    out: Annotated[Path | None, typer.Option(help="Write the classifier there, for tasks: classifier:.")] = None,
    seed: Seed = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Learn to tell tasks by their prompts, abstaining where that is not sure."""
    import json

    from breakeven.cli.output import progressing
    from breakeven.reports.routes import trained_json, trained_lines
    from breakeven.wiring.route_files import TrainRequest, run_route_train

    with progressing("Learning tasks") as progress:
        found = run_route_train(
            TrainRequest(file=file, prompt=prompt, task=task, error_fraction=error, seed=seed), out, progress
        )
    if as_json:
        typer.echo(json.dumps(trained_json(found), indent=2, allow_nan=False))
    else:
        _print(trained_lines(found))
    if out:
        typer.echo(f"wrote {out}", err=True)


@app.command()
def fingerprint(
    files: Annotated[list[Path], typer.Argument(help="Requests as they are sent: one JSON body a file.")],
) -> None:
    """Tell the fingerprint of requests, for tasks: fingerprints: of breakeven.yaml; none: nothing to know them by."""
    from breakeven.wiring.route_files import run_fingerprints

    for path, found in run_fingerprints(files):
        typer.echo(f"{found or 'none'}  {path}")


def _print(lines: Iterable[RenderableType]) -> None:
    """Print lines as they are: names out of files may hold brackets, which are no markup."""
    from breakeven.cli.output import console

    printer = console()
    for line in lines:
        printer.print(line, markup=False, emoji=False)
