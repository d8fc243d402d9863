"""Shifts of traffic in a running gateway: who goes where, the same at all workers, whatever dies or is away."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.ledger.shifts import (
    FINISH,
    FINISHED,
    PROMOTE,
    ROLL_BACK,
    ROLLED_BACK,
    RUNNING,
    Move,
    ShiftTerms,
    end_shift,
    move_task,
    shift_of,
    start_shift,
)
from breakeven.routing.sticking import Told, place_of, unit_of
from breakeven.wiring.clock import current_s
from gateway import answers, payloads
from gateway.gateway import settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

STEPS = (0.25, 0.5, 1.0)
USERS = tuple(f"user-{number}" for number in range(40))


@pytest.fixture
def gateway(start_gateway: Start, upstream: ScriptedUpstream) -> Gateway:
    """A gateway of three workers with one model, and a target that the model does not have."""
    for name in ("old", "spare", "new"):
        upstream.script(name, answers.either(answers.whole(), answers.stream(payloads.stream())))
    targets = {name: target(upstream.url(name)) for name in ("old", "spare", "new")}
    targets["old"]["sensitivities"] = ["local-only"]
    models = {"chat": {"targets": ["old", "spare"]}, "other": {"targets": ["old"]}}
    return start_gateway(settings(targets, models, workers=3))


def begin(gateway: Gateway, *tasks: str, **fields: Any) -> int:
    """Begin a shift, and wait until a user of its first step goes to the new target."""
    terms = ShiftTerms(tasks=tasks or ("*",), steps=STEPS, check="exact", **fields)
    return start_shift(gateway.store, "chat", "new", terms, now_s=current_s(), said_by="tests")


def step(gateway: Gateway, number: int, kind: str = PROMOTE, task: str = "*") -> None:
    """Take a task on, as the process that decides does."""
    shift = shift_of(gateway.store, number)
    was = next(item for item in shift.tasks if item.task == task)
    state = {PROMOTE: RUNNING, FINISH: FINISHED, ROLL_BACK: ROLLED_BACK}[kind]
    move = Move(task=task, kind=kind, said_by="tests", state=state, step=was.step + (kind == PROMOTE), evidence={})
    assert move_task(gateway.store, shift, was, move, now_s=current_s())


def served_by(gateway: Gateway, user: str = "", model: str = "chat", **headers: str) -> str:
    """Ask over a connection of its own, so that any worker may answer; return who served."""
    with gateway.line() as line:
        said = {"x_breakeven_user": user} if user else {}
        reply = line.chat(payloads.request(model), **said, **headers)
        assert reply.status == 200, reply
        return reply.headers["x-breakeven-target"]


def expected(number: int, share: float, user: str) -> str:
    """Who serves a user by the rule alone."""
    return "new" if place_of(number, unit_of("user", Told("tests", user, "", 0, b""))) < share else "old"


def all_as_expected(gateway: Gateway, number: int, share: float) -> bool:
    return all(served_by(gateway, user) == expected(number, share, user) for user in USERS)


def settled(gateway: Gateway, number: int, share: float) -> None:
    """Wait until all workers route by a share, however often they are asked: one that was not told may be idle."""
    told = f"the workers do not route by {share}"
    wait_for(lambda: all(all_as_expected(gateway, number, share) for _ in range(4)), told, gateway.said)


def test_each_step_takes_more_users_and_keeps_those_it_has_at_every_worker(gateway: Gateway) -> None:
    assert {served_by(gateway, user) for user in USERS[:5]} == {"old"}
    number = begin(gateway)
    settled(gateway, number, 0.25)
    taken = {user for user in USERS if expected(number, 0.25, user) == "new"}
    assert 0 < len(taken) < len(USERS) / 2
    step(gateway, number)
    settled(gateway, number, 0.5)
    assert taken < {user for user in USERS if expected(number, 0.5, user) == "new"}
    step(gateway, number)
    settled(gateway, number, 1.0)
    assert served_by(gateway) == "new"
    assert served_by(gateway, model="other") == "old"


def test_a_shift_outlives_its_workers_the_gateway_and_new_settings(gateway: Gateway) -> None:
    number = begin(gateway)
    step(gateway, number)
    settled(gateway, number, 0.5)
    killed = gateway.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in gateway.alive() and len(gateway.workers()) == 3, "no worker comes back")
    settled(gateway, number, 0.5)
    gateway.kill()
    gateway.start()
    settled(gateway, number, 0.5)
    seen = gateway.said().count("in force")
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: gateway.said().count("in force") > seen, "no new settings", gateway.said)
    settled(gateway, number, 0.5)


def test_a_task_that_is_rolled_back_goes_as_the_settings_say_and_others_go_on(gateway: Gateway) -> None:
    number = begin(gateway, "sort", "prove")
    for _ in range(2):
        step(gateway, number, task="sort")
        step(gateway, number, task="prove")

    def who() -> tuple[str, ...]:
        return tuple(served_by(gateway, x_breakeven_task=task) for task in ("sort", "prove", "third", "sort"))

    wait_for(lambda: who() == ("new", "new", "old", "new"), "the tasks are not shifted", gateway.said)
    assert served_by(gateway) == "old"
    step(gateway, number, ROLL_BACK, "sort")
    wait_for(lambda: who() == ("old", "new", "old", "old"), "the task is not rolled back", gateway.said)
    step(gateway, number, FINISH, "prove")
    shift = shift_of(gateway.store, number)
    assert shift.ended_s is None
    end_shift(gateway.store, shift, now_s=current_s(), said_by="tests")
    wait_for(lambda: who() == ("old", "old", "old", "old"), "the shift does not end", gateway.said)


def test_what_the_target_may_not_have_or_cannot_answer_goes_as_if_there_were_no_shift(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    number = begin(gateway)
    step(gateway, number)
    step(gateway, number)
    settled(gateway, number, 1.0)
    assert served_by(gateway, x_breakeven_sensitivity="local-only") == "old"
    upstream.script("new", answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("chat"))
    assert (reply.status, reply.headers["x-breakeven-target"]) == (200, "old")
    rows = gateway.rows(reply.request_id, 2)
    assert [(row["target"], row["decision"], row["outcome"]) for row in rows] == [
        ("new", "shifted", "failed"),
        ("old", "fallback", "ok"),
    ]


def test_a_target_that_is_lent_to_a_model_serves_nobody_but_whom_the_shift_takes(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    number = begin(gateway, "sort")
    wait_for(lambda: bool(shift_of(gateway.store, number)), "no shift")
    step(gateway, number, task="sort")
    step(gateway, number, task="sort")
    wait_for(lambda: served_by(gateway, x_breakeven_task="sort") == "new", "it is not shifted", gateway.said)
    for name in ("old", "spare"):
        upstream.script(name, answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("chat"))
    assert reply.status == 500
    assert [row["target"] for row in gateway.rows(reply.request_id, 2)] == ["old", "spare"]


def test_streams_are_shifted_like_whole_answers(gateway: Gateway) -> None:
    number = begin(gateway)
    step(gateway, number)
    step(gateway, number)
    settled(gateway, number, 1.0)
    with gateway.line() as line:
        reply = line.chat(payloads.request("chat", stream=True))
    assert reply.headers["x-breakeven-target"] == "new"
    assert gateway.row(reply.request_id)["decision"] == "shifted"
