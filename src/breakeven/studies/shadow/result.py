"""What a shadow comparison found, task by task: differences pair by pair, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from breakeven.evidence.betting import PairsNeeded
    from breakeven.evidence.paired import Estimate

Standing = Literal["as good", "worse", "differs", "not known yet", "not judged"]
"""Of a candidate on a task: shown not to be worse than by the margin; shown to be; shown to say something else, which
may be as good; none of these; no check says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFound:
    """What one check said over the pairs that it judged."""

    name: str
    version: str
    pairs_count: int
    incumbent_score: float
    """Mean, between 0 and 1; of a check of equality 1, for the incumbent is what is compared with."""

    candidate_score: float
    difference_score: Estimate | None
    """Candidate less incumbent; None of fewer than 2 pairs."""

    differing_count: int
    older_count: int
    """Judged by an earlier version of the check, and left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A quantity of both answers, over the pairs where both are known."""

    name: str
    """``first byte``, ``whole answer`` (s), ``price``, ``fully loaded`` (USD), ``input``, ``output`` (tokens), ``text``
    (characters)."""

    unit: str
    pairs_count: int
    incumbent_value: float
    """Mean, in ``unit``; likewise the next."""

    candidate_value: float
    difference_value: Estimate | None
    ratio: Estimate | None
    """Of the means: candidate over incumbent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """Whether it is as good, from all pairs so far, with a test that may be looked at after each of them."""

    check: str
    margin_fraction: float
    alpha_fraction: float
    pairs_count: int
    differing_fraction: float
    mean_score: float
    """Mean difference; ``low_score`` and ``high_score`` bound it, whenever one looks."""

    low_score: float
    high_score: float
    e_value_ratio: float
    """Against "worse by the margin or more", now; what it was at its largest decides."""

    peak_e_value_ratio: float

    reverse_e_value_ratio: float
    """Against "not worse than by the margin"; the largest so far."""

    standing: Standing
    among_tasks: bool
    """Whether "as good" holds when all tasks are tested at once (e-BH)."""

    needed: PairsNeeded | None
    """Further pairs until "as good"; None where those seen do not lead there."""

    said: str
    """All this in a sentence or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judge against people, on the pairs that both judged, and its finding corrected by that."""

    labels_count: int
    agree_fraction: float
    """Share of the labelled pairs in which judge and people favour the same side, or neither."""

    corrected_score: Estimate | None
    """Mean difference as people would have found it; None with fewer than 10 labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A candidate beside an incumbent on one task, or on all."""

    model: str
    """The name that clients ask for."""

    incumbent: str
    candidate: str
    task: str | None
    """None: all tasks together; empty: requests that name none."""

    pairs_count: int
    origins: tuple[tuple[str, int], ...]
    """How many pairs came from live traffic, from a shift, from a replay."""

    first_at_us: int
    last_at_us: int
    incumbent_failures_count: int
    candidate_failures_count: int
    failures: tuple[tuple[str, int], ...]
    """Why the candidate gave no answer, and how often."""

    checks: tuple[CheckFound, ...]
    measured: tuple[Measured, ...]
    tested: Tested | None
    """None where no check judged both answers."""

    judged: Judged | None
    """None without a judge, or without labels of people."""

    @property
    def standing(self) -> Standing:
        """Where the candidate stands on it."""
        return self.tested.standing if self.tested else "not judged"

    def of(self, name: str) -> Measured | None:
        """Return a measured quantity by its name."""
        return next((item for item in self.measured if item.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """All comparisons that were asked for."""

    comparisons: tuple[Comparison, ...]
    """By model, incumbent and candidate; all tasks together first, then task by task, those with most pairs first."""

    notes: tuple[str, ...]
