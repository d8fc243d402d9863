"""What stands before cost: constraints that exclude, and evidence that another model is good enough.

001 asks for 95 % of the required accuracy; a cheaper model without evidence is "cheaper if good
enough", never a recommendation.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.studies.verdict.result import QualityEvidence, Standing
from breakeven.studies.verdict.shadowed import shadow_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.catalog.book import Book
    from breakeven.catalog.models import Score
    from breakeven.sources.scenario import Constraints, Quality
    from breakeven.studies.verdict.shadowed import Shadowed

GOOD_ENOUGH_RATIO: Final = 0.95
"""001: "Can an open-source model reach 95% of the required accuracy?"."""

MIN_SHARED_SCORES: Final = 3
"""Fewer shared public scores say too little to recommend on."""

_NARROW: Final = ("HHEM",)
"""Benchmarks of one narrow trait; they do not speak for general quality."""


def evidence(
    model: str, today: str, book: Book, stated: Sequence[Quality], shadowed: Sequence[Shadowed] = ()
) -> QualityEvidence:
    """Return what is known of ``model`` beside ``today``: the user's evidence, then their pairs, then public scores."""
    if model == today:
        return QualityEvidence(standing="same model", reason="the model that serves the traffic today")
    own = next((item for item in stated if item.model.lower() == model.lower()), None)
    if own is not None:
        return _stated(own)
    if (shown := shadow_evidence(model, shadowed, GOOD_ENOUGH_RATIO)) is not None:
        return shown
    ratios = _shared_ratios(_scores(model, book), _scores(today, book))
    if len(ratios) < MIN_SHARED_SCORES:
        return QualityEvidence(
            standing="no evidence",
            reason=f"{len(ratios)} public score(s) shared with {today}, {MIN_SHARED_SCORES} needed; "
            "label 100-200 pairs of your own, or state your word under quality:",
        )
    middle = median(ratios.values())
    worst = min(ratios, key=lambda name: ratios[name])
    text = (
        f"median {middle:.0%} of {today}'s score over {len(ratios)} shared public benchmarks"
        f" (lowest: {worst}, {ratios[worst]:.0%})"
    )
    if middle < GOOD_ENOUGH_RATIO:
        return QualityEvidence(
            standing="no evidence", reason=f"{text}: below {GOOD_ENOUGH_RATIO:.0%}", score_ratio=middle
        )
    return QualityEvidence(standing="evidence", reason=f"{text}; public scores are not your tasks", score_ratio=middle)


_FROM_WEAKEST: Final[tuple[Standing, ...]] = ("no evidence", "evidence", "same model")


def weaker(found: Sequence[QualityEvidence]) -> QualityEvidence:
    """Return the weakest evidence of several models that serve together: the answers are as good as the worse."""
    return min(found, key=lambda item: _FROM_WEAKEST.index(item.standing))


def exclusions(
    constraints: Constraints,
    *,
    runs_on_own_nodes: bool,
    weights_open: bool,
    model: str,
    regions: Sequence[str],
    compliance: Sequence[str],
) -> tuple[str, ...]:
    """Return the reasons for which an option may not be chosen, whatever it costs.

    An attestation or region that is not known is not assumed.
    """
    reasons: list[str] = []
    if not constraints.data_may_leave and not runs_on_own_nodes:
        reasons.append("data may not leave: this option sends it to a third party")
    missing = [name for name in constraints.compliance if not _attested(name, compliance)]
    if missing:
        known = f"shows {', '.join(compliance)}" if compliance else "shows no attestation in the catalogue"
        reasons.append(f"needs {', '.join(missing)}; {known}")
    if constraints.regions and not any(_in_region(region, constraints.regions) for region in regions):
        known = f"offered in {', '.join(regions)}" if regions else "regions not known"
        reasons.append(f"must run in {' or '.join(constraints.regions)}; {known}")
    if constraints.fine_tuning and not weights_open:
        reasons.append("fine-tuning needed: the weights of this model cannot be changed")
    if constraints.models and model not in constraints.models:
        reasons.append(f"only {', '.join(constraints.models)} may serve")
    return tuple(reasons)


def _stated(own: Quality) -> QualityEvidence:
    what = {"word": "your word", "labelled-pairs": "your labelled pairs", "shadow": "your shadow comparison"}
    reason = what[own.evidence] + (f" of {own.as_of}" if own.as_of else "") + (f": {own.note}" if own.note else "")
    if own.accuracy_ratio is None:
        return QualityEvidence(standing="evidence", reason=reason)
    good = own.accuracy_ratio >= GOOD_ENOUGH_RATIO
    text = f"{reason}: {own.accuracy_ratio:.0%} of today's accuracy" + (
        "" if good else f", below {GOOD_ENOUGH_RATIO:.0%}"
    )
    return QualityEvidence(standing="evidence" if good else "no evidence", reason=text, score_ratio=own.accuracy_ratio)


def _scores(model: str, book: Book) -> tuple[Score, ...]:
    if model in book.models:
        return book.models[model].quality
    return book.api_models[model].quality if model in book.api_models else ()


def _shared_ratios(mine: Iterable[Score], theirs: Iterable[Score]) -> dict[str, float]:
    """Return ratios by benchmark, over scores of the same benchmark, setting and source."""
    other = {(score.benchmark, score.setting, score.source): score.score_fraction for score in theirs}
    found: dict[str, list[float]] = {}
    for score in mine:
        base = other.get((score.benchmark, score.setting, score.source))
        if base and not score.benchmark.startswith(_NARROW):
            found.setdefault(score.benchmark, []).append(score.score_fraction / base)
    return {name: median(ratios) for name, ratios in found.items()}


def _attested(name: str, compliance: Sequence[str]) -> bool:
    folded = name.lower().replace(" ", "").replace("-", "")
    return any(folded in item.lower().replace(" ", "").replace("-", "") for item in compliance)


def _in_region(region: str, wanted: Sequence[str]) -> bool:
    return any(region.lower().startswith(name.lower()) for name in wanted)
