"""What a successful outcome cost, as it is asked for and as it is answered, all frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from breakeven.economics.outcome_words import WordRules

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from breakeven.economics.outcome_costs import Estimate, FailurePrice, OutcomeSums, UnknownBounds
    from breakeven.ledger.labels import Labels

MATURE_HOURS: Final = 72.0
"""How long words on an answer are waited for, unless somebody says otherwise."""

LABELS: Final = ("key", "task", "model", "target", "pool", "priced_as", "day", "week")
"""What subjects can be grouped and chosen by; besides them ``tag:NAME``.  Here ``target`` is a pool, not its node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How subjects are grouped, and how words and minutes count."""

    by: Labels = ("task", "target")
    where: tuple[tuple[str, str], ...] = ()
    """Label and value; several values of one label are alternatives."""

    rules: WordRules = field(default_factory=WordRules)
    human_usd_per_hour: Decimal | None = None
    failure_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCost:
    """One group of subjects: episodes, and requests that belong to none.

    Counts and amounts are of subjects old enough; money is fully loaded, without what pools had idle, but where it
    says otherwise.
    """

    labels: Labels
    subject_count: int
    request_count: int
    success_count: int
    failure_count: int
    unknown_count: int
    attempt_count: int
    elsewhere_count: int
    """Of these, attempts at other targets than the one that gave the final answer: retries, fallbacks, escalations."""

    loaded_usd: Decimal
    elsewhere_usd: Decimal
    idle_usd: Decimal
    """Of what pools had idle, the part that goes with this group's use of them."""

    human_minutes: Decimal
    human_usd: Decimal | None
    """None where minutes have no rate."""

    evaluation_usd: Decimal
    """Shadow and judge requests with these labels; in no other figure."""

    young_count: int
    young_usd: Decimal
    inference: OutcomeSums
    """Sums on the fully loaded basis alone."""

    whole: OutcomeSums
    """Sums with idle and, where there is a rate, human minutes: by them groups are compared."""

    success_fraction: Estimate | None
    usd_per_success: Estimate | None
    """Fully loaded, with human minutes where there is a rate; unknown outcomes taken as the known ones are."""

    inference_usd_per_success: Estimate | None
    """The same without human minutes."""

    whole_usd_per_success: Estimate | None
    """With human minutes and idle."""

    bounds: UnknownBounds
    """Of ``usd_per_success``, with unknown outcomes taken as all good, and as none."""

    with_failures_usd: float | None
    """A subject's mean cost with idle, human minutes and what its failing costs; None without a price of failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Two targets (or models) that served the same otherwise, and the price of a failure that divides them."""

    labels: Labels
    """Of ``OutcomeCosts.by``; None in the place of what is compared."""

    cheaper: str | None
    dearer: str | None
    cheaper_usd: float
    """Mean cost of a subject, with idle and human minutes."""

    dearer_usd: float
    price: FailurePrice | None
    """None where no outcome of one of them is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCosts:
    """The answer."""

    by: tuple[str, ...]
    groups: tuple[OutcomeCost, ...]
    rivals: tuple[Rivals, ...]
    until: datetime
    """Hours from there on are in no figure."""

    mature_before: datetime
    """Subjects that ended later are too young: words on them may still come."""

    said_by: tuple[tuple[str, int], ...]
    """How many subjects were judged by whose word; ``nobody``: unknown; ``ledger``: no target answered."""

    attributed_usd: Decimal
    """All that is in some group, on the fully loaded basis: subjects of any age, evaluation."""

    left_out_usd: Decimal
    """Attempts of groups that were not asked for."""

    deleted_usd: Decimal
    """Attempts whose rows were deleted: they are in the bill and in no group."""

    idle_usd: Decimal
    """What pools had idle, with the fixed lines that go with it."""

    billed_usd: Decimal
    """All of it: attributed, left out, deleted and idle add up to it."""

    notes: tuple[str, ...]
