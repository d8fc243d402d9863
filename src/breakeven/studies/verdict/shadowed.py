"""What pairs of answers showed of another model, in the place of what is assumed of it: token ratios and quality.

A figure or a word that the user stated stays as stated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from breakeven.studies.verdict.result import QualityEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from breakeven.catalog.assumptions import Assumption
    from breakeven.catalog.book import Book
    from breakeven.quantities import Interval, Number, Values

TOKENISER: Final = "tokeniser_ratio"
VERBOSITY: Final = "verbosity_ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """What was measured of one model beside today's, over all pairs of both."""

    model: str
    """As the verdict names it: an open model's id, or ``provider:model``."""

    pairs_count: int
    as_of: date
    """Day of the last pair."""

    input_ratio: Interval | None
    """Input tokens over today's, 10th and 90th percentile; None where they are not known."""

    output_ratio: Interval | None
    check: str
    """What judged the answers; empty where nothing did."""

    accuracy_ratio: Interval | None
    """Its mean score over today's; the ends bound it with 95 % confidence, also when looked at again and again."""

    tasks_count: int = 1


def ratio_key(key: str, model: str) -> str:
    """Return the key of an assumption that holds for one model alone."""
    return f"{key}:{model}"


def model_ratio(values: Values, key: str, model: str) -> Number:
    """Return a ratio as it was measured for a model, else as it is assumed for any."""
    return values.get(ratio_key(key, model), values[key])


def named_ratios(values: Values, model: str) -> dict[str, Number]:
    """Return both token ratios that hold for a model, by the keys of their assumptions."""
    keys = [key if ratio_key(key, model) not in values else ratio_key(key, model) for key in (TOKENISER, VERBOSITY)]
    return {key: values[key] for key in keys}


def with_shadowed(book: Book, found: Iterable[Shadowed]) -> Book:
    """Return the book with the token ratios that were measured, each for its model."""
    return book.with_assumptions(_measured(book, found))


def _measured(book: Book, found: Iterable[Shadowed]) -> Iterator[Assumption]:
    for item in found:
        for key, interval in ((TOKENISER, item.input_ratio), (VERBOSITY, item.output_ratio)):
            known = book.assumption(key)
            if interval is None or interval.low <= 0 or known.basis == "user":
                continue
            yield replace(
                known,
                key=ratio_key(key, item.model),
                meaning=f"{known.meaning}: {item.model}",
                low=interval.low,
                likely=interval.likely,
                high=interval.high,
                distribution="fixed" if interval.is_exact else "lognormal",
                basis="measured",
                as_of=item.as_of,
                source=f"{item.pairs_count:,} shadow pairs on your own requests",
            )


def shadow_evidence(model: str, found: Sequence[Shadowed], good_enough_ratio: float) -> QualityEvidence | None:
    """Return what pairs say of a model's quality; None where they say nothing.

    Evidence needs the whole interval at or above ``good_enough_ratio``: with fewer pairs it is wide, and says so.
    """
    item = next((one for one in found if one.model == model), None)
    if item is None or item.accuracy_ratio is None:
        return None
    ratio = item.accuracy_ratio
    tasks = f" of {item.tasks_count} tasks" if item.tasks_count > 1 else ""
    text = (
        f"your shadow comparison until {item.as_of}: {ratio.likely:.1%} of today's score by {item.check} "
        f"({ratio.low:.1%} to {ratio.high:.1%}, {item.pairs_count:,} pairs{tasks})"
    )
    if ratio.low >= good_enough_ratio:
        return QualityEvidence(standing="evidence", reason=text, score_ratio=ratio.likely)
    if ratio.high < good_enough_ratio:
        return QualityEvidence(
            standing="no evidence", reason=f"{text}: below {good_enough_ratio:.0%}", score_ratio=ratio.likely
        )
    reason = f"{text}: not sure enough of {good_enough_ratio:.0%}; more pairs, or a better check of answers, decide it"
    return QualityEvidence(standing="no evidence", reason=reason, score_ratio=ratio.likely)
