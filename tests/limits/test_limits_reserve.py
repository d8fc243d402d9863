"""Reservations in one process: never more than the limit, wherever a window begins, whatever comes at once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.limits.meter import MINUTE_S, SLOT_S
from breakeven.limits.reserve import Limits, Refused, Reservation
from breakeven.limits.rules import NANO, Kind, Rule, Window, divided, nano_usd, window_edges


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


NOW_S = at(2026, 11, 2, 9, 30)


def rule(kind: Kind, amount: int, window: Window = "none", *, name: str = "search") -> Rule:
    return Rule("key", name, kind, amount, window)


def reserve(limits: Limits, tokens: int = 1, usd: int = 0, now_s: float = NOW_S) -> Reservation | Refused:
    subject = limits.subject("search", "", "", "fast")
    assert subject is not None
    return limits.reserve(subject, tokens, usd, now_s)


def admitted(found: Reservation | Refused) -> Reservation:
    assert isinstance(found, Reservation), found
    return found


def refused(found: Reservation | Refused) -> Refused:
    assert isinstance(found, Refused)
    return found


@given(st.integers(0, 5_000), st.lists(st.integers(1, 400), min_size=200, max_size=200))
def test_two_hundred_requests_at_once_never_reserve_more_than_the_budget(budget: int, costs: list[int]) -> None:
    limits = Limits([rule("usd", budget, "day")], NOW_S)
    held = [(found, cost) for cost in costs if isinstance(found := reserve(limits, 1, cost), Reservation)]
    assert sum(cost for _, cost in held) <= budget
    for found, cost in held:
        limits.settle(found, 1, cost)
    left = budget - sum(cost for _, cost in held)
    assert isinstance(reserve(limits, 1, left), Reservation)
    assert isinstance(reserve(limits, 1, 1), Refused)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100)), min_size=200, max_size=200))
def test_what_exceeds_its_own_reservation_overdraws_by_that_and_nothing_follows(used: list[tuple[int, int]]) -> None:
    budget = 1_000
    limits = Limits([rule("usd", budget, "day")], NOW_S)
    held = [(found, *each) for each in used if isinstance(found := reserve(limits, 1, each[0]), Reservation)]
    for found, _, cost in held:
        limits.settle(found, 1, cost)
    excess = sum(max(cost - reserved, 0) for _, reserved, cost in held)
    total = sum(cost for _, _, cost in held)
    assert total <= budget + excess
    if total >= budget:
        assert refused(reserve(limits, 1, 1)).used == total


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 3)), max_size=120),
)
def test_no_sixty_seconds_see_more_than_a_limit_by_the_minute(limit: int, arrivals: list[tuple[float, int]]) -> None:
    limits = Limits([rule("tokens", limit, "minute")], NOW_S)
    now_s, taken = NOW_S, []
    for wait_s, tokens in arrivals:
        now_s += wait_s
        if isinstance(reserve(limits, tokens, now_s=now_s), Reservation):
            taken.append((now_s, tokens))
    for begins_s, _ in taken:
        assert sum(tokens for moment_s, tokens in taken if begins_s <= moment_s < begins_s + MINUTE_S) <= limit


@given(st.floats(0, 300))
def test_a_minute_after_its_last_use_a_limit_is_whole_again(later_s: float) -> None:
    limits = Limits([rule("requests", 3, "minute")], NOW_S)
    for _ in range(3):
        reserve(limits, now_s=NOW_S + later_s)
    wait_s = refused(reserve(limits, now_s=NOW_S + later_s)).retry_after_s
    assert MINUTE_S - SLOT_S < wait_s <= MINUTE_S + SLOT_S
    again_s = NOW_S + later_s + wait_s
    assert all(isinstance(reserve(limits, now_s=again_s + 0.001), Reservation) for _ in range(3))


def test_all_limits_of_a_request_or_none_are_taken() -> None:
    limits = Limits(
        [
            rule("parallel", 2),
            rule("requests", 5, "minute"),
            Rule("team", "web", "usd", 100, "month"),
            Rule("tag", "env=prod", "tokens", 50, "day"),
            Rule("model", "fast", "requests", 4, "day"),
        ],
        NOW_S,
    )
    subject = limits.subject("search", "web", "app=x, env=prod", "fast")
    assert subject is not None
    assert len(subject) == 5
    assert refused(limits.reserve(subject, 51, 1, NOW_S)).rule.name == "env=prod"
    assert refused(limits.reserve(subject, 1, 101, NOW_S)).rule.name == "web"
    assert [meter.used for meter in subject] == [0] * 5
    first = admitted(limits.reserve(subject, 10, 60, NOW_S))
    assert refused(limits.reserve(subject, 10, 60, NOW_S)) == Refused(
        Rule("team", "web", "usd", 100, "month"), 60, 60, at(2026, 12, 1) - NOW_S
    )
    limits.settle(first, 7, 30)
    assert {meter.rule.kind: meter.used for meter in subject if meter.rule.scope in ("key", "team", "tag")} == {
        "parallel": 0, "requests": 1, "usd": 30, "tokens": 7,
    }  # fmt: skip


def test_a_release_gives_everything_back_and_only_once() -> None:
    limits = Limits([rule("parallel", 1), rule("usd", 10, "day"), rule("requests", 1, "minute")], NOW_S)
    found = admitted(reserve(limits, 1, 10))
    assert refused(reserve(limits, 1, 10)).rule.kind == "parallel"
    limits.release(found)
    limits.release(found)
    limits.settle(found, 5, 5)
    again = admitted(reserve(limits, 1, 10))
    limits.settle(again, 1, 4)
    limits.release(again)
    assert [meter.used for meter in again.subject] == []
    assert refused(reserve(limits, 1, 6)) == Refused(rule("requests", 1, "minute"), 1, 1, MINUTE_S + SLOT_S)


@pytest.mark.parametrize(
    ("window", "before", "after"),
    [
        ("day", at(2026, 11, 2, 23, 59, 59), at(2026, 11, 3)),
        ("month", at(2026, 11, 30, 23, 59, 59), at(2026, 12, 1)),
        ("month", at(2026, 12, 31, 23, 59, 59), at(2027, 1, 1)),
        ("month", at(2028, 2, 29, 23, 59, 59), at(2028, 3, 1)),
    ],
)
def test_a_budget_begins_anew_at_the_edge_and_a_reservation_counts_where_it_was_made(
    window: Window, before: float, after: float
) -> None:
    limits = Limits([rule("usd", 10, window)], before)
    found = admitted(reserve(limits, 1, 10, before))
    assert refused(reserve(limits, 1, 1, before)).retry_after_s == 1
    fresh = admitted(reserve(limits, 1, 8, after))
    limits.settle(found, 1, 500)
    assert isinstance(reserve(limits, 1, 2, after), Reservation), "what the last window used is not charged to this"
    assert refused(reserve(limits, 1, 1, after)).used == 10
    limits.release(fresh)
    assert refused(reserve(limits, 1, 9, before)).used == 2, "a clock that goes back opens no window again"


def test_edges_of_windows_are_in_utc() -> None:
    assert window_edges("day", at(2026, 2, 28, 23, 59, 59) + 0.9) == (at(2026, 2, 28), at(2026, 3, 1))
    assert window_edges("day", at(2026, 3, 1)) == (at(2026, 3, 1), at(2026, 3, 2))
    assert window_edges("month", at(2028, 2, 29)) == (at(2028, 2, 1), at(2028, 3, 1))
    assert window_edges("month", at(2026, 12, 31)) == (at(2026, 12, 1), at(2027, 1, 1))
    with pytest.raises(ValueError, match="no edges"):
        window_edges("minute", NOW_S)


def test_a_reservation_of_a_minute_that_has_passed_corrects_nothing() -> None:
    limits = Limits([rule("tokens", 100, "minute")], NOW_S)
    early = admitted(reserve(limits, 100))
    assert isinstance(reserve(limits, 100, now_s=NOW_S + 70), Reservation)
    limits.settle(early, 10, 0)
    assert refused(reserve(limits, 1, now_s=NOW_S + 70)).used == 100


def test_what_was_used_before_the_start_counts_in_its_window() -> None:
    used = {rule("usd", 0, "day").counts: 8, Rule("key", "gone", "usd", 0, "day").counts: 5}
    limits = Limits([rule("usd", 10, "day"), rule("tokens", 100, "month")], NOW_S, used)
    assert refused(reserve(limits, 1, 3)).used == 8
    assert isinstance(reserve(limits, 1, 2), Reservation)


def test_new_rules_keep_what_is_used_and_what_is_under_way() -> None:
    limits = Limits([rule("usd", 10, "day"), rule("parallel", 1)], NOW_S)
    found = admitted(reserve(limits, 1, 9))
    limits.put_rules([rule("usd", 12, "day"), rule("parallel", 2), rule("usd", 20, "day")], NOW_S)
    assert refused(reserve(limits, 1, 4)) == Refused(rule("usd", 12, "day"), 9, 4, at(2026, 11, 3) - NOW_S)
    limits.release(found)
    assert isinstance(reserve(limits, 1, 12), Reservation)
    limits.put_rules([rule("usd", 12, "day"), rule("tokens", 9, "day")], NOW_S, {
        rule("usd", 0, "day").counts: 11, rule("tokens", 0, "day").counts: 8,
    })  # fmt: skip
    assert refused(reserve(limits, 2)).rule.kind == "tokens", "a rule that is new begins with what was used before"
    assert refused(reserve(limits, 1, 1)).used == 12, "and one that was there knows better"
    limits.put_rules([], NOW_S)
    assert limits.subject("search", "", "", "fast") is None


def test_who_has_no_rule_is_told_apart_at_once() -> None:
    own = Limits([rule("requests", 1, "minute"), Rule("team", "web", "usd", 1, "day")], NOW_S)
    assert own.concerns("search", "")
    assert own.concerns("other", "web")
    assert not own.concerns("other", "")
    assert own.subject("other", "", "", "fast") is None
    everyone = Limits([Rule("model", "deep", "requests", 1, "day")], NOW_S)
    assert everyone.concerns("other", "")
    assert everyone.subject("other", "", "", "fast") is None
    assert everyone.target_subject("deep", "openai") is None
    rented = Limits([Rule("target", "deep", "requests", 1, "day"), Rule("provider", "openai", "usd", 1, "day")], NOW_S)
    assert not rented.concerns("other", ""), "what is limited of targets and providers costs other requests nothing"
    assert rented.target_subject("other", "") is rented.target_subject("openai", "deep") is None
    assert [
        [meter.rule.scope for meter in rented.target_subject(name, provider) or ()]
        for name, provider in (("deep", ""), ("other", "openai"), ("deep", "openai"))
    ] == [["target"], ["provider"], ["target", "provider"]]


def test_an_attempt_takes_of_its_target_and_of_its_provider_or_of_neither() -> None:
    limits = Limits([Rule("target", "a", "usd", 50, "day"), Rule("provider", "openai", "usd", 80, "month")], NOW_S)
    a, b = limits.target_subject("a", "openai"), limits.target_subject("b", "openai")
    assert a is not None
    assert b is not None
    held = admitted(limits.reserve(a, 1, 40, NOW_S))
    assert refused(limits.reserve(a, 1, 20, NOW_S)).rule.scope == "target"
    admitted(limits.reserve(b, 1, 40, NOW_S))
    assert refused(limits.reserve(b, 1, 1, NOW_S)).message == (
        "The provider 'openai' may use 0.0001 USD per month; 0.0001 USD are used or reserved, "
        "and this request may take 0.0001 USD."
    )
    limits.settle(held, 1, 10)
    assert refused(limits.reserve(a, 1, 41, NOW_S)).rule.scope == "target"
    admitted(limits.reserve(b, 1, 30, NOW_S))


@given(st.integers(0, 2_000), st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=200))
def test_however_many_targets_a_provider_has_its_budget_is_one(budget: int, asked: list[tuple[str, int]]) -> None:
    limits = Limits([Rule("provider", "openai", "usd", budget, "month")], NOW_S)
    taken = 0
    for name, cost in asked:
        subject = limits.target_subject(name, "openai")
        assert subject is not None
        fits = isinstance(limits.reserve(subject, 1, cost, NOW_S), Reservation)
        assert fits == (taken + cost <= budget)
        taken += cost if fits else 0


def test_subjects_that_clients_invent_fill_no_memory() -> None:
    limits = Limits([Rule("tag", "a", "requests", 1, "day")], NOW_S)
    for number in range(25_000):
        limits.subject("search", "", f"made-up-{number}", "fast")
    assert len(limits._subjects) <= 10_000


def test_a_request_beyond_the_whole_limit_is_told_never_to_come_back() -> None:
    limits = Limits([rule("tokens", 100, "minute"), rule("usd", 5 * NANO, "day")], NOW_S)
    found = refused(reserve(limits, 101))
    assert found.retry_after_s == inf
    assert "this request alone may take 101 tokens" in found.message
    assert refused(reserve(limits, 1, 6 * NANO)).retry_after_s == inf


def test_refusals_say_what_is_used_of_what() -> None:
    limits = Limits([rule("usd", 2_500_000_000, "day")], NOW_S)
    admitted(reserve(limits, 1, 2 * NANO + 1))
    assert refused(reserve(limits, 1, NANO)).message == (
        "The key 'search' may use 2.5 USD per day; 2.0001 USD are used or reserved, and this request may take 1 USD."
    )
    busy = Limits([rule("parallel", 1)], NOW_S)
    admitted(reserve(busy))
    assert "1 requests at once, and they are under way" in refused(reserve(busy)).message
    often = Limits([rule("requests", 1, "minute")], NOW_S)
    admitted(reserve(often))
    assert refused(reserve(often)).message.endswith("1 requests per minute; 1 requests are used or reserved.")


def test_shares_of_workers_add_up_to_the_limit_but_for_rounding() -> None:
    whole = [rule("usd", 10, "day"), rule("parallel", 1)]
    assert [part.amount for part in divided(whole, 3)] == [4, 1]
    assert divided(whole, 1) == tuple(whole)


def test_dollars_become_whole_units_rounded_up() -> None:
    assert nano_usd(Decimal("1.5")) == 1_500_000_000
    assert nano_usd(Decimal("0.0000000001")) == 1


def test_asking_again_gives_the_same_answer_where_nobody_else_is_to_be_asked() -> None:
    limits = Limits([rule("requests", 1, "minute")], NOW_S)
    answers: list[Reservation | Refused] = []
    subject = limits.subject("search", "", "", "")
    assert subject is not None
    for _ in range(2):
        limits.ask(subject, 1, 0, NOW_S, answers.append)
    assert [type(answer) for answer in answers] == [Reservation, Refused]
