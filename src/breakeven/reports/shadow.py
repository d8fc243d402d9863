"""A shadow comparison for people and programs: is the candidate good enough, how sure is that, what does it cost."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from breakeven.evidence.words import percent, points
from breakeven.reports.as_json import plain
from breakeven.reports.words import day, number, usd
from breakeven.studies.shadow.study import RELATIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from breakeven.evidence.paired import Estimate
    from breakeven.studies.shadow.result import CheckFound, Comparison, Measured, ShadowReport, Standing

MOST_TASKS: Final = 20
"""Tasks of a candidate that a terminal shows; JSON holds all."""

_VERDICTS: Final[dict[Standing, str]] = {
    "as good": "Good enough",
    "worse": "Not good enough",
    "differs": "Not the same, which need not be worse",
    "not known yet": "Not known yet",
    "not judged": "Not judged: no check says anything of both answers",
}
_MOST_FAILURES: Final = 3
MOST_ODDS: Final = 1e6


def shadow_lines(report: ShadowReport) -> Iterator[RenderableType]:
    """Yield what is printed of a comparison: each candidate as a whole, then its tasks in a line each."""
    for place, (_, found) in enumerate(
        groupby(report.comparisons, lambda item: (item.model, item.incumbent, item.candidate))
    ):
        whole, *tasks = found
        if place:
            yield ""
        yield from _comparison(whole)
        if tasks:
            yield _tasks_table(tasks)
            left = len(tasks) - MOST_TASKS
            yield f"  {f'and {left:,} tasks more; ' if left > 0 else ''}--task NAME shows all of a task."
    yield from (f"Note: {escape(note)}" for note in report.notes)


def shadow_json(report: ShadowReport) -> dict[str, Any]:
    """Return a comparison as plain data."""
    return {
        "comparisons": [plain(item) | {"standing": item.standing} for item in report.comparisons],
        "notes": list(report.notes),
    }


def _comparison(item: Comparison) -> Iterator[RenderableType]:
    task = "all tasks" if item.task is None else f"task {item.task}" if item.task else "no task named"
    names = f"{item.candidate} beside {item.incumbent}, {task}"
    days = f"{day(item.first_at_us / 1e6)} to {day(item.last_at_us / 1e6)}"
    origins = ", ".join(f"{count:,} {name}" for name, count in item.origins)
    yield f"[bold]{escape(names)}[/bold] ({escape(item.model)}: {origins} pairs, {days})"
    yield f"  {escape(_verdict(item))}"
    yield from (f"  {escape(line)}" for line in _beside(item))
    if item.checks:
        yield _checks_table(item)
    if item.measured:
        yield _measured_table(item)


def _verdict(item: Comparison) -> str:
    tested = item.tested
    if tested is None:
        return f"{_VERDICTS['not judged']}."
    differs = tested.check in RELATIVE and tested.standing != "as good"
    alike = " Have answers that differ judged: by a judge, a check of your own, or people." if differs else ""
    said = tested.said[:1].upper() + tested.said[1:]
    return f"{_VERDICTS[tested.standing]} by {tested.check}: {said}{alike}"


def _beside(item: Comparison) -> Iterator[str]:
    if item.candidate_failures_count or item.incumbent_failures_count:
        why = ", ".join(f"{name} {count:,}" for name, count in item.failures[:_MOST_FAILURES])
        yield (
            f"No answer: candidate {item.candidate_failures_count:,}{f' ({why})' if why else ''}, incumbent "
            f"{item.incumbent_failures_count:,} of {item.pairs_count:,}."
        )
    if item.judged is not None:
        judged = item.judged
        agree = f"The judge agrees with people on {percent(judged.agree_fraction)} of {judged.labels_count:,} labels"
        corrected = judged.corrected_score
        if corrected is None:
            yield f"{agree}: too few to correct it by (10 are needed, 100 to 200 are good)."
        else:
            yield f"{agree}; corrected by them the difference is {_points(corrected)} points."
    price, loaded = item.of("price"), item.of("fully loaded")
    for found, how in ((loaded, "fully loaded"), (price, "by price")):
        if found is not None:
            yield _cost(found, how)
            break


def _cost(found: Measured, how: str) -> str:
    ratio = ""
    if found.ratio is not None:
        low, high = percent(found.ratio.low), percent(found.ratio.high)
        ratio = f": {percent(found.ratio.value)} of the incumbent's cost ({low} to {high})"
    return (
        f"A thousand answers cost {usd(1000 * found.candidate_value)} USD {how} instead of "
        f"{usd(1000 * found.incumbent_value)} USD{ratio}."
    )


def _tasks_table(tasks: Sequence[Comparison]) -> Table:
    table = _table(
        "task",
        "pairs",
        "",
        "difference in points (whenever)",
        "times the stake",
        "pairs more",
        "cost ratio",
        "no answer",
    )
    for item in tasks[:MOST_TASKS]:
        table.add_row(*_task_cells(item))
    return table


def _task_cells(item: Comparison) -> tuple[str, ...]:
    tested, cost = item.tested, item.of("fully loaded") or item.of("price")
    ratio = f"{cost.ratio.value:.3g}" if cost and cost.ratio else ""
    name, failed = f"  {escape(item.task or '(none named)')}", f"{item.candidate_failures_count:,}"
    if tested is None:
        return name, f"{item.pairs_count:,}", "not judged", "", "", "", ratio, failed
    needed = (
        "" if tested.standing != "not known yet" else f"{tested.needed.likely_count:,}" if tested.needed else "never"
    )
    ends = f"({points(tested.low_score)} to {points(tested.high_score)})"
    standing = tested.standing + ("" if tested.standing != "as good" or tested.among_tasks else ", alone")
    odds = tested.reverse_e_value_ratio if tested.standing in {"worse", "differs"} else tested.peak_e_value_ratio
    difference = f"{points(tested.mean_score)} {ends}"
    return name, f"{tested.pairs_count:,}", standing, difference, f"{min(odds, MOST_ODDS):,.3g}", needed, ratio, failed


def _checks_table(item: Comparison) -> Table:
    table = _table("check", "pairs", "incumbent", "candidate", "difference in points (95 %)", "differ", "version")
    for check in item.checks:
        table.add_row(*_check_cells(check))
    return table


def _check_cells(check: CheckFound) -> tuple[str, ...]:
    older = f" ({check.older_count:,} of earlier versions left out)" if check.older_count else ""
    return (
        f"  {escape(check.name)}",
        f"{check.pairs_count:,}",
        percent(check.incumbent_score),
        percent(check.candidate_score),
        _points(check.difference_score) if check.difference_score else "",
        percent(check.differing_count / check.pairs_count),
        escape(f"{check.version}{older}".strip()),
    )


def _measured_table(item: Comparison) -> Table:
    table = _table("mean", "pairs", "incumbent", "candidate", "difference (95 %)", "ratio (95 %)")
    for found in item.measured:
        write = usd if found.unit == "USD" else number
        difference, ratio = found.difference_value, found.ratio
        table.add_row(
            f"  {found.name}, {found.unit}",
            f"{found.pairs_count:,}",
            write(found.incumbent_value),
            write(found.candidate_value),
            f"{write(difference.value)} ({write(difference.low)} to {write(difference.high)})" if difference else "",
            f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})" if ratio else "",
        )
    return table


def _table(first: str, *names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"  {first}", overflow="fold")
    for name in names:
        table.add_column(name, justify="left" if name == "version" else "right")
    return table


def _points(found: Estimate) -> str:
    """Return a difference of scores, which is at most 1 either way."""
    return f"{points(found.value)} ({points(max(found.low, -1.0))} to {points(min(found.high, 1.0))})"
