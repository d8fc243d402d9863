"""Rules of thumb beside the computed result, for a terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from breakeven.studies.rules import GroupResult, RuleResult, RulesResult

_REPLY_STYLE: Final = {"yes": "green", "no": "red", "unknown": "yellow"}
_STAND_STYLE: Final = {"agrees": "green", "disagrees": "red", "open": "yellow"}
_STAND: Final = {"agrees": "agrees", "disagrees": "disagrees", "open": "takes no side"}
_PART: Final = "Where rules and figures part"
UNCERTAIN_MARK: Final = "~"
_LEGEND: Final = f"{UNCERTAIN_MARK} an end of the value's interval would turn this answer."
_MARKDOWN_SIGNS: Final = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|"})


def rules_view(result: RulesResult, *, full: bool = False) -> RenderableType:
    """Return the groups with what they add up to; ``full`` shows every item, with its value and source."""
    parts: list[RenderableType] = [Text(result.summary)]
    for group in result.groups:
        parts.append(_heading(group))
        parts += [_indented(line) for line in _lines(group)]
        if full:
            parts.append(Padding(_table(group), (0, 0, 0, 2)))
    if result.disagreements:
        parts += [Text(), Text(_PART, style="bold"), *(_indented(f"• {text}") for text in _disagreements(result))]
    if full:
        parts += [Text(), Text(_LEGEND, style="dim")]
    else:
        unknown = list(dict.fromkeys(rule.provide for group in result.groups for rule in group.rules if rule.provide))
        if unknown:
            parts += [Text(), Text("More could be answered from", style="bold")]
            parts += [_indented(f"• {text}") for text in unknown]
    return Group(*parts)


def rules_markdown(result: RulesResult) -> list[str]:
    """Return the lines of a Markdown section: a table for each group, and where rules and figures part."""
    lines = ["## Rules of thumb", "", _escaped(result.summary), ""]
    for group in result.groups:
        lines += [f"### {_escaped(group.title)}: {_STAND[group.beside.stand]}", ""]
        lines += [_escaped(line) + "  " for line in _lines(group)]
        lines += ["", "| rule | answer | value | threshold | source | remark |", "|---|---|---|---|---|---|"]
        for rule in group.rules:
            lines.append(f"| {' | '.join(_escaped(cell) for cell in _cells(rule))} |")
        lines.append("")
    if result.disagreements:
        lines += [f"### {_PART}", "", *(f"- {_escaped(text)}" for text in _disagreements(result)), ""]
    return [*lines, _escaped(_LEGEND)]


def _lines(group: GroupResult) -> Iterator[str]:
    yield group.summary
    if group.note:
        yield group.note
    yield from (f"Correction: {caveat}." for caveat in _caveats_of_the_yes(group))


def _caveats_of_the_yes(group: GroupResult) -> list[str]:
    """Return the corrections of the items that hold, each once: the others did not speak."""
    return list(dict.fromkeys(rule.caveat for rule in group.rules if rule.reply == "yes" and rule.caveat))


def _disagreements(result: RulesResult) -> Iterator[str]:
    """Yield the groups that lean another way, each reason once below those that it answers."""
    by_reason: dict[str, list[str]] = {}
    for group in result.disagreements:
        by_reason.setdefault(group.beside.why, []).append(group.beside.sentence)
    for why, sentences in by_reason.items():
        yield from sentences
        yield f"Why: {why}"


def _table(group: GroupResult) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, ratio in (("rule", 4), ("answer", None), ("value", 3), ("threshold", 3), ("source or what to give", 4)):
        table.add_column(name, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for rule in group.rules:
        reply = Text(_reply(rule), style=_REPLY_STYLE[rule.reply])
        table.add_row(Text(rule.text), reply, *map(Text, (rule.value, rule.threshold, rule.provide or rule.source)))
    return table


def _cells(rule: RuleResult) -> tuple[str, ...]:
    remarks = (rule.read_as and f"Read as: {rule.read_as}.", rule.caveat and f"Correction: {rule.caveat}.")
    source = rule.source + (f"{'; ' if rule.source else ''}to answer, give {rule.provide}" if rule.provide else "")
    return rule.text, _reply(rule), rule.value, rule.threshold, source, " ".join(filter(None, remarks))


def _reply(rule: RuleResult) -> str:
    return rule.reply + ("" if rule.certain or rule.reply == "unknown" else UNCERTAIN_MARK)


def _heading(group: GroupResult) -> RenderableType:
    stand = group.beside.stand
    title = Text.assemble((group.title, "bold"), ": ", (_STAND[stand], _STAND_STYLE[stand]))
    return Padding(title, (1, 0, 0, 0))


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2))


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN_SIGNS)
