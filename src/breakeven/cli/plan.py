"""``breakeven plan``: from a trace, a log, a bill or a scenario to a verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping
from breakeven.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.reports.charts.drawing import Chart
    from breakeven.studies.verdict.result import OptionResult, Verdict


def plan(
    files: Files = None,
    scenario: Annotated[
        Path | None, typer.Option(help="YAML file of what you know: pools, prices, assumptions.")
    ] = None,
    today: Annotated[
        str | None, typer.Option(help="What serves the traffic now, such as gpt-4o or openai:gpt-4o.")
    ] = None,
    consider: Annotated[
        list[str] | None, typer.Option(help="A model or target to compare with; repeat for more.")
    ] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option(help="What breakeven bench --save measured; repeat for more.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(help="ledger:FOLDER whose pairs of answers count; default: the ledger planned for.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Price everything on this day (YYYY-MM-DD); default today.")] = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    explain: Annotated[
        str | None, typer.Option(help="Show formula, inputs and sources of a line of the stack.")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show every option.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write the verdict as one HTML file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write a short report for a pull request; - prints it instead.")
    ] = None,
    charts: Annotated[Path | None, typer.Option(help="Also write every chart as SVG and PNG into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare every way to serve your traffic, fully loaded, and say what to do."""
    from breakeven.cli.output import progressing
    from breakeven.wiring.plan import PlanRequest, run_plan

    request = PlanRequest(
        files=tuple(files or ()),
        scenario=scenario,
        today=today,
        consider=tuple(consider or ()),
        as_of=_day(as_of),
        columns=mapping(column or []),
        zone=zone,
        tolerate_fraction=tolerate,
        calibrations=tuple(calibration or ()),
        shadow=shadow,
    )
    with progressing("Reading the traffic and comparing every way to serve it") as progress:
        result = run_plan(replace(request, progress=progress))
    if html:
        write_html(result, html)
    if charts:
        write_charts(result, charts)
    if markdown:
        write_markdown(result, markdown)
    if str(markdown) == "-":
        return
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json(result))
    elif explain:
        _explain(result, explain)
    else:
        show(result, full=show_all)


def show(result: Verdict, *, full: bool = False) -> None:
    """Print a verdict."""
    from breakeven.cli.output import console
    from breakeven.reports.terminal import verdict_view

    console().print(verdict_view(result, full=full))


def write_html(result: Verdict, path: Path) -> None:
    """Write the verdict as one HTML page and say where it is."""
    from breakeven.reports.html import verdict_page

    _write(path, verdict_page(result).encode(), "--html FILE")


def write_markdown(result: Verdict, path: Path) -> None:
    """Write the report for a pull request and say where it is; a path of ``-`` is the standard output."""
    from breakeven.reports.markdown import verdict_markdown

    if str(path) == "-":
        typer.echo(verdict_markdown(result), nl=False)
    else:
        _write(path, verdict_markdown(result).encode(), "--markdown FILE")


def write_charts(result: Verdict, folder: Path) -> None:
    """Write every chart that there is data for, as SVG and PNG, and say where they are."""
    from breakeven.reports.charts.gallery import gallery

    write_drawn(gallery(result), folder)


def write_drawn(drawn: Iterable[Chart], folder: Path) -> None:
    """Write charts as SVG and PNG into a folder, and say where they are."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}. Choose another with --charts FOLDER.") from error
    for chart in drawn:
        _write(folder / f"{chart.name}.svg", chart.svg().encode(), "--charts FOLDER")
        _write(folder / f"{chart.name}.png", chart.png(), "--charts FOLDER")


def _write(path: Path, content: bytes, option: str) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place with {option}.") from error
    typer.echo(f"wrote {path}", err=True)


def _explain(result: Verdict, key: str) -> None:
    from breakeven.cli.output import console
    from breakeven.reports.terminal import explain_view

    names = list(dict.fromkeys(row.key for option in result.options for row in option.lines))
    found = next((name for name in names if name.lower() == key.lower()), None)
    if found is None:
        raise UnknownNameError(f"No option has a line named {key!r}. Lines: {', '.join(names)}.")
    options = _one_of_each_kind([o for o in result.options if any(row.key == found for row in o.lines)])
    console().print(explain_view(result, options, found))


def _one_of_each_kind(options: list[OptionResult]) -> list[OptionResult]:
    firsts: dict[str, OptionResult] = {}
    for item in options:
        firsts.setdefault(item.kind, item)
    return list(firsts.values())


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise InputError(f"--as-of {text!r} is not a day: write it as YYYY-MM-DD, such as 2026-11-21.") from error
