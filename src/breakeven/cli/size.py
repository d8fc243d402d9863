"""``breakeven size``: how many nodes to hold in front of an API, how to buy them, and what overflows."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.size_tables import spread, table, usd
from breakeven.cli.traffic import Columns, Files, Tolerate, Zone, mapping

if TYPE_CHECKING:
    from rich.table import Table

    from breakeven.studies.hybrid.result import HybridSize, Step

SHOWN_STEPS = 16


def size(
    files: Files = None,
    *,
    pool: Annotated[
        list[str],
        typer.Option(help="A node: 2xH100:llama-3.3-70b:fp8:vllm; NAME=NODE for one traffic; repeat to choose among."),
    ],
    overflow: Annotated[
        list[str], typer.Option(help="API that takes what the nodes do not; NAME=API for one traffic.")
    ],
    traffic: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE in place of files: several traffics, sized together; repeat, also to add files."),
    ] = None,
    gpus_at_most: Annotated[
        list[str] | None, typer.Option(help="GPU=COUNT, such as H100=16: as many can be held at a time; repeat.")
    ] = None,
    today: Annotated[
        list[str] | None,
        typer.Option(help="Whose tokens the trace counts; NAME=API for one traffic; default: the overflow's."),
    ] = None,
    slo_ttft_s: Annotated[float | None, typer.Option(help="95 % of first tokens within this; simulated.")] = None,
    overflow_ttft_s: Annotated[float, typer.Option(help="TTFT of the overflow's API, as you know it.")] = 0.6,
    overflow_tpot_s: Annotated[float, typer.Option(help="Its seconds a token.")] = 0.015,
    growth: Annotated[float | None, typer.Option(help="Growth a month, 0.05 for 5 %, weighed with the days.")] = None,
    horizon_days: Annotated[
        int, typer.Option(help="Days for which nodes are held: 1 sizes for tomorrow, anew each night.")
    ] = 30,
    batchable: Annotated[float | None, typer.Option(help="Share of the work that may wait up to a day.")] = None,
    usd_per_gpu_hour: Annotated[float | None, typer.Option(help="Price of a GPU; default: current offers.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="YAML file with your own figures.")] = None,
    seed: Annotated[int, typer.Option(help="Of the demands that are drawn.")] = 1,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day whose prices hold; default: today.")
    ] = None,
    column: Columns = None,
    zone: Zone = None,
    tolerate: Tolerate = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say how many nodes to hold, how to buy them and what overflows, fully loaded, against all API and all nodes."""
    from breakeven.cli.output import console, working
    from breakeven.cli.size_joint import joint_told
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    from breakeven.studies.hybrid.result import JointSize
    from breakeven.wiring.hybrid import Figures
    from breakeven.wiring.joint import Asked, run_asked

    day: date | None = as_of.date() if as_of else None
    figures = Figures(
        scenario=scenario,
        slo_ttft_s=slo_ttft_s,
        overflow_ttft_s=overflow_ttft_s,
        overflow_tpot_s=overflow_tpot_s,
        growth_per_month=growth,
        horizon_days=horizon_days,
        batchable_fraction=batchable,
        usd_per_gpu_hour=usd_per_gpu_hour,
        seed=seed,
        as_of=day,
        columns=mapping(column or []),
        zone=zone,
        tolerate_fraction=tolerate,
    )
    asked = Asked(
        traffics=tuple(traffic or ()),
        files=tuple(files or ()),
        pools=tuple(pool),
        overflows=tuple(overflow),
        todays=tuple(today or ()),
        most_gpus=tuple(gpus_at_most or ()),
        figures=figures,
    )
    with working("Sizing"):
        found = run_asked(asked)
    if as_json:
        typer.echo(to_json(found))
        return
    out = console()
    for item in joint_told(found) if isinstance(found, JointSize) else _told(found):
        out.print(item)


def _told(found: HybridSize) -> list[str | Table]:
    """Return everything that is printed, in order."""
    what = f"Hold {found.nodes} node(s)" if found.nodes else "Hold no nodes"
    told: list[str | Table] = [
        f"{what}: {found.pool}; overflow to {found.overflow}",
        *(f"  {reason}" for reason in found.reasons),
        "",
        _ways(found),
        "",
        _steps(found),
    ]
    if found.held and found.nodes:
        told += ["", "Bought by the hour of the week:", _held(found)]
    if found.slo:
        told += ["", "Simulated within the SLO:", _slo(found)]
    if found.mix is not None:
        told += ["", _mix_title(found), _mix(found)]
    share = found.capacity_fraction
    told += ["", f"A node is taken to serve {share:.0%} of its throughput within the SLO. Throughput: {found.basis}."]
    return [*told, *(f"Note: {text}" for text in found.warnings)]


def _ways(found: HybridSize) -> Table:
    shown = table("USD a month, fully loaded", "nodes", "likely", "nodes fast and cheap to slow and dear")
    for item in found.ways:
        bill = item.usd_per_month
        shown.add_row(item.name, str(item.nodes), usd(bill.likely), f"{usd(bill.low)} to {usd(bill.high)}")
        for line in item.lines:
            shown.add_row(f"  {line.key}", "", usd(line.usd_per_month.likely), "")
    return shown


def _steps(found: HybridSize) -> Table:
    shown = table("nodes", "busy, the last", "saved by it", "overflow", "USD a month")
    for step in _some(found.steps, found.nodes):
        mark = " <" if step.nodes == found.nodes else ""
        busy, saved = (f"{step.utilisation_fraction:.0%}", usd(step.saved_usd_per_month)) if step.nodes else ("", "")
        shown.add_row(f"{step.nodes}{mark}", busy, saved, f"{step.overflow_fraction:.1%}", usd(step.usd_per_month))
    return shown


def _some(steps: tuple[Step, ...], nodes: int) -> list[Step]:
    """Return the steps around the number of nodes to hold, and some of the others."""
    every = max(1, len(steps) // SHOWN_STEPS)
    return [step for step in steps if abs(step.nodes - nodes) <= 2 or step.nodes % every == 0]


def _held(found: HybridSize) -> Table:
    shown = table("", "USD a node-hour", "fewest", "most", "on average")
    for item in found.held:
        price = spread(item.node_usd_per_hour)
        shown.add_row(item.purchase, price, str(item.least_count), str(item.most_count), f"{item.mean_nodes:.1f}")
    return shown


def _slo(found: HybridSize) -> Table:
    shown = table("nodes", "TTFT p95, s", "in time", "overflow above", "nodes busy", "overflow", "USD a month")
    for run in found.slo:
        mark = " <" if run.nodes == found.nodes else ""
        shown.add_row(
            f"{run.nodes}{mark}",
            f"{run.ttft_p95_s:.3g}",
            f"{run.within_fraction:.1%}",
            f"{run.most_ttft_s:.3g} s",
            f"{run.busy_fraction:.0%}",
            f"{run.overflow_fraction:.1%}",
            usd(run.usd_per_month),
        )
    return shown


def _mix_title(found: HybridSize) -> str:
    assert found.mix is not None
    sure = f"programme within {found.mix.gap_fraction:.2%}" if found.mix.proven else "time ran out before the best"
    return f"Among all pools given: {usd(found.mix.usd_per_month)} USD a month ({sure})"


def _mix(found: HybridSize) -> Table:
    assert found.mix is not None
    shown = table("", "bought", "on average", "most", "serves")
    for item in found.mix.held:
        share = f"{item.served_fraction:.0%}"
        shown.add_row(item.pool, item.purchase, f"{item.mean_nodes:.1f}", str(item.most_count), share)
    return shown
