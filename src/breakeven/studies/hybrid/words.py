"""Why so many nodes, in sentences: from the figures, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.studies.hybrid.demand import HORIZON_DAYS

if TYPE_CHECKING:
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.result import HybridSize, Step, Way


def reasons_of(result: HybridSize, found: Sizing) -> tuple[str, ...]:
    """Say what decided, in the order in which one would ask."""
    held, saved = _saved(result, found)
    return (
        *_rule(result, saved),
        *_fixed(result, found, held, saved),
        *_best(result),
        *_demand(result, found),
        *_slo(result),
    )


def warnings_of(found: Sizing) -> tuple[str, ...]:
    """Say what the trace does not show and was assumed."""
    times = found.context.workload.profile.times
    assert times is not None, "refused before"
    told = []
    if times.span_days < 1:
        ratio = found.context.likely()["hourly_peak_to_mean_ratio"]
        told.append(
            f"the trace covers {times.span_hours:.1f} hours: its windows are spread over a day whose busiest hour is "
            f"{ratio:.2f} times its mean (hourly_peak_to_mean_ratio); no schedule by the hour can be read from it"
        )
    elif times.span_days < 7:
        told.append(f"the trace covers {times.span_days:.1f} days: they are taken for every day of the week")
    if found.partial:
        told.append(f"{found.question.overflow.target} has no {' and no '.join(found.partial)}: its bill is too low")
    return tuple(told)


def cheapest(ways: tuple[Way, ...]) -> Way:
    """Return the way with the lowest likely bill."""
    return min(ways, key=lambda item: item.usd_per_month.likely)


def _rule(result: HybridSize, saved: float) -> list[str]:
    u_star = result.breakeven_utilisation_fraction.likely
    rule = (
        f"A node costs {result.node_usd_per_hour.likely:,.2f} USD an hour, and what it serves in a busy hour costs "
        f"{result.overflow_node_hour_usd.likely:,.2f} USD at {result.overflow}: it pays above a utilisation of "
        f"{u_star:.0%}."
    )
    said = [rule]
    if u_star > 1 and saved <= 0:
        return [*said, "That is more than all of its time, so no node pays, however much traffic there is."]
    if u_star > 1:
        said.append("That is on average; in hours whose tokens are dear a node may pay all the same.")
    last, beyond = _around(result)
    if last is not None and beyond is not None:
        said.append(
            f"Node {last.nodes} would serve {last.utilisation_fraction:.0%} of its time, and a further one "
            f"{beyond.utilisation_fraction:.0%}."
        )
    elif beyond is not None:
        said.append(f"The first node would serve {beyond.utilisation_fraction:.0%} of its time.")
    return said


def _around(result: HybridSize) -> tuple[Step | None, Step | None]:
    by_count = {step.nodes: step for step in result.steps}
    return (by_count.get(result.nodes) if result.nodes else None), by_count.get(result.nodes + 1)


def _saved(result: HybridSize, found: Sizing) -> tuple[int, float]:
    """Return the nodes to hold, or the best number if any had to be, and their saving a month after their own cost."""
    stairs = found.stairs()
    held = result.nodes or stairs.best_with_a_pool
    overflow, paid = stairs.overflow_usd_per_hour, stairs.nodes_usd_per_hour
    return held, float(overflow[0] - overflow[held] - paid[held]) * found.likely.hours_per_month


def _fixed(result: HybridSize, found: Sizing, held: int, saved: float) -> list[str]:
    fixed = found.likely.pool_fixed_usd_per_hour * found.likely.hours_per_month
    if result.nodes:
        told = (
            f"{held} node(s) save {saved:,.0f} USD a month of the API's bill after their own cost, more than the "
            f"{fixed:,.0f} USD that any pool costs in people, infrastructure, reliability and the move."
        )
        return [told]
    if saved <= 0:
        return []
    told = (
        f"The best number of nodes, {held}, would save {saved:,.0f} USD a month of the API's bill after its own cost, "
        f"but any pool costs {fixed:,.0f} in people, infrastructure, reliability and the move: hold none."
    )
    return [told]


def _best(result: HybridSize) -> list[str]:
    best = cheapest(result.ways)
    others = sorted(
        (item for item in result.ways if item is not best and not item.name.startswith("hybrid")),
        key=lambda item: item.usd_per_month.likely,
    )
    told = ", ".join(f"{item.name} {item.usd_per_month.likely:,.0f}" for item in others)
    return [f"Cheapest: {best.name}, {best.usd_per_month.likely:,.0f} USD a month; {told}."]


def _demand(result: HybridSize, found: Sizing) -> list[str]:
    ratio = result.demand_ratio
    if ratio.is_exact:
        return [f"Sized for {ratio.likely:.2f} times the load observed, as stated."]
    days = found.question.horizon_days
    when = "next month" if days == HORIZON_DAYS else f"the next {days} day(s)"
    over = ", half over the load observed, half over a forecast of" if found.seen_again else " over"
    told = (
        f"Sized on the expected cost{over} {ratio.low:.2f} to {ratio.high:.2f} times the load observed (10th to 90th "
        f"percentile of {when}); with nodes slow and dear or fast and cheap it is {result.least_count} to "
        f"{result.most_count} nodes."
    )
    return [told]


def _slo(result: HybridSize) -> list[str]:
    if not result.slo:
        return []
    if not any(run.keeps_slo for run in result.slo):
        return ["No number of nodes that was simulated keeps the SLO: what the table shows is by the rule alone."]
    tried = f"{result.slo[0].nodes} to {result.slo[-1].nodes}"
    return [f"Of {tried} nodes simulated, {result.nodes} are the cheapest that keep the SLO."]
