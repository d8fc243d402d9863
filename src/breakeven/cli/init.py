"""``breakeven init``: a scenario from a few questions, from options, or from a preset."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def init(
    output: Annotated[Path | None, typer.Option(help="File to write; default: scenario.yaml, or PRESET.yaml.")] = None,
    preset: Annotated[str | None, typer.Option(help="Write this worked example, with its corrections.")] = None,
    list_presets: Annotated[bool, typer.Option("--list-presets", help="Show the presets and stop.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    today: Annotated[str | None, typer.Option(help="What serves the traffic now, such as openai:gpt-4o.")] = None,
    input_tokens_per_month: Annotated[str | None, typer.Option(help="Such as 3.6B; without a log.")] = None,
    output_tokens_per_month: Annotated[str | None, typer.Option(help="Such as 600M; without a log.")] = None,
    requests_per_month: Annotated[str | None, typer.Option(help="Such as 2.4M; without a log.")] = None,
    data_may_leave: Annotated[
        bool | None, typer.Option("--data-may-leave/--data-stays", help="Whether others' machines may see the data.")
    ] = None,
    region: Annotated[list[str] | None, typer.Option(help="Where it must run, such as eu; repeat for more.")] = None,
    compliance: Annotated[
        list[str] | None, typer.Option(help="Attestation that all must show, such as SOC 2; repeat.")
    ] = None,
    fine_tuning: Annotated[
        bool | None, typer.Option("--fine-tuning/--no-fine-tuning", help="Whether its weights must be changeable.")
    ] = None,
    open_model: Annotated[
        list[str] | None, typer.Option(help="Model to consider, such as llama-3.3-70b; repeat.")
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="A node that you have, such as '4x h100-sxm'.")] = None,
    gpu_price: Annotated[str | None, typer.Option(help="2.10/h for each GPU rented; 250000 for a node bought.")] = None,
    gpu_region: Annotated[list[str] | None, typer.Option(help="Where that node is; repeat for more.")] = None,
    gpu_compliance: Annotated[list[str] | None, typer.Option(help="Attestation that its owner shows; repeat.")] = None,
    output_tokens_per_s: Annotated[str | None, typer.Option(help="What you measured of that node.")] = None,
    team_exists: Annotated[
        bool | None, typer.Option("--team-exists/--no-team", help="Whether its engineers are paid anyway.")
    ] = None,
    accuracy_ratio: Annotated[
        str | None, typer.Option(help="Success of the first model considered over today's, such as 0.97.")
    ] = None,
) -> None:
    """Ask a few questions and write a scenario; with answers as options, or a preset, ask nothing."""
    if list_presets:
        _show_presets()
        return
    given = _given(
        today=today,
        input_tokens_per_month=input_tokens_per_month,
        output_tokens_per_month=output_tokens_per_month,
        requests_per_month=requests_per_month,
        data_may_leave=data_may_leave,
        regions=region,
        compliance=compliance,
        fine_tuning=fine_tuning,
        open_models=open_model,
        gpus=gpus,
        gpu_price=gpu_price,
        gpu_regions=gpu_region,
        gpu_compliance=gpu_compliance,
        output_tokens_per_s=output_tokens_per_s,
        team_exists=team_exists,
        accuracy_ratio=accuracy_ratio,
    )
    if preset is not None:
        if given:
            raise InputError("A preset is written as it stands: give either --preset or answers, then edit the file.")
        _write_preset(preset, output or Path(f"{preset.strip().lower()}.yaml"), force=force)
    else:
        _write_answers(given, output or Path("scenario.yaml"), force=force)


def _write_preset(name: str, output: Path, *, force: bool) -> None:
    from breakeven.wiring.init import preset_files, write_files

    files = preset_files(name, output)
    write_files(files, overwrite=_may_overwrite(files, force=force))
    _say_next(files, "breakeven plan", "--all")


def _write_answers(given: Mapping[str, str], output: Path, *, force: bool) -> None:
    """Write the scenario of these answers, or of those that a person gives now."""
    from breakeven.wiring.init import answer_files, write_files

    if not given and not _is_terminal():
        raise InputError(
            "There is no terminal to ask on. Give what you know as options, such as --today openai:gpt-4o "
            "--input-tokens-per-month 3.6B --output-tokens-per-month 600M, or take --preset NAME (--list-presets)."
        )
    overwrite = _may_overwrite([output], force=force)
    if not given:
        from breakeven.cli.dialogue import ask_all

        given = ask_all()
    files = answer_files(given, output)
    write_files(files, overwrite=overwrite)
    _say_next(files, "breakeven plan" if "input_tokens_per_month" in given else "breakeven plan LOG")


def _given(**options: str | bool | list[str] | None) -> dict[str, str]:
    """Return the options that were given, as the text that answers their questions."""
    found: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, bool):
            found[key] = "yes" if value else "no"
        elif value is not None and value != []:
            found[key] = value if isinstance(value, str) else ", ".join(value)
    return found


def _may_overwrite(files: Iterable[Path], *, force: bool) -> bool:
    """Whether files that are there may go: as --force says, or the person at the terminal."""
    from breakeven.wiring.init import check_places

    there = check_places(files)
    if not there or force or not _is_terminal():
        return force
    if not typer.confirm(f"{' and '.join(map(str, there))} would be overwritten. Go on?"):
        typer.echo("Nothing was written.", err=True)
        raise typer.Exit(1)
    return True


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _say_next(files: Iterable[Path], command: str, *options: str) -> None:
    """Say what was written, and what to run on it."""
    written = list(files)
    for path in written:
        typer.echo(f"wrote {path}", err=True)
    typer.echo(f"Next: {command} {shlex.join(['--scenario', str(written[0]), *options])}")


def _show_presets() -> None:
    from rich.table import Table

    from breakeven.cli.output import console
    from breakeven.wiring.init import list_presets

    table = Table("preset", "worked example", box=None, pad_edge=False)
    for item in list_presets():
        table.add_row(item.name, item.title)
    console().print(table)
