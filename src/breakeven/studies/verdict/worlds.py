"""The worlds of a simulation: joint draws of every assumption, the same for all options.

An option's own assumptions, the price of its nodes among them, are drawn beside the shared ones; options that
pay the same price pay it in every world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.distributions import quantile
from breakeven.economics.draws import draw, probabilities
from breakeven.studies.verdict.evaluate import Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.catalog.assumptions import Assumption
    from breakeven.quantities import Array
    from breakeven.studies.verdict.candidates import Candidate
    from breakeven.studies.verdict.context import Context
    from breakeven.studies.verdict.evaluate import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How many worlds are drawn, and the seed that makes them the same every time."""

    draw_count: int = 10_000
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Worlds:
    """Values of every assumption: likely ones, and arrays of shape (draws,)."""

    likely: Mapping[str, float]
    shared: Mapping[str, Array]
    fates: Mapping[str, Array]
    """How each option's own assumptions turn out, as probabilities by the name of what they are of."""

    @classmethod
    def draw(cls, context: Context, candidates: Sequence[Candidate], chance: Chance) -> Worlds:
        """Draw all assumptions of a book, and the fates of those that are some options' own."""
        generator = np.random.default_rng(chance.seed)
        shared = draw(
            context.book.assumptions,
            count=chance.draw_count,
            correlations=[(item.first, item.second, item.rank_correlation) for item in context.book.correlations],
            generator=generator,
        )
        names = {_fate(candidate, item) for candidate in candidates for item in candidate.own}
        fates = probabilities(sorted(names), count=chance.draw_count, generator=generator)
        return cls(likely=context.likely(), shared=shared, fates=fates)

    def case(self, option: Option, candidate: Candidate | None = None) -> Case:
        """Return an option with its values in every world."""
        own = candidate.own if candidate else ()
        return Case(
            option=option,
            likely={**self.likely, **{item.key: item.likely for item in own}},
            drawn={
                **self.shared,
                **{item.key: quantile(item, self.fates[_fate(candidate, item)]) for item in own if candidate},
            },
        )


def _fate(candidate: Candidate, item: Assumption) -> str:
    """Name what an option's own assumption is of: the market of its nodes, or how fast one way to run a model is."""
    if item is candidate.price or candidate.config is None:
        return f"price: {candidate.pricing}"
    config, option = candidate.config, candidate.option
    return f"speed: {option.model} on {config.gpus}x {config.gpu} {config.precision} {config.engine}"
