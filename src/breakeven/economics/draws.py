"""Joint draws of assumptions: many values of each, with their declared rank correlations.

Each assumption is drawn by strata (Latin hypercube: McKay, Beckman & Conover 1979, doi 10.2307/1268522): of n draws
one lies in each n-th of its distribution, so that every sample holds its percentiles exactly and only the
*order* is chance.  Correlation is a matter of order too: the order of correlated assumptions is that of
correlated normal scores (a Gaussian copula, imposed by ranks as in Iman & Conover 1982, doi 10.1080/03610918208812265).

The order of an assumption without correlations depends on the generator and on its own name alone: another
assumption more, or in another place, moves no draw of it.
"""

from __future__ import annotations

from math import pi, sin
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from scipy.special import ndtri

from breakeven.economics.distributions import quantile
from breakeven.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from breakeven.economics.distributions import Doubt
    from breakeven.quantities import Array

Correlation = tuple[str, str, float]
"""Two keys and the rank correlation (Spearman's) between them, -1 to 1."""

_ROUNDING: Final = 1e-9
"""Eigenvalues this far below 0 are rounding, not contradiction."""


def draw(
    assumptions: Mapping[str, Doubt], *, count: int, correlations: Iterable[Correlation] = (), generator: Generator
) -> dict[str, Array]:
    """Return ``count`` joint values of each assumption, in its unit.

    A value without doubt is repeated.  A correlation with one that is not among ``assumptions``, or not in
    doubt, has no effect.  The generator gives one seed, so a second call draws anew.

    Raises ``InputError`` for a coefficient outside -1 to 1, a pair given twice or of one key, and for coefficients that
    contradict each other (no joint distribution has them); ``ValueError`` as ``quantile`` does.
    """
    declared = _declared(correlations)
    seed = int(generator.integers(2**63))
    doubtful = sorted(key for key, item in assumptions.items() if item.low < item.high)
    pairs = {pair: rank for pair, rank in declared.items() if set(pair) <= set(doubtful) and rank}
    orders = _correlated_orders(pairs, count, seed)
    strata = (np.arange(count) + 0.5) / count
    drawn: dict[str, Array] = {}
    for key, item in assumptions.items():
        values = quantile(item, strata)
        if item.low < item.high:
            values = values[orders[key] if key in orders else _own_order(key, count, seed)]
        drawn[key] = values
    return drawn


def probabilities(names: Iterable[str], *, count: int, generator: Generator) -> dict[str, Array]:
    """Return for each name one probability from every n-th of 0 to 1, in an order that depends on the name alone.

    ``quantile`` makes values of them: assumptions that share a name then err together, each on its own scale.
    """
    seed = int(generator.integers(2**63))
    strata = (np.arange(count) + 0.5) / count
    return {name: strata[_own_order(name, count, seed)] for name in names}


def _own_order(key: str, count: int, seed: int) -> NDArray[np.int64]:
    """Shuffle the strata with a stream that belongs to this key."""
    stream = Generator(PCG64(SeedSequence(seed, spawn_key=tuple(key.encode()))))
    return stream.permutation(count)


def _declared(correlations: Iterable[Correlation]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    problems: list[Problem] = []
    for first, second, rank in correlations:
        pair = (min(first, second), max(first, second))
        where = f"correlation of {first} and {second}"
        if first == second:
            problems.append(Problem(where=where, what="an assumption always goes with itself.", fix="Remove it."))
        elif pair in found:
            problems.append(Problem(where=where, what="it is declared twice.", fix="Keep one."))
        elif not -1 <= rank <= 1:
            problems.append(Problem(where=where, what=f"a rank correlation lies between -1 and 1, got {rank:g}."))
        found[pair] = rank
    if problems:
        raise InputError("the declared correlations cannot be used", tuple(problems))
    return found


def _correlated_orders(pairs: Mapping[tuple[str, str], float], count: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Return the strata's order for each key of a pair, one group of connected keys after the other."""
    orders: dict[str, NDArray[np.int64]] = {}
    score_of_stratum = ndtri((np.arange(count) + 0.5) / count)
    for keys in _groups(pairs):
        root = _root_of_correlations(keys, pairs)
        scores = score_of_stratum[np.stack([_own_order(key, count, seed) for key in keys])]
        for key, correlated in zip(keys, root @ scores, strict=True):
            orders[key] = np.empty(count, dtype=np.int64)
            orders[key][np.argsort(correlated)] = np.arange(count)
    return orders


def _groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the keys in groups between which no pair is declared, in order of name."""
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if not group & set(pair)]
        groups.append(set(pair).union(*touched))
    return sorted(sorted(group) for group in groups)


def _root_of_correlations(keys: list[str], pairs: Mapping[tuple[str, str], float]) -> Array:
    """Return the lower triangle L with L Lᵀ the correlations of the normal scores; undeclared pairs have none.

    Normal scores with correlation 2 sin(pi r / 6) have rank correlation r (Pearson 1907).
    """
    matrix = np.eye(len(keys))
    place = {key: index for index, key in enumerate(keys)}
    declared = {pair: rank for pair, rank in pairs.items() if pair[0] in place}
    for (first, second), rank in declared.items():
        at, to = place[first], place[second]
        matrix[at, to] = matrix[to, at] = 2 * sin(pi * rank / 6)
    if np.linalg.eigvalsh(matrix)[0] < -_ROUNDING:
        raise InputError(
            "the declared correlations contradict each other: no joint distribution has them all, so nothing can "
            "be drawn.  Weaken one, or declare the missing pairs among these keys (an undeclared pair counts as 0).",
            tuple(
                Problem(where=f"{first} and {second}", what=f"{rank:+g}") for (first, second), rank in declared.items()
            ),
        )
    # A matrix on the edge (two keys at +1) has no root without a hair on its diagonal.
    return np.asarray(np.linalg.cholesky(matrix + 2 * _ROUNDING * np.eye(len(keys))), dtype=np.float64)
