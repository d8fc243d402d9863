"""Published claims, recomputed: what holds, what is rounded, and what does not follow from its own inputs.

The catalogue's claims are recomputed by the functions that every other study uses; a user's by the
expression beside it.  Arithmetic decides where it can; where a judgement is needed the reviewer's
verdict stands, and each result says which of the two it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from breakeven.errors import InputError, Problem
from breakeven.studies.claims import seed_000, seed_001, seed_002, seed_003
from breakeven.studies.claims.compare import (
    ARITHMETIC_VERDICTS,
    HOLDS_WITHIN,
    Recomputed,
    compare,
    figures,
    written_like,
)
from breakeven.studies.claims.expression import NAMES, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.book import Book
    from breakeven.sources.claims import Claim, Verdict

DecidedBy = Literal["computed", "reviewer"]

RECOMPUTE: Final[Mapping[str, Callable[[Claim, Book], Recomputed]]] = {
    **seed_000.RECOMPUTE,
    **seed_001.RECOMPUTE,
    **seed_002.RECOMPUTE,
    **seed_003.RECOMPUTE,
}
"""Claim id → the function that computes it from the claim's own inputs."""

NOT_RECOMPUTABLE: Final = "not recomputable"
_LACKING: Final[Mapping[str, str]] = {
    "broker-saves": "the seed names no prices to compute from",
    "paragraph-tokens": "50 by a tokeniser, which this program does not carry",
}
"""Claim id → what the program lacks to compute the reviewer's figure, put before the reviewer's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One claim with its recomputation.

    ``agrees_with_file``: the reviewer's figure and verdict are those given here, or there is nothing
    to compare: the file leaves them open, or the program cannot compute the figure.  ``numbers`` are
    the figures behind ``recomputed``, each with its unit in its name.
    """

    id: str
    seed: str
    claim: str
    published: str
    recomputed: str
    verdict: Verdict
    why: str
    decided_by: DecidedBy
    agrees_with_file: bool
    numbers: tuple[tuple[str, float], ...] = ()


def check_claims(claims: tuple[Claim, ...], book: Book) -> tuple[ClaimResult, ...]:
    """Recompute every claim, in the order given.

    Raises ``InputError`` with every expression that cannot be evaluated, and ``UnknownNameError``
    when the book lacks a GPU, measurement or assumption that a built-in claim needs.
    """
    results: list[ClaimResult] = []
    problems: list[Problem] = []
    for claim in claims:
        if claim.built_in or not claim.expression:
            results.append(_reviewed(claim, RECOMPUTE[claim.id](claim, book) if _is_known(claim) else None))
            continue
        try:
            amount = evaluate(claim.expression)
        except ValueError as error:
            fix = f"Use numbers, + - * / ** ( ) and {', '.join(NAMES)}."
            problems.append(Problem(where=f"{claim.where} expression", what=f"{claim.id!r}: {error}.", fix=fix))
        else:
            results.append(_own(claim, amount))
    if problems:
        raise InputError(f"{len(problems)} claim(s) cannot be recomputed:", tuple(problems))
    return tuple(results)


def _is_known(claim: Claim) -> bool:
    return claim.built_in and claim.id in RECOMPUTE


def _reviewed(claim: Claim, found: Recomputed | None) -> ClaimResult:
    """Return the result of a claim that a reviewer has judged, with what the program computes of it."""
    text = found.text if found else NOT_RECOMPUTABLE
    verdict = (found.verdict if found else None) or claim.verdict or "unchecked"
    same_figure = found is None or claim.recomputed in {"", text}
    lacking = _LACKING.get(claim.id, "") if claim.built_in else ("" if found else "the file gives no expression")
    return ClaimResult(
        id=claim.id,
        seed=claim.seed,
        claim=claim.claim,
        published=claim.published,
        recomputed=text,
        verdict=verdict,
        why="; ".join(part for part in (lacking, claim.why) if part),
        decided_by="computed" if found and found.verdict else "reviewer",
        agrees_with_file=same_figure and claim.verdict in {None, verdict},
        numbers=found.numbers if found else (),
    )


def _own(claim: Claim, amount: float) -> ClaimResult:
    """Return the result of a user's claim whose expression has this value.

    A judgement in the file ("optimistic") stands, since no arithmetic replaces it; "holds",
    "rounded", "narrowed" and "wrong" are computed, whatever the file says.
    """
    published = figures(claim.published)
    judged = claim.verdict is not None and claim.verdict not in ARITHMETIC_VERDICTS
    computed = compare(published, (amount,))
    verdict = claim.verdict if judged and claim.verdict else computed
    expected = figures(claim.recomputed)
    same_figure = not expected or abs(expected[0].amount() - amount) <= HOLDS_WITHIN * abs(amount)
    return ClaimResult(
        id=claim.id,
        seed=claim.seed,
        claim=claim.claim,
        published=claim.published,
        recomputed=written_like(amount, published[0] if published else None),
        verdict=verdict,
        why=claim.why,
        decided_by="reviewer" if judged else "computed",
        agrees_with_file=same_figure and claim.verdict in {None, verdict},
        numbers=(("value", amount),),
    )
