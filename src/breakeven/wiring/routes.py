"""Turns models of settings into routes, and says how their tasks are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.snapshot import (
    Route,
    WaitingPlan,
)
from breakeven.gateway.task_plan import TaskRulePlan, TasksPlan
from breakeven.routing.hedge import Hedging
from breakeven.routing.task_table import guards
from breakeven.settings.check_tasks import rule_of
from breakeven.settings.fallbacks import serving
from breakeven.settings.prices import ANY, priced_as
from breakeven.sources.genai import known_targets
from breakeven.wiring.verify import verify_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from breakeven.routing.graph import Step
    from breakeven.routing.task_table import TaskTable
    from breakeven.settings import Settings
    from breakeven.settings.file import ConfigFile, HedgingEntry, ModelEntry, RouteTarget
    from breakeven.settings.targets import TargetEntry
    from breakeven.settings.tasks import TaskRuleEntry, TasksEntry

MAX_ATTEMPTS = 15
"""The attempt's number has four bits in its id."""


def route_of(name: str, entry: ModelEntry, settings: Settings, tables: Sequence[TaskTable]) -> Route:
    """Return a model's own targets and, behind them, those of the models that stand in for it."""
    file = settings.file
    weighted = any("weight" in item.model_fields_set for item in entry.targets)
    steps = serving(file.models)[name]
    own = [item.weight for item in entry.targets]
    return Route(
        model=name,
        targets=tuple(step.target for step in steps),
        names=tuple("" if step.model == ANY else step.model for step in steps),
        guards=_guards(steps, tables),
        own_names=tuple(item.model or "" for item in _entries(steps, file)),
        hours=tuple((item.hours, item.time_zone) if item.hours else None for item in _entries(steps, file)),
        first_token_s=entry.first_token_s,
        most_usd=entry.most_usd,
        weights=(*own, *(0.0 for _ in steps[len(own) :])),
        policy=entry.policy or ("weighted" if weighted else "ordered"),
        max_attempts=min(entry.max_attempts or len(steps), MAX_ATTEMPTS),
        cache_s=entry.cache.ttl_s if entry.cache else 0.0,
        continues_streams=entry.continue_streams,
        hedging=_hedging(entry.hedging) if entry.hedging else None,
        listed=_sold_by([file.targets[item.target] for item in entry.targets]) if name == "*" else (),
        waiting=WaitingPlan(**entry.waiting.model_dump()) if entry.waiting else None,
        refuse_unpriced=entry.unknown_price == "refuse",
        verify=verify_plan(entry.verify, settings) if entry.verify else None,
    )


def _entries(steps: Iterable[Step], file: ConfigFile) -> Iterator[RouteTarget]:
    """Yield how the model of each step names its target."""
    for step in steps:
        yield next(item for item in file.models[step.model].targets if item.target == step.target)


def _hedging(entry: HedgingEntry) -> Hedging:
    return Hedging(after_fraction=entry.after, share_fraction=entry.share, least_s=entry.least_s)


def _sold_by(entries: Iterable[TargetEntry]) -> tuple[str, ...]:
    """Return the models that the catalogue knows of targets which take any name."""
    every = {name.removesuffix("*") for name in (priced_as(entry)[0] for entry in entries) if name.endswith(":*")}
    return tuple(target.partition(":")[2] for target in known_targets() if target.partition(":")[0] + ":" in every)


def _guards(steps: Sequence[Step], tables: Sequence[TaskTable]) -> tuple[tuple[str, ...] | None, ...]:
    """Return for each target the tasks that its table allows; none at all where no table speaks of any of them."""
    found = guards([step.target for step in steps], tables)
    if not any(allowed is not None for allowed in found):
        return ()
    return tuple(None if allowed is None else tuple(sorted(allowed)) for allowed in found)


def tasks_plan(entry: TasksEntry, folder: Path) -> TasksPlan:
    """Return how tasks are told."""
    return TasksPlan(
        aliases=tuple(entry.aliases.items()),
        fingerprints=tuple(entry.fingerprints.items()),
        learns=entry.learn,
        rules=tuple(_rule(item) for item in entry.rules),
        classifier=str(folder / entry.classifier) if entry.classifier is not None else "",
    )


def _rule(entry: TaskRuleEntry) -> TaskRulePlan:
    found = rule_of(entry)
    return TaskRulePlan(
        task=found.task,
        pattern=None if found.pattern is None else found.pattern.pattern,
        any_case=bool(entry.words),
        system=None if found.system is None else found.system.pattern,
        is_json=found.is_json,
        has_tools=found.has_tools,
        tool=found.tool,
        schema=found.schema,
        most_answer_tokens=found.most_answer_tokens,
    )
