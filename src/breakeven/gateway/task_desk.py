"""Tells the task of requests whose routes go by tasks; made anew with each snapshot, one a worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.routing.task_rules import Fingerprints, TaskRule, Tasks, declared_task, task_of
from breakeven.routing.task_shape import fingerprint_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.gateway.task_plan import TaskRulePlan, TasksPlan
    from breakeven.routing.task_rules import Told


class TaskDesk:
    """What tasks are told by, and what was learned of fingerprints since the worker began with these settings."""

    def __init__(self, plan: TasksPlan) -> None:
        """Take the plan, and read its classifier, if it has one."""
        classify = _classifier(Path(plan.classifier)) if plan.classifier else None
        rules = tuple(_rule(item) for item in plan.rules)
        self._tasks = Tasks(aliases=dict(plan.aliases), rules=rules, classify=classify)
        self._known = Fingerprints(dict(plan.fingerprints))
        self._learns = plan.learns

    def has_alias(self, model: str) -> bool:
        """Whether a model's name declares a task."""
        return model in self._tasks.aliases

    def declared(self, header: str, model: str) -> Told:
        """Return the task that a request declares; its body is not read."""
        return declared_task(self._tasks, header, model)

    def tell(self, header: str, model: str, client: str, body: bytes) -> Told:
        """Return the task of a request, by whatever tells it; learn from one that declares it."""
        told = declared_task(self._tasks, header, model)
        if not told.task:
            return task_of(self._tasks, self._known, client, shape_of(body))
        if self._learns:
            self._known.learn(client, fingerprint_of(shape_of(body)), told.task)
        return told


def _classifier(path: Path) -> Callable[[str], str]:
    from breakeven.routing.task_classifier import classified  # noqa: PLC0415 - needs numpy, and nobody else does
    from breakeven.sources.task_files import read_classifier  # noqa: PLC0415 - likewise

    model = read_classifier(path)
    return lambda text: classified(model, text)[0]


def _rule(plan: TaskRulePlan) -> TaskRule:
    return TaskRule(
        task=plan.task,
        pattern=re.compile(plan.pattern, re.IGNORECASE if plan.any_case else 0) if plan.pattern else None,
        system=re.compile(plan.system) if plan.system else None,
        is_json=plan.is_json,
        has_tools=plan.has_tools,
        tool=plan.tool,
        schema=plan.schema,
        most_answer_tokens=plan.most_answer_tokens,
    )
