"""Joins what a shadow report needs: pairs and checks of the ledger, prices, and the pools' whole cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.pairs import Which, stored_checks, stored_pairs
from breakeven.studies.shadow.records import NO_COST, Compared, Terms
from breakeven.studies.shadow.study import compare
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.shadow_prices import TargetPrices, costs_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.ledger.pairs import PairCheck
    from breakeven.studies.shadow.result import ShadowReport
    from breakeven.wiring.ledger import LedgerPlace


MOST_POINTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowQuestion:
    """What a person asks of the pairs on a ledger."""

    which: Which = field(default_factory=Which)
    terms: Terms = field(default_factory=Terms)
    cards: tuple[Path, ...] = ()
    """Further rate cards."""


def terms_of(margin_points: float, alpha_fraction: float, check: str) -> Terms:
    """Return terms as a person says them, the margin in points of 100.  Raises ``InputError``."""
    if not 0 < margin_points < MOST_POINTS:
        raise InputError(f"--margin {margin_points:g}: give points of 100, above 0 and below 100, such as 3.")
    if not 0 < alpha_fraction < 1:
        raise InputError(f"--alpha {alpha_fraction:g}: give a chance between 0 and 1, such as 0.05.")
    return Terms(margin_fraction=margin_points / MOST_POINTS, alpha_fraction=alpha_fraction, check=check)


def run_shadow_report(place: LedgerPlace, config: Path | None, question: ShadowQuestion) -> ShadowReport:
    """Compare candidates with incumbents.  Raises ``InputError`` where there is no such pair, or no such check."""
    members, notes = compared_pairs(place, config, question.which, question.cards)
    if not members:
        raise InputError(_nothing(place))
    wanted = question.terms.check
    names = sorted({check.name for item in members for check in item.checks})
    if wanted and wanted not in names:
        raise InputError(f"--check {wanted[:60]}: no pair was judged by it. Known here: {', '.join(names) or 'none'}.")
    report = compare(members, question.terms)
    waiting = waiting_note(place)
    return replace(report, notes=(*notes, *([waiting] if waiting else [])))


def compared_pairs(
    place: LedgerPlace, config: Path | None, which: Which, cards: Sequence[Path] = ()
) -> tuple[list[Compared], list[str]]:
    """Return the pairs of a ledger with their checks and costs, and what is to be told beside them."""
    pairs = stored_pairs(place.store, which)
    if not pairs:
        return [], []
    checks: dict[tuple[int, str], list[PairCheck]] = defaultdict(list)
    for scored in stored_checks(place.store, which):
        checks[scored.check.request_id, scored.check.candidate].append(scored.check)
    costs, notes = costs_of(pairs, place, config, TargetPrices(place, config, cards))
    found = []
    for pair in pairs:
        number = pair.request_id, pair.candidate
        incumbent, candidate = costs.get(number, (NO_COST, NO_COST))
        found.append(Compared(pair=pair, checks=tuple(checks[number]), of_incumbent=incumbent, of_candidate=candidate))
    return found, notes


def _nothing(place: LedgerPlace) -> str:
    """Say why there is nothing to compare, and what there is."""
    known = stored_pairs(place.store)
    if not known:
        return (
            f"The ledger {place.store} holds no pairs of answers. Name a candidate under trials: in breakeven.yaml, or "
            "ask recorded requests again: breakeven shadow replay FILE --base-url URL --incumbent M --candidate N."
        )
    there = sorted({f"{pair.model}: {pair.incumbent} and {pair.candidate}" for pair in known})
    tasks = sorted({pair.task or "(none named)" for pair in known})
    return (
        f"None of the {len(known):,} pairs of {place.store} is like that. There are: {'; '.join(there[:8])}; "
        f"tasks {', '.join(tasks[:12])}."
    )
