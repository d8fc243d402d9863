"""The queue for room: nobody is lost, keys share, classes go before each other, nobody waits for ever or in vain."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.routing.queueing import AGED_TURN, FairQueue, Waiting


def waiting(
    item: Any = None,
    key: str = "a",
    priority: int = 0,
    tokens: int = 100,
    since_s: float = 0.0,
    deadline_s: float = inf,
) -> Waiting[Any]:
    return Waiting(item, key=key, priority=priority, tokens=tokens, since_s=since_s, deadline_s=deadline_s)


def taken(queue: FairQueue[Any], now_s: float = 0.0) -> Any:
    found = queue.take(now_s)
    return found.item if found else None


def test_requests_of_one_key_keep_their_order() -> None:
    queue: FairQueue[int] = FairQueue(most_requests=10)
    assert [queue.put(waiting(number)) for number in range(5)] == [None] * 5
    assert len(queue) == 5
    assert [taken(queue) for _ in range(6)] == [0, 1, 2, 3, 4, None]
    assert len(queue) == 0


def test_a_key_that_floods_waits_for_its_own_and_others_go_in_turn() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=100)
    for number in range(50):
        queue.put(waiting(f"many {number}", "many"))
    assert [taken(queue) for _ in range(3)] == ["many 0", "many 1", "many 2"]
    queue.put(waiting("one 0", "one"))
    queue.put(waiting("one 1", "one"))
    assert [taken(queue) for _ in range(4)] == ["one 0", "many 3", "one 1", "many 4"]


def test_a_key_that_was_idle_has_no_credit() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=100)
    queue.put(waiting("late", "late"))
    for _ in range(40):
        queue.put(waiting("busy", "busy"))
    for _ in range(21):
        queue.take(0.0)
    for _ in range(20):
        queue.put(waiting("late", "late"))
    assert Counter(taken(queue) for _ in range(20)) == {"late": 10, "busy": 10}


def test_tokens_are_shared_and_not_requests() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=1000)
    for _ in range(400):
        queue.put(waiting("short", "short", tokens=100))
        queue.put(waiting("long", "long", tokens=900))
    counts = Counter(taken(queue) for _ in range(200))
    assert counts == {"short": 180, "long": 20}


def test_a_higher_class_goes_first_whenever_it_came() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=10)
    for item, priority in (("low", -1), ("usual", 0), ("high", 5), ("usual too", 0)):
        queue.put(waiting(item, priority=priority))
    assert [taken(queue) for _ in range(4)] == ["high", "usual", "usual too", "low"]


def test_a_class_that_waited_for_long_gets_an_eighth_and_not_before() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=1000, aged_after_s=5.0)
    for _ in range(300):
        queue.put(waiting("low", priority=0))
        queue.put(waiting("high", priority=1))
    assert {taken(queue, 4.9) for _ in range(100)} == {"high"}
    turns = [taken(queue, 5.0) for _ in range(10 * AGED_TURN)]
    assert turns.count("low") == 10
    assert all("low" in turns[start : start + AGED_TURN] for start in range(0, len(turns), AGED_TURN))


def test_of_several_classes_the_one_that_waited_for_longest_goes_by_age() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=1000, aged_after_s=5.0)
    queue.put(waiting("middle", priority=1, since_s=1.0))
    queue.put(waiting("low", priority=0, since_s=2.0))
    for _ in range(100):
        queue.put(waiting("high", priority=2, since_s=2.0))
    turns = [taken(queue, 20.0) for _ in range(30)]
    assert [item for item in turns if item != "high"] == ["middle", "low"]


def test_what_cannot_be_in_time_is_sent_back_and_charged_to_nobody() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=10)
    for number in range(4):
        queue.put(waiting(f"a {number}", "a", tokens=10_000, deadline_s=10.0 + number))
    queue.put(waiting("a last", "a"))
    queue.put(waiting("b", "b"))
    assert queue.next_deadline_s == 10.0
    assert queue.late(9.0) == []
    assert [found.item for found in queue.late(9.0, begins_in_s=2.5)] == ["a 0", "a 1"]
    assert [found.item for found in queue.late(14.0)] == ["a 2", "a 3"]
    assert queue.next_deadline_s == inf
    assert len(queue) == 2
    assert [taken(queue), taken(queue)] == ["a last", "b"]


def test_a_request_that_is_removed_is_gone_and_may_be_removed_again() -> None:
    queue: FairQueue[str] = FairQueue(most_requests=10)
    left, stays = waiting("left", deadline_s=3.0), waiting("stays")
    queue.put(left)
    queue.put(stays)
    queue.remove(left)
    queue.remove(left)
    assert (len(queue), left.is_in, stays.is_in) == (1, False, True)
    assert (taken(queue), taken(queue)) == ("stays", None)
    queue.remove(stays)
    assert queue.late(99.0) == []


@pytest.mark.parametrize(
    ("inside", "newcomer", "without"),
    [
        ([("a", 0), ("b", 0), ("b", 0)], ("c", 0), 2),  # the newest of the key with most
        ([("a", 0), ("b", 0), ("c", 0)], ("d", 0), 3),  # nobody has more than it would have
        ([("a", 0), ("b", 0), ("b", 0)], ("b", 0), 3),  # it is the one with most itself
        ([("a", 0), ("b", 0), ("b", 0)], ("a", 0), 3),  # it would have as many
        ([("a", 1), ("a", 1), ("b", 1)], ("c", 0), 3),  # all others go before it
        ([("a", 0), ("a", 1), ("a", 1)], ("a", 1), 0),  # one that it goes before
    ],
)
def test_when_it_is_full_the_one_goes_without_who_takes_most_room(
    inside: list[tuple[str, int]], newcomer: tuple[str, int], without: int
) -> None:
    queue: FairQueue[int] = FairQueue(most_requests=3)
    for number, (key, priority) in enumerate(inside):
        assert queue.put(waiting(number, key, priority)) is None
    gone = queue.put(waiting(3, *newcomer))
    assert gone is not None
    assert (gone.item, gone.is_in, len(queue)) == (without, False, 3)


@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(1, 1000)), max_size=120), st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_two_keys_that_wait_all_the_while_differ_by_one_request_of_each(
    others: list[tuple[str, int]], turns: int
) -> None:
    """The bound of start-time fair queueing, whoever else comes and goes meanwhile."""
    queue: FairQueue[str] = FairQueue(most_requests=10_000)
    sizes = {"a": (70, 990, 10), "b": (300, 20, 1)}
    for number in range(400):
        for key, tokens in sizes.items():
            queue.put(waiting(key, key, tokens=tokens[number % 3]))
    served = {"a": 0, "b": 0, "x": 0, "y": 0}
    for turn in range(turns):
        if turn < len(others):
            queue.put(waiting(None, others[turn][0], tokens=others[turn][1]))
        found = queue.take(0.0)
        assert found is not None
        served[found.key] += found.tokens
        assert abs(served["a"] - served["b"]) <= 990 + 300


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcd"), st.integers(0, 2), st.integers(1, 500), st.floats(0, 50)),
        st.tuples(st.just("take")),
        st.tuples(st.just("leave"), st.integers(0, 1000)),
        st.tuples(st.just("late"), st.floats(0, 3)),
    ),
    max_size=300,
)


@given(STEPS, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_every_request_comes_out_once_whatever_happens(steps: list[tuple[Any, ...]], most: int) -> None:
    """Requests in = taken + without room + too late + left + waiting, and each key's keep their order in a class."""
    queue: FairQueue[int] = FairQueue(most_requests=most, aged_after_s=3.0)
    inside: dict[int, Waiting[int]] = {}
    for now_s, step in enumerate(steps):
        out: list[Waiting[int]] = []
        if step[0] == "put":
            key, priority, tokens, lasts_s = step[1:]
            inside[now_s] = waiting(now_s, key, priority, tokens, float(now_s), now_s + lasts_s)
            out = [found for found in [queue.put(inside[now_s])] if found]
        elif step[0] == "take":
            out = [found for found in [queue.take(float(now_s))] if found]
            assert bool(out) == bool(inside)
            for found in out:
                same = [o for o in inside.values() if (o.key, o.priority) == (found.key, found.priority)]
                assert min(same, key=lambda other: other.since_s) is found
        elif step[0] == "late":
            out = queue.late(float(now_s), step[1])
            assert [found.item for found in sorted(out, key=lambda found: found.deadline_s)] == [f.item for f in out]
            assert {found.item for found in out} == {
                number for number, other in inside.items() if other.deadline_s < now_s + step[1]
            }
        elif inside:
            out = [list(inside.values())[step[1] % len(inside)]]
            queue.remove(out[0])
        for found in out:
            assert inside.pop(found.item) is found
            assert not found.is_in
        assert len(queue) == len(inside) <= most
        assert queue.next_deadline_s == min((other.deadline_s for other in inside.values()), default=inf)
    assert sorted(taken(queue) for _ in range(len(inside))) == sorted(inside)
    assert queue.take(0.0) is None


@given(st.integers(1, 4), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_the_lowest_class_is_served_however_many_come_above_it(classes: int, backlog: int) -> None:
    queue: FairQueue[str] = FairQueue(most_requests=10_000, aged_after_s=1.0)
    for number in range(backlog):
        for priority in range(classes):
            queue.put(waiting("low", f"key {number % 3}", priority))
    turns = 0
    while sum(other.count for other in queue._classes.values()) > 0 and min(queue._classes) < classes:
        queue.put(waiting("high", priority=classes, since_s=2.0))
        queue.put(waiting("high", priority=classes, since_s=2.0))
        queue.take(10.0)
        turns += 1
        assert turns <= AGED_TURN * backlog * classes


def test_what_comes_and_leaves_early_leaves_nothing_behind() -> None:
    queue: FairQueue[int] = FairQueue(most_requests=10)
    stays = waiting(-1, "stays", since_s=0.0, deadline_s=1e9)
    queue.put(stays)
    for number in range(5000):
        item = waiting(number, f"key {number}" if number % 2 else "stays", deadline_s=1e6)
        queue.put(item)
        if number % 3:
            queue.remove(item)
        else:
            queue.take(0.0)
    found = queue._classes[0]
    sizes = [len(part) for part in (found.order, found.lengths, found.ages, found.finished, queue._deadlines)]
    assert max(sizes) < 200
    assert sum(len(column) for column in found.keys.values()) < 200
