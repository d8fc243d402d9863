"""Checked claims as a terminal table, as Markdown and as JSON data."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.claims import ClaimResult

REVIEWED_MARK: Final = "*"
DIFFERS_MARK: Final = "!"
_GOOD: Final = frozenset({"holds", "rounded"})
_BAD: Final = frozenset({"wrong", "inconsistent"})
_MARKDOWN_SIGNS: Final = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|"})


def claims_table(results: Sequence[ClaimResult]) -> Table:
    """Return the claims as a table that is readable at 100 columns; marks are explained below it."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        caption=f"{_summary(results)}\n{_legend(results)}",
        caption_justify="left",
    )
    table.add_column("claim", no_wrap=True)
    table.add_column("published", ratio=12, min_width=8, overflow="fold")
    table.add_column("recomputed", ratio=18, min_width=10, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", ratio=32, min_width=10, overflow="fold")
    for result in results:
        verdict = Text(_marked(result), style=_style(result.verdict))
        table.add_row(*map(Text, (result.id, result.published, result.recomputed)), verdict, Text(result.why))
    return table


def claims_markdown(results: Sequence[ClaimResult]) -> str:
    """Return the claims as a Markdown document: a summary, and one row for each claim."""
    lines = [
        "# Published claims, recomputed",
        "",
        f"{_summary(results)}  ",
        _escaped(_legend(results)),
        "",
        "| claim | seed | what it says | published | recomputed | verdict | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        cells = (
            result.id,
            result.seed,
            result.claim,
            result.published,
            result.recomputed,
            _marked(result),
            result.why,
        )
        lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def claims_json(results: Sequence[ClaimResult]) -> list[dict[str, Any]]:
    """Return the claims as plain data; a number that is infinite ("never") becomes None."""
    return [
        {
            "id": result.id,
            "seed": result.seed,
            "claim": result.claim,
            "published": result.published,
            "recomputed": result.recomputed,
            "verdict": result.verdict,
            "why": result.why,
            "decided_by": result.decided_by,
            "agrees_with_file": result.agrees_with_file,
            "numbers": {name: number if isfinite(number) else None for name, number in result.numbers},
        }
        for result in results
    ]


def _summary(results: Sequence[ClaimResult]) -> str:
    counts = Counter(result.verdict for result in results)
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{len(results)} claims: {found}." if results else "No claims."


def _legend(results: Sequence[ClaimResult]) -> str:
    reviewed = sum(result.decided_by == "reviewer" for result in results)
    differing = sum(not result.agrees_with_file for result in results)
    return (
        f"{REVIEWED_MARK} {reviewed} judged by a reviewer, the others by arithmetic; "
        f"{DIFFERS_MARK} {differing} where the file says otherwise."
    )


def _marked(result: ClaimResult) -> str:
    reviewed = REVIEWED_MARK if result.decided_by == "reviewer" else ""
    return result.verdict + reviewed + ("" if result.agrees_with_file else DIFFERS_MARK)


def _style(verdict: str) -> str:
    return "green" if verdict in _GOOD else "red" if verdict in _BAD else "yellow"


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN_SIGNS)
