"""What judging rules of thumb yields: each answer with its value, threshold and source, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from breakeven.sources.rules import Lean, Measure, Tally

Reply = Literal["yes", "no", "unknown"]
Stand = Literal["agrees", "disagrees", "open"]
"""Beside the computed result; open: the rule, or the computation, says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One item answered.

    ``certain`` is False where an end of the value's interval would turn the answer.  Of an unknown item
    ``provide`` says what would answer it; it has a value only where too little is known of that to answer.
    """

    id: str
    text: str
    measure: Measure
    reply: Reply
    certain: bool
    value: str
    threshold: str
    source: str
    provide: str
    leans: Lean | None
    read_as: str
    caveat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """An option of the computed result: what it costs, and where it breaks even in words."""

    title: str
    usd_per_month: float
    has_evidence: bool
    """Whether its model is today's, or known to be good enough."""

    break_evens: tuple[str, ...] = ()
    """Such as "it never breaks even against gpt-4o"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """The computed result that rules are set beside.

    ``recommended`` None: nothing may be recommended.  ``pool`` is the cheapest pool of one's own that
    no constraint excludes, ``managed`` the cheapest open model run by others.
    """

    recommended: Priced | None
    leans: Lean | None
    today: Priced
    pool: Priced | None
    managed: Priced | None
    allowed_apis_count: int
    """Options by the token that no constraint excludes."""

    self_hosting_wins_fraction: float | None = None
    """Share of draws in which self-hosting is cheapest, where they were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A group's lean beside the computed one; ``why`` gives the computed figures where they part."""

    stand: Stand
    sentence: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """The items of one list, what they add up to, and how that stands beside the computed result."""

    id: str
    seed: str
    title: str
    tally: Tally
    rules: tuple[RuleResult, ...]
    leans: Lean | None
    summary: str
    note: str
    beside: Beside


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesResult:
    """Every rule of thumb, answered, beside the computed result."""

    groups: tuple[GroupResult, ...]
    computed: Computed
    summary: str

    @property
    def disagreements(self) -> tuple[GroupResult, ...]:
        """The groups that lean another way than the computed result."""
        return tuple(group for group in self.groups if group.beside.stand == "disagrees")
