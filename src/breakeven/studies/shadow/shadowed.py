"""What pairs say of another model in the terms of a verdict: token ratios, and its score over today's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from breakeven.evidence.paired import INTERVAL_CONFIDENCE_FRACTION, ratio_of_means
from breakeven.ledger.pairs import JUDGE
from breakeven.quantities import Interval
from breakeven.studies.shadow.records import Terms
from breakeven.studies.shadow.study import RELATIVE, whole
from breakeven.studies.verdict.shadowed import Shadowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.ledger.pairs import Side
    from breakeven.studies.shadow.records import Compared
    from breakeven.studies.shadow.result import Comparison

LEAST_PAIRS_COUNT: Final = 30
"""Fewer say too little of a ratio to stand in for an assumption."""


def shadowed(model: str, members: Sequence[Compared]) -> Shadowed | None:
    """Return what pairs with today's model as the incumbent say of a model; None of too few pairs."""
    if len(members) < LEAST_PAIRS_COUNT:
        return None
    found = whole(members, Terms())
    return Shadowed(
        model=model,
        pairs_count=len(members),
        as_of=datetime.fromtimestamp(found.last_at_us / 1e6, UTC).date(),
        input_ratio=_ratio(members, lambda side: side.input_tokens),
        output_ratio=_ratio(members, lambda side: side.output_tokens),
        check=found.tested.check if found.tested else "",
        accuracy_ratio=_accuracy(found),
        tasks_count=len({item.pair.task for item in members}),
    )


def _ratio(members: Sequence[Compared], count: Callable[[Side], int | None]) -> Interval | None:
    """Return the ratio of mean counts, its ends as the 10th and 90th percentile of an assumption."""
    rows = [
        (ours, theirs)
        for item in members
        if (ours := count(item.pair.of_candidate)) is not None and (theirs := count(item.pair.of_incumbent)) is not None
    ]
    if len(rows) < LEAST_PAIRS_COUNT:
        return None
    candidate, incumbent = [float(ours) for ours, _ in rows], [float(theirs) for _, theirs in rows]
    found = ratio_of_means(candidate, incumbent, confidence_fraction=INTERVAL_CONFIDENCE_FRACTION)
    return found.interval() if found is not None and found.low > 0 else None


def _accuracy(found: Comparison) -> Interval | None:
    """Return the candidate's mean score over the incumbent's: 1 + (mean difference) / (the incumbent's mean score).

    The ends are those of the difference, which hold whenever one looks.  A judge says which answer is better and not
    how good either is: its difference is taken of full marks.
    """
    tested = found.tested
    if tested is None:
        return None
    score = next((check.incumbent_score for check in found.checks if check.name == tested.check), 0.0)
    base = 1.0 if tested.check == JUDGE else score
    if base <= 0:
        return None
    if tested.check in RELATIVE:  # where it says something else it may be as good: this bounds it from below alone
        low, mean, high = (1 + value / base for value in (tested.low_score, tested.mean_score, 0.0))
        return Interval(low=max(min(low, mean), 0.0), likely=max(mean, 0.0), high=max(high, mean))
    low, mean, high = (1 + value / base for value in (tested.low_score, tested.mean_score, tested.high_score))
    return Interval(low=max(min(low, mean), 0.0), likely=max(mean, 0.0), high=max(high, mean, 0.0))
