"""Cost per successful outcome: what was said of answers, joined with all that the attempts at them cost."""

from __future__ import annotations

from breakeven.studies.outcomes.result import Asked, OutcomeCost, OutcomeCosts, Rivals
from breakeven.studies.outcomes.study import outcome_costs

__all__ = ["Asked", "OutcomeCost", "OutcomeCosts", "Rivals", "outcome_costs"]
