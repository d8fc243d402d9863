"""Routes that go by tasks: how a request's task is told, and who then may have it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import settings, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream
    from gateway.wire import Line, Reply

    Start = Callable[..., Gateway]

SERVES = answers.either(answers.whole(), answers.stream(payloads.stream()))
TABLE = {
    "version": 1,
    "weak": "small",
    "strong": "large",
    "margin": 0.02,
    "tasks": {
        "sort": {"allowed": True, "pairs": 200, "difference": 0.0, "lower_bound": -0.01},
        "prove": {"allowed": False, "pairs": 200, "difference": -0.2, "lower_bound": -0.25},
    },
}
TASKS: dict[str, Any] = {
    "aliases": {"sorter": "sort"},
    "rules": [{"task": "sort", "words": ["invoice"]}, {"task": "prove", "json_answer": True}],
    "tables": ["table.yaml"],
}


@pytest.fixture
def line(start_gateway: Start, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Line]:
    """A line to a gateway whose small target may have one task."""
    folder = tmp_path / "gateway-0"
    folder.mkdir()
    (folder / "table.yaml").write_text(json.dumps(TABLE))
    targets = {name: target(upstream.url(name)) for name in ("small", "large")}
    for name in targets:
        upstream.script(name, SERVES)
    models = {name: {"targets": ["small", "large"]} for name in ("chat", "sorter")}
    models["plain"] = {"targets": ["large"]}
    gateway = start_gateway(settings(targets, models, tasks=TASKS))
    with gateway.line() as opened:
        opened.gateway = gateway  # type: ignore[attr-defined]
        yield opened


def ask(line: Line, text: str, model: str = "chat", system: str = "", **more: Any) -> tuple[str, str | None]:
    """Ask once; return who answered, and the task that the ledger has."""
    headers = {name: more.pop(name) for name in list(more) if name.startswith("x_")}
    messages = [{"role": "system", "content": system}] if system else []
    body = payloads.request(model, **more) | {"messages": [*messages, {"role": "user", "content": text}]}
    reply: Reply = line.chat(body, **headers)
    assert reply.status == 200
    gateway: Gateway = line.gateway  # type: ignore[attr-defined]
    row = gateway.row(reply.request_id)
    return reply.headers["x-breakeven-target"], row["task"]


def test_a_task_that_is_declared_decides_who_may_have_it(line: Line) -> None:
    assert ask(line, "hello", x_breakeven_task="sort") == ("small", "sort")
    assert ask(line, "hello", x_breakeven_task="prove") == ("large", "prove")
    assert ask(line, "hello", x_breakeven_task="never seen") == ("large", "never seen")
    assert ask(line, "hello", model="sorter") == ("small", "sort")


def test_rules_tell_it_where_nobody_declares_it_and_what_is_unknown_goes_to_the_safe_target(line: Line) -> None:
    assert ask(line, "Which folder is this Invoice for?") == ("small", "sort")
    assert ask(line, "Go on.", response_format={"type": "json_object"}) == ("large", "prove")
    assert ask(line, "Tell me something.") == ("large", None)


def test_what_a_client_declared_once_is_known_by_its_system_prompt(line: Line) -> None:
    system = "You sort letters into folders. Answer with the folder's name and nothing else."
    assert ask(line, "Dear Sirs", system=system) == ("large", None)
    assert ask(line, "Dear Sirs", system=system, x_breakeven_task="sort") == ("small", "sort")
    assert ask(line, "To whom it may concern", system=system) == ("small", "sort")


def test_the_cheap_target_serves_what_it_may_not_have_where_nobody_else_can(
    line: Line, upstream: ScriptedUpstream
) -> None:
    upstream.script("large", answers.failure(503))
    assert line.chat(payloads.request("chat"), x_breakeven_task="prove").headers["x-breakeven-target"] == "small"


def test_routes_that_no_table_speaks_of_read_no_bodies(line: Line) -> None:
    assert ask(line, "Which folder is this invoice for?", model="plain") == ("large", None)
