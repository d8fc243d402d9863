"""Outcomes joined with attempts: by hand on small ledgers, and conserved on any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.costs import Costs, GroupCost, PoolCost
from breakeven.ledger.outcome_costs import Said, Spending, Spent
from breakeven.ledger.outcomes import SIGNAL, Outcome
from breakeven.ledger.query import Total
from breakeven.studies.outcomes import Asked, outcome_costs
from breakeven.studies.outcomes.study import best_with_failures, idle_ratios
from breakeven.studies.outcomes.words import rivals_text
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.outcomes import OutcomeCosts

START_US = int(datetime(2026, 11, 2, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000
LATER = datetime(2026, 12, 1, tzinfo=UTC)
SECOND_US = 1_000_000


def spent(number: int, usd: str = "0.01", *, attempt: int = 0, episode: str = "", pool: str = "", **said: Any) -> Spent:
    """Make an attempt of the ``number``-th request, one a second; at a pool its cost is part of an hour."""
    plain: dict[str, Any] = {
        "key": "search", "task": "sql", "tags": "team=a", "model": "chat", "target": f"{pool}/n1" if pool else "api",
        "priced_as": "p:m", "decision": "first", "outcome": rows.OK,
    }  # fmt: skip
    at_us = START_US + number * SECOND_US
    return Spent(
        attempt_id=(number + 1) * 16 + attempt,
        received_us=at_us,
        ended_us=at_us + 900_000,
        said=Said(**plain | said, pool=pool or None, rate_card="", over_tokens=0),
        episode=episode,
        api_usd=Decimal(0) if pool else Decimal(usd),
        pool_units=int(Decimal(usd) * 10**12) if pool else 0,
    )


def outcome(number: int | str, *, success: bool | None = True, **said: Any) -> Outcome:
    """Make a word on the ``number``-th request, or on an episode."""
    about = {"episode": number} if isinstance(number, str) else {"request_id": (number + 1) * 16}
    plain = {"key": "search", "success": success, "at_us": START_US, "received_us": START_US} | about | said
    return Outcome(id=plain.pop("id", f"{sorted(plain.items(), key=str)}"), **plain)


def pool_cost(name: str, used_usd: str, idle_usd: str) -> PoolCost:
    return PoolCost(
        pool=name, time="", bill_usd=Decimal(used_usd) + Decimal(idle_usd), allocated_usd=Decimal(used_usd),
        fixed_usd=Decimal(0), allocated_fixed_usd=Decimal(0), paid_s=Decimal(3600), unpriced_s=Decimal(0), gpu_s=1.0,
        unmeasured_hours=0, basis="",
    )  # fmt: skip


def spending(attempts: Sequence[Spent], outcomes: Sequence[Outcome] = (), idle_usd: str = "0") -> Spending:
    loaded = sum((item.loaded_usd for item in attempts), Decimal(0))
    used = sum((item.pool_usd for item in attempts), Decimal(0))
    total = Total(
        labels=(), requests=len(attempts), attempt_count=len(attempts), estimated_count=0, unpriced_count=0,
        cached_count=0, avoided_usd=Decimal(0), usage=TokenUsage(input_tokens=0, output_tokens=0), cost_usd=loaded,
    )  # fmt: skip
    whole = GroupCost(
        labels=(), total=total, marginal_usd=loaded - used, allocated_usd=loaded, loaded_usd=loaded, unbilled_count=0,
        gpu_s=0.0,
    )  # fmt: skip
    pools = (pool_cost("llama", f"{used}", idle_usd),) if used or idle_usd != "0" else ()
    return Spending(
        costs=Costs(groups=(whole,), pools=pools, until=LATER),
        attempts=iter(sorted(attempts, key=lambda item: item.attempt_id)),
        outcomes=tuple(outcomes),
    )


def answer(attempts: Sequence[Spent], outcomes: Sequence[Outcome] = (), **asked: Any) -> OutcomeCosts:
    idle_usd, before = asked.pop("idle_usd", "0"), asked.pop("mature_before", LATER)
    return outcome_costs(spending(attempts, outcomes, idle_usd), Asked(**asked), before)


def test_a_success_bears_what_failures_cost() -> None:
    (group,) = answer([spent(n) for n in range(4)], [outcome(n, success=n > 0) for n in range(4)], by=()).groups
    assert (group.subject_count, group.success_count, group.failure_count, group.unknown_count) == (4, 3, 1, 0)
    assert group.loaded_usd == Decimal("0.04")
    assert group.usd_per_success is not None
    assert group.usd_per_success.likely == pytest.approx(0.04 / 3)


def test_fallbacks_count_in_with_the_target_that_gave_the_final_answer() -> None:
    attempts = [
        spent(0, "0.001", target="cheap", outcome=rows.FAILED),
        spent(0, "0.02", attempt=1, target="dear"),
        spent(1, "0.001", target="cheap"),
    ]
    found = answer(attempts, [outcome(0), outcome(1)], by=("target",))
    cheap, dear = found.groups
    assert (cheap.labels, dear.labels) == (("cheap",), ("dear",))
    assert (dear.attempt_count, dear.elsewhere_count) == (2, 1)
    assert (dear.loaded_usd, dear.elsewhere_usd) == (Decimal("0.021"), Decimal("0.001"))
    assert (cheap.loaded_usd, cheap.elsewhere_usd) == (Decimal("0.001"), Decimal(0))


def test_an_episode_is_one_subject_whose_last_request_names_it() -> None:
    attempts = [
        spent(0, episode="ticket", task="classify", target="small"),
        spent(1),
        spent(2, "0.03", episode="ticket", task="answer"),
    ]
    found = answer(attempts, [outcome("ticket"), outcome(1, success=False)], by=("task", "target"))
    by_labels = {group.labels: group for group in found.groups}
    ticket = by_labels["answer", "api"]
    assert (ticket.subject_count, ticket.success_count, ticket.attempt_count) == (1, 1, 2)
    assert (ticket.loaded_usd, ticket.elsewhere_usd) == (Decimal("0.04"), Decimal("0.01"))
    assert by_labels["sql", "api"].failure_count == 1


def test_episodes_of_two_keys_are_two_even_under_one_name() -> None:
    attempts = [spent(0, episode="e"), spent(1, episode="e", key="chat")]
    found = answer(attempts, [outcome("e"), outcome("e", key="chat", success=False)], by=("key",))
    chat, search = found.groups
    assert (chat.failure_count, search.success_count) == (1, 1)
    assert not any("another key" in note for note in found.notes)


def test_a_key_speaks_of_its_own_requests_only_and_an_import_of_any() -> None:
    found = answer([spent(0), spent(1)], [outcome(0, key="chat"), outcome(1, key="", origin="langfuse")], by=())
    assert (found.groups[0].success_count, found.groups[0].unknown_count) == (1, 1)
    assert any(note.startswith("1 outcomes were said by another key") for note in found.notes)


def test_unknown_outcomes_are_bounded_both_ways() -> None:
    outcomes = [outcome(0), outcome(1), outcome(2, success=False)]
    (group,) = answer([spent(n) for n in range(6)], outcomes, by=()).groups
    assert group.unknown_count == 3
    assert group.bounds.all_good_usd == pytest.approx(0.06 / 5)
    assert group.bounds.none_good_usd == pytest.approx(0.06 / 2)
    assert group.usd_per_success is not None
    assert group.usd_per_success.likely == pytest.approx(0.06 / 6 / (2 / 3))


def test_what_no_target_answered_has_failed_unless_somebody_says_otherwise() -> None:
    attempts = [spent(0, "0", outcome=rows.FAILED), spent(1, "0", outcome=rows.FAILED), spent(2)]
    found = answer(attempts, [outcome(1)], by=())
    assert (found.groups[0].failure_count, found.groups[0].success_count, found.groups[0].unknown_count) == (1, 1, 1)
    assert dict(found.said_by) == {"ledger": 1, "explicit": 1, "nobody": 1}


def test_a_passed_check_of_ours_is_no_success_and_a_failed_one_is_a_failure() -> None:
    outcomes = [
        outcome(0, name="schema_valid", source="code", origin=SIGNAL, key=""),
        outcome(1, name="schema_valid", source="code", origin=SIGNAL, key="", success=False),
    ]
    (group,) = answer([spent(0), spent(1)], outcomes, by=()).groups
    assert (group.success_count, group.failure_count, group.unknown_count) == (0, 1, 1)


def test_minutes_of_people_are_part_of_the_cost_where_they_have_a_rate() -> None:
    outcomes = [outcome(0), outcome(1, human_minutes=Decimal(6))]
    (group,) = answer([spent(0), spent(1)], outcomes, by=(), human_usd_per_hour=Decimal(30)).groups
    assert (group.human_minutes, group.human_usd) == (Decimal(6), Decimal(3))
    assert group.usd_per_success is not None
    assert group.inference_usd_per_success is not None
    assert group.usd_per_success.likely == pytest.approx(3.02 / 2)
    assert group.inference_usd_per_success.likely == pytest.approx(0.02 / 2)
    found = answer([spent(0), spent(1)], outcomes, by=())
    assert found.groups[0].human_usd is None
    assert "partial: 6 minutes of people's work have no rate. Give --human-usd-per-hour." in found.notes


def test_shadows_and_judges_are_shown_and_charged_to_nobody() -> None:
    attempts = [spent(0), spent(1, "0.5", target="new", decision="shadow"), spent(2, "0.7", decision="judge")]
    found = answer(attempts, [outcome(0)], by=("target",))
    api, new = found.groups
    assert (api.subject_count, api.loaded_usd, api.evaluation_usd) == (1, Decimal("0.01"), Decimal("0.7"))
    assert (new.subject_count, new.loaded_usd, new.evaluation_usd) == (0, Decimal(0), Decimal("0.5"))
    assert found.billed_usd == found.attributed_usd == Decimal("1.21")


def test_what_ended_of_late_waits_for_its_words() -> None:
    before = datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(seconds=2)
    found = answer([spent(n) for n in range(4)], [outcome(3, success=False)], by=(), mature_before=before)
    (group,) = found.groups
    assert (group.subject_count, group.young_count) == (2, 2)
    assert (group.loaded_usd, group.young_usd) == (Decimal("0.02"), Decimal("0.02"))
    assert any("2 ended after 2026-11-02T09:30Z" in note for note in found.notes)


def test_what_a_pool_had_idle_goes_with_its_use() -> None:
    attempts = [spent(0, "1", pool="llama"), spent(1, "3", pool="llama", task="chat"), spent(2, "5")]
    found = answer(attempts, [outcome(n) for n in range(3)], by=("task", "target"), idle_usd="2")
    by_labels = {group.labels: group for group in found.groups}
    assert by_labels["sql", "llama"].idle_usd == Decimal("0.5")
    assert by_labels["chat", "llama"].idle_usd == Decimal("1.5")
    assert by_labels["sql", "api"].idle_usd == 0
    sql = by_labels["sql", "llama"]
    assert sql.usd_per_success is not None
    assert sql.whole_usd_per_success is not None
    assert (sql.usd_per_success.likely, sql.whole_usd_per_success.likely) == (1.0, 1.5)
    assert idle_ratios([pool_cost("a", "0", "3"), pool_cost("b", "4", "1")]) == {"b": Decimal("0.25")}


def test_targets_of_one_task_are_set_against_each_other_by_the_price_of_a_failure() -> None:
    attempts = [spent(n, "0.01", target="cheap") for n in range(200)]
    attempts += [spent(n, "0.05", target="dear") for n in range(200, 400)]
    outcomes = [outcome(n, success=n % 2 == 0) for n in range(200)]
    outcomes += [outcome(n, success=n % 10 != 0) for n in range(200, 400)]
    found = answer(attempts, outcomes, by=("task", "target"), failure_usd=Decimal("0.2"))
    (rivals,) = found.rivals
    assert (rivals.labels, rivals.cheaper, rivals.dearer) == (("sql", None), "cheap", "dear")
    assert rivals.price is not None
    assert rivals.price.likely_usd == pytest.approx(0.04 / 0.4)
    assert rivals_text(rivals).startswith(
        "sql: cheap beside dear: cheaper while a failure costs less than 0.1000 USD (95 %: 0.08"
    )
    ((labels, name, usd),) = best_with_failures(found)
    assert (labels, name) == (("sql", None), "dear")
    assert usd == pytest.approx(0.05 + 0.2 * 0.1)


def test_labels_that_nobody_can_group_by_are_refused() -> None:
    with pytest.raises(InputError, match="--by colour: outcomes can be grouped by key, task, model"):
        answer([], by=("colour",))
    with pytest.raises(InputError, match="names a label twice"):
        answer([], by=("key", "key"))
    with pytest.raises(InputError, match="--where colour="):
        answer([], where=(("colour", "red"),))
    with pytest.raises(InputError, match="--failure-usd -1"):
        answer([], failure_usd=Decimal(-1))


def test_weeks_begin_on_monday_and_tags_are_labels() -> None:
    week_us = 7 * 86_400 * SECOND_US
    second = spent(1, tags="team=b")
    second = second._replace(received_us=second.received_us + week_us, ended_us=second.ended_us + week_us)
    found = answer([spent(0), second], by=("week", "tag:team"))
    assert [group.labels for group in found.groups] == [("2026-W45", "a"), ("2026-W46", "b")]


def test_words_on_nothing_here_and_on_single_traits_are_told() -> None:
    found = answer([spent(0)], [outcome(7), outcome(0, name="tone"), outcome("nowhere")], by=())
    assert found.groups[0].unknown_count == 1
    assert "2 outcomes speak of requests that are not in these hours." in found.notes
    assert any("tone (1)" in note for note in found.notes)
    (nothing, *_) = answer([spent(0)], by=()).notes
    assert nothing.startswith("No outcome was ever said here")


attempts_drawn = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.integers(0, 3),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(["", "llama"]),
        st.sampled_from(["sql", "chat", None]),
        st.sampled_from(["search", None]),
        st.sampled_from(["first", "first", "shadow", "judge"]),
        st.sampled_from([rows.OK, rows.FAILED, rows.CUT]),
        st.decimals(min_value=0, max_value=9, places=4),
    ),
    max_size=30,
    unique_by=lambda item: item[:2],
)


@given(
    attempts_drawn,
    st.sampled_from([(), ("task",), ("target", "key"), ("task", "target", "week"), ("day", "tag:team")]),
    st.integers(0, 10),
    st.sampled_from([(), (("task", "sql"),), (("key", "none"), ("task", "chat"))]),
)
def test_groups_and_what_is_in_none_are_all_that_was_paid(
    drawn: list[Any], by: tuple[str, ...], young_s: int, where: tuple[tuple[str, str], ...]
) -> None:
    attempts = [
        spent(n, f"{usd}", attempt=a, episode=episode, pool=pool, task=task, key=key, decision=decision, outcome=result)
        for n, a, episode, pool, task, key, decision, result, usd in drawn
    ]
    before = datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(seconds=young_s)
    used = any(item.pool_units for item in attempts)
    found = answer(attempts, [outcome(1)], by=by, where=where, mature_before=before, idle_usd="1.5" if used else "0")
    in_groups = sum((group.loaded_usd + group.young_usd + group.evaluation_usd for group in found.groups), Decimal(0))
    assert in_groups == found.attributed_usd
    assert found.attributed_usd + found.left_out_usd + found.deleted_usd + found.idle_usd == found.billed_usd
    assert found.deleted_usd == 0
    assert found.billed_usd == sum((item.loaded_usd for item in attempts), Decimal(0)) + found.idle_usd
    if not where:
        assert found.left_out_usd == 0
