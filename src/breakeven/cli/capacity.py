"""``breakeven capacity``: does a model fit on these GPUs, and how fast is it served there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from breakeven.wiring.capacity import EstimateRequest

app = typer.Typer(
    help="Estimate what a node serves before anybody has measured it.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Keep ``estimate`` a command of its own while it is the only one."""


@app.command()
def estimate(
    model: Annotated[
        str | None, typer.Argument(help="Open-weight model, by id or alias: see breakeven catalog models.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="GPU, by id or alias: see breakeven catalog gpus.")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs of the node, tensor parallel but for the options below.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="bf16, fp16, fp8, int8, fp4, int4; default: the model's first.")
    ] = None,
    engine: Annotated[str, typer.Option(help="vllm, sglang, tensorrt-llm; others with a wider interval.")] = "vllm",
    isl: Annotated[int, typer.Option(help="Input tokens of a request.")] = 1024,
    osl: Annotated[int, typer.Option(help="Output tokens of a request.")] = 256,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests at a time; default: as many as the node can run.")
    ] = None,
    pipeline: Annotated[int, typer.Option(help="Pipeline stages that the GPUs form.")] = 1,
    attention_data_parallel: Annotated[
        int, typer.Option(help="Groups of GPUs that attend to requests of their own; experts stay shared.")
    ] = 1,
    cached_share: Annotated[float, typer.Option(help="Share of the input found in the prefix cache, 0 to 1.")] = 0.0,
    slo_ttft_ms: Annotated[float | None, typer.Option(help="Longest good time to the first token.")] = None,
    slo_tpot_ms: Annotated[float | None, typer.Option(help="Longest good time between tokens.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="What breakeven bench --save wrote: it wins.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Instead: a CSV table of measurements; every row gets a prediction.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the table with predictions goes (with --rows).")] = None,
    without_catalogue: Annotated[
        bool,
        typer.Option(
            "--without-catalogue",
            help="With --rows: as if nothing had been measured of a row's model, GPU and precision.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say whether a model fits on a node, and its TTFT, TPOT and tokens/s there with their intervals."""
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    from breakeven.capacity.loads import Slo
    from breakeven.errors import InputError
    from breakeven.wiring.capacity import EstimateRequest

    if rows is not None or out is not None:
        if rows is None or out is None or model is not None:
            raise InputError("--rows TABLE.csv and --out TABLE.csv go together, and without a model.")
        _estimate_rows(rows, out, without_catalogue=without_catalogue, as_json=as_json)
        return
    if model is None or gpu is None or without_catalogue:
        needs = "--without-catalogue needs --rows." if without_catalogue else "Say a model and its --gpu, or --rows."
        raise InputError(f"{needs} For example: breakeven capacity estimate llama-3.1-70b --gpu h100 --gpus 4")
    _estimate_one(
        EstimateRequest(
            model=model,
            gpu=gpu,
            gpus=gpus,
            precision=precision,
            engine=engine,
            isl_tokens=isl,
            osl_tokens=osl,
            concurrency_count=concurrency,
            pipeline_stage_count=pipeline,
            attention_group_count=attention_data_parallel,
            cached_fraction=cached_share,
            slo=Slo(ttft_ms=slo_ttft_ms, tpot_ms=slo_tpot_ms),
            calibration=calibration,
        ),
        as_json=as_json,
    )


def _estimate_one(request: EstimateRequest, *, as_json: bool) -> None:
    from breakeven.cli.capacity_text import loads_table, notes, summary_table, title
    from breakeven.cli.output import console
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.capacity import run_estimate

    found = run_estimate(request)
    if as_json:
        typer.echo(to_json(found))
        return
    out = console()
    out.print(title(found))
    out.print(summary_table(found))
    if found.loads:
        out.print()
        out.print(loads_table(found.loads))
    for line in notes(found):
        out.print(line)


def _estimate_rows(rows: Path, out: Path, *, without_catalogue: bool, as_json: bool) -> None:
    from breakeven.cli.capacity_text import rows_lines
    from breakeven.cli.output import console, working
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.capacity_rows import estimate_rows

    with working("Estimating rows"):
        found = estimate_rows(rows, out, unseen=without_catalogue)
    if as_json:
        typer.echo(to_json(found))
        return
    for line in rows_lines(found, str(out)):
        console().print(line)
