"""Models that fall back to other models: everything that may serve a model, in the order in which it is tried.

First a model's own targets, then those of the models it names, in its order, then what those name in turn; each target
once for each model.  A graph that goes round, or chains that are too long, are told, never followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_DEPTH: Final = 3
"""Longest chain: a model, its fallback, that one's fallback, and one more."""


class Step(NamedTuple):
    """A target that may serve, and the model that it is asked for."""

    model: str
    target: str


class Flattened(NamedTuple):
    """What may serve each model, or why that cannot be told."""

    steps: Mapping[str, tuple[Step, ...]]
    """By model; empty when there is a fault."""

    cycle: tuple[str, ...] = ()
    """Models that fall back to each other, the first again at the end; empty: none do."""

    too_long: tuple[str, ...] = ()
    """A chain of more than ``MAX_DEPTH`` fallbacks; empty: there is none."""


def flattened(routes: Mapping[str, Sequence[str]], fallbacks: Mapping[str, Sequence[str]]) -> Flattened:
    """Return the targets of every model, those of its fallbacks behind its own.

    ``routes`` holds the targets by model, ``fallbacks`` the models that stand in for it; a name in ``fallbacks`` that
    is no model has no targets, and is for the caller to find.
    """
    if cycle := _cycle(fallbacks):
        return Flattened({}, cycle=cycle)
    for model in routes:
        if chain := _too_long(model, fallbacks):
            return Flattened({}, too_long=chain)
    return Flattened({model: _steps(model, routes, fallbacks) for model in routes})


def _cycle(fallbacks: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the first way round that is found; empty when there is none."""
    done: set[str] = set()
    for start in fallbacks:
        path = [start]
        waiting = [iter(() if start in done else fallbacks[start])]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                done.add(path.pop())
            elif name in path:
                return (*path[path.index(name) :], name)
            elif name not in done:
                path.append(name)
                waiting.append(iter(fallbacks.get(name, ())))
    return ()


def _too_long(start: str, fallbacks: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a chain from a model that is too long; empty when there is none.  One chain to each name is enough."""
    chains: dict[str, tuple[str, ...]] = {start: (start,)}
    for _ in range(MAX_DEPTH + 1):
        chains = {other: (*chain, other) for name, chain in chains.items() for other in fallbacks.get(name, ())}
    return next(iter(chains.values()), ())


def _steps(model: str, routes: Mapping[str, Sequence[str]], fallbacks: Mapping[str, Sequence[str]]) -> tuple[Step, ...]:
    order = [model]
    for name in order:  # grows while it is walked
        order += [other for other in fallbacks.get(name, ()) if other not in order]
    return tuple(dict.fromkeys(Step(name, target) for name in order for target in routes.get(name, ())))
