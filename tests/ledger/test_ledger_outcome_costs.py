"""Attempts with their cost: in any grouping what ``ledger query --costs`` says, to the last digit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pooled import CLOSED, FIRST, fill, other, terms

from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.close import close_days
from breakeven.ledger.costs import Known
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.outcome_costs import Spent, spending
from breakeven.ledger.outcomes import Outcome, keep_outcomes
from breakeven.ledger.prune import prune
from breakeven.ledger.query import Question
from breakeven.studies.outcomes import Asked, outcome_costs

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KNOWN = Known(closed_hours=CLOSED, declared=(terms(), other()))
MEASURED = Known(closed_hours=CLOSED, declared=(terms(gpu_time=None, slots_count=4), other()))
LABELS = ("key", "task", "tags", "model", "target", "pool")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("spent"))


def spent_of(store: Path, known: Known = KNOWN, question: Question | None = None) -> list[Spent]:
    with spending(store, question or Question(), known) as found:
        return list(found.attempts)


def asked(store: Path, by: tuple[str, ...], known: Known) -> dict[tuple[str | None, ...], Decimal]:
    names = tuple(name for name in by)
    return {group.labels: group.loaded_usd for group in ask_costs(store, Question(by=names), known).groups}


@pytest.mark.parametrize("known", [KNOWN, MEASURED], ids=["declared", "measured"])
@pytest.mark.parametrize("by", [(), ("key",), ("target", "task"), ("model", "pool", "tags"), ("hour",)])
def test_attempts_of_any_group_cost_what_the_group_costs(store: Path, by: tuple[str, ...], known: Known) -> None:
    found: dict[tuple[str | None, ...], Decimal] = defaultdict(Decimal)
    for spent in spent_of(store, known):
        hour = f"{EPOCH + timedelta(hours=spent.received_us // HOUR_US):%Y-%m-%dT%H:00Z}"
        found[tuple(hour if name == "hour" else getattr(spent.said, name) for name in by)] += spent.loaded_usd
    assert found == asked(store, by, known)


@pytest.mark.parametrize("seed", range(6))
def test_attempts_and_what_is_idle_are_the_whole_bill_whatever_was_served(tmp_path: Path, seed: int) -> None:
    store = fill(tmp_path, count=40 * (seed + 1), seed=seed)
    known = KNOWN if seed % 2 else MEASURED
    costs = ask_costs(store, Question(), known)
    idle = sum((pool.idle_usd + pool.idle_fixed_usd for pool in costs.pools), Decimal(0))
    api = sum((group.marginal_usd for group in costs.groups), Decimal(0))
    bills = sum((pool.bill_usd + pool.fixed_usd for pool in costs.pools), Decimal(0))
    attempts = sum((spent.loaded_usd for spent in spent_of(store, known)), Decimal(0))
    assert attempts + idle == bills + api


@pytest.mark.parametrize("known", [KNOWN, MEASURED], ids=["declared", "measured"])
def test_rows_in_files_cost_what_they_cost_in_the_store(tmp_path: Path, known: Known) -> None:
    store = fill(tmp_path)
    before = spent_of(store, known)
    close_days(store, (FIRST + 40) // 24)
    assert spent_of(store, known) == before


def test_deleted_rows_leave_the_others_at_their_own_cost(tmp_path: Path) -> None:
    store = fill(tmp_path)
    before = {spent.attempt_id: spent for spent in spent_of(store)}
    close_days(store, (FIRST + 40) // 24)
    prune(store, (FIRST + 40) // 24)
    after = spent_of(store)
    assert 0 < len(after) < len(before)
    assert all(before[spent.attempt_id] == spent for spent in after)
    with spending(store, Question(), KNOWN) as found:
        whole = sum((group.loaded_usd for group in found.costs.groups), Decimal(0))
    assert whole == sum((spent.loaded_usd for spent in before.values()), Decimal(0))


def test_attempts_of_one_request_follow_each_other(store: Path) -> None:
    ids = [spent.attempt_id for spent in spent_of(store)]
    assert ids == sorted(ids)
    assert sum(number % ATTEMPTS == 1 for number in ids) == asked_retries(store)


def asked_retries(store: Path) -> int:
    found = ask_costs(store, Question(by=("fallback",)), KNOWN).groups
    return sum(group.total.attempt_count for group in found if group.labels[0] is not None)


def test_answers_from_memory_cost_nothing(store: Path) -> None:
    cached = [spent for spent in spent_of(store) if spent.said.outcome == 4]
    assert len(cached) == 53
    assert {spent.loaded_usd for spent in cached} == {Decimal(0)}


def test_hours_bound_attempts_and_words_are_read_from_their_beginning_on(tmp_path: Path) -> None:
    store = fill(tmp_path)
    at_us = FIRST * HOUR_US
    plain = Outcome(id="a", key="", request_id=16, at_us=at_us, received_us=at_us)
    later = replace(plain, id="b", at_us=at_us + 50 * HOUR_US)
    keep_outcomes(store, [plain, later])
    since, until = EPOCH + timedelta(hours=FIRST + 10), EPOCH + timedelta(hours=FIRST + 12)
    with spending(store, Question(since=since, until=until), KNOWN) as found:
        assert [item.id for item in found.outcomes] == ["b"]
        hours = {spent.received_us // HOUR_US for spent in found.attempts}
        assert hours == {FIRST + 10, FIRST + 11}
    with (
        pytest.raises(InputError, match="no hour from there on is over yet"),
        spending(store, Question(since=EPOCH + timedelta(hours=CLOSED)), KNOWN),
    ):
        pass


@pytest.mark.parametrize("by", [(), ("task", "target"), ("key", "week"), ("pool", "tag:team", "day")])
@pytest.mark.parametrize("known", [KNOWN, MEASURED], ids=["declared", "measured"])
def test_all_groups_of_successes_and_what_is_in_none_are_the_bill(
    tmp_path: Path, by: tuple[str, ...], known: Known
) -> None:
    store = fill(tmp_path)
    costs = ask_costs(store, Question(), known)
    idle = sum((pool.idle_usd + pool.idle_fixed_usd for pool in costs.pools), Decimal(0))
    bill = idle + sum((group.loaded_usd for group in costs.groups), Decimal(0))
    for step in (lambda: None, lambda: close_days(store, (FIRST + 40) // 24), lambda: prune(store, (FIRST + 40) // 24)):
        step()
        with spending(store, Question(), known) as spent:
            found = outcome_costs(spent, Asked(by=by), EPOCH + timedelta(hours=FIRST + 50))
        groups = sum((group.loaded_usd + group.young_usd + group.evaluation_usd for group in found.groups), Decimal(0))
        assert groups == found.attributed_usd
        assert found.billed_usd == bill == groups + found.deleted_usd + found.idle_usd
        assert sum(group.young_count for group in found.groups) > 100
    assert found.deleted_usd > 1
