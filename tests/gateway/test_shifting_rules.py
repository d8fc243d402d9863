"""What a worker makes of the shifts that it is told: courses by task, targets that are lent, pairs that are wanted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from breakeven.gateway.shift_plan import ShiftPlan, TaskShare
from breakeven.gateway.shifting import Guest, Known, Shifting, guests_of, names_there, shifting_of, with_guests
from breakeven.gateway.snapshot import Route

if TYPE_CHECKING:
    from breakeven.gateway.labels import Labels

ROUTE = Route(
    model="chat", targets=("old", "spare"), weights=(2.0, 1.0), policy="weighted", max_attempts=2,
    names=("", "chat-2"), guards=(("sort",), None),
)  # fmt: skip


KNOWN = Known(targets=frozenset({"old", "spare", "new", "other", "own/a", "own/b"}), pools={"own": ("own/a", "own/b")})


def plan(number: int = 1, target: str = "new", **fields: Any) -> ShiftPlan:
    said = {"model": "chat", "stick": "user", "tasks": (TaskShare(task="sort", share_fraction=0.5),), **fields}
    return ShiftPlan(shift_id=number, target=target, **said)


def labels(task: str = "sort") -> Labels:
    return cast("Labels", SimpleNamespace(task_text=task, episode=""))


def made(plans: list[ShiftPlan], *names: str) -> Shifting:
    """What these shifts do with a route of these targets, guests included."""
    shifting = shifting_of(plans, names, KNOWN)
    assert shifting is not None
    return shifting


def test_a_target_is_lent_only_to_a_model_that_does_not_have_it_and_only_if_it_is_known() -> None:
    plans = (plan(asked_as="llama"), plan(2, "spare"), plan(3, "gone"), plan(4, "other", model="another"))
    assert guests_of(ROUTE, plans, KNOWN) == (Guest("new", "llama"),)


def test_a_lent_target_stands_behind_the_others_and_leaves_them_as_they_are() -> None:
    lent = with_guests(ROUTE, (Guest("new", "llama"),))
    assert lent.targets == ("old", "spare", "new")
    assert lent.weights == (2.0, 1.0, 0.0)
    assert lent.names == ("", "chat-2", "")
    assert lent.own_names == ("", "", "llama")
    assert lent.guards == (("sort",), None, None)
    assert lent.hours == ()
    assert with_guests(ROUTE, ()) is ROUTE


def test_pairs_come_from_both_directions_and_only_of_tasks_that_are_tested() -> None:
    over = TaskShare(task="done", share_fraction=1.0, is_tested=False)
    shifting = made([plan(tasks=(TaskShare(task="sort", share_fraction=0.5), over))], "old", "spare", "new")
    course = shifting.paired(labels(), 1)
    assert course is not None
    assert (course.target, course.names, shifting.incumbent_for(course)) == ("new", frozenset({"new"}), "old")
    assert shifting.paired(labels("done"), 1) is None
    assert shifting.paired(labels("another"), 1) is None
    assert shifting.paired(None, 1) is None


def test_of_a_share_of_mirrored_requests_about_that_many_are_asked_twice() -> None:
    shifting = made([plan(mirror_fraction=0.1)], "old", "new")
    count = sum(shifting.paired(labels(), number << 4) is not None for number in range(10_000))
    assert abs(count - 1_000) < 150  # 5 sigma


def test_all_tasks_together_are_those_without_one_too() -> None:
    shifting = made([plan(tasks=(TaskShare(task="*", share_fraction=1.0),))], "old", "new")
    assert shifting.course_of(None) is shifting.course_of(labels()) is not None


def test_a_shift_whose_target_is_gone_does_nothing_and_the_earlier_of_two_has_a_task() -> None:
    assert shifting_of([plan(target="gone")], ("old", "new"), KNOWN) is None
    assert shifting_of([plan(target="gone", to_pool=True)], ("old", "own/a"), KNOWN) is None
    shifting = made([plan(2, "spare"), plan(1)], "old", "spare", "new")
    course = shifting.course_of(labels())
    assert course is not None
    assert course.target == "new"


def test_how_a_model_is_called_at_the_target_is_known_to_whoever_asks_it_beside_clients() -> None:
    (rule,) = names_there((plan(asked_as="llama"), plan(2)), KNOWN)
    assert (rule.model, rule.candidate, rule.asked_as, rule.share_fraction) == ("chat", "new", "llama", 0.0)
    rules = names_there((plan(target="own", to_pool=True, asked_as="llama"),), KNOWN)
    assert [(rule.candidate, rule.asked_as) for rule in rules] == [("own/a", "llama"), ("own/b", "llama")]


def test_of_a_pool_each_node_is_lent_that_the_model_does_not_have() -> None:
    plans = (plan(target="own", to_pool=True, asked_as="llama"),)
    assert guests_of(ROUTE, plans, KNOWN) == (Guest("own/a", "llama"), Guest("own/b", "llama"))
    assert guests_of(replace(ROUTE, targets=("old", "own/a")), plans, KNOWN) == (Guest("own/b", "llama"),)


def test_what_a_pool_shares_its_name_with_is_not_taken_for_it() -> None:
    known = Known(targets=frozenset({"own/a", "old"}), pools={"own": ("own/a",)})
    assert guests_of(ROUTE, (plan(target="own"),), known) == ()
    assert guests_of(ROUTE, (plan(target="old", to_pool=True),), known) == ()


def test_a_node_alone_is_a_target_like_any_other() -> None:
    shifting = made([plan(target="own/a")], "old", "own/a", "own/b")
    course = shifting.paired(labels(), 1)
    assert course is not None
    assert (course.target, course.names, shifting.incumbent_for(course)) == ("own/a", frozenset({"own/a"}), "old")


def test_what_any_node_served_is_asked_of_the_first_target_outside_the_pool() -> None:
    shifting = made([plan(target="own", to_pool=True)], "own/b", "spare", "old", "own/a")
    course = shifting.paired(labels(), 1)
    assert course is not None
    assert (course.target, course.names) == ("own", frozenset({"own/a", "own/b"}))
    assert shifting.incumbent_for(course) == "spare"
    alone = made([plan(target="own", to_pool=True)], "own/a", "own/b")
    course = alone.paired(labels(), 1)
    assert course is not None
    assert alone.incumbent_for(course) == ""
