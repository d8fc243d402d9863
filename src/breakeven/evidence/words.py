"""Evidence in words: what pairs have shown, how sure that is, how many more it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.evidence.betting import PRIOR_SQUARE_SCORE, pairs_needed

if TYPE_CHECKING:
    from breakeven.evidence.betting import Betting

_MOST_TIMES: Final = 1_000_000
_WHOLE_TIMES: Final = 10


def percent(fraction: float) -> str:
    """Return a share for people: ``5 %``, ``0.5 %``."""
    return f"{100 * fraction:.3g} %"


def points(score: float, *, signed: bool = True) -> str:
    """Return a difference of shares or scores in points of a hundred: ``-1.3``, with its sign where wanted."""
    return f"{100 * score:+.1f}" if signed else f"{100 * score:.3g}"


def pairs_words(betting: Betting) -> str:
    """Return what the pairs have shown and how sure it is, in a sentence or two."""
    if not betting.pairs_count:
        return "no pair was judged yet."
    mean = betting.mean
    margin = points(betting.margin_fraction, signed=False)
    sure = percent(1 - mean.alpha_fraction)
    seen = (
        f"over {betting.pairs_count:,} pairs ({percent(betting.differing_fraction)} differ) the candidate scores "
        f"{points(mean.mean_score)} points against the incumbent ({sure}, however often one looks: "
        f"{points(mean.low_score)} to {points(mean.high_score)})."
    )
    enough = f"{1 / betting.alpha_fraction:.3g} times {{}} for a risk of {percent(betting.alpha_fraction)}."
    if betting.is_worse:
        grown, enough = _times(betting.reverse.peak_e_value), enough.format("suffices")
        return f"{seen} It is more than {margin} points worse: a bet on that grew to {grown}; {enough}"
    if betting.is_as_good:
        grown, enough = _times(betting.promote.peak_e_value), enough.format("suffices")
        return f"{seen} It is not {margin} points worse: a bet on that grew to {grown}; {enough}"
    grown, enough = _times(betting.promote.e_value), enough.format("is needed")
    return f"{seen} A bet that it is not {margin} points worse stands at {grown}; {enough}"


def needed_words(betting: Betting) -> str:
    """Return how many pairs more it takes, in a sentence; empty where it takes none."""
    needed = pairs_needed(betting)
    if needed is None:
        return "As things stand, more pairs will not show it: the difference is too close to the margin, or beyond it."
    if not needed.likely_count:
        return ""
    likely, high = _rough(needed.likely_count), _rough(needed.high_count)
    if not betting.pairs_count:
        share = percent(PRIOR_SQUARE_SCORE)
        return (
            f"An equal candidate takes about {likely} pairs, 4 in 5 times at most {high}, if {share} of pairs differ."
        )
    return f"About {likely} pairs more if they are like these (4 in 5 times at most {high})."


def _times(e_value: float) -> str:
    if e_value > _MOST_TIMES:
        return f"over {_MOST_TIMES:,} times its stake"
    shown = f"{e_value:,.0f}" if e_value >= _WHOLE_TIMES else f"{e_value:.2g}"
    return f"{shown} times its stake"


def _rough(count: int) -> str:
    """Return a count of two figures."""
    digits = max(len(str(count)) - 2, 0)
    return f"{round(count, -digits):,}"
