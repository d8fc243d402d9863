"""What a shadow comparison is made from: pairs, what checks said of them, and what each side cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from breakeven.ledger.pairs import Pair, PairCheck


class SideCost(NamedTuple):
    """What one answer cost, in dollars; None where that is not known."""

    price_usd: float | None
    """Its tokens, and those of failed attempts for it, at their price."""

    loaded_usd: float | None
    """With idle hours, people and infrastructure of a pool; at an API its price."""


NO_COST = SideCost(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One pair with all that is known of it."""

    pair: Pair
    checks: tuple[PairCheck, ...] = ()
    """Of any name and version."""

    of_incumbent: SideCost = NO_COST
    of_candidate: SideCost = NO_COST


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a person asks of a comparison."""

    margin_fraction: float = 0.05
    """By how much worse the candidate may be."""

    alpha_fraction: float = 0.05
    """The chance of a false "good enough"."""

    check: str = ""
    """The check that decides; empty: the best that there is."""
