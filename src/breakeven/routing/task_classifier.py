"""A small classifier of tasks: TF-IDF and one logistic regression for each task, that abstains where it is not sure.

Regressions of their own, and not one over all tasks, because a prompt of none of them then scores low on every one.
It needs numpy; a text takes about a third of a millisecond.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from breakeven.routing.task_text import terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.quantities import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """What was learned.  ``trust`` turns the best score into the chance that it is right: 1 / (1 + exp(-(a + b s)))."""

    tasks: tuple[str, ...]
    terms: tuple[str, ...]
    weights: Array
    """Of each term in a text: its rarity."""

    coefficients: Array
    """One row a term, one column a task."""

    offsets: Array
    trust: tuple[float, float]
    least_fraction: float
    """Chance of being right below which it abstains; above 1: always."""

    known_fraction: float = 0.0
    """Share of a text's words that it must know, or it abstains: prompts of another kind, another language."""

    places: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {name: place for place, name in enumerate(self.terms)})


def scored(model: Classifier, text: str) -> tuple[Array, float]:
    """Return the score of each task, and the share of the text's terms that are known."""
    counts = Counter(terms_of(text))
    places = model.places
    known = [(place, n) for name, n in counts.items() if (place := places.get(name)) is not None]
    if not known:
        return model.offsets, 0.0
    at = np.array([place for place, _ in known])
    values = np.array([1.0 + log(n) if n > 1 else 1.0 for _, n in known]) * model.weights[at]
    scores: Array = (values / sqrt(float(values @ values))) @ model.coefficients[at] + model.offsets
    return scores, len(known) / len(counts)


def classified(model: Classifier, text: str) -> tuple[str, float]:
    """Return the task of a text and the chance that it is right; the task is empty where the classifier abstains."""
    scores, known = scored(model, text)
    best = int(scores.argmax())
    chance = trusted(model.trust, float(scores[best]))
    sure = chance >= model.least_fraction and known >= model.known_fraction and known > 0
    return (model.tasks[best] if sure else ""), chance


def trusted(trust: tuple[float, float], score: float) -> float:
    """Return the chance that the task with that best score is the right one."""
    return 1.0 / (1.0 + exp(-max(min(trust[0] + trust[1] * score, 500.0), -500.0)))
