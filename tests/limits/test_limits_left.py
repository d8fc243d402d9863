"""What is left of budgets, for a policy that goes by it."""

from __future__ import annotations

from math import inf

from breakeven.limits.reserve import Limits
from breakeven.limits.rules import NANO, Rule

DAY_S = 86_400.0


def test_the_tightest_budget_says_what_is_left_and_begins_anew_with_its_window() -> None:
    rules = [
        Rule("key", "k", "usd", 10 * NANO, "day"),
        Rule("team", "t", "usd", 4 * NANO, "month"),
        Rule("key", "k", "tokens", 5, "minute"),
    ]
    limits = Limits(rules, 0.0, {("key", "k", "usd", "day"): 9 * NANO, ("team", "t", "usd", "month"): NANO})
    subject = limits.subject("k", "t", "", "m")
    assert subject is not None
    assert limits.left_usd(subject, 0.0) == 1.0
    assert limits.left_usd(subject, DAY_S) == 3.0


def test_without_a_budget_nothing_bounds_the_cost_and_an_overdrawn_one_leaves_nothing() -> None:
    limits = Limits([Rule("key", "k", "requests", 5, "minute")], 0.0)
    assert limits.left_usd(limits.subject("k", "", "", "m") or (), 0.0) == inf
    over = Limits([Rule("key", "k", "usd", NANO, "day")], 0.0, {("key", "k", "usd", "day"): 2 * NANO})
    assert over.left_usd(over.subject("k", "", "", "m") or (), 0.0) == 0.0
