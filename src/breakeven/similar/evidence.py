"""Whether enough was measured to give answers again: a test by betting, which may be looked at after every check.

The claim to be refuted is that the rate of false hits is at or above a limit p.  A wealth of 1 is bet against it: each
check multiplies it by 1 + b (p - x), where x is 1 for a false hit and 0 for a right one, and b = 0.7 / (1 - p).  If the
claim holds, no bet gains on average whatever came before, so the chance that the wealth ever reaches 20 is at most 1 in
20 (Ville's inequality), however often one looks and whenever one stops.  Then answers may be given again.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2023,
https://arxiv.org/abs/2010.09686 (its hedged capital process for one candidate mean, with a bet that does not change).
The stake of 0.7 is ours: a false hit leaves 0.3 of the wealth, and a right one earns nearly 0.7 p.  A stake of 1 would
earn more, and lose everything with the first false hit.

What is ours too: the wealth is capped, so that what was earned in good times does not pay for long in bad ones.  From
the cap, the third false hit in quick succession ends the giving until it is earned again.  Capping takes wealth away
and never adds any, so what is said above still holds.  The bound is for the first permission; one that was lost and
earned anew is a further chance to be wrong, and so is each further process, task and start of the gateway.
"""

from __future__ import annotations

from math import ceil, log, log1p
from typing import Final

import msgspec

MOST_WRONG_FRACTION: Final = 0.05
"""Largest chance of a permission while the rate is at or above the limit."""

STAKE_FRACTION: Final = 0.7
"""Of the wealth, that a false hit takes."""

MOST_WEALTH_RATIO: Final = 240.0
"""Of the wealth at first: two false hits leave 21.6 of it, the third 6.5."""

_NEEDED: Final = -log(MOST_WRONG_FRACTION)
_MOST: Final = log(MOST_WEALTH_RATIO)
_LOST: Final = log1p(-STAKE_FRACTION)
_ROUNDING: Final = 1e-9
"""Of sums of logarithms, so that the check that should suffice does."""


class Evidence:
    """What the checks of would-be hits have shown; the wealth is kept as a logarithm, which cannot run out of range."""

    __slots__ = ("_earned", "_log_wealth", "checks", "false_hits")

    def __init__(self, most_false_fraction: float) -> None:
        """``most_false_fraction``: the limit on the rate of false hits, between 0 and 1, both excluded."""
        self._earned = log1p(STAKE_FRACTION * most_false_fraction / (1.0 - most_false_fraction))
        self._log_wealth = 0.0
        self.checks = 0
        """All checks so far."""

        self.false_hits = 0
        """Those of them that were false."""

    def checked(self, *, same: bool) -> None:
        """Take one more check: whether the answer that was kept is the ``same`` as the one that was made for it."""
        self.checks += 1
        if same:
            self._log_wealth = min(_MOST, self._log_wealth + self._earned)
        else:
            self.false_hits += 1
            self._log_wealth += _LOST

    @property
    def allows(self) -> bool:
        """Whether answers may be given again now."""
        return self._log_wealth >= _NEEDED - _ROUNDING

    @property
    def checks_needed(self) -> int:
        """Right checks in a row after which answers may be given again; 0 where they may."""
        return max(0, ceil((_NEEDED - self._log_wealth - _ROUNDING) / self._earned))


def checks_before_any(most_false_fraction: float) -> int:
    """Return the checks, all of them right, before an answer is given again for the first time."""
    return Evidence(most_false_fraction).checks_needed


class Hits(msgspec.Struct):
    """What became of the would-be hits of one task since the worker began, or its settings changed."""

    given: int = 0
    """Answers that were given again."""

    checks: int = 0
    """Would-be hits whose request was sent, and the answers compared."""

    false_hits: int = 0
    """Those of them whose answers differ."""

    checks_needed: int = 0
    """Right ones in a row before answers are given again; 0 where they are."""
