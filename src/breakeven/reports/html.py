"""The verdict as one HTML page that works without a network or fonts, and without its script.

Everything in it is formatted from the result.  Names of files, models and sources come from outside, so
the template escapes every one of them; the one script is named by its hash, so that no other can run.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from math import log10
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from breakeven.economics.stack import LAYERS
from breakeven.quantities import UNIT_SUFFIXES
from breakeven.reports.charts.gallery import (
    SHOWN_PER_GROUP,
    bill_chart,
    hybrid_week_chart,
    month_charts,
    stack_charts,
    tornado_charts,
    volume_charts,
    week_chart,
)
from breakeven.reports.colours import LAYER_COLOURS, PALETTE
from breakeven.reports.parts import (
    GROUPS,
    RIVALS,
    behind,
    best_pool,
    members,
    overflow_text,
    recommended,
    stale_assumptions,
    stale_warnings,
    success_text,
    today_of,
)
from breakeven.reports.traffic import habit_lines
from breakeven.reports.weigh import weighing
from breakeven.reports.words import (
    counted,
    months_range,
    number,
    percent,
    tokens,
    usd,
    usd_ends,
    usd_range,
    volume,
    volume_range,
)
from breakeven.studies.verdict.answer import break_even_text

if TYPE_CHECKING:
    from breakeven.reports.charts.drawing import Chart
    from breakeven.studies.verdict.result import LineInput, LineResult, OptionResult, Verdict

SHOWN_WINNERS: Final = 6
_LINK = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)\]]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Options of one standing: those shown, those folded away, and the evidence on each model."""

    title: str
    shown: tuple[OptionResult, ...]
    folded: tuple[OptionResult, ...]
    evidence: tuple[tuple[str, str], ...]
    chart: Chart


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
    return templates().get_template("verdict.html.jinja").render(_context(result))


def templates() -> Environment:
    """Return the page's templates, in which every string is escaped, with what formats figures."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader("breakeven.reports", "page"),
    )
    environment.filters.update(
        usd=usd,
        usd_range=usd_range,
        usd_ends=usd_ends,
        number=number,
        percent=percent,
        tokens=tokens,
        volume=volume,
        volume_range=volume_range,
        months_range=months_range,
        linked=linked,
        crossing=break_even_text,
        drawn=_drawn,
        log10=log10,
    )
    return environment


def _context(result: Verdict) -> dict[str, Any]:
    titles = {item.id: item.title for item in result.options}
    script = files("breakeven.reports").joinpath("page/weigh.js").read_text(encoding="utf-8")
    return {
        "result": result,
        "version": version("breakeven"),
        "counted": counted(result.profile),
        "habits": tuple(habit_lines(result.profile)),
        "today": today_of(result),
        "recommended": recommended(result),
        "pool": best_pool(result),
        "detailed": _detailed(result),
        "week_chart": week_chart(result),
        "hybrid_week_chart": hybrid_week_chart(result),
        "volume_charts": volume_charts(result),
        "groups": _groups(result),
        "excluded": [item for item in result.options if item.excluded_by],
        "winners": [(titles.get(name, name), share) for name, share in result.outlook.win_fractions[:SHOWN_WINNERS]],
        "meanings": {item.key: item.meaning for item in result.assumptions},
        "tornados": tornado_charts(result),
        "month_charts": month_charts(result),
        "bill_chart": bill_chart(result),
        "warnings": _warnings(result),
        "lines": _in_layers,
        "inputs": lambda option, line: [_input_row(result, option, item) for item in line.inputs],
        "layer_colours": LAYER_COLOURS,
        "palette": PALETTE,
        "rivals": RIVALS,
        "overflow_text": overflow_text,
        "success_text": success_text,
        "title_of": lambda option_id: result.option(option_id).title,
        "weighing": weighing(result),
        "script": Markup(script),  # noqa: S704 - our own file
        "script_hash": b64encode(sha256(script.encode()).digest()).decode(),
    }


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


def _drawn(chart: Chart) -> dict[str, Markup | str]:
    """Return a chart for the template: its SVG, in which the renderer escaped all text, as markup."""
    made = chart.drawing()
    svg = {"wide": Markup(made.wide), "narrow": Markup(made.narrow)}  # noqa: S704 - escaped by the renderer
    return {**svg, "label": chart.label}


def _detailed(result: Verdict) -> list[tuple[OptionResult, str]]:
    """Return the options whose lines are shown, with what each is: those of the answer, and today's used better."""
    chosen, pool = recommended(result), best_pool(result)
    roles = {item.id: "recommended" if item is chosen else "best pool" for item in behind(result)}
    assert pool is None or pool.id in roles
    found = [(result.option(name), role) for name, role in roles.items()]
    optimised = next((item for item in result.options if item.kind == "today-optimised"), None)
    if optimised is not None and optimised.id not in roles:
        found.append((optimised, "today's API used better"))
    return found


def _groups(result: Verdict) -> list[Group]:
    """Return the options that are not excluded by standing; their bars share one axis."""
    return [
        Group(
            title=GROUPS[standing],
            shown=members(result, standing)[:SHOWN_PER_GROUP],
            folded=members(result, standing)[SHOWN_PER_GROUP:],
            evidence=tuple(dict.fromkeys((item.model, item.quality.reason) for item in members(result, standing))),
            chart=chart,
        )
        for standing, chart in stack_charts(result)
    ]


def _in_layers(option: OptionResult) -> list[LineResult]:
    return [line for layer in LAYERS for line in option.lines if line.layer == layer]


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


def _warnings(result: Verdict) -> list[str]:
    found = [*result.warnings, *stale_warnings(result)]
    old = len(stale_assumptions(result))
    if old:
        found.append(f"{old} of {len(result.assumptions)} assumptions are stale; they are marked in the table above.")
    return found
