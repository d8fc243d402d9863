"""Published figures against recomputed ones: what arithmetic alone can say of a claim."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import floor, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.sources.claims import Claim, Verdict

HOLDS_WITHIN: Final = 0.005
"""A figure within half a percent of its recomputation holds as it stands."""

ROUNDED_WITHIN: Final = 0.05
"""Rounding explains a difference of less than one unit of the last digit, and never more than 5 %."""

ARITHMETIC_VERDICTS: Final = frozenset({"holds", "rounded", "narrowed", "wrong"})
"""What ``compare`` decides; every other verdict takes a rule of the claim's own, or a reviewer."""

_SUFFIXES: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "%": Decimal("0.01"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "B": Decimal(10**9),
    "T": Decimal(10**12),
}
_FIGURE = re.compile(
    r"(?<![\w.])(?P<digits>-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d{1,3})?)"
    r"(?:\s?(?P<suffix>[%kMBT])(?!\w))?(?P<dash>\s-\s(?=\d))?"
)
_RANGE_DASH = re.compile(r"(?<=[\d%kMBT])\s?[-\N{EN DASH}]\s?(?=\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number as somebody wrote it: its digits, and the suffix that scales it (%, k, M, B, T)."""

    digits: str
    suffix: str = ""

    def amount(self) -> float:
        """Return the number meant: 0.25 for ``25%``, 10^10 for ``10B``."""
        return float(Decimal(self.digits) * _SUFFIXES[self.suffix])

    def last_digit(self) -> float:
        """Return one unit of the last digit that is not a trailing zero: 0.1 for ``4.40``."""
        exponent = Decimal(self.digits).normalize().as_tuple().exponent
        return float(Decimal(1).scaleb(int(exponent)) * _SUFFIXES[self.suffix])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What the program's own functions make of a claim.

    ``numbers`` are the figures behind the text, each with its unit in its name.  ``verdict`` None:
    arithmetic does not decide it, a reviewer does.
    """

    text: str
    numbers: tuple[tuple[str, float], ...]
    verdict: Verdict | None


def figures(text: str) -> tuple[Figure, ...]:
    """Return the numbers written in a text; in a range such as ``40-70%`` the suffix holds for both."""
    found: list[Figure] = []
    matches = list(_FIGURE.finditer(_RANGE_DASH.sub(" - ", text)))
    for index, match in enumerate(matches):
        suffix = match["suffix"] or ""
        if not suffix and match["dash"] and index + 1 < len(matches):
            suffix = matches[index + 1]["suffix"] or ""
        found.append(Figure(digits=match["digits"].replace(",", ""), suffix=suffix))
    return tuple(found)


def compare(published: Sequence[Figure], amounts: Sequence[float], *, otherwise: Verdict = "wrong") -> Verdict:
    """Decide what arithmetic can: published figures against what their inputs give.

    holds: each within half a percent; rounded: within one unit of its own last digit; narrowed: a
    range inside the recomputed one.  Of a range and a single number, one must lie in the other.
    """
    given = [figure.amount() for figure in published]
    if not given or not amounts:
        return "unchecked"
    if len(given) == len(amounts):
        pairs = list(zip(published, amounts, strict=True))
        if all(_off(figure, amount) <= HOLDS_WITHIN for figure, amount in pairs):
            return "holds"
        if all(_is_rounding(figure, amount) for figure, amount in pairs):
            return "rounded"
        if len(given) > 1 and amounts[0] <= given[0] <= given[-1] <= amounts[-1]:
            return "narrowed"
        return otherwise
    low, high = (min(given), max(given)) if len(amounts) == 1 else (min(amounts), max(amounts))
    inner = amounts if len(amounts) == 1 else given
    return "holds" if all(low <= amount <= high for amount in inner) else otherwise


def held_in(cases: Iterable[bool], *, mixed: Verdict = "conditional") -> Verdict:
    """Decide a claim that says "always": it holds in all cases, in none, or in some."""
    outcomes = list(cases)
    if all(outcomes):
        return "holds"
    return mixed if any(outcomes) else "wrong"


def single(claim: Claim, name: str, amount: float, spec: str, *, published: str = "") -> Recomputed:
    """Return one recomputed figure, compared with the published one.

    ``spec`` is a format with one place, such as ``{:.2f}x``; ``published`` says in digits what the
    claim says in words.
    """
    verdict = compare(figures(published or claim.published), (amount,))
    return Recomputed(text=spec.format(amount), numbers=((name, amount),), verdict=verdict)


def interval(
    claim: Claim, name: str, ends: tuple[float, float], spec: str, *, otherwise: Verdict = "wrong"
) -> Recomputed:
    """Return a recomputed range, compared with the published one; ``spec`` is the format of each end."""
    low, high = ends
    return Recomputed(
        text=f"{low:{spec}}-{high:{spec}}",
        numbers=((f"low_{name}", low), (f"high_{name}", high)),
        verdict=compare(figures(claim.published), ends, otherwise=otherwise),
    )


def written_like(amount: float, figure: Figure | None) -> str:
    """Write an amount with five significant digits and the suffix of the published figure."""
    suffix = figure.suffix if figure else ""
    scaled = amount / float(_SUFFIXES[suffix])
    if scaled == 0 or not 1e-6 < abs(scaled) < 1e15:
        return f"{scaled:.5g}{suffix}"
    places = max(0, 4 - floor(log10(abs(scaled))))
    digits = f"{scaled:.{places}f}"
    return (digits.rstrip("0").rstrip(".") if places else digits) + suffix


def _off(figure: Figure, amount: float) -> float:
    """Return the difference as a share of the recomputed amount."""
    difference = abs(figure.amount() - amount)
    return difference / abs(amount) if amount else difference


def _is_rounding(figure: Figure, amount: float) -> bool:
    within_digit = abs(figure.amount() - amount) <= figure.last_digit() * (1 + 1e-9)
    return within_digit and _off(figure, amount) <= ROUNDED_WITHIN
