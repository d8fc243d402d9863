"""A shift from its first pair to its end, as a user runs one: a good task is promoted, a bad one rolled back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.ledger.pairs import SHIFT, Which, stored_pairs
from breakeven.ledger.shifts import shift_events
from gateway import answers, payloads
from gateway.gateway import settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

    Start = Callable[..., Gateway]

START = (
    "start", "chat", "--to", "new", "--tasks", "sort,prove", "--check", "exact", "--margin", "20", "--steps", "50,100",
    "--least-requests", "5", "--least-hours", "0", "--guard-ttft", "off",
)  # fmt: skip


def says(wrong_about: str) -> Callable[[Call], None]:
    """Answer with what was asked, but nonsense where the question has this word."""

    def answer(call: Call) -> None:
        asked = call.json["messages"][-1]["content"]
        text = "nonsense" if wrong_about and wrong_about in asked else f"an answer to {asked}"
        answers.whole(payloads.completion(text))(call)

    return answer


@pytest.fixture
def gateway(start_gateway: Start, upstream: ScriptedUpstream) -> Gateway:
    """A gateway that compares; the candidate is good at sorting and bad at proving."""
    upstream.script("old", says(""))
    upstream.script("new", says("prove"))
    targets = {name: target(upstream.url(name)) for name in ("old", "new")}
    return start_gateway(settings(targets, {"chat": {"targets": ["old"]}}, workers=2, trials={"budget_day_usd": 100}))


def shift(gateway: Gateway, *arguments: str) -> Any:
    """Run ``breakeven shift`` in the gateway's folder; return what it says as JSON."""
    command = [sys.executable, "-m", "breakeven", "shift", *arguments, "--json"]
    done = subprocess.run(command, cwd=gateway.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(gateway: Gateway, task: str, number: int) -> str:
    """Ask once, for another user each time; return who served."""
    with gateway.line() as line:
        body = payloads.request("chat") | {"messages": [{"role": "user", "content": f"{task} {number}"}]}
        reply = line.chat(body, x_breakeven_task=task, x_breakeven_user=f"user-{number}")
        assert reply.status == 200
        assert reply.json["choices"][0]["message"]["content"] in ("nonsense", f"an answer to {task} {number}")
        return reply.headers["x-breakeven-target"]


def who(gateway: Gateway, task: str) -> set[str]:
    """Return by whom twenty users are served."""
    return {ask(gateway, task, number) for number in range(20)}


def stands(gateway: Gateway) -> dict[str, tuple[str, float]]:
    (record,) = shift(gateway, "list")
    return {task["task"]: (task["state"], task["share_fraction"]) for task in record["tasks"]}


def pairs(gateway: Gateway, task: str) -> int:
    return len(stored_pairs(gateway.store, Which(model="chat", candidate="new", tasks=(task,), origin=SHIFT)))


def test_a_good_task_is_promoted_to_the_end_and_a_bad_one_rolled_back(gateway: Gateway) -> None:
    shift(gateway, *START)
    wait_for(lambda: ask(gateway, "sort", 1_000) in ("old", "new"), "nobody serves")
    moved = iter(range(10_000))

    def until(condition: Callable[[], bool], what: str, task: str = "sort") -> None:
        def tried() -> bool:
            for _ in range(10):
                ask(gateway, task, next(moved))
            return condition()

        wait_for(tried, what, lambda: json.dumps(shift(gateway, "status", "1")) + gateway.said()[-2000:])

    until(lambda: stands(gateway)["prove"] == ("rolled_back", 0.0), "the bad task is not rolled back", "prove")
    wait_for(lambda: who(gateway, "prove") == {"old"}, "its traffic does not come back")
    os.kill(gateway.workers()[0], signal.SIGKILL)
    until(lambda: pairs(gateway, "sort") >= 10, "there are no pairs")
    gateway.kill()
    gateway.start()
    until(lambda: stands(gateway)["sort"] == ("running", 1.0), "the good task is not promoted")
    until(lambda: stands(gateway)["sort"] == ("finished", 1.0), "the good task is not finished")
    assert (who(gateway, "sort"), who(gateway, "prove")) == ({"new"}, {"old"})
    events = shift_events(gateway.store, 1)
    assert [(e.kind, e.said_by) for e in events if e.task == "prove"][1:] == [("roll_back", "test")]
    assert [(e.kind, e.said_by) for e in events if e.task == "sort"][1:] == [("promote", "test"), ("finish", "test")]
    found = stored_pairs(gateway.store, Which(model="chat", candidate="new", tasks=("sort",)))
    assert {pair.incumbent for pair in found} == {"old"}
    served = {row["attempt_id"] & ~15: row["target"] for row in gateway.all_rows()}
    assert {served[pair.request_id] for pair in found if pair.request_id in served} == {"old", "new"}  # both ways


def test_a_person_pauses_overrides_and_takes_it_all_back(gateway: Gateway) -> None:
    shift(gateway, *START, "--least-hours", "1")  # so that nobody else calls a task finished meanwhile
    shift(gateway, "pause", "--task", "prove", "--by", "ann")
    for number in range(60):
        ask(gateway, "prove", number)
    wait_for(lambda: pairs(gateway, "prove") >= 40, "a shift that is paused gathers no pairs", gateway.said)
    status = shift(gateway, "status")
    task = next(item for item in status["tasks"] if item["task"] == "prove")
    assert (task["state"], task["share_fraction"], task["evidence"]["would"]) == ("paused", 0.5, "roll_back")
    shift(gateway, "promote", "sort", "--by", "ann")
    wait_for(lambda: who(gateway, "sort") == {"new"}, "it is not promoted")
    shift(gateway, "rollback", "--by", "ann")
    wait_for(lambda: who(gateway, "sort") | who(gateway, "prove") == {"old"}, "it is not taken back")
