"""An audit of what requests are for: as lines for a terminal, and as JSON data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from breakeven.studies.audit import Audit, AuditRow

MOST_ROWS: Final = 60
"""Tasks that a terminal shows; JSON holds all."""

_HOW: Final = {
    "task": "the tasks that the log names",
    "classifier": "tasks as the classifier tells them from prompts; unnamed where it abstains",
    "shape": "shape, since the log names no tasks: lengths of input and answer alone, which are no tasks",
}


def audit_lines(found: Audit) -> Iterator[RenderableType]:
    """Yield what is printed of an audit."""
    days = "" if found.span_days is None else f" in {found.span_days:,.3g} days"
    partial = f" (without {', '.join(found.partial)}, which has none)" if found.partial else ""
    yield (
        f"{found.source}: {found.requests:,} requests, {found.total_tokens:,} tokens{days}; at the prices of "
        f"{found.today} "
        f"{found.spend_usd:,.2f} USD{partial}. Grouped by {_HOW[found.grouped_by]}."
    )
    yield _table(found)
    yield from _verdict(found)
    yield (
        f"The first document expects {found.expected_requests_fraction:.0%} of all calls to be of tasks that a small "
        f"model could handle. {_here(found)}"
    )
    if found.undecided_tasks_count:
        yield (
            f"{found.undecided_tasks_count} task(s) with 1 % of the requests or more have too few labelled pairs: "
            f"about "
            f"{found.needed_pairs_count:,} in all, 100 for each, begin to decide them (200 are better). Then: "
            f"breakeven "
            "route table."
        )
    yield from (f"Note: {note}" for note in found.notes)


def audit_json(found: Audit) -> dict[str, Any]:
    """Return an audit as plain data, under the keys that docs/howto/route-by-task.md documents."""
    return {
        "source": found.source,
        "grouped_by": found.grouped_by,
        "requests": found.requests,
        "rows_lost": found.rows_lost,
        "tokens": found.total_tokens,
        "days": found.span_days,
        "today": found.today,
        "smaller": found.smaller or None,
        "spend_usd": found.spend_usd,
        "without_price": list(found.partial),
        "tasks": [_row_json(row) for row in found.rows],
        "measured": found.measured,
        "movable": {
            "requests_share": found.movable_requests_fraction,
            "tokens_share": found.movable_tokens_fraction,
            "saving_usd": found.saving_usd,
            "saving_share": found.saving_fraction,
            "quality_change": found.quality_fraction,
            "quality_change_low": found.quality_low_fraction,
        },
        "expected": {
            "requests_share": found.expected_requests_fraction,
            "saving_usd": found.expected_saving_usd,
        },
        "short_answers_share": found.short_requests_fraction,
        "undecided_tasks": found.undecided_tasks_count,
        "pairs_needed": found.needed_pairs_count,
        "notes": list(found.notes),
    }


def _verdict(found: Audit) -> Iterator[str]:
    if found.grouped_by == "shape":
        yield (
            "Without tasks nothing can be said of quality. Send x-breakeven-task, name the column (--column "
            "task=COLUMN), or "
            "have prompts told apart (--prompt COLUMN --classifier FILE); then 100 to 200 labelled pairs for each "
            "task say "
            "what a smaller target could take."
        )
    if not found.measured:
        yield (
            "No quality was measured (--table FILE), so what a smaller target could take is not known; no share of "
            "calls "
            "is called commodity on its looks."
        )
        return
    saving = (
        ""
        if found.saving_usd is None
        else f" and saves {found.saving_usd:,.2f} USD ({found.saving_fraction or 0:.1%} of the spend) at "
        f"{found.smaller}"
    )
    yield (
        f"The table allows {found.movable_requests_fraction:.1%} of the requests "
        f"({found.movable_tokens_fraction:.1%} of "
        f"the tokens) to the smaller target{saving}. Measured change of the mean score over all requests: "
        f"{found.quality_fraction:+.4f}, at every task's lower bound {found.quality_low_fraction:+.4f}."
    )


def _here(found: Audit) -> str:
    claim = (
        "" if found.expected_saving_usd is None else f" That claim would be worth {found.expected_saving_usd:,.2f} USD."
    )
    if found.movable_requests_fraction is not None:
        return f"Here it is {found.movable_requests_fraction:.1%}, by what was measured.{claim}"
    return (
        f"Here that is not known: {found.short_requests_fraction:.1%} of the answers have 20 tokens or fewer, as "
        f"labels and "
        f"choices do, which proves nothing about their quality.{claim}"
    )


def _table(found: Audit) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = ["shape" if found.grouped_by == "shape" else "task", "requests", "share", "tokens", "USD", "share of USD"]
    names += ["USD if smaller"] if found.smaller else []
    names += ["smaller less today", "lower bound", "smaller may have it"] if found.measured else []
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place == 0 or "may have" in name else "right", overflow="fold")
    for row in found.rows[:MOST_ROWS]:
        table.add_row(*map(Text, _cells(row, found)))
    if len(found.rows) > MOST_ROWS:
        table.add_row(f"and {len(found.rows) - MOST_ROWS:,} more", *[""] * (len(names) - 1))
    return table


def _cells(row: AuditRow, found: Audit) -> list[str]:
    cells = [
        row.task or "(none named)",
        f"{row.requests:,}",
        f"{row.requests_fraction:.1%}",
        f"{row.tokens_fraction:.1%}",
        f"{row.spend_usd:,.2f}",
        f"{row.spend_fraction:.1%}",
    ]
    if found.smaller:
        cells.append("no price" if row.smaller_usd is None else f"{row.smaller_usd:,.2f}")
    if found.measured:
        cells += [_signed(row.difference_fraction), _signed(row.low_fraction), _allowed(row)]
    return cells


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _allowed(row: AuditRow) -> str:
    if row.allowed:
        return "yes"
    return "no: not measured" if row.pairs_count is None else "no"


def _row_json(row: AuditRow) -> dict[str, Any]:
    return {
        "task": row.task,
        "requests": row.requests,
        "requests_share": row.requests_fraction,
        "tokens_share": row.tokens_fraction,
        "spend_usd": row.spend_usd,
        "spend_share": row.spend_fraction,
        "smaller_usd": row.smaller_usd,
        "allowed": row.allowed,
        "difference": row.difference_fraction,
        "lower_bound": row.low_fraction,
        "pairs": row.pairs_count,
    }
