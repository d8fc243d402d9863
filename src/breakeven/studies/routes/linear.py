"""TF-IDF and logistic regression, fitted here: shares as labels as well as classes, and the same result every time.

Terms are weighed 1 + ln(count) times ln((1 + prompts) / (1 + prompts with it)) + 1, each prompt scaled to length 1
(the weights of Salton and Buckley, 1988, https://doi.org/10.1016/0306-4573(88)90021-0, smoothed as scikit-learn does).
The regression minimises cross-entropy with a square penalty by L-BFGS.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from breakeven.routing.task_text import terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.quantities import Array

MOST_TERMS: Final = 20_000
LEAST_PROMPTS: Final = 2
"""A term of one prompt alone tells nothing of others."""

STRENGTH: Final = 0.3
"""The inverse of the penalty's weight."""

MOST_STEPS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms that are told apart, most frequent first, and what each weighs."""

    names: tuple[str, ...]
    weights: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A fitted regression: one column of coefficients for each outcome, and where each starts."""

    coefficients: Array
    offsets: Array

    def logits(self, rows: Any) -> Array:
        """Return the log-odds of each outcome for each row."""
        found: Array = rows @ self.coefficients + self.offsets
        return found

    def shares(self, rows: Any) -> Array:
        """Return the expected share of each outcome for each row."""
        return sigmoid(self.logits(rows))


def sigmoid(values: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    found: Array = 0.5 * (1.0 + np.tanh(0.5 * values))
    return found


def counted(prompts: Iterable[str]) -> list[Counter[str]]:
    """Return how often each term stands in each prompt."""
    return [Counter(terms_of(prompt)) for prompt in prompts]


def learned_terms(counts: Sequence[Counter[str]], most: int = MOST_TERMS) -> Terms:
    """Return the most frequent terms of prompts and their weights; none of a single prompt alone."""
    seen: Counter[str] = Counter()
    for found in counts:
        seen.update(found.keys())
    kept = sorted(((n, name) for name, n in seen.items() if n >= LEAST_PROMPTS), key=lambda item: (-item[0], item[1]))
    kept = kept[:most]
    held_by = np.array([n for n, _ in kept], dtype=float)
    weights = np.log((1 + len(counts)) / (1 + held_by)) + 1
    return Terms(names=tuple(name for _, name in kept), weights=weights)


def weighed(counts: Sequence[Counter[str]], terms: Terms) -> csr_matrix:
    """Return one row a prompt, one column a term, each row of length 1 (or 0, without a known term)."""
    places = {name: place for place, name in enumerate(terms.names)}
    columns, values, ends = [], [], [0]
    for found in counts:
        known = [(places[name], n) for name, n in found.items() if name in places]
        columns += [place for place, _ in known]
        values += [n for _, n in known]
        ends.append(len(columns))
    at = np.array(columns, dtype=np.int32)
    data = (1 + np.log(np.array(values, dtype=float))) * terms.weights[at] if len(at) else np.zeros(0)
    rows = csr_matrix((data, at, np.array(ends)), shape=(len(counts), len(terms.names)))
    length = np.sqrt(rows.multiply(rows).sum(axis=1))
    scale = 1 / np.where(np.asarray(length).ravel() > 0, np.asarray(length).ravel(), 1)
    rows.data *= np.repeat(scale, np.diff(rows.indptr))
    return rows


def fitted(rows: Any, shares: Array, strength: float = STRENGTH, steps: int = MOST_STEPS) -> Linear:
    """Fit one logistic regression for each column of ``shares`` (0 to 1), all at once.

    Minimises the sum over rows of the cross-entropy plus the squares of the coefficients / (2 ``strength``); offsets
    are not held down, but for a trace that keeps them finite where all labels are equal.
    """
    wide, outcomes = rows.shape[1], shares.shape[1]
    transposed = rows.T.tocsr() if hasattr(rows, "tocsr") else rows.T

    def loss(flat: Array) -> tuple[float, Array]:
        table = flat.reshape(wide + 1, outcomes)
        logits = rows @ table[:-1] + table[-1]
        held = np.full((wide + 1, 1), 1 / strength)
        held[-1] = 1e-3
        value = np.sum(np.logaddexp(0, logits) - shares * logits) + 0.5 * np.sum(held * table * table)
        off = sigmoid(logits) - shares
        slope = np.vstack([transposed @ off, off.sum(axis=0, keepdims=True)]) + held * table
        return float(value), slope.ravel()

    found = minimize(loss, np.zeros((wide + 1) * outcomes), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    table = found.x.reshape(wide + 1, outcomes)
    return Linear(coefficients=table[:-1], offsets=table[-1])
