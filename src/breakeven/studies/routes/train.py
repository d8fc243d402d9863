"""A classifier of tasks from labelled prompts, calibrated on prompts that it has not seen.

Every figure comes from cross-validation: what a prompt's task is taken for is told by a classifier of the other four
parts of five.  Equal prompts are in the same part, or a copy would vouch for its twin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from breakeven.errors import InputError, Problem
from breakeven.routing.task_classifier import Classifier
from breakeven.routing.task_table import CONFIDENT_Z
from breakeven.studies.routes.linear import counted, fitted, learned_terms, weighed
from breakeven.studies.routes.scores import alike, folds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Places

LEAST_PROMPTS: Final = 30
"""Of each task: with fewer the share that is right cannot be told from chance."""

PARTS: Final = 5
STRENGTH: Final = 10.0
"""The inverse of the penalty: tasks differ by plain words, so little holds these back."""

TERMS: Final = 10_000
STEPS: Final = 40
"""Further steps move no prompt to another task."""

UNSEEN_PROMPTS: Final = 2_000
"""Prompts on which it is tried what becomes of tasks left out."""

MOST_PROMPTS: Final = 20_000
MOST_TASKS: Final = 200
_NEVER: Final = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """How one task fared in cross-validation."""

    task: str
    prompts_count: int
    kept_fraction: float
    """Share of its prompts that are told to be of some task."""

    right_fraction: float | None
    """Share of those that are told to be of it and are; None where none is told so."""

    unseen_kept_fraction: float | None
    """Share of its prompts that a classifier which never saw this task gives to another; None where not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A classifier and what is to be expected of it."""

    classifier: Classifier
    prompts_count: int
    accuracy_fraction: float
    """Right of all prompts, were it never to abstain."""

    kept_fraction: float
    """Share of prompts for which it does not abstain."""

    kept_right_fraction: float | None
    """Right of those; None where it always abstains."""

    error_fraction: float
    """The error that was allowed."""

    tasks: tuple[TaskFigures, ...]
    notes: tuple[str, ...]


def train(
    prompts: Sequence[str],
    labels: Sequence[str],
    *,
    error: float,
    draw: np.random.Generator,
    progress: Callable[[float], None],
) -> Trained:
    """Learn the tasks of prompts.

    It abstains below the chance from which, by cross-validation, the upper 95 % bound of the share that is wrong stays
    at ``error`` or below.  Raises ``InputError`` for fewer than two tasks and for tasks with too few prompts.
    """
    names = _checked(labels)
    task = np.array([names.index(label) for label in labels])
    counts = counted(prompts)
    part = folds_of(alike(prompts), PARTS, draw)
    best, guess, known = _cross_validated(counts, task, part, len(names), progress)
    right = guess == task
    trust = _trust(best, right)
    chance = 1 / (1 + np.exp(-np.clip(trust[0] + trust[1] * best, -500, 500)))
    known_least = float(np.quantile(known, 0.01)) / 2
    able = known >= known_least
    least = _least_chance(chance[able], right[able], error)
    kept = able & (chance >= least)
    terms = learned_terms(counts, TERMS)
    final = fitted(weighed(counts, terms), np.eye(len(names))[task], STRENGTH, STEPS)
    model = Classifier(
        tasks=tuple(names),
        terms=terms.names,
        weights=terms.weights.astype(np.float32),
        coefficients=final.coefficients.astype(np.float32),
        offsets=final.offsets.astype(np.float32),
        trust=trust,
        least_fraction=least,
        known_fraction=known_least,
    )
    unseen = _unseen(counts, task, model, progress)
    return Trained(
        classifier=model,
        prompts_count=len(prompts),
        accuracy_fraction=float(right.mean()),
        kept_fraction=float(kept.mean()),
        kept_right_fraction=float(right[kept].mean()) if kept.any() else None,
        error_fraction=error,
        tasks=tuple(_figures(names, task, guess, kept, unseen)),
        notes=tuple(_notes(kept, unseen)),
    )


def _checked(labels: Sequence[str]) -> list[str]:
    counts = Counter(labels)
    if len(counts) < 2:
        only = next(iter(counts), None)
        raise InputError(
            f"The prompts are of {len(counts)} task(s){f', {only!r}' if only else ''}, and there is nothing to tell "
            f"apart "
            "below 2. A task that is always the same is better declared: x-breakeven-task, or an alias of the model."
        )
    if len(counts) > MOST_TASKS:
        raise InputError(f"The prompts are of {len(counts):,} tasks, and at most {MOST_TASKS} are told apart.")
    small = [(name, n) for name, n in counts.items() if n < LEAST_PROMPTS]
    if small:
        problems = tuple(
            Problem(where=f"task {name!r}", what=f"{n} prompt(s), and at least {LEAST_PROMPTS} are needed.")
            for name, n in sorted(small)[:20]
        )
        raise InputError(
            f"{len(small)} of {len(counts)} tasks have too few prompts to learn from. Label more, or leave them out: "
            "prompts of a task that is not learned go to the safe target.",
            problems,
        )
    return sorted(counts)


def _cross_validated(
    counts: Sequence[Counter[str]], task: Places, part: Places, tasks: int, progress: Callable[[float], None]
) -> tuple[Array, Places, Array]:
    """Return each prompt's best score, the task that has it, and the share of its terms that were known."""
    best, known = np.zeros(len(task)), np.zeros(len(task))
    guess = np.zeros(len(task), dtype=np.int64)
    for number in np.unique(part):
        own, others = np.flatnonzero(part == number), np.flatnonzero(part != number)
        scores, known[own] = _asked(counts, others, own, np.eye(tasks)[task[others]])
        best[own], guess[own] = scores.max(axis=1), scores.argmax(axis=1)
        progress(float(number + 1) / (PARTS + tasks))
    return best, guess, known


def _asked(counts: Sequence[Counter[str]], others: Places, own: Places, labels: Array) -> tuple[Array, Array]:
    """Return the scores of some prompts by what was learned from others, and the share of their terms known."""
    given, asked = [counts[at] for at in others], [counts[at] for at in own]
    terms = learned_terms(given, TERMS)
    rows: Any = weighed(asked, terms)
    scores = fitted(weighed(given, terms), labels, STRENGTH, STEPS).logits(rows)
    known = np.diff(rows.indptr) / np.array([max(len(found), 1) for found in asked])
    return scores, known


def _trust(best: Array, right: Array) -> tuple[float, float]:
    """Fit the chance of being right to the best score (Platt, 1999)."""
    found = fitted(best[:, None], right[:, None].astype(float), 1e3)
    return float(found.offsets[0]), max(float(found.coefficients[0, 0]), 0.0)


def _least_chance(chance: Array, right: Any, error: float) -> float:
    """Return the lowest chance from which on the upper bound of the share of errors is ``error`` at most.

    Wilson's upper bound, one-sided, 95 %.  From the surest prompt down, each cut is one more try; the loosest cut with
    a bound that holds is taken, but none before the bound can hold at all.  Equal chances are kept together or not at
    all, so a cut falls between them never.
    """
    order = np.argsort(-chance, kind="stable")
    ranked = chance[order]
    ends = np.append(ranked[1:] < ranked[:-1], np.ones(min(len(ranked), 1), dtype=bool))
    count = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[order]) / count
    z2 = CONFIDENT_Z * CONFIDENT_Z
    middle = wrong + z2 / (2 * count)
    upper = (middle + CONFIDENT_Z * np.sqrt(wrong * (1 - wrong) / count + z2 / (4 * count * count))) / (1 + z2 / count)
    held = np.flatnonzero((upper <= error) & ends)
    return float(ranked[held[-1]]) if len(held) else _NEVER


def _unseen(
    counts: Sequence[Counter[str]], task: Places, model: Classifier, progress: Callable[[float], None]
) -> dict[int, float]:
    """Return for each task the share of its prompts that a classifier of the other tasks does not abstain on."""
    names = model.tasks
    found: dict[int, float] = {}
    if len(names) < 3 or model.least_fraction > 1:
        return found
    tried = np.arange(len(task)) % max(-(-len(task) // UNSEEN_PROMPTS), 1) == 0
    for number in range(len(names)):
        own, others = np.flatnonzero(tried & (task == number)), np.flatnonzero(tried & (task != number))
        if not len(own):
            continue
        labels = np.delete(np.eye(len(names))[task[others]], number, axis=1)
        scores, known = _asked(counts, others, own, labels)
        logit = model.trust[0] + model.trust[1] * scores.max(axis=1)
        kept = (1 / (1 + np.exp(-np.clip(logit, -500, 500))) >= model.least_fraction) & (known >= model.known_fraction)
        found[number] = float(kept.mean())
        progress((PARTS + number + 1) / (PARTS + len(names)))
    return found


def _figures(
    names: Sequence[str], task: Places, guess: Places, kept: Any, unseen: dict[int, float]
) -> list[TaskFigures]:
    found = []
    for number, name in enumerate(names):
        own, told = task == number, kept & (guess == number)
        found.append(
            TaskFigures(
                task=name,
                prompts_count=int(own.sum()),
                kept_fraction=float(kept[own].mean()),
                right_fraction=float(own[told].mean()) if told.any() else None,
                unseen_kept_fraction=unseen.get(number),
            )
        )
    return found


def _notes(kept: Any, unseen: dict[int, float]) -> list[str]:
    if not kept.any():
        return [
            "It abstains always: no threshold keeps so small an error. Label more prompts, or allow a larger error."
        ]
    if unseen:
        mean = sum(unseen.values()) / len(unseen)
        told = (
            f"Of prompts of a task that it never saw, {mean:.0%} are taken for another task (mean over tasks left out, "
            "one at a time): label what you send, or declare it."
        )
        return [told]
    return []
