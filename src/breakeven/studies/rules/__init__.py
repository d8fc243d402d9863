"""Published rules of thumb, answered from a team's own numbers and set beside the computed result."""

from breakeven.studies.rules.facts import Amount, Facts, Said
from breakeven.studies.rules.result import Beside, Computed, GroupResult, Priced, RuleResult, RulesResult
from breakeven.studies.rules.study import judge_rules

__all__ = [
    "Amount",
    "Beside",
    "Computed",
    "Facts",
    "GroupResult",
    "Priced",
    "RuleResult",
    "RulesResult",
    "Said",
    "judge_rules",
]
