"""What was served in full: against the same worked out row by row, and to the last digit in any grouping."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from closed import value_of
from pooled import CLOSED, FIRST, HOURS, fill, list_of, other, terms

from breakeven.catalog.rate_card import Tier
from breakeven.economics.allocation import units_of, usd_of
from breakeven.economics.pool_hours import HOUR_US, NodePrice, NodePrices, PaidNode, PoolTerms, hour_bill, pool_hours
from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.against import Against
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.close import close_days
from breakeven.ledger.costs import Known
from breakeven.ledger.export import attempts
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.prune import prune
from breakeven.ledger.query import Question, ask

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KNOWN = Known(closed_hours=CLOSED, declared=(terms(), other()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("costs"))


def bills(*pools: PoolTerms, hours: range = range(FIRST - 3, CLOSED)) -> dict[tuple[str, int], Fraction]:
    """Work out each hour's bill microsecond by microsecond, so to say, without the code under test."""
    found: dict[tuple[str, int], Fraction] = {}
    for pool in pools:
        for hour in hours:
            units = 0
            for node in pool.nodes:
                edges = {hour * HOUR_US, (hour + 1) * HOUR_US, node.since_us, node.until_us or 1 << 62}
                edges |= {price.since_us for price in pool.prices}
                inside = sorted(edge for edge in edges if hour * HOUR_US <= edge <= (hour + 1) * HOUR_US)
                cost = Fraction(0)
                for begins, ends in pairwise(inside):
                    if node.since_us <= begins and ends <= (node.until_us or 1 << 62):
                        own = [p for p in pool.prices if p.node in ("", node.name) and p.since_us <= begins]
                        latest = max(own, key=lambda price: price.since_us)
                        cost += Fraction(latest.usd_per_hour) * (ends - begins) / HOUR_US
                units += units_of(cost)
            found[pool.name, hour] = Fraction(units, 10**12)
    return found


def by_rows(store: Path, names: tuple[str, ...], *pools: PoolTerms) -> dict[tuple[Any, ...], Fraction]:
    """Allocate attempt by attempt, in exact fractions."""
    all_bills, by_name = bills(*pools), {pool.name: pool for pool in pools}
    nodes: dict[tuple[str, int], int] = defaultdict(int)
    for pool in pools:
        for fact in pool_hours(pool, CLOSED):
            nodes[pool.name, fact.hour] += fact.paid_us
    work: dict[tuple[str, int], list[tuple[Any, int]]] = defaultdict(list)
    for row in attempts(store):
        served_by = by_name.get((row.target or "").partition("/")[0])
        if served_by is not None and row.outcome != "cached" and served_by.gpu_time is not None:
            counts = (row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens)
            hour = int(row.time.timestamp()) // 3600
            work[served_by.name, hour].append((row, served_by.gpu_time.work([counts])[0]))
    found: dict[tuple[Any, ...], Fraction] = defaultdict(Fraction)
    for place, served in work.items():
        whole = max(nodes[place] * 10**6, sum(piece for _, piece in served))
        for row, piece in served:
            found[tuple(value_of(row, name) for name in names)] += all_bills[place] * piece / whole if whole else 0
    return found


@pytest.mark.parametrize("names", [(), ("key",), ("model", "key"), ("hour",), ("tag:team", "day"), ("target", "task")])
def test_groups_are_allocated_what_their_rows_are(store: Path, names: tuple[str, ...]) -> None:
    found = ask_costs(store, Question(by=names), KNOWN)
    wanted = by_rows(store, names, terms(), other())
    for group in found.groups:
        mine = Fraction(group.allocated_usd - group.marginal_usd)
        assert abs(mine - wanted.get(group.labels, Fraction(0))) < Fraction(HOURS * 40, 10**12)


@pytest.mark.parametrize(
    "names", [(), ("pool",), ("key",), ("model", "task"), ("hour",), ("day", "pool"), ("tag:team", "hour", "outcome")]
)
def test_allocated_and_idle_of_any_grouping_are_the_bills_to_the_last_digit(
    store: Path, names: tuple[str, ...]
) -> None:
    found = ask_costs(store, Question(by=names), KNOWN)
    allocated = sum((group.allocated_usd - group.marginal_usd for group in found.groups), Decimal(0))
    idle = sum((pool.idle_usd for pool in found.pools), Decimal(0))
    bill = sum(bills(terms(), other()).values())
    assert Fraction(allocated) + Fraction(idle) == bill
    assert sum(Fraction(pool.bill_usd) for pool in found.pools) == bill
    loaded = sum((group.loaded_usd - group.allocated_usd for group in found.groups), Decimal(0))
    assert loaded + sum(pool.idle_fixed_usd for pool in found.pools) == sum(pool.fixed_usd for pool in found.pools)
    assert all(pool.idle_usd >= 0 for pool in found.pools)


def test_each_hour_of_a_pool_adds_up_by_itself(store: Path) -> None:
    found = ask_costs(store, Question(by=("pool", "hour")), KNOWN)
    groups = {group.labels: group.allocated_usd for group in found.groups}
    wanted = bills(terms(), other())
    for pool in found.pools:
        hour = int(datetime.fromisoformat(pool.time).timestamp()) // 3600
        assert pool.allocated_usd == groups.get((pool.pool, pool.time), Decimal(0))
        assert Fraction(pool.allocated_usd + pool.idle_usd) == wanted[pool.pool, hour]


def test_api_attempts_cost_their_price_on_every_basis(store: Path) -> None:
    (api,) = ask_costs(store, Question(by=("target",), where=(("target", "api"),)), KNOWN).groups
    assert api.marginal_usd == api.allocated_usd == api.loaded_usd == api.total.cost_usd
    assert api.marginal_usd > 0
    assert api.per_request_usd == api.loaded_usd / api.total.requests


def test_a_choice_of_rows_is_allocated_what_it_is_among_all_rows(store: Path) -> None:
    every = {group.labels: group.allocated_usd for group in ask_costs(store, Question(by=("key",)), KNOWN).groups}
    chosen = ask_costs(store, Question(where=(("key", "search"),)), KNOWN)
    assert [group.allocated_usd for group in chosen.groups] == [every[("search",)]]
    assert sum(pool.idle_usd for pool in chosen.pools) > 0, "what is idle is idle whoever asks"


def test_the_answer_is_the_same_from_the_stores_own_facts(tmp_path: Path) -> None:
    store = fill(tmp_path)
    keep_pools(store, (terms(), other()), CLOSED)
    question = Question(by=("pool", "day"))
    assert ask_costs(store, question, Known(closed_hours=CLOSED)) == ask_costs(store, question, KNOWN)


def test_the_answer_stays_when_rows_are_moved_to_files_and_deleted(tmp_path: Path) -> None:
    store = fill(tmp_path)
    question = Question(by=("key", "hour"))
    before = ask_costs(store, question, KNOWN)
    close_days(store, (FIRST + 40) // 24)
    assert ask_costs(store, question, KNOWN) == before
    prune(store, (FIRST + 40) // 24)
    assert ask_costs(store, question, KNOWN) == before


def test_an_hour_that_is_open_is_in_no_figure(store: Path) -> None:
    known = Known(closed_hours=FIRST + 10, declared=(terms(), other()))
    found = ask_costs(store, Question(by=("pool",)), known)
    assert found.until == EPOCH + timedelta(hours=FIRST + 10)
    assert sum(Fraction(pool.bill_usd) for pool in found.pools) == sum(
        bills(terms(), other(), hours=range(FIRST - 3, FIRST + 10)).values()
    )
    with pytest.raises(InputError, match="no hour from there on is over yet"):
        ask_costs(store, Question(since=EPOCH + timedelta(hours=FIRST + 10)), known)


def test_a_corrected_price_and_an_added_node_change_what_the_past_cost(store: Path) -> None:
    question = Question(by=("pool",), since=EPOCH + timedelta(hours=FIRST), until=EPOCH + timedelta(hours=FIRST + 5))
    before = {pool.pool: pool.bill_usd for pool in ask_costs(store, question, KNOWN).pools}
    assert before["llama"] == 25
    corrected = terms(prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(4)),))
    found = ask_costs(store, question, Known(closed_hours=CLOSED, declared=(corrected, other())))
    assert {pool.pool: pool.bill_usd for pool in found.pools} == before | {"llama": Decimal(20)}
    added = terms(
        nodes=(*terms().nodes, PaidNode(name="c", since_us=(FIRST + 1) * HOUR_US, until_us=(FIRST + 3) * HOUR_US))
    )
    added = terms(nodes=added.nodes, prices=(*added.prices, NodePrice(node="c", since_us=0, usd_per_hour=Decimal(9))))
    found = ask_costs(store, question, Known(closed_hours=CLOSED, declared=(added, other())))
    assert {pool.pool: pool.bill_usd for pool in found.pools} == before | {"llama": Decimal(43)}


def test_time_without_a_price_is_told_and_its_attempts_are_never_free(store: Path) -> None:
    unpriced = terms(prices=())
    found = ask_costs(store, Question(by=("pool",)), Known(closed_hours=CLOSED, declared=(unpriced,)))
    (pool,) = found.pools
    assert pool.bill_usd == 0
    assert pool.unpriced_s == pool.paid_s > 0
    groups = {group.labels: group for group in found.groups}
    assert groups[("llama",)].unbilled_count > 0


def test_without_gpu_time_of_tokens_the_measured_time_shares_the_bill(tmp_path: Path) -> None:
    store = fill(tmp_path)
    pool = terms(gpu_time=None, slots_count=4)
    known = Known(closed_hours=CLOSED, declared=(pool,))
    question = Question(by=("key", "hour"))
    before = ask_costs(store, question, known)
    seconds: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for row in attempts(store):
        if (row.target or "").startswith("llama/") and row.outcome != "cached" and row.queued_at is not None:
            served_us = (row.ended_at - row.queued_at) // timedelta(microseconds=1)
            seconds[row.key or "", f"{row.time:%Y-%m-%dT%H:00Z}"] += Fraction(served_us, 4_000_000)
    for group in before.groups:
        said = group.labels[0] or "", group.labels[1] or ""
        assert abs(group.gpu_s - float(seconds[said])) < 1e-3
    assert {pool.basis for pool in before.pools} == {"measured: the time that attempts took there"}
    close_days(store, (FIRST + 40) // 24)
    assert ask_costs(store, question, known) == before
    prune(store, (FIRST + 40) // 24)
    after = ask_costs(store, Question(), known)
    assert sum(pool.bill_usd for pool in after.pools) == sum(pool.bill_usd for pool in before.pools)
    assert sum(pool.unmeasured_hours for pool in after.pools) > 0
    assert [pool.utilisation_fraction for pool in after.pools] == [None]


def test_what_answered_requests_would_have_cost_elsewhere_is_told_exactly(store: Path, tmp_path: Path) -> None:
    lists = {
        "o:mini": list_of("o", "mini", "0.15", "0.6"),
        "g:tiered": list_of("g", "tiered", "1.25", "10", Tier(over_tokens=1_500, usd_per_mtok=Decimal("2.5"))),
    }
    wanted: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    for row in attempts(store):
        if row.outcome in ("ok", "cut", "client_left"):
            wanted[row.key, "o:mini"] += (
                row.input_tokens * Decimal("0.15") + row.output_tokens * Decimal("0.6")
            ) / 10**6
            dear = Decimal("2.5") if row.input_tokens > 1_500 else Decimal("1.25")
            wanted[row.key, "g:tiered"] += (row.input_tokens * dear + row.output_tokens * 10) / 10**6

    def known() -> Known:
        return Known(
            closed_hours=CLOSED, declared=(terms(), other()), against=Against(lists, CardSchedule(lists.values()))
        )

    found = ask_costs(store, Question(by=("key",)), known())
    for group in found.groups:
        assert group.against_usd == {name: wanted[group.labels[0], name] for name in lists}
    copy = fill(tmp_path)
    prune(copy, (FIRST + 40) // 24)
    (whole,) = ask_costs(copy, Question(), known()).groups
    assert whole.against_usd["o:mini"] == sum(usd for (_, name), usd in wanted.items() if name == "o:mini")
    assert whole.against_usd["g:tiered"] is None, "rows that are gone tell no size"


def test_a_list_that_does_not_reach_back_has_no_figure(store: Path) -> None:
    nothing = Against({"o:new": list_of("o", "new", "1", "1")}, CardSchedule())
    (whole,) = ask_costs(store, Question(), Known(closed_hours=CLOSED, against=nothing)).groups
    assert whole.against_usd == {"o:new": None}


def test_pools_are_a_label_like_others(store: Path) -> None:
    found = ask_costs(store, Question(by=("pool",), where=(("pool", "tiny"),)), KNOWN)
    assert [group.labels for group in found.groups] == [("tiny",)]
    assert [pool.pool for pool in found.pools] == ["tiny"]
    with pytest.raises(UnknownNameError, match="It has llama, tiny"):
        ask_costs(store, Question(where=(("pool", "nowhere"),)), KNOWN)
    assert ask_costs(store, Question(where=(("pool", "none"),)), KNOWN).groups[0].gpu_s == 0


def test_plain_questions_know_pools_too(store: Path) -> None:
    by_pool = {total.labels[0]: total.attempt_count for total in ask(store, Question(by=("pool",)))}
    by_target = {total.labels[0]: total.attempt_count for total in ask(store, Question(by=("target",)))}
    assert by_pool == {
        "llama": by_target["llama/a"] + by_target["llama/b"], "tiny": by_target["tiny/n1"], None: by_target["api"],
    }  # fmt: skip
    (tiny,) = ask(store, Question(where=(("pool", "tiny"),)))
    assert tiny.attempt_count == by_pool["tiny"]


def test_bills_by_hand() -> None:
    pool = terms()
    facts = list(pool_hours(pool, FIRST + 6, FIRST + 5))
    found = hour_bill(pool, NodePrices(pool.prices), facts)
    assert [(fact.node, fact.from_us, fact.paid_us) for fact in facts] == [
        ("a", 0, HOUR_US), ("b", 1_234_567, HOUR_US - 1_234_567),
    ]  # fmt: skip
    assert usd_of(found.bill) == 5 + (Decimal("3.333333333333333") * (HOUR_US - 1_234_567) / HOUR_US).quantize(
        Decimal("1e-12")
    )
    assert usd_of(found.fixed) == Decimal("27.1") + (Decimal("1.3") * (HOUR_US - 1_234_567) / HOUR_US).quantize(
        Decimal("1e-12")
    )
