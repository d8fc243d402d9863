"""``breakeven simulate``: what a pool would have done with a trace, before anything is rented."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from rich.table import Table

    from breakeven.quantities import Interval
    from breakeven.wiring.simulate import PoolSimulation


def simulate(
    files: Files = None,
    *,
    pool: Annotated[str, typer.Option(help="A node: 2xH100:llama-3.3-70b:fp8:vllm; precision and engine may go.")],
    nodes: Annotated[int, typer.Option(help="How many there are.")] = 1,
    overflow: Annotated[str | None, typer.Option(help="API that takes what the nodes do not; default: none.")] = None,
    policy: Annotated[
        str, typer.Option(help="ordered, weighted, least_busy, lowest_latency, cheapest: the gateway's own.")
    ] = "least_busy",
    most_waiting: Annotated[int, typer.Option(help="Requests waiting at a node before others overflow.")] = 100,
    most_ttft_s: Annotated[float, typer.Option(help="Expected TTFT above which a request overflows.")] = float("inf"),
    overflow_ttft_s: Annotated[float, typer.Option(help="TTFT of the overflow's API, as you know it.")] = 0.6,
    overflow_tpot_s: Annotated[float, typer.Option(help="Its seconds a token.")] = 0.015,
    usd_per_gpu_hour: Annotated[float | None, typer.Option(help="Price of a GPU; default: current offers.")] = None,
    seed: Annotated[int, typer.Option(help="Of policies that draw.")] = 1,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day whose prices hold; default: today.")
    ] = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Run a trace through a pool of nodes: TTFT, TPOT, utilisation, what overflows, and what it would have cost."""
    from breakeven.cli.output import console, progressing
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    from breakeven.wiring.simulate import SimulateRequest, run_simulation

    day: date | None = as_of.date() if as_of else None
    with progressing("Simulating") as progress:
        found = run_simulation(
            SimulateRequest(
                files=tuple(files or ()),
                pool=pool,
                nodes=nodes,
                overflow=overflow,
                policy=policy,
                most_waiting_requests=most_waiting,
                most_ttft_s=most_ttft_s,
                overflow_ttft_s=overflow_ttft_s,
                overflow_tpot_s=overflow_tpot_s,
                usd_per_gpu_hour=usd_per_gpu_hour,
                seed=seed,
                as_of=day,
                columns=mapping(column or []),
                zone=zone,
                tolerate_fraction=tolerate,
                progress=progress,
            )
        )
    if as_json:
        typer.echo(to_json(found))
        return
    out = console()
    for line in _title(found):
        out.print(line)
    out.print(_table(found))
    for line in _notes(found):
        out.print(line)


def _title(found: PoolSimulation) -> list[str]:
    item = found.simulated
    behind = f", overflow to {found.overflow}" if found.overflow else ""
    hours = item.span_s / SECONDS_PER_HOUR
    lasts = f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"
    return [
        f"{found.nodes} node(s) {found.pool}, policy {found.policy}{behind}",
        f"{item.requests:,} requests in {lasts}",
    ]


def _table(found: PoolSimulation) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "slow", "likely", "fast"):
        table.add_column(name, justify="left" if not name else "right")
    runs = found.simulated.runs
    rows = [
        ("node speed", [f"{run.speed_ratio:.2f}" for run in runs]),
        ("TTFT p50, p95, p99", [_seconds(run.ttft_s) for run in runs]),
        ("ms a token p50, p95, p99", [_seconds(tuple(1000 * value for value in run.tpot_s)) for run in runs]),
        ("to the end p50, p95, p99", [_seconds(run.total_s) for run in runs]),
        ("nodes busy", [f"{run.utilisation_fraction:.0%}" for run in runs]),
        ("overflow, of output tokens", [f"{run.overflow_fraction:.1%}" for run in runs]),
        ("overflow, requests", [f"{run.overflow_requests:,}" for run in runs]),
        ("rejected", [f"{run.rejected_requests:,}" for run in runs]),
        ("put back (cache full)", [f"{run.put_back_requests:,}" for run in runs]),
        ("overflow, USD", [_usd(run.overflow_usd) for run in runs]),
        ("nodes and overflow, USD a month", [_spread(run.usd_per_month) for run in runs]),
    ]
    for name, values in rows:
        table.add_row(name, *values)
    return table


def _notes(found: PoolSimulation) -> list[str]:
    item = found.simulated
    lines = [f"A node costs {_spread(item.node_usd_per_hour)} USD an hour; only nodes and overflow are counted."]
    if item.api_only_usd is not None:
        lines.append(f"All of it at the overflow's API: {_usd(item.api_only_usd)} USD for these requests.")
    lines.append(f"Speed: {found.basis}; slow and fast are the 10th and 90th percentile of its error.")
    return [*lines, *found.notes]


def _seconds(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def _usd(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _spread(value: Interval) -> str:
    return _usd(value.likely) if value.is_exact else f"{_usd(value.low)} to {_usd(value.high)}"
