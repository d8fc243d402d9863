"""Every chart that a verdict has data for, under names that stay the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.reports.charts.bills import next_bills
from breakeven.reports.charts.held import HourUsed, use_over_time
from breakeven.reports.charts.months import break_even_ahead, projected_bills, winning_chance
from breakeven.reports.charts.stacks import cost_stacks
from breakeven.reports.charts.tornado import tornado
from breakeven.reports.charts.volume import cost_against_volume, reach_mtok
from breakeven.reports.charts.week import hour_of_week
from breakeven.reports.colours import BETTER, OPEN, POOL, TODAY
from breakeven.reports.parts import GROUPS, best_pool, members, recommended, who

if TYPE_CHECKING:
    from breakeven.reports.charts.drawing import Chart
    from breakeven.reports.charts.months import Named
    from breakeven.studies.verdict.result import CrossingResult, OptionResult, Standing, Verdict

SHOWN_PER_GROUP: Final = 8
HEAT_MAP_FROM_DAYS: Final = 7.0
"""A trace must cover a whole week before hours of the week are drawn."""

_STACK_NAMES: Final = {"same model": "same-model", "evidence": "good-enough", "no evidence": "no-evidence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeChart:
    """One chart of cost against volume, the crossing that it marks and every alternative drawn."""

    chart: Chart
    crossing: CrossingResult
    drawn: tuple[CrossingResult, ...]


def gallery(result: Verdict) -> tuple[Chart, ...]:
    """Return the charts that there is data for."""
    found = [item.chart for item in volume_charts(result)]
    found += [chart for _, chart in stack_charts(result)]
    found += [chart for _, chart in tornado_charts(result)]
    found += month_charts(result)
    single = (bill_chart(result), week_chart(result), hybrid_week_chart(result))
    return (*found, *(chart for chart in single if chart is not None))


def volume_charts(result: Verdict) -> list[VolumeChart]:
    """Return the chart against the first alternative, and one for each whose crossing lies outside it."""
    pool = best_pool(result)
    if pool is None:
        return []
    volume = result.volume_mtok_per_month
    found: list[VolumeChart] = []
    reach = reach_mtok(pool.break_even[0], volume)
    for index, crossing in enumerate(pool.break_even):
        others = pool.break_even[1:] if index == 0 else ()
        first = crossing.likely.first_mtok
        if index > 0 and (first is None or max(first, crossing.likely.stable_mtok or 0.0) <= reach):
            continue
        name = "cost-against-volume" + (f"-{who(crossing)}" if index else "")
        chart = cost_against_volume(pool, crossing, others, volume, name=name)
        found.append(VolumeChart(chart=chart, crossing=crossing, drawn=(crossing, *others)))
    return found


def stack_charts(result: Verdict) -> list[tuple[Standing, Chart]]:
    """Return a chart of bills by layer for each standing that has options; all share one axis."""
    shown = {standing: members(result, standing)[:SHOWN_PER_GROUP] for standing in GROUPS}
    reach_usd = max((item.usd_per_month.high for items in shown.values() for item in items), default=1.0) * 1.02
    return [
        (standing, cost_stacks(items, reach_usd, name=f"cost-stack-{_STACK_NAMES[standing]}", title=GROUPS[standing]))
        for standing, items in shown.items()
        if items
    ]


def tornado_charts(result: Verdict) -> list[tuple[OptionResult, Chart]]:
    """Return what moves the bill of the recommended option, and of the best pool."""
    known = {item.key: item for item in result.assumptions}
    roles = (("tornado-recommended", recommended(result)), ("tornado-best-pool", best_pool(result)))
    found: dict[str, tuple[OptionResult, Chart]] = {}
    for name, option in roles:
        if option is not None and option.swings:
            found.setdefault(option.id, (option, tornado(option, known, name=name)))
    return list(found.values())


def month_charts(result: Verdict) -> list[Chart]:
    """Return the charts of the months to come; none where there are fewer than two."""
    months, named = result.outlook.months, followed(result)
    found = []
    if named and len(named[0][2].usd_per_month) > 1:
        found.append(projected_bills(named))
    if len(months) > 1:
        found.append(winning_chance(months))
        if any(mtok is not None for item in months for mtok in item.first_mtok):
            found.append(break_even_ahead(months))
    return found


def followed(result: Verdict) -> list[Named]:
    """Return the projections worth a line each: today's, the recommended option's, the best pool's."""
    today = next((item.id for item in result.options if item.kind == "today"), None)
    optimised = next((item.id for item in result.options if item.kind == "today-optimised"), None)
    roles = (
        ("today", TODAY, today),
        ("recommended", BETTER if result.answer.recommended == optimised else OPEN, result.answer.recommended),
        ("best pool", POOL, result.outlook.leading_pool),
    )
    paths = {item.option: item for item in result.outlook.projections}
    found: dict[str, Named] = {}
    for role, colour, option in roles:
        if option in paths:
            found.setdefault(option, (role, colour, paths[option]))
    return list(found.values())


def bill_chart(result: Verdict) -> Chart | None:
    """Return next month's bills, where there is an option to forecast."""
    return next_bills(result.forecast) if result.forecast.bills else None


def hybrid_week_chart(result: Verdict) -> Chart | None:
    """Return a week of the cheapest hybrid, the recommended one first, with what overflows on top; None without one."""
    found = [item for item in result.options if item.overflow is not None and item.overflow.week]
    if not found:
        return None
    best = min(found, key=lambda item: (item.id != result.answer.recommended, item.usd_per_month.likely))
    assert best.overflow
    assert best.nodes
    week = best.overflow.week
    hours = [HourUsed(hour.carried_nodes or 0.0, hour.overflow_nodes or 0.0, best.nodes.serving_nodes) for hour in week]
    return use_over_time(hours, name="hybrid-week", begins="Monday 00:00 UTC")


def week_chart(result: Verdict) -> Chart | None:
    """Return the hours of the week, where a whole one was observed."""
    times = result.profile.times
    shown = times is not None and times.span_days >= HEAT_MAP_FROM_DAYS and times.hour_of_week_requests_per_s
    return hour_of_week(times) if times is not None and shown else None
