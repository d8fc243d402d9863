"""Routing policies and task tables: as tables for a terminal, and as JSON data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from breakeven.routing.task_table import LEAST_PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from breakeven.routing.task_table import TaskRow
    from breakeven.studies.routes.result import Evaluation, PolicyResult, Saving
    from breakeven.studies.routes.tables import MadeTable
    from breakeven.studies.routes.train import Trained

MOST_TASKS: Final = 60
"""Tasks that a terminal shows; JSON holds all."""


def evaluation_lines(found: Evaluation) -> Iterator[RenderableType]:
    """Yield what is printed of an evaluation."""
    used = found.rows_read - found.rows_lost
    yield (
        f"{found.source}: {used:,} rows, {len(found.tasks)} task(s). Mean score: {found.weak} (weak) "
        f"{found.weak_quality_fraction:.3f}, {found.strong} (strong) {found.strong_quality_fraction:.3f}, the "
        f"better of the two on each row {found.union_quality_fraction:.3f}."
    )
    free = found.cost_ratio != found.cost_ratio  # NaN where strong calls cost nothing
    cost = "strong calls cost nothing" if free else f"a weak call costs {found.cost_ratio:.3g} of a strong one"
    yield (
        f"Strong is better by {found.gain_fraction:.3f} (95 % interval {found.gain_low_fraction:.3f} to "
        f"{found.gain_high_fraction:.3f}); {cost}. Best single model: {found.best_single}."
    )
    if found.pgr_undefined:
        yield found.pgr_undefined
    yield policy_table(found.policies)
    yield (
        "APGR: share of the gap from weak to strong that is recovered, mean over all shares of strong calls (random: "
        "0.5), on rows that the policy had not seen. Saved: of the cost of all calls strong, while that share of its "
        "quality is kept, read off the curve; sure: by thresholds that other rows showed to keep it with 95 % "
        "confidence."
    )
    for table in found.tables:
        quality = "" if table.quality_fraction is None else f" at {table.quality_fraction:.1%} of the strong quality"
        yield (
            f"A task table with a margin of {table.margin_fraction:g}, made from other rows, moves "
            f"{table.moved_fraction:.1%} of the requests and saves {table.saving_fraction:.1%}{quality}."
        )
    yield from unseen_lines(found)
    if len(found.tasks) > 1:
        yield task_table(found.tasks, margin=found.task_margin_fraction)
    yield from (f"Note: {note}" for note in found.notes)


def unseen_lines(found: Evaluation) -> Iterator[str]:
    """Yield how policies do on tasks that nothing was learned of."""
    told = [
        f"{item.policy} {item.unseen_apgr_fraction:.3f}"
        for item in found.policies
        if item.unseen_apgr_fraction is not None
    ]
    if told:
        yield (
            f"On tasks that nothing was learned of, APGR: {', '.join(told)} (random: 0.5). A task table sends them all "
            "to the strong target: quality 100 %, nothing saved."
        )


def policy_table(policies: Sequence[PolicyResult]) -> Table:
    """Return one row for each policy."""
    table = _table("policy", "rows", "APGR", "95 % interval", *(_level(item) for item in _levels(policies)))
    for item in policies:
        low, high = item.apgr_low_fraction, item.apgr_high_fraction
        table.add_row(
            item.policy,
            f"{item.rows_read:,}",
            "none" if item.apgr_fraction is None else f"{item.apgr_fraction:.3f}",
            "" if low is None or high is None else f"{low:.3f} to {high:.3f}",
            *(f"{saving.saving_fraction:.0%} (sure {saving.sure_saving_fraction:.0%})" for saving in item.savings),
        )
    return table


def task_table(rows: Sequence[TaskRow], least_pairs: int = LEAST_PAIRS, *, margin: float) -> Table:
    """Return one row for each task: pairs, difference, its lower bound, what follows."""
    table = _table("task", "pairs", "weak less strong", "lower bound, 95 %", f"weak may have it, margin {margin:g}")
    for row in rows[:MOST_TASKS]:
        table.add_row(
            Text(row.task or "(none named)"),
            f"{row.pairs_count:,}",
            f"{row.difference_fraction:+.3f}",
            f"{row.low_fraction:+.3f}",
            decision(row, least_pairs),
        )
    if len(rows) > MOST_TASKS:
        table.add_row(f"and {len(rows) - MOST_TASKS:,} more", "", "", "", "")
    return table


def decision(row: TaskRow, least_pairs: int) -> str:
    """Return in words whether the weak target may have a task, and what it would take."""
    if row.allowed:
        return "yes"
    if not row.task:
        return "no: an unknown task goes to the strong target"
    if row.pairs_count < least_pairs:
        return f"not yet: {row.pairs_count:,} of {least_pairs:,} pairs"
    if row.needed_pairs_count is None:
        return "no: it scored worse by more than the margin"
    return f"not yet: about {row.needed_pairs_count:,} pairs would show it, if this mean holds"


def evaluation_json(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain data, under the keys that docs/howto/route-by-task.md documents."""
    return {
        "source": found.source,
        "rows_read": found.rows_read,
        "rows_used": found.rows_read - found.rows_lost,
        "seed": found.seed,
        "weak": {"column": found.weak, "quality": found.weak_quality_fraction},
        "strong": {"column": found.strong, "quality": found.strong_quality_fraction},
        "union_quality": found.union_quality_fraction,
        "gain": {"mean": found.gain_fraction, "low": found.gain_low_fraction, "high": found.gain_high_fraction},
        "price_ratio": found.cost_ratio if found.cost_ratio == found.cost_ratio else None,
        "best_single": found.best_single,
        "pgr_undefined": found.pgr_undefined or None,
        "policies": [_policy_json(item) for item in found.policies],
        "task_tables": [
            {
                "margin": item.margin_fraction,
                "moved": item.moved_fraction,
                "saving": item.saving_fraction,
                "quality_kept": item.quality_fraction,
            }
            for item in found.tables
        ],
        "tasks_margin": found.task_margin_fraction,
        "tasks": [task_json(row) for row in found.tasks],
        "notes": list(found.notes),
    }


def task_json(row: TaskRow) -> dict[str, Any]:
    """Return a task's row as plain data."""
    return {
        "task": row.task,
        "pairs": row.pairs_count,
        "difference": row.difference_fraction,
        "lower_bound": row.low_fraction,
        "allowed": row.allowed,
        "pairs_needed": row.needed_pairs_count,
    }


def table_lines(found: MadeTable) -> Iterator[RenderableType]:
    """Yield what is printed of a task table."""
    table = found.table
    yield (
        f"{table.weak} may have {len(table.allowed)} of {len(table.rows)} task(s) of {table.strong}: those whose "
        f"score is at most {table.margin_fraction:g} lower with 95 % confidence (one-sided lower bound of the paired "
        "difference)."
    )
    yield task_table(table.rows, found.least_pairs_count, margin=table.margin_fraction)
    if not table.allowed:
        yield "Nothing is allowed, so everything goes to the strong target."
    yield "Each task needs 100 to 200 labelled pairs to decide anything, and more where the two are close."
    yield from (f"Note: {note}" for note in found.notes)


def table_json(found: MadeTable) -> dict[str, Any]:
    """Return a task table as plain data, with how many rows it was made from."""
    table = found.table
    return {
        "weak": table.weak,
        "strong": table.strong,
        "margin": table.margin_fraction,
        "rows_read": found.rows_read,
        "rows_used": found.rows_read - found.rows_lost,
        "allowed": sorted(table.allowed),
        "tasks": [task_json(row) for row in table.rows],
        "notes": list(found.notes),
    }


def trained_lines(found: Trained) -> Iterator[RenderableType]:
    """Yield what is printed of a classifier."""
    right = "" if found.kept_right_fraction is None else f", of which {found.kept_right_fraction:.1%} are right"
    yield (
        f"{found.prompts_count:,} prompts, {len(found.tasks)} tasks, judged by five-fold cross-validation: "
        f"{found.accuracy_fraction:.1%} right were it never to abstain; allowed an error of "
        f"{found.error_fraction:g}, it "
        f"tells the task of {found.kept_fraction:.1%}{right}, and abstains for the rest."
    )
    table = _table("task", "prompts", "told", "right of those told so", "told of it when never seen")
    for item in found.tasks[:MOST_TASKS]:
        table.add_row(
            Text(item.task),
            f"{item.prompts_count:,}",
            f"{item.kept_fraction:.0%}",
            "" if item.right_fraction is None else f"{item.right_fraction:.1%}",
            "" if item.unseen_kept_fraction is None else f"{item.unseen_kept_fraction:.0%}",
        )
    yield table
    yield from (f"Note: {note}" for note in found.notes)


def trained_json(found: Trained) -> dict[str, Any]:
    """Return what is to be expected of a classifier as plain data."""
    return {
        "prompts": found.prompts_count,
        "accuracy": found.accuracy_fraction,
        "allowed_error": found.error_fraction,
        "told": found.kept_fraction,
        "told_right": found.kept_right_fraction,
        "tasks": [
            {
                "task": item.task,
                "prompts": item.prompts_count,
                "told": item.kept_fraction,
                "right_of_told_so": item.right_fraction,
                "told_when_never_seen": item.unseen_kept_fraction,
            }
            for item in found.tasks
        ],
        "notes": list(found.notes),
    }


def _policy_json(item: PolicyResult) -> dict[str, Any]:
    return {
        "policy": item.policy,
        "rows": item.rows_read,
        "apgr": item.apgr_fraction,
        "apgr_low": item.apgr_low_fraction,
        "apgr_high": item.apgr_high_fraction,
        "apgr_unseen_tasks": item.unseen_apgr_fraction,
        "savings": [
            {
                "quality": saving.level_fraction,
                "saving": saving.saving_fraction,
                "saving_low": saving.low_fraction,
                "saving_high": saving.high_fraction,
                "sure_saving": saving.sure_saving_fraction,
                "sure_quality_kept": saving.sure_quality_fraction,
            }
            for saving in item.savings
        ],
        "curve": [
            {"strong_share": point.strong_fraction, "cost": point.cost_fraction, "quality": point.quality_fraction}
            for point in item.points
        ],
    }


def _levels(policies: Sequence[PolicyResult]) -> tuple[Saving, ...]:
    return policies[0].savings if policies else ()


def _level(item: Saving) -> str:
    return f"saved at {item.level_fraction:.0%}"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(names):
        table.add_column(
            name, justify="left" if place == 0 or name.startswith("weak may") else "right", overflow="fold"
        )
    return table
