"""The worlds of a simulation: joint draws of every assumption, the same for all options.

An option's own assumptions, the price of its nodes among them, are drawn beside the shared ones; options that
pay the same price pay it in every world.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.draws import draw
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
    own: Mapping[str, Array]

    @classmethod
    def draw(cls, context: Context, candidates: Sequence[Candidate], chance: Chance) -> Worlds:
        """Draw all assumptions of a book and of some options."""
        named = {_name(candidate, item): item for candidate in candidates for item in candidate.own}
        everything = dict(context.book.assumptions) | {key: replace(item, key=key) for key, item in named.items()}
        drawn = draw(
            everything,
            count=chance.draw_count,
            correlations=[(item.first, item.second, item.rank_correlation) for item in context.book.correlations],
            generator=np.random.default_rng(chance.seed),
        )
        return cls(
            likely=context.likely(),
            shared={key: drawn[key] for key in context.book.assumptions},
            own={key: drawn[key] for key in named},
        )

    def case(self, option: Option, candidate: Candidate | None = None) -> Case:
        """Return an option with its values in every world."""
        own = candidate.own if candidate else ()
        return Case(
            option=option,
            likely={**self.likely, **{item.key: item.likely for item in own}},
            drawn={**self.shared, **{item.key: self.own[_name(candidate, item)] for item in own if candidate}},
        )


def _name(candidate: Candidate, item: Assumption) -> str:
    return f"{candidate.pricing}: {item.key}"
