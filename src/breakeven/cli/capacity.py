"""``breakeven capacity``: does a model fit on these GPUs, and how fast is it served there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from breakeven.capacity.estimate import Estimate, Rates
    from breakeven.capacity.memory import Memory
    from breakeven.quantities import Interval
    from breakeven.wiring.capacity import CapacityEstimate

app = typer.Typer(
    help="Estimate what a node serves before anybody has measured it.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Keep ``estimate`` a command of its own while it is the only one."""


@app.command()
def estimate(
    model: Annotated[str, typer.Argument(help="Open-weight model, by id or alias: see breakeven catalog models.")],
    gpu: Annotated[str, typer.Option(help="GPU, by id or alias: see breakeven catalog gpus.")],
    gpus: Annotated[int, typer.Option(help="GPUs of the node, tensor parallel.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="bf16, fp16, fp8, int8, fp4, int4; default: the model's first.")
    ] = None,
    engine: Annotated[str, typer.Option(help="vllm, sglang, tensorrt-llm; others with a wider interval.")] = "vllm",
    isl: Annotated[int, typer.Option(help="Input tokens of a request.")] = 1024,
    osl: Annotated[int, typer.Option(help="Output tokens of a request.")] = 256,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests at a time; default: as many as the node can run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say whether a model fits on a node, and its TTFT, TPOT and tokens/s there with their intervals."""
    from breakeven.cli.output import console
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.capacity import EstimateRequest, run_estimate

    found = run_estimate(
        EstimateRequest(
            model=model,
            gpu=gpu,
            gpus=gpus,
            precision=precision,
            engine=engine,
            isl_tokens=isl,
            osl_tokens=osl,
            concurrency_count=concurrency,
        )
    )
    if as_json:
        typer.echo(to_json(found))
    else:
        out = console()
        out.print(_title(found))
        out.print(_table(found.estimate))
        for line in _notes(found.estimate):
            out.print(line)


def _title(found: CapacityEstimate) -> str:
    item = found.estimate
    load = "a queue that never empties" if item.concurrency_count is None else f"{item.concurrency_count:g} at a time"
    what = f"{found.model} at {found.precision} on {found.gpus}x {found.gpu}, {found.engine}"
    return f"{what}: {item.isl_tokens:,.0f} tokens in, {item.osl_tokens:,.0f} out, {load}"


def _table(item: Estimate) -> Table:
    """Return the answer as a table: the memory, then the speed with its interval."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for row in [*_memory_rows(item.memory), *(_rate_rows(item.rates) if item.rates else ())]:
        table.add_row(*row)
    return table


def _notes(item: Estimate) -> list[str]:
    """Return why it does not fit, where the rates come from, and what their interval is."""
    if item.rates is None:
        return [*item.memory.reasons]
    doubt = "" if item.rates.output_tokens_per_s.is_exact else "; intervals: 10th to 90th percentile"
    return [*item.memory.reasons, item.rates.basis + doubt]


def _memory_rows(memory: Memory) -> list[tuple[str, str, str]]:
    return [
        ("fits", "yes" if memory.fits else "no", ""),
        ("memory", f"{memory.node_gb:,.1f} GB", f"of which {memory.usable_gb:,.1f} usable"),
        ("weights", f"{memory.weights_gb:,.1f} GB", ""),
        ("free for KV cache", f"{memory.free_gb:,.1f} GB", f"{memory.kv_gb:,.3f} GB a request in flight"),
        ("requests that fit", f"{memory.concurrent_requests:,}", "at these lengths"),
        ("room alone", f"{memory.largest_request_tokens:,} tokens", "for one request that has the node for itself"),
    ]


def _rate_rows(rates: Rates) -> list[tuple[str, str, str]]:
    named = [
        ("TTFT", rates.ttft_ms, "ms"),
        ("TPOT", rates.tpot_ms, "ms"),
        ("output", rates.output_tokens_per_s, "tokens/s"),
        ("requests", rates.requests_per_s, "a second"),
    ]
    return [(name, f"{_figure(value.likely)} {unit}", _span(value)) for name, value, unit in named if value]


def _span(value: Interval) -> str:
    return "" if value.is_exact else f"{_figure(value.low)} to {_figure(value.high)}"


def _figure(value: float) -> str:
    """Return three digits: more would claim more than an estimate knows."""
    return f"{float(f'{value:.3g}'):,.10g}"
