"""Reads published rules of thumb: which measure each item asks for, its threshold, and where a yes leans.

It says what in the file cannot be used, all at once.  It answers nothing: the study holds a rule
against what is known of a team's traffic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from breakeven.errors import Problem
from breakeven.sources.catalogue import DATA
from breakeven.sources.yaml_file import Document, check_rows, read_yaml, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Lean = Literal["api", "managed", "hybrid", "self-host"]
"""managed: an open model that somebody else runs, paid by the token or the second."""

Tally = Literal["band", "count", "all", "any", "lean"]
"""How a group's answers add up.

band: the one item that holds decides; count: so many must hold; all, any: all or one must hold;
lean: the items' own leans are counted against each other.
"""

Unit = Literal["Mtok/month", "requests/month", "fraction", "ratio", "USD/Mtok", "yes/no"]
Measure = Literal[
    "volume_mtok_per_month",
    "volume_requests_per_month",
    "hour_peak_to_mean_ratio",
    "pool_utilisation_fraction",
    "batch_fraction",
    "open_model_quality_ratio",
    "today_engineering_usd_per_mtok",
    "data_must_stay",
    "compliance_needed",
    "residency_needed",
    "fine_tuning_needed",
    "team_exists",
    "product_is_mature",
    "tail_latency_matters",
    "gateway_in_path",
]
UNIT_OF: Final[dict[Measure, Unit]] = {
    "volume_mtok_per_month": "Mtok/month",
    "volume_requests_per_month": "requests/month",
    "hour_peak_to_mean_ratio": "ratio",
    "pool_utilisation_fraction": "fraction",
    "batch_fraction": "fraction",
    "open_model_quality_ratio": "ratio",
    "today_engineering_usd_per_mtok": "USD/Mtok",
    "data_must_stay": "yes/no",
    "compliance_needed": "yes/no",
    "residency_needed": "yes/no",
    "fine_tuning_needed": "yes/no",
    "team_exists": "yes/no",
    "product_is_mature": "yes/no",
    "tail_latency_matters": "yes/no",
    "gateway_in_path": "yes/no",
}
"""Every measure that a rule can ask for, with the unit of its threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An interval in the measure's unit, open or closed at either end; None is no end."""

    low: float | None = None
    low_belongs: bool = False
    high: float | None = None
    high_belongs: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        above = self.low is None or value > self.low or (self.low_belongs and value == self.low)
        return above and (self.high is None or value < self.high or (self.high_belongs and value == self.high))


_BOUND: Final = re.compile(r"(?P<sign>[<>]=?)\s*(?P<number>\d+(?:\.\d+)?)")
_EXAMPLE: Final = "write a comparison such as '>= 500' or '>= 500, < 3000'"


def _condition(value: Any) -> Any:
    """Read a comparison; ``true`` is the condition of a measure that is said, not measured."""
    if value is True:
        return None
    bounds = [_BOUND.fullmatch(part.strip()) for part in value.split(",")] if isinstance(value, str) else []
    found = [bound for bound in bounds if bound is not None]
    lows = [(float(bound["number"]), bound["sign"] == ">=") for bound in found if bound["sign"].startswith(">")]
    highs = [(float(bound["number"]), bound["sign"] == "<=") for bound in found if bound["sign"].startswith("<")]
    if not found or len(found) < len(bounds) or len(lows) > 1 or len(highs) > 1:
        raise ValueError(_EXAMPLE)
    low, low_belongs = lows[0] if lows else (None, False)
    high, high_belongs = highs[0] if highs else (None, False)
    ends = [end for end in (low, high) if end is not None]
    empty = (
        low is not None and high is not None and (low > high or (low == high and not (low_belongs and high_belongs)))
    )
    if empty or not all(isfinite(end) for end in ends):
        raise ValueError("no number satisfies this comparison")
    return Condition(low=low, low_belongs=low_belongs, high=high, high_belongs=high_belongs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One item: a published sentence, read as a comparison of one measure.

    ``yes_when`` None is the condition of a yes/no measure.  ``read_as`` says how words without a number
    were read; ``caveat`` corrects the sentence, and ``claims`` names the checked claims behind that.
    """

    id: str
    text: str
    measure: Measure
    unit: Unit
    yes_when: Annotated[Condition | None, BeforeValidator(_condition)]
    yes_leans: Lean | None = None
    no_leans: Lean | None = None
    unknown_leans: Lean | None = None
    read_as: str = ""
    caveat: str = ""
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Items that a document gives together, and how their answers add up.

    ``leans`` is said when the tally is met and ``otherwise`` when it cannot be met any more; both stay
    empty where the items speak for themselves (band, lean).
    """

    id: str
    seed: str
    title: str
    tally: Tally
    rules: tuple[Rule, ...]
    leans: Lean | None = None
    otherwise: Lean | None = None
    needed_count: int | None = None
    note: str = ""


@cache
def load_rules() -> tuple[RuleGroup, ...]:
    """Return the catalogue's rules of thumb."""
    return read_rules(DATA / "rules.yaml")


def read_rules(path: Path) -> tuple[RuleGroup, ...]:
    """Read a file of rules.  Raises ``InputError`` with every problem in it."""
    document = read_yaml(path)
    groups = check_rows(document, RuleGroup)
    problems = list(_problems(document, groups))
    if problems:
        raise refusal(document, problems)
    return groups


def _problems(document: Document, groups: tuple[RuleGroup, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, group in enumerate(groups):
        yield from _group_problems(document, index, group)
        for number, rule in enumerate(group.rules):
            place = (index, "rules", number)
            if rule.id in seen:
                yield Problem(where=document.where((*place, "id")), what=f"the id {rule.id!r} stands already above.")
            seen.add(rule.id)
            yield from _rule_problems(document, place, rule)


def _group_problems(document: Document, index: int, group: RuleGroup) -> Iterator[Problem]:
    if not group.rules:
        yield Problem(where=document.where((index, "rules")), what="a group needs at least one rule.")
    counts = group.tally == "count"
    if counts != (group.needed_count is not None):
        where = document.where((index, "needed_count" if group.needed_count is not None else "tally"))
        yield Problem(where=where, what="needed_count goes with the tally 'count', and only with it.")
    elif group.needed_count is not None and not 1 <= group.needed_count <= len(group.rules):
        where = document.where((index, "needed_count"))
        yield Problem(where=where, what=f"{group.needed_count} of {len(group.rules)} rules cannot be needed.")
    if (group.tally in ("count", "all", "any")) != (group.leans is not None):
        where = document.where((index, "leans" if group.leans else "tally"))
        what = "leans goes with the tallies 'count', 'all' and 'any'; in a band or a lean the items have their own."
        yield Problem(where=where, what=what)


def _rule_problems(document: Document, place: tuple[str | int, ...], rule: Rule) -> Iterator[Problem]:
    unit = UNIT_OF[rule.measure]
    if rule.unit != unit:
        what = f"{rule.measure} is in {unit}, not in {rule.unit}."
        yield Problem(where=document.where((*place, "unit")), what=what, fix="Convert the threshold.")
    elif (unit == "yes/no") != (rule.yes_when is None):
        fix = "Write 'yes_when: true'." if unit == "yes/no" else f"For the comparison, {_EXAMPLE}."
        what = f"this comparison does not go with {rule.measure}, which is in {unit}."
        yield Problem(where=document.where((*place, "yes_when")), what=what, fix=fix)
    if bool(rule.caveat) != bool(rule.claims):
        what = "a caveat names the checked claims that it rests on, and such claims need a caveat."
        yield Problem(where=document.where((*place, "caveat" if rule.caveat else "claims")), what=what)
