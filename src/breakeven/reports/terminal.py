"""The verdict on a terminal: profile, ranked options by group, the winner's stack, the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from breakeven.economics.stack import LAYERS
from breakeven.reports.parts import (
    GROUPS,
    members,
    nodes_text,
    overflow_text,
    recommended,
    stale_assumptions,
    stale_warnings,
    success_text,
    today_of,
)
from breakeven.reports.terminal_outlook import outlook_sections
from breakeven.reports.traffic import habit_lines, model_lines, shape_lines, size_line
from breakeven.reports.words import (
    number,
    percent,
    tokens,
    usd,
    usd_range,
    volume,
    volume_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from breakeven.records import TrafficProfile
    from breakeven.studies.verdict.result import (
        CrossingResult,
        LineResult,
        OptionResult,
        Verdict,
    )

SHOWN_PER_GROUP: Final = 6
OPTION_COLUMNS: Final = 32


def verdict_view(result: Verdict, *, full: bool = False) -> RenderableType:
    """Return the whole verdict for a terminal; ``full`` shows every option instead of the best ones."""
    best = recommended(result) or today_of(result)
    return Group(
        _heading("Traffic"),
        *_traffic_lines(result),
        _heading(f"Options, priced on {result.as_of}, USD fully loaded; break-even against today"),
        *_option_tables(result, full=full),
        _heading(f"Cost stack of {best.title}"),
        _stack_table(best),
        *(part for title, parts in outlook_sections(result, full=full) for part in (_heading(title), *parts)),
        _heading("Answer"),
        Text(result.answer.paragraph),
        _bullets("What would change it", result.answer.would_change),
        _bullets("What the data cannot show", result.limits),
        _bullets("Warnings", _warnings(result)),
        Text(),
        Text.assemble(("Next: ", "bold"), result.answer.next_step),
    )


def profile_view(profile: TrafficProfile, notes: Sequence[str]) -> RenderableType:
    """Return what a traffic is; ``notes`` are what was understood of it, and what cannot be known."""
    lines = (size_line(profile), *shape_lines(profile), *habit_lines(profile))
    return Group(
        _heading("Traffic"),
        *map(Text, lines),
        _bullets("Models", tuple(model_lines(profile))),
        _bullets("Notes", notes),
    )


def explain_view(result: Verdict, options: Sequence[OptionResult], key: str) -> RenderableType:
    """Return the formula, inputs and sources of one line for the options that have it."""
    assumptions = {item.key: item for item in result.assumptions}
    parts: list[RenderableType] = []
    for option in options:
        row = next(item for item in option.lines if item.key == key)
        parts += [
            _heading(f"{row.key} of {option.title}"),
            Text(f"{row.key} = {row.formula}"),
            Text(
                f"  = {usd(row.usd_per_month.likely)} USD a month ({usd_range(row.usd_per_month)}); layer: {row.layer}"
            ),
        ]
        table = Table(box=None, pad_edge=False)
        for name in ("input", "likely", "low – high", "basis", "source"):
            table.add_column(name, overflow="fold")
        for item in row.inputs:
            known = assumptions.get(item.name)
            own = next((fact for fact in option.facts), None)
            if known:
                source = f"{known.source} ({known.as_of}, {known.age_days} days old{', stale' if known.stale else ''})"
                table.add_row(
                    item.name,
                    f"{number(item.value)} {known.unit}",
                    f"{number(known.low)} – {number(known.high)}",
                    known.basis,
                    source,
                )
            else:
                is_price = item.name in ("usd_per_gpu_hour", "node_usd", "observed_usd") and own is not None
                source = (
                    f"{own.source} ({own.as_of})"
                    if is_price and own
                    else "computed from the traffic and the lines above"
                )
                table.add_row(item.name, number(item.value), "", "", source)
        parts.append(Padding(table, (0, 0, 0, 2)))
    return Group(*parts)


def _traffic_lines(result: Verdict) -> list[RenderableType]:
    profile, month = result.profile, result.volume_mtok_per_month
    spread = "" if month.is_exact else f" ({volume_range(month)})"
    requests = f", {tokens(result.requests_per_month.likely)} requests" if result.requests_per_month else ""
    a_month = f"a month: {volume(month.likely)} tokens{spread}{requests}"
    return [Text(line) for line in (size_line(profile), a_month, *shape_lines(profile), *habit_lines(profile))]


def _option_tables(result: Verdict, *, full: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for standing, title in GROUPS.items():
        group = members(result, standing)
        if group:
            shown = group if full else group[:SHOWN_PER_GROUP]
            parts += [Text(title, style="bold"), _table(shown)]
            if not full and len(group) > SHOWN_PER_GROUP:
                parts.append(Text(f"  … and {len(group) - SHOWN_PER_GROUP} dearer (--all shows them)", style="dim"))
            parts += [Text(f"  {text}", style="dim") for text in map(overflow_text, shown) if text]
            known = {item.model: item.quality.reason for item in group if standing != "same model"}
            parts += [Text(f"  {model}: {reason}", style="dim") for model, reason in known.items()]
    excluded = [item for item in result.options if item.excluded_by]
    if excluded:
        parts.append(Text("Excluded", style="bold"))
        listed = excluded if full else excluded[:SHOWN_PER_GROUP]
        parts += [Text(f"  {item.title}: {'; '.join(item.excluded_by)}") for item in listed]
        if len(listed) < len(excluded):
            parts.append(Text(f"  … and {len(excluded) - len(listed)} more (--all shows them)", style="dim"))
    return parts


def _table(options: Iterable[OptionResult]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("option", overflow="fold", ratio=2, min_width=OPTION_COLUMNS)
    for name in ("per Mtok", "a month", "low – high", "nodes, used"):
        table.add_column(name, justify="right", no_wrap=True)
    options = tuple(options)
    succeeds = any(item.success for item in options)
    if succeeds:
        table.add_column("a success", justify="right", no_wrap=True)
    table.add_column("breaks even", overflow="fold", ratio=1)
    for item in options:
        table.add_row(
            item.title,
            usd(item.usd_per_mtok.likely),
            usd(item.usd_per_month.likely),
            usd_range(item.usd_per_month),
            nodes_text(item),
            *((success_text(item),) if succeeds else ()),
            _break_even(item.break_even[0]) if item.break_even else "",
        )
    return table


def _break_even(crossing: CrossingResult) -> str:
    """Return the volumes, and the utilisation of the pool as it is sized now."""
    found, used = crossing.likely, crossing.utilisation_fraction
    if found.never:
        return "never"
    text = volume(found.first_mtok)
    if found.stable_mtok is None:
        text += ", not for good"
    elif found.island_count:
        text += f", for good {volume(found.stable_mtok)}"
    return text if used is None or used > 1 else f"{text}, at {percent(used)} used"


def _stack_table(option: OptionResult) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer")
    table.add_column("line")
    table.add_column("a month", justify="right")
    table.add_column("low – high", justify="right")
    table.add_column("drain (001)", style="dim")
    for layer in LAYERS:
        for row in (item for item in option.lines if item.layer == layer):
            table.add_row(
                layer,
                _name(row),
                usd(row.usd_per_month.likely),
                usd_range(row.usd_per_month),
                row.drain or "",
            )
    table.add_row("", "total", usd(option.usd_per_month.likely), usd_range(option.usd_per_month), "", style="bold")
    base = option.bases
    table.add_row(
        "",
        f"per Mtok: marginal {usd(base.marginal_usd_per_mtok)}, allocated {usd(base.allocated_usd_per_mtok)}, "
        f"fully loaded {usd(base.fully_loaded_usd_per_mtok)}, avoidable {usd(base.avoidable_usd_per_mtok)}",
        "",
        "",
        "",
    )
    return table


def _name(row: LineResult) -> str:
    return f"{row.key} (sunk)" if row.sunk else row.key


def _warnings(result: Verdict) -> list[str]:
    found = [*result.warnings, *stale_warnings(result)]
    if old := stale_assumptions(result):
        found.append(f"{len(old)} assumptions are older than 90 days, so read them as such: {', '.join(old[:4])} …")
    return found


def _heading(text: str) -> RenderableType:
    return Padding(Text(text, style="bold underline"), (1, 0, 0, 0))


def _bullets(title: str, items: Sequence[str]) -> RenderableType:
    if not items:
        return Text()
    return Group(Text(), Text(title, style="bold"), *(Padding(Text(f"• {item}"), (0, 0, 0, 2)) for item in items))
