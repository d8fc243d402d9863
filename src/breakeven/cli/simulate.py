"""``breakeven simulate``: what a pool would have done with a trace, before anything is rented."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping

INFINITE = float("inf")


def simulate(
    files: Files = None,
    *,
    pool: Annotated[
        str | None, typer.Option(help="A node: 2xH100:llama-3.3-70b:fp8:vllm; precision and engine may go.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="What breakeven bench --save measured of a node: its speed.")
    ] = None,
    nodes: Annotated[str | None, typer.Option(help="How many: 4; 1..12 or 1,2,4 to compare; default: 1.")] = None,
    overflow: Annotated[
        list[str] | None, typer.Option(help="API that takes what the nodes do not; repeat for more; default: none.")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help="ordered, weighted, least_busy, lowest_latency, cheapest, two_choices, overflow, marginal_cost, "
            "prefix_affinity, cost_threshold, budget_downgrade, schedule: the gateway's own."
        ),
    ] = "least_busy",
    most_waiting: Annotated[
        int, typer.Option(help="Requests waiting at a node before others overflow, or wait in line.")
    ] = 100,
    most_ttft_s: Annotated[float, typer.Option(help="Expected TTFT above which a request overflows.")] = INFINITE,
    most_kv: Annotated[float, typer.Option(help="Share of a node's cache in use above which others overflow.")] = 1.0,
    back: Annotated[
        float | None,
        typer.Option(
            help="Share of these limits within which a full node takes requests again; default: 0.8 with overflow, "
            "marginal_cost and prefix_affinity, else 1."
        ),
    ] = None,
    line_requests: Annotated[
        int | None,
        typer.Option(
            help="Most that wait in the gateway while all nodes are full, by priority and key by key, as its waiting: "
            "does; default: full nodes take them."
        ),
    ] = None,
    line_longest_s: Annotated[float | None, typer.Option(help="How long they wait there; default: 30.")] = None,
    key_priority: Annotated[
        list[str] | None,
        typer.Option(help="KEY=PRIORITY there: nightly-report=-10; default: what its requests say, else 0."),
    ] = None,
    most_usd: Annotated[
        float | None,
        typer.Option(
            help="What a request may cost at most, under cost_threshold and marginal_cost; default: no limit."
        ),
    ] = None,
    budget_day_usd: Annotated[
        float | None,
        typer.Option(help="Of all requests, from midnight UTC on, under budget_downgrade; default: no limit."),
    ] = None,
    hours: Annotated[
        str, typer.Option(help="Of the nodes, under schedule: Mon-Fri 08-20, Sat 10-14; default: always.")
    ] = "",
    overflow_hours: Annotated[
        list[str] | None, typer.Option(help="Of an API, in the order of --overflow; default: always.")
    ] = None,
    hours_zone: Annotated[str, typer.Option(help="In which hours are told: UTC, Europe/Berlin.")] = "UTC",
    overflow_ttft_s: Annotated[
        list[float] | None, typer.Option(help="TTFT of the overflow's API, as you know it; default: 0.6.")
    ] = None,
    overflow_tpot_s: Annotated[list[float] | None, typer.Option(help="Its seconds a token; default: 0.015.")] = None,
    overflow_rps: Annotated[
        list[float] | None, typer.Option(help="Requests a second that it takes; default: no limit.")
    ] = None,
    cache_tokens: Annotated[
        int | None, typer.Option(help="Room of a calibrated node's cache; default: what its loads used at most.")
    ] = None,
    scale: Annotated[float, typer.Option(help="So many times the requests, made up to look like the trace's.")] = 1.0,
    burst: Annotated[
        str | None, typer.Option(help="Gaps of made-up requests: poisson, gamma:2, weibull:3; default: as fitted.")
    ] = None,
    prefix_hits: Annotated[
        float | None, typer.Option(help="Share of every prompt that nodes have cached; default: as the trace says.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Nodes by hour, UTC: 0-8:2,8-20:6,20-24:3; days: weekday/8-20:6.")
    ] = None,
    min_nodes: Annotated[
        int | None, typer.Option(help="Follow the load, between so many nodes (0 too) and --nodes.")
    ] = None,
    scale_waiting: Annotated[float, typer.Option(help="Requests waiting for each node that start another.")] = 4.0,
    scale_used: Annotated[float, typer.Option(help="Share of capacity in use that starts another.")] = 0.8,
    scale_up_after_s: Annotated[float, typer.Option(help="For how long it must be so.")] = 60.0,
    scale_down_after_s: Annotated[float, typer.Option(help="How long one fewer must do, until it stops.")] = 600.0,
    idle_s: Annotated[float, typer.Option(help="How long nothing must be to do, until the last one stops.")] = 900.0,
    cold_start_s: Annotated[float, typer.Option(help="From starting a node until it serves.")] = 180.0,
    mtbf_hours: Annotated[
        float | None, typer.Option(help="Mean hours between failures, or spot interruptions, of a node; default: none.")
    ] = None,
    repair_minutes: Annotated[float, typer.Option(help="Mean minutes until it can be started again.")] = 30.0,
    slo_ttft_s: Annotated[float | None, typer.Option(help="TTFT to keep to.")] = None,
    slo_tpot_s: Annotated[float | None, typer.Option(help="Seconds a token to keep to.")] = None,
    slo_quantile: Annotated[float, typer.Option(help="Share of answers that must keep to them.")] = 0.99,
    usd_per_gpu_hour: Annotated[float | None, typer.Option(help="Price of a GPU; default: current offers.")] = None,
    seed: Annotated[int, typer.Option(help="Of failures, and of policies that draw.")] = 1,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day whose prices hold; default: today.")
    ] = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    charts: Annotated[
        Path | None, typer.Option(help="Also write charts as SVG and PNG into this folder; with --nodes 1..12 more.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Run a trace through a pool of nodes: TTFT, TPOT, utilisation, what overflows, and what it would have cost."""
    from breakeven.cli.output import console, progressing
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    from breakeven.cli.simulate_told import told
    from breakeven.wiring.simulate import PoolSweep, SimulateRequest, run_simulation, run_sweep
    from breakeven.wiring.simulate_check import counts_of

    counts = counts_of(nodes) if nodes is not None else ()
    with progressing("Simulating") as progress:
        request = SimulateRequest(
            files=tuple(files or ()),
            pool=pool,
            calibration=calibration,
            cache_tokens=cache_tokens,
            scale_ratio=scale,
            burst=burst,
            nodes=counts[-1] if counts else 1,
            counts=counts,
            overflow=tuple(overflow or ()),
            policy=policy,
            most_waiting_requests=most_waiting,
            most_ttft_s=most_ttft_s,
            most_kv_fraction=most_kv,
            back_ratio=back,
            line_requests=line_requests,
            line_longest_s=line_longest_s,
            key_priorities=tuple(key_priority or ()),
            most_usd=most_usd,
            budget_day_usd=budget_day_usd,
            hours=hours,
            overflow_hours=tuple(overflow_hours or ()),
            hours_zone=hours_zone,
            overflow_ttft_s=tuple(overflow_ttft_s or (0.6,)),
            overflow_tpot_s=tuple(overflow_tpot_s or (0.015,)),
            overflow_requests_per_s=tuple(overflow_rps or (INFINITE,)),
            usd_per_gpu_hour=usd_per_gpu_hour,
            prefix_hit_fraction=prefix_hits,
            cold_start_s=cold_start_s,
            mtbf_hours=mtbf_hours,
            repair_s=60.0 * repair_minutes,
            schedule=schedule,
            min_nodes=min_nodes,
            scale_waiting_requests=scale_waiting,
            scale_used_fraction=scale_used,
            scale_up_after_s=scale_up_after_s,
            scale_down_after_s=scale_down_after_s,
            idle_s=idle_s,
            slo_ttft_s=slo_ttft_s,
            slo_tpot_s=slo_tpot_s,
            slo_quantile_fraction=slo_quantile,
            seed=seed,
            as_of=as_of.date() if as_of else None,
            columns=mapping(column or []),
            zone=zone,
            tolerate_fraction=tolerate,
            progress=progress,
        )
        found = run_sweep(request) if len(counts) > 1 else run_simulation(request)
    if charts:
        from breakeven.cli.plan import write_drawn
        from breakeven.reports.charts.simulated import simulation_charts, sweep_charts

        write_drawn(
            sweep_charts(found.sweep, slo_ttft_s=slo_ttft_s)
            if isinstance(found, PoolSweep)
            else simulation_charts(found.simulated),
            charts,
        )
    if as_json:
        typer.echo(to_json(found))
        return
    out = console()
    for line in told(found):
        out.print(line)
