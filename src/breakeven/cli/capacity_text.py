"""What ``breakeven capacity`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from breakeven.capacity.estimate import Rates
    from breakeven.capacity.loads import Load
    from breakeven.capacity.memory import Memory
    from breakeven.quantities import Interval
    from breakeven.wiring.capacity import CapacityEstimate
    from breakeven.wiring.capacity_rows import RowsEstimated

INTERVALS = "intervals: 90 %, the narrowest that held so many unseen rows"


def title(found: CapacityEstimate) -> str:
    """Return what was asked, in a line."""
    item = found.estimate
    load = "a queue that never empties" if item.concurrency_count is None else f"{item.concurrency_count:g} at a time"
    what = f"{found.model} at {found.precision} on {found.gpus}x {found.gpu}, {found.engine}"
    return f"{what}: {item.isl_tokens:,.0f} tokens in, {item.osl_tokens:,.0f} out, {load}"


def summary_table(found: CapacityEstimate) -> Table:
    """Return the answer as a table: the memory, then the speed with its interval."""
    from rich.table import Table

    item = found.estimate
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    lines = [*_memory_rows(item.memory), *(_rate_rows(item.rates) if item.rates else ()), *_slo_rows(found)]
    for row in lines:
        table.add_row(*row)
    return table


def loads_table(loads: Sequence[Load]) -> Table:
    """Return times and tokens/s at rising concurrency."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("at a time", "TTFT ms", "", "TPOT ms", "", "tokens/s", ""):
        table.add_column(name, justify="left" if not name else "right")
    for load in loads:
        cells = [f"{load.concurrency_count:,}"]
        for value in (load.ttft_ms, load.tpot_ms, load.output_tokens_per_s):
            cells += [_figure(value.likely), _span(value)]
        table.add_row(*cells)
    return table


def notes(found: CapacityEstimate) -> list[str]:
    """Return why it does not fit, where the rates come from, and what their interval is."""
    item = found.estimate
    if item.rates is None:
        return [*item.memory.reasons]
    return [*item.memory.reasons, f"{item.rates.rung}: {item.rates.basis}; {INTERVALS}"]


def rows_lines(found: RowsEstimated, out: str) -> list[str]:
    """Return what became of a table's rows, and how far off its predictions are where it says what was measured."""
    lines = [f"{found.estimated_count:,} of {found.rows_count:,} rows estimated, in {out}"]
    lines += [f"  {count:,} {basis}" for basis, count in found.by_basis.items()]
    lines += [f"  {count:,} not: {reason}" for reason, count in found.not_estimated.items()]
    for figure, item in found.errors.items():
        lines.append(
            f"{figure}: median error {item.median_error_fraction:.1%}, mean {item.mean_error_fraction:.1%}; "
            f"{item.within_interval_fraction:.0%} of {item.rows_count:,} measured lie in their 90 % interval, "
            f"half-width {item.median_half_width_fraction:.0%} at the median"
        )
    return lines


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


def _slo_rows(found: CapacityEstimate) -> list[tuple[str, str, str]]:
    limits = [("TTFT", found.slo.ttft_ms), ("TPOT", found.slo.tpot_ms)]
    asked = " and ".join(f"{name} {limit:g} ms" for name, limit in limits if limit is not None)
    if not asked or found.estimate.rates is None:
        return []
    load = found.within_slo
    if load is None:
        return [(f"within {asked}", "nothing", "not even one request at a time keeps it")]
    output = load.output_tokens_per_s
    return [
        (
            f"within {asked}",
            f"{load.concurrency_count:,} at a time",
            f"{_figure(output.likely)} tokens/s, {_span(output)}",
        )
    ]


def _span(value: Interval) -> str:
    return "" if value.is_exact else f"{_figure(value.low)} to {_figure(value.high)}"


def _figure(value: float) -> str:
    """Return three digits: more would claim more than an estimate knows."""
    return f"{float(f'{value:.3g}'):,.10g}"
