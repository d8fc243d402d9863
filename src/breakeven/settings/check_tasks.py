"""What is wrong with the section on tasks, seen beside the others, and the section as routing wants it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.routing.task_rules import TaskRule, Tasks
from breakeven.sources.task_files import read_classifier, read_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from breakeven.routing.task_table import TaskTable
    from breakeven.settings.check import Findings
    from breakeven.settings.tasks import TaskRuleEntry, TasksEntry


def check_tasks(
    entry: TasksEntry | None, models: AbstractSet[str], places: AbstractSet[str], findings: Findings
) -> None:
    """Note files that cannot be used and names that are nowhere; ``places`` are the names of targets and pools."""
    if entry is None:
        return
    for alias in entry.aliases:
        if alias not in models and "*" not in models:
            what = f"there is no model {alias[:80]!r}, so no request can ask for it."
            findings.problem(("tasks", "aliases", alias), what, "Add it under models:, or leave it out.")
    if entry.classifier is not None:
        _check_classifier(findings.folder / entry.classifier, findings)
    seen: dict[str, int] = {}
    for index, path in enumerate(entry.tables):
        try:
            table = read_table(findings.folder / path)
        except InputError as error:
            findings.problem(("tasks", "tables", index), str(error))
            continue
        if table.weak not in places:
            what = f"{path} speaks of {table.weak[:80]!r}, which is no target and no pool."
            findings.problem(
                ("tasks", "tables", index), what, "Make it with --weak-target NAME, or correct weak: in it."
            )
        if table.weak in seen:
            what = f"{path} and {entry.tables[seen[table.weak]]} both speak of {table.weak[:80]!r}."
            findings.problem(("tasks", "tables", index), what, "Keep one: a target has one table.")
        seen.setdefault(table.weak, index)


def _check_classifier(path: Path, findings: Findings) -> None:
    if find_spec("numpy") is None:
        fix = "pip install 'breakeven[similar]', or leave classifier: out."
        findings.problem(("tasks", "classifier"), "telling tasks by a classifier needs the package numpy.", fix)
        return
    try:
        read_classifier(path)
    except InputError as error:
        findings.problem(("tasks", "classifier"), str(error))


def tasks_of(entry: TasksEntry, folder: Path) -> Tasks:
    """Return what tasks are told by.  Raises ``InputError`` where the classifier cannot be read."""
    classify: Callable[[str], str] | None = None
    if entry.classifier is not None:
        from breakeven.routing.task_classifier import classified  # noqa: PLC0415 - needs numpy, an extra

        model = read_classifier(folder / entry.classifier)

        def classify(text: str) -> str:
            return classified(model, text)[0]

    return Tasks(aliases=entry.aliases, rules=tuple(rule_of(item) for item in entry.rules), classify=classify)


def tables_of(entry: TasksEntry, folder: Path) -> tuple[TaskTable, ...]:
    """Return the task tables that the section names.  Raises ``InputError`` where one cannot be read."""
    return tuple(read_table(folder / path) for path in entry.tables)


def rule_of(entry: TaskRuleEntry) -> TaskRule:
    """Return a rule as routing wants it."""
    pattern = re.compile(entry.matches) if entry.matches is not None else None
    if entry.words:
        words = "|".join(re.escape(word) for word in entry.words)
        pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    return TaskRule(
        task=entry.task,
        pattern=pattern,
        system=re.compile(entry.system_matches) if entry.system_matches is not None else None,
        is_json=entry.json_answer,
        has_tools=entry.tools,
        tool=entry.tool,
        schema=entry.schema_name,
        most_answer_tokens=entry.max_tokens,
    )
