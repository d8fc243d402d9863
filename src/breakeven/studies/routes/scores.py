"""What each policy orders requests by: the higher the score, the sooner a request goes to the strong target.

Every score of a row is made without that row's labels: from the other four parts of five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.sparse import csr_matrix, hstack

from breakeven.studies.routes.linear import counted, fitted, learned_terms, weighed

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Pairs, Places

PolicyName = Literal["random", "length", "task table", "prompt", "task and prompt", "oracle"]
POLICIES: Final[tuple[PolicyName, ...]] = ("random", "length", "task table", "prompt", "task and prompt", "oracle")
"""In the order in which they are told."""

WITH_PROMPTS: Final = frozenset({"length", "prompt", "task and prompt"})
"""Policies that need the prompts."""

BY_TASK: Final = frozenset({"task table", "task and prompt"})
"""Policies that need two tasks or more."""

UNSEEN: Final = 2.0
"""The score of a task that nothing is known of: above any gain, so that it goes to the strong target first."""


def gains_by_task(pairs: Pairs, known: Places) -> Array:
    """Return each task's mean gain over some rows, drawn towards the mean of all as far as chance explains it.

    The pull is that of empirical Bayes (Efron and Morris, 1973): rows at the mean of all in the number of the
    variance within tasks over that between them.  A task without rows gets ``UNSEEN``.
    """
    gain, task = pairs.gain[known], pairs.task[known]
    count = np.bincount(task, minlength=len(pairs.tasks)).astype(float)
    total = np.bincount(task, weights=gain, minlength=len(pairs.tasks))
    seen = count > 0
    mean = total[seen] / count[seen]
    of_all = gain.mean()
    within = float(np.mean((gain - (total / np.maximum(count, 1))[task]) ** 2))
    noise = within * seen.sum() / count.sum()
    between = max(float(np.average((mean - of_all) ** 2, weights=count[seen])) - noise, 1e-9)
    pull = min(within / between, 1e6)
    found = np.full(len(pairs.tasks), UNSEEN)
    found[seen] = (total[seen] + pull * of_all) / (count[seen] + pull)
    return found


def by_task(pairs: Pairs, part: Places) -> Array:
    """Score rows by their task's gain in the other parts."""

    def told(known: Places, asked: Places) -> Array:
        scores: Array = gains_by_task(pairs, known)[pairs.task[asked]]
        return scores

    return out_of_part(part, told)


def by_length(pairs: Pairs, part: Places) -> Array:
    """Score rows by the length of their prompt; whether longer or shorter gains more is told by the other parts."""
    assert pairs.characters is not None, "asked only where there are prompts"
    length, gain = np.log1p(pairs.characters), pairs.gain

    def told(known: Places, asked: Places) -> Array:
        slope = float(np.mean((length[known] - length[known].mean()) * (gain[known] - gain[known].mean())))
        return length[asked] if slope >= 0 else -length[asked]

    return out_of_part(part, told)


def by_prompt(pairs: Pairs, rows: Any, part: Places) -> Array:
    """Score rows by P(strong is right) - P(weak is right) as regressions on ``rows`` tell it from the other parts."""
    labels = np.column_stack([pairs.weak, pairs.strong])

    def told(known: Places, asked: Places) -> Array:
        shares = fitted(rows[known], labels[known]).shares(rows[asked])
        gain: Array = shares[:, 1] - shares[:, 0]
        return gain

    return out_of_part(part, told)


def out_of_part(part: Places, told: Callable[[Places, Places], Array]) -> Array:
    """Return a score of each row: ``told(others, own)`` for each part, from the rows that are not in it."""
    scores = np.zeros(len(part))
    for number in np.unique(part):
        own = np.flatnonzero(part == number)
        others = np.flatnonzero(part != number)
        scores[own] = told(others, own) if len(others) else UNSEEN
    return scores


def text_rows(prompts: tuple[str, ...], characters: Array) -> csr_matrix:
    """Return prompts as weighed terms and the logarithm of their length, one row each."""
    counts = counted(prompts)
    length = np.log1p(characters)
    spread = float(length.std()) or 1.0
    column = csr_matrix(((length - length.mean()) / spread)[:, None])
    return hstack([weighed(counts, learned_terms(counts)), column]).tocsr()


def with_task(rows: csr_matrix, task: Places, tasks: int) -> csr_matrix:
    """Return rows with one more column for each task, 1 in its own."""
    ones = csr_matrix((np.ones(len(task)), (np.arange(len(task)), task)), shape=(len(task), tasks))
    return hstack([rows, ones]).tocsr()
