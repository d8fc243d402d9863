"""What a worker makes of the shifts that it is told: courses by task, targets that are lent, pairs that are wanted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from breakeven.gateway.shift_plan import ShiftPlan, TaskShare
from breakeven.gateway.shifting import Guest, guests_of, names_there, shifting_of, with_guests
from breakeven.gateway.snapshot import Route

if TYPE_CHECKING:
    from breakeven.gateway.labels import Labels

ROUTE = Route(
    model="chat", targets=("old", "spare"), weights=(2.0, 1.0), policy="weighted", max_attempts=2,
    names=("", "chat-2"), guards=(("sort",), None),
)  # fmt: skip


def plan(number: int = 1, target: str = "new", **fields: Any) -> ShiftPlan:
    said = {"model": "chat", "stick": "user", "tasks": (TaskShare(task="sort", share_fraction=0.5),), **fields}
    return ShiftPlan(shift_id=number, target=target, **said)


def labels(task: str = "sort") -> Labels:
    return cast("Labels", SimpleNamespace(task_text=task, episode=""))


def test_a_target_is_lent_only_to_a_model_that_does_not_have_it_and_only_if_it_is_known() -> None:
    plans = (plan(asked_as="llama"), plan(2, "spare"), plan(3, "gone"), plan(4, "other", model="another"))
    assert guests_of(ROUTE, plans, ("old", "spare", "new", "other")) == (Guest("new", "llama"),)


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
    shifting = shifting_of([plan(tasks=(TaskShare(task="sort", share_fraction=0.5), over))], ("old", "spare", "new"))
    assert shifting is not None
    assert shifting.paired_with(labels(), 1, "old") == "new"
    assert shifting.paired_with(labels(), 1, "spare") == "new"
    assert shifting.paired_with(labels(), 1, "new") == "old"
    assert shifting.paired_with(labels("done"), 1, "old") == ""
    assert shifting.paired_with(labels("another"), 1, "old") == ""
    assert shifting.paired_with(None, 1, "old") == ""


def test_of_a_share_of_mirrored_requests_about_that_many_are_asked_twice() -> None:
    shifting = shifting_of([plan(mirror_fraction=0.1)], ("old", "new"))
    assert shifting is not None
    count = sum(bool(shifting.paired_with(labels(), number << 4, "old")) for number in range(10_000))
    assert abs(count - 1_000) < 150  # 5 sigma


def test_all_tasks_together_are_those_without_one_too() -> None:
    shifting = shifting_of([plan(tasks=(TaskShare(task="*", share_fraction=1.0),))], ("old", "new"))
    assert shifting is not None
    assert shifting.course_of(None) is shifting.course_of(labels()) is not None


def test_a_shift_whose_target_is_gone_does_nothing_and_the_earlier_of_two_has_a_task() -> None:
    assert shifting_of([plan(target="gone")], ("old", "new")) is None
    shifting = shifting_of([plan(2, "spare"), plan(1)], ("old", "spare", "new"))
    assert shifting is not None
    course = shifting.course_of(labels())
    assert course is not None
    assert course.target == "new"


def test_how_a_model_is_called_at_the_target_is_known_to_whoever_asks_it_beside_clients() -> None:
    (rule,) = names_there((plan(asked_as="llama"), plan(2)))
    assert (rule.model, rule.candidate, rule.asked_as, rule.share_fraction) == ("chat", "new", "llama", 0.0)
