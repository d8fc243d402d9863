"""``breakeven bench``: what an endpoint really serves, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from breakeven.cli.traffic import Columns, mapping
from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from breakeven.bench.sweep import Glance
    from breakeven.capacity.calibration import Level, Times
    from breakeven.wiring.bench import BenchResult, Swept

_Number = TypeVar("_Number", int, float)
_STOPPED = 130
"""As shells tell of a command that was interrupted."""


def bench(
    url: Annotated[str, typer.Argument(help="Base URL of an OpenAI-compatible API: http://127.0.0.1:8000/v1.")],
    *,
    model: Annotated[str, typer.Option(help="Name under which the endpoint serves the model.")],
    trace: Annotated[Path | None, typer.Option(help="Log whose lengths of input and output are sent.")] = None,
    isl: Annotated[str, typer.Option(help="Input tokens; several, such as 128,1024, are measured in turn.")] = "512",
    osl: Annotated[str, typer.Option(help="Output tokens; several are measured with each input.")] = "128",
    spread: Annotated[float, typer.Option(help="Share by which lengths lie around those.")] = 0.0,
    shared_prefix: Annotated[int, typer.Option(help="Tokens with which all prompts begin alike.")] = 0,
    concurrency: Annotated[
        str | None, typer.Option(help="Streams at once, such as 1,4,16; default: doubled up to the knee.")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Requests a second, by chance, instead; such as 0.5,1,2.")] = None,
    speedup: Annotated[float | None, typer.Option(help="Send at the trace's times, so many times as fast.")] = None,
    slo_ttft_ms: Annotated[float | None, typer.Option(help="Longest time to the first token that is good.")] = None,
    slo_tpot_ms: Annotated[float | None, typer.Option(help="Longest time a token after it.")] = None,
    slo_share: Annotated[float, typer.Option(help="Share of requests that is to keep both.")] = 0.95,
    usd_per_hour: Annotated[float | None, typer.Option(help="What the hardware costs, for cost a token.")] = None,
    pool: Annotated[
        str | None, typer.Option(help="What it runs on: 2xH100:llama-3.3-70b:fp8:vllm, or any name of its own.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="The engine, where --pool does not say.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write a calibration that other commands read.")] = None,
    key: Annotated[str | None, typer.Option(help="API key by reference: env:NAME or file:PATH.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Authorities to trust instead of the system's.")] = None,
    seconds: Annotated[float, typer.Option(help="Longest measurement of a level, and ramp-up before it.")] = 30.0,
    narrow: Annotated[float, typer.Option(help="Half-width of throughput's 95 % interval that is enough.")] = 0.03,
    max_requests: Annotated[int, typer.Option(help="Requests after which no more are sent.")] = 10_000,
    max_seconds: Annotated[float, typer.Option(help="Time after which everything ends.")] = 600.0,
    timeout_s: Annotated[float, typer.Option(help="Silence after which a request counts as failed.")] = 120.0,
    seed: Annotated[int, typer.Option(help="Of the words, lengths and arrivals.")] = 1,
    column: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure an endpoint: tokens a second, TTFT, TPOT, its knee, the load that keeps limits, cost a token."""
    from breakeven.reports.as_json import to_json
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    from breakeven.wiring.bench import run_bench
    from breakeven.wiring.bench import save as save_as
    from breakeven.wiring.bench_question import BenchRequest

    with _watching() as watch:
        found = run_bench(
            BenchRequest(
                url=url,
                model=model,
                trace=trace,
                columns=mapping(column or []),
                isl_tokens=_listed(isl, "--isl", int),
                osl_tokens=_listed(osl, "--osl", int),
                spread_fraction=spread,
                shared_tokens=shared_prefix,
                concurrencies=_listed(concurrency, "--concurrency", int),
                rates=_listed(rate, "--rate", float),
                speedup_ratio=speedup,
                slo_ttft_ms=slo_ttft_ms,
                slo_tpot_ms=slo_tpot_ms,
                slo_share_fraction=slo_share,
                usd_per_hour=usd_per_hour,
                pool=pool,
                engine=engine,
                key=key,
                ca_file=ca_file,
                level_s=seconds,
                narrow_fraction=narrow,
                most_requests=max_requests,
                most_s=max_seconds,
                silent_s=timeout_s,
                seed=seed,
                progress=watch,
                notice=lambda text: typer.echo(text, err=True),
            )
        )
    if save is not None:
        save_as(found, save)
    if as_json:
        typer.echo(to_json(found))
    else:
        _print(found, save)
    if found.was_stopped:
        sys.exit(_STOPPED)


class _watching:  # noqa: N801 - used like the functions of cli.output
    """Shows on the terminal's error stream what is measured right now; nothing where there is no terminal."""

    def __enter__(self) -> Callable[[Glance], None]:
        from rich.console import Console

        self._status = Console(stderr=True).status("Asking the endpoint …")
        self._status.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def _show(self, glance: Glance) -> None:
        known = glance.known
        rate = f", {known.output_tokens_per_s:,.0f} tokens/s" if known else ""
        error = f" ± {known.error_fraction:.0%}" if known and known.error_fraction < 1 else ""
        phase = "measuring" if glance.steady else "ramp-up"
        failed = f", {glance.failed:,} failed" if glance.failed else ""
        self._status.update(
            f"{glance.what}: {phase}, {glance.under_way:,} under way, {glance.ended:,} ended{failed}{rate}{error}"
        )


def _listed(text: str | None, where: str, kind: type[_Number]) -> tuple[_Number, ...]:
    if text is None:
        return ()
    try:
        return tuple(kind(item) for item in text.split(","))
    except ValueError as error:
        raise InputError(f"{where} {text[:80]!r} is no list of numbers such as 1,2,4.") from error


def _print(found: BenchResult, save: Path | None) -> None:
    from breakeven.cli.output import console

    out = console()
    for swept in found.swept:
        for line in (_title(found, swept), _table(swept), *_verdict(swept)):
            out.print(line)
    for line in _last_words(found, save):
        out.print(line)


def _title(found: BenchResult, swept: Swept) -> str:
    calibration = found.calibration
    return (
        f"\n{calibration.model} on {calibration.hardware} ({calibration.engine}), {calibration.as_of}: "
        f"{swept.isl_tokens:,} tokens in, {swept.osl_tokens:,} out"
    )


def _table(swept: Swept) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    limited = any(level.slo_fraction is not None for level in swept.levels)
    priced = any(usd is not None for usd in swept.usd_per_output_mtok)
    names = ["load", "tok/s", "±", "req/s", "TTFT ms\np50 p95 p99", "TPOT ms\np50 p95 p99"]
    names += ["gap ms\np50 p99", "to the end s\np50 p95", "requests", "failed"]
    names += ["within\nlimits"] * limited + ["USD/Mtok\nout"] * priced
    for name in names:
        table.add_column(name, justify="left" if name == "load" else "right", no_wrap=name != "failed")
    for level, usd in zip(swept.levels, swept.usd_per_output_mtok, strict=True):
        row = [
            _load(level),
            f"{level.output_tokens_per_s:,.1f}",
            "?" if level.throughput_error_fraction is None else f"{level.throughput_error_fraction:.0%}",
            f"{level.requests_per_s:,.3g}",
            _spread(level.ttft),
            _spread(level.tpot),
            f"{_short(level.itl.p50_ms)} {_short(level.itl.p99_ms)}",
            f"{_short(level.total.p50_ms / 1e3)} {_short(level.total.p95_ms / 1e3)}",
            f"{level.requests:,}",
            ", ".join(f"{count:,} {kind}" for kind, count in level.failures.items()) or "0",
        ]
        row += [f"{level.slo_fraction or 0:.1%}"] * limited + ["" if usd is None else f"{usd:,.2f}"] * priced
        table.add_row(*row)
    return table


def _load(level: Level) -> str:
    if level.asked_count is not None:
        return f"{level.asked_count:,} streams"
    return "its own times" if level.asked_requests_per_s is None else f"{level.asked_requests_per_s:g} requests/s"


def _verdict(swept: Swept) -> list[str]:
    lines = []
    if swept.knee_count is not None:
        lines.append(f"Knee: {swept.knee_count:,} streams; more of them gave less than 5 % more tokens, later.")
    if any(level.slo_fraction is not None for level in swept.levels):
        if swept.slo_requests_per_s is None:
            lines.append("No load that was measured keeps the limits.")
        else:
            streams = f"{swept.slo_count:,} streams, " if swept.slo_count is not None else ""
            lines.append(f"Greatest load within the limits: {streams}{swept.slo_requests_per_s:,.3g} requests/s.")
    return lines


def _last_words(found: BenchResult, save: Path | None) -> list[str]:
    lines = []
    if found.was_stopped:
        lines.append("Stopped: what had been measured by then stands above.")
    elif found.why:
        lines.append(f"Ended because {found.why}.")
    lines += list(found.notes)
    if save is not None:
        lines.append(f"Saved in {save}.")
    return lines


def _spread(times: Times) -> str:
    return f"{_short(times.p50_ms)} {_short(times.p95_ms)} {_short(times.p99_ms)}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
