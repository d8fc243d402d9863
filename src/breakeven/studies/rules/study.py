"""The rules of thumb against the facts: yes, no or unknown for each, and what each group adds up to.

An answer is taken at the likely value and says when its interval would turn it; where only an
interval is known, it is an answer only if both ends give the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.studies.rules.beside import beside
from breakeven.studies.rules.facts import Said
from breakeven.studies.rules.result import GroupResult, Reply, RuleResult, RulesResult
from breakeven.studies.rules.words import LEANS, PROVIDE, amount_text, condition_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.sources.rules import Lean, Measure, Rule, RuleGroup
    from breakeven.studies.rules.facts import Amount, Facts
    from breakeven.studies.rules.result import Computed

CONSTRAINTS: Final[frozenset[Measure]] = frozenset(
    {"data_must_stay", "compliance_needed", "residency_needed", "fine_tuning_needed"}
)
"""Measures for which a rule says "whatever it costs"."""


def judge_rules(facts: Facts, groups: Sequence[RuleGroup], computed: Computed) -> RulesResult:
    """Answer every rule from the facts, add up each group and set it beside the computed result."""
    results = tuple(_judged(group, facts, computed) for group in groups)
    stands = [group.beside.stand for group in results]
    return RulesResult(
        groups=results,
        computed=computed,
        summary=f"Of {len(results)} lists of rules, {stands.count('agrees')} lean the way of the computed result, "
        f"{stands.count('disagrees')} another way, and {stands.count('open')} say nothing here.",
    )


def answer_rule(rule: Rule, facts: Facts) -> RuleResult:
    """Answer one rule from the facts."""
    fact: Amount | Said | None = getattr(facts, rule.measure)
    reply, certain = _reply(rule, fact)
    known = reply != "unknown"
    return RuleResult(
        id=rule.id,
        text=rule.text,
        measure=rule.measure,
        reply=reply,
        certain=certain,
        value="" if fact is None else _value(rule, fact),
        threshold=condition_text(rule.yes_when, rule.unit),
        source="" if fact is None else fact.source,
        provide="" if known else PROVIDE[rule.measure],
        leans={"yes": rule.yes_leans, "no": rule.no_leans, "unknown": rule.unknown_leans}[reply],
        read_as=rule.read_as,
        caveat=rule.caveat,
    )


def _reply(rule: Rule, fact: Amount | Said | None) -> tuple[Reply, bool]:
    """Return the answer, and whether it holds over the whole interval of the value."""
    if fact is None:
        return "unknown", False
    if isinstance(fact, Said):
        return ("yes" if fact.holds else "no"), True
    assert rule.yes_when is not None, "rules of an amount have a comparison: the loader sees to it"
    ends = {rule.yes_when.holds(fact.low), rule.yes_when.holds(fact.high)}
    middle = rule.yes_when.holds(fact.low if fact.likely is None else fact.likely)
    certain = ends == {middle} and (middle or not _inside(rule, fact))
    if fact.likely is None and not certain:
        return "unknown", False
    return ("yes" if middle else "no"), certain


def _inside(rule: Rule, fact: Amount) -> bool:
    """Whether the rule's interval lies within the value's, so that neither end of the value sees it."""
    condition = rule.yes_when
    if condition is None or condition.low is None or condition.high is None:
        return False
    return fact.low <= condition.low and condition.high <= fact.high


def _value(rule: Rule, fact: Amount | Said) -> str:
    if isinstance(fact, Said):
        return "yes" if fact.holds else "no"
    return amount_text(fact, rule.unit)


def _judged(group: RuleGroup, facts: Facts, computed: Computed) -> GroupResult:
    rules = tuple(answer_rule(rule, facts) for rule in group.rules)
    leans, summary = _added_up(group, rules)
    said_by = f"{group.title} at {rules[0].value}" if group.tally == "band" and rules[0].value else group.title
    return GroupResult(
        id=group.id,
        seed=group.seed,
        title=group.title,
        tally=group.tally,
        rules=rules,
        leans=leans,
        summary=summary,
        note=group.note,
        beside=beside(
            said_by,
            leans,
            computed,
            constrained=any(rule.reply == "yes" and rule.measure in CONSTRAINTS for rule in rules),
        ),
    )


def _added_up(group: RuleGroup, rules: Sequence[RuleResult]) -> tuple[Lean | None, str]:
    """Return what a group's answers say together, and how they add up in words."""
    if group.tally == "band":
        return _band(rules)
    if group.tally == "lean":
        return _balance(group.rules, rules)
    needed = {"count": group.needed_count, "all": len(rules), "any": 1}[group.tally] or 1
    yes = sum(rule.reply == "yes" for rule in rules)
    unknown = sum(rule.reply == "unknown" for rule in rules)
    text = f"{yes} of {len(rules)} yes, {unknown} unknown, {needed} needed: "
    if yes >= needed:
        assert group.leans is not None, "the loader sees to it"
        return group.leans, f"{text}{LEANS[group.leans]}."
    if yes + unknown >= needed:
        return None, f"{text}open until the unknown ones are answered."
    if group.otherwise is None:
        return None, f"{text}none of them speaks here."
    return group.otherwise, f"{text}{LEANS[group.otherwise]}."


def _band(rules: Sequence[RuleResult]) -> tuple[Lean | None, str]:
    """Return what the band that holds says."""
    held = next((rule for rule in rules if rule.reply == "yes"), None)
    if held is None:
        return None, "The volume is not known well enough to name a band."
    doubt = "" if held.certain else "; the volume's interval reaches into other bands"
    if held.leans is None:
        return None, f"{held.value} is in {held.text!r}, which recommends nothing{doubt}."
    return held.leans, f"{held.value} is in {held.text!r}: {LEANS[held.leans]}{doubt}."


def _balance(rules: Sequence[Rule], results: Sequence[RuleResult]) -> tuple[Lean | None, str]:
    """Return the lean that most items have, if the unknown ones can no longer change that."""
    counts = {lean: sum(item.leans == lean for item in results) for lean in LEANS}
    open_rules = [
        rule for rule, item in zip(rules, results, strict=True) if item.reply == "unknown" and item.leans is None
    ]
    said = ", ".join(f"{count} towards {LEANS[lean]}" for lean, count in counts.items() if count)
    text = f"{said or 'none leans'}; {len(open_rules)} of {len(rules)} unknown"
    first = max(counts, key=lambda lean: counts[lean])
    could_be = {
        lean: counts[lean] + sum(lean in (rule.yes_leans, rule.no_leans) for rule in open_rules) for lean in LEANS
    }
    if counts[first] > max(count for lean, count in could_be.items() if lean != first):
        return first, f"{text}: {LEANS[first]}."
    return None, f"{text}: open until the unknown ones are answered." if open_rules else f"{text}: undecided."
