"""What each policy orders requests by: the higher the score, the sooner a request goes to the strong target.

Every score of a row is made without that row's labels: from the other four parts of five.  So there are five models,
and what one calls high another may not: a part whose gain is high by chance lowers the mean of the model that judges
it, and put in one order its rows would come last.  Therefore a score is the row's place among the rows that its own
model was learned from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.sparse import csr_matrix, hstack

from breakeven.studies.routes.linear import counted, fitted, learned_terms, sigmoid, weighed
from breakeven.studies.routes.pairs import NO_TASK, folds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

_DIGITS: Final = 9
"""Scores that differ by less are equal: rounding alone must not rank rows."""


def alike(prompts: Sequence[str]) -> Places:
    """Return a number for each prompt, from 0, the same for equal ones; rows without a prompt are nobody's copies."""
    number: dict[str | int, int] = {}
    return np.array([number.setdefault(prompt or place, len(number)) for place, prompt in enumerate(prompts)])


def folds_of(same: Places, parts: int, draw: np.random.Generator) -> Places:
    """Return the part of each row, one for all rows of a number, or a copy would vouch for its twin."""
    found: Places = folds(int(same.max()) + 1, parts, draw)[same]
    return found


def gains_by_task(pairs: Pairs, known: Places) -> Array:
    """Return each task's mean gain over some rows, drawn towards the mean of all as far as chance explains it.

    The pull is that of empirical Bayes (Efron and Morris, 1973): rows at the mean of all in the number of the
    variance within tasks over that between them.  A task without rows gets ``UNSEEN``, and so do rows that name none:
    the gateway has nothing to look them up by.
    """
    named = known[~np.isin(pairs.task[known], [at for at, name in enumerate(pairs.tasks) if name == NO_TASK])]
    found = np.full(len(pairs.tasks), UNSEEN)
    if not len(named):
        return found
    gain, task = pairs.gain[named], pairs.task[named]
    count = np.bincount(task, minlength=len(pairs.tasks)).astype(float)
    total = np.bincount(task, weights=gain, minlength=len(pairs.tasks))
    seen = count > 0
    mean = total[seen] / count[seen]
    of_all = gain.mean()
    within = float(np.mean((gain - (total / np.maximum(count, 1))[task]) ** 2))
    noise = within * seen.sum() / count.sum()
    between = max(float(np.average((mean - of_all) ** 2, weights=count[seen])) - noise, 1e-9)
    pull = min(within / between, 1e6)
    found[seen] = (total[seen] + pull * of_all) / (count[seen] + pull)
    return found


def by_task(pairs: Pairs, part: Places) -> Array:
    """Score rows by their task's gain in the other parts."""

    def told(known: Places, asked: Places) -> Array:
        gains = gains_by_task(pairs, known)
        own, others = gains[pairs.task[asked]], gains[pairs.task[known]]
        return np.where(own == UNSEEN, UNSEEN, placed(own, others))

    return out_of_part(part, told)


def by_length(pairs: Pairs, part: Places) -> Array:
    """Score rows by the length of their prompt; whether longer or shorter gains more is told by the other parts."""
    assert pairs.characters is not None, "asked only where there are prompts"
    length, gain = np.log1p(pairs.characters), pairs.gain

    def told(known: Places, asked: Places) -> Array:
        slope = float(np.mean((length[known] - length[known].mean()) * (gain[known] - gain[known].mean())))
        return placed(length[asked], length[known]) if slope >= 0 else placed(-length[asked], -length[known])

    return out_of_part(part, told)


def by_prompt(pairs: Pairs, rows: Any, part: Places) -> Array:
    """Score rows by P(strong is right) - P(weak is right) as regressions on ``rows`` tell it from the other parts.

    Places are told from that of the mean log-odds, which is where a row comes of which nothing is known: where a few
    tasks gain much and most nothing, it stands high among the rows of the others, and would outrank what it should not.
    """
    labels = np.column_stack([pairs.weak, pairs.strong])

    def told(known: Places, asked: Places) -> Array:
        model = fitted(rows[known], labels[known])
        logits = model.logits(rows[known])
        others = _gain(logits)
        return placed(_gain(model.logits(rows[asked])), others) - placed(_gain(logits.mean(axis=0)[None]), others)

    return out_of_part(part, told)


def _gain(logits: Array) -> Array:
    """Return P(strong is right) - P(weak is right) from the log-odds of weak and strong."""
    shares = sigmoid(logits)
    found: Array = shares[:, 1] - shares[:, 0]
    return found


def placed(asked: Array, known: Array) -> Array:
    """Return where each score stands among known ones: 0 below all, 1 above all, equal ones in their middle."""
    own, others = np.round(asked, _DIGITS), np.sort(np.round(known, _DIGITS))
    below, not_above = np.searchsorted(others, own, "left"), np.searchsorted(others, own, "right")
    found: Array = (below + not_above) / (2 * len(others))
    return found


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
