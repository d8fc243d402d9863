"""The verdict as one HTML page that works without a network, scripts or fonts.

Everything in it is formatted from the result; only the curves are evaluated, for drawing.  Names of
files, models and sources come from outside, so the template escapes every one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from breakeven.economics.stack import LAYERS
from breakeven.quantities import UNIT_SUFFIXES
from breakeven.reports.charts import (
    Drawing,
    cost_against_volume,
    cost_stacks,
    hour_of_week,
    reach_mtok,
)
from breakeven.reports.colours import LAYER_COLOURS, PALETTE
from breakeven.reports.words import GROUPS, number, percent, tokens, usd, usd_range
from breakeven.studies.verdict.answer import break_even_text

if TYPE_CHECKING:
    from breakeven.economics.sensitivity import Swing
    from breakeven.quantities import Interval
    from breakeven.studies.verdict.result import (
        CrossingResult,
        LineInput,
        LineResult,
        OptionResult,
        Verdict,
    )

SHOWN_PER_GROUP: Final = 8
SHOWN_DRIVERS: Final = 8
HEAT_MAP_FROM_DAYS: Final = 7.0
"""A trace must cover a whole week before hours of the week are drawn."""

_LINK = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)\]]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Options of one standing: those shown, those folded away, and the evidence on each model."""

    title: str
    shown: tuple[OptionResult, ...]
    folded: tuple[OptionResult, ...]
    evidence: tuple[tuple[str, str], ...]
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeChart:
    """One chart of cost against volume, the crossing that it marks and every alternative drawn."""

    crossing: CrossingResult
    drawn: tuple[CrossingResult, ...]
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverBar:
    """One assumption's swing, placed on a scale that an option's drivers share."""

    name: str
    meaning: str
    ends: str
    low_usd_per_month: float
    high_usd_per_month: float
    left_fraction: float
    width_fraction: float
    likely_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """One input of a cost line: its value with its unit, its range and where it comes from."""

    name: str
    value: str
    range: str
    source: str
    stale: bool


def verdict_page(result: Verdict) -> str:
    """Return the verdict as one self-contained HTML document."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        usd=usd,
        usd_range=usd_range,
        number=number,
        percent=percent,
        tokens=tokens,
        volume=lambda mtok: tokens(mtok * 1e6),
        volume_range=volume_range,
        linked=linked,
        crossing=break_even_text,
    )
    source = files("breakeven.reports").joinpath("verdict.html.jinja").read_text(encoding="utf-8")
    recommended = next((item for item in result.options if item.id == result.answer.recommended), None)
    pool = best_pool(result)
    behind = tuple(dict.fromkeys(item.id for item in (recommended, pool) if item is not None))
    detailed = tuple(result.option(item) for item in behind)
    times = result.profile.times
    heat = hour_of_week(times, name="hw") if times is not None and times.span_days >= HEAT_MAP_FROM_DAYS else None
    return environment.from_string(source).render(
        result=result,
        version=version("breakeven"),
        today=next(item for item in result.options if item.kind == "today"),
        recommended=recommended,
        pool=pool,
        detailed=detailed,
        heat=_inline(heat),
        volume_charts=_volume_charts(result, pool),
        groups=_groups(result),
        excluded=[item for item in result.options if item.excluded_by],
        drivers=[(item, _driver_bars(result, item)) for item in detailed if item.swings],
        warnings=_warnings(result, detailed),
        lines=_in_layers,
        inputs=lambda option, line: _inputs(result, option, line),
        layer_colours=LAYER_COLOURS,
        palette=PALETTE,
        title_of=lambda option_id: result.option(option_id).title,
        inline=_inline,
    )


def best_pool(result: Verdict) -> OptionResult | None:
    """Return the cheapest pool with a break-even, those with evidence of quality first; or None."""
    return next((item for item in result.options if item.break_even and not item.excluded_by), None)


def volume_range(interval: Interval) -> str:
    """Format an interval of millions of tokens."""
    return f"{tokens(interval.low * 1e6)} – {tokens(interval.high * 1e6)}"


def linked(text: str) -> Markup:
    """Return text with its web addresses as links, everything escaped; other schemes stay text."""
    parts: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        address = escape(match.group())
        parts.append(escape(text[end : match.start()]))
        parts.append(Markup('<a href="{0}" rel="noopener noreferrer">{0}</a>').format(address))
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _inline(drawing: Drawing | None) -> dict[str, Markup | str] | None:
    """Return a drawing for the template: its SVG, in which the renderer escaped all text, as markup."""
    if drawing is None:
        return None
    svg = {"wide": Markup(drawing.wide), "narrow": Markup(drawing.narrow)}  # noqa: S704 - escaped by the renderer
    return {**svg, "label": drawing.label}


def _volume_charts(result: Verdict, pool: OptionResult | None) -> list[VolumeChart]:
    """Return the chart against the first alternative, and one for each whose crossing lies outside it."""
    if pool is None:
        return []
    volume = result.volume_mtok_per_month
    found: list[VolumeChart] = []
    for index, crossing in enumerate(pool.break_even):
        others = pool.break_even[1:] if index == 0 else ()
        reach = reach_mtok(pool.break_even[0], volume)
        first = crossing.likely.first_mtok
        if index > 0 and (first is None or max(first, crossing.likely.stable_mtok or 0.0) <= reach):
            continue
        drawing = cost_against_volume(pool, crossing, others, volume, name=f"cv{index}")
        found.append(VolumeChart(crossing=crossing, drawn=(crossing, *others), drawing=drawing))
    return found


def _groups(result: Verdict) -> list[Group]:
    """Return the options that are not excluded by standing; their bars share one axis."""
    members = {
        standing: [item for item in result.options if item.quality.standing == standing and not item.excluded_by]
        for standing in GROUPS
    }
    shown = {standing: tuple(items[:SHOWN_PER_GROUP]) for standing, items in members.items()}
    reach_usd = max((item.usd_per_month.high for items in shown.values() for item in items), default=1.0) * 1.02
    return [
        Group(
            title=title,
            shown=shown[standing],
            folded=tuple(members[standing][SHOWN_PER_GROUP:]),
            evidence=tuple(dict.fromkeys((item.model, item.quality.reason) for item in members[standing])),
            drawing=cost_stacks(shown[standing], reach_usd, name=f"st{index}"),
        )
        for index, (standing, title) in enumerate(GROUPS.items())
        if members[standing]
    ]


def _driver_bars(result: Verdict, option: OptionResult) -> list[DriverBar]:
    shown = option.swings[:SHOWN_DRIVERS]
    ends = [end for item in shown for end in (item.low_usd_per_month, item.high_usd_per_month)]
    ends.append(option.usd_per_month.likely)
    start, span = min(ends), (max(ends) - min(ends)) or 1.0
    return [_driver_bar(result, item, start, span) for item in shown]


def _driver_bar(result: Verdict, swing: Swing, start: float, span: float) -> DriverBar:
    known = next((item for item in result.assumptions if item.key == swing.key), None)
    low, high = sorted((swing.low_usd_per_month, swing.high_usd_per_month))
    low, high = min(low, swing.likely_usd_per_month), max(high, swing.likely_usd_per_month)
    return DriverBar(
        name=swing.key,
        meaning=known.meaning if known else _unit_of(swing.key),
        ends=f"{number(known.low)} – {number(known.high)} {known.unit}" if known else "",
        low_usd_per_month=low,
        high_usd_per_month=high,
        left_fraction=(low - start) / span,
        width_fraction=(high - low) / span,
        likely_fraction=(swing.likely_usd_per_month - start) / span,
    )


def _in_layers(option: OptionResult) -> list[LineResult]:
    return [line for layer in LAYERS for line in option.lines if line.layer == layer]


def _inputs(result: Verdict, option: OptionResult, line: LineResult) -> list[InputRow]:
    return [_input_row(result, option, item) for item in line.inputs]


def _input_row(result: Verdict, option: OptionResult, item: LineInput) -> InputRow:
    known = next((row for row in result.assumptions if row.key == item.name), None)
    if known is not None:
        return InputRow(
            name=item.name,
            value=f"{number(item.value)} {known.unit}",
            range=f"{number(known.low)} – {number(known.high)}",
            source=f"{known.basis}: {known.source} ({known.as_of}, {known.age_days} days old)",
            stale=known.stale,
        )
    fact = option.facts[0] if option.facts else None
    priced = item.name in ("usd_per_gpu_hour", "node_usd", "observed_usd")
    return InputRow(
        name=item.name,
        value=f"{number(item.value)} {_unit_of(item.name)}".strip(),
        range="",
        source=f"{fact.source} ({fact.as_of or 'no date'})"
        if fact is not None and priced
        else "computed from the traffic and the lines above",
        stale=fact is not None and priced and fact.stale,
    )


def _unit_of(name: str) -> str:
    """Return the unit that a name carries in its suffix, in words; empty where it carries none."""
    suffixes = [item for item in UNIT_SUFFIXES if f"_{name}".endswith(item)]
    longest = max(suffixes, key=len, default="")
    return longest[1:] if longest in ("_ratio", "_fraction") else UNIT_SUFFIXES.get(longest, "")


def _warnings(result: Verdict, detailed: tuple[OptionResult, ...]) -> list[str]:
    found = list(result.warnings)
    stale = dict.fromkeys(fact for option in detailed for fact in option.facts if fact.stale)
    for fact in stale:
        age = "no date" if fact.age_days is None else f"{fact.age_days} days old"
        found.append(f"{fact.what}: {age} ({fact.source})")
    old = sum(item.stale and item.basis != "user" for item in result.assumptions)
    if old:
        found.append(f"{old} of {len(result.assumptions)} assumptions are stale; they are marked in the table above.")
    return found
