"""Pools before an API: requests stay on nodes that are paid for until those are full, then come back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import RATE_CARDS, TIMEOUTS, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Line

    Start = Callable[..., Gateway]
    Answer = Callable[[Call], None]

SERVES = answers.either(answers.whole(), answers.stream(payloads.stream()))


class ScriptedNode:
    """An engine with vLLM's metrics, as busy as it is told to be."""

    def __init__(self, upstream: ScriptedUpstream, place: str) -> None:
        self.upstream = upstream
        self.place = place
        self.page = self.next_page = b""
        self.looks = 0
        self.busy(0, 0)
        upstream.script(place, self)

    def busy(self, running: int, waiting: int, kv_use: float = 0.0) -> None:
        """Have so much to do from now on."""
        self.page = told(running, waiting, kv_use)
        looks = self.looks
        if looks:  # somebody is looking
            wait_for(lambda: self.looks >= looks + 2, "nobody looks at the metrics")

    def busy_once(self, running: int, waiting: int) -> None:
        """Tell so much to whoever looks next, and to nobody else; return as soon as that was told."""
        looks = self.looks
        self.next_page = told(running, waiting)
        wait_for(lambda: not self.next_page and self.looks > looks, "nobody looks at the metrics")

    def __call__(self, call: Call) -> None:
        """Answer both kinds of questions."""
        if call.path.endswith("/metrics"):
            page, self.next_page = self.next_page or self.page, b""
            answers.whole(page, "connection: close")(call)
            self.looks += 1
            return
        SERVES(call)

    def requests(self) -> int:
        """How many requests for a model came."""
        return sum(call.method == "POST" for call in self.upstream.calls(self.place))


def told(running: int, waiting: int, kv_use: float = 0.0) -> bytes:
    """Return the metrics of an engine with so much to do."""
    return (
        f'vllm:num_requests_running{{engine="0"}} {running}\nvllm:num_requests_waiting{{engine="0"}} {waiting}\n'
        f'vllm:kv_cache_usage_perc{{engine="0"}} {kv_use}\n'
    ).encode()


def pool(upstream: ScriptedUpstream, places: str = "ab", **fields: Any) -> dict[str, Any]:
    """A pool whose nodes are the upstream's places."""
    nodes = [{"name": place, "url": upstream.url(place)} for place in places]
    return {"engine": "vllm", "nodes": nodes, "timeouts": TIMEOUTS, "observe_s": 0.05, **fields}


@pytest.fixture
def nodes(upstream: ScriptedUpstream) -> list[ScriptedNode]:
    """Two idle nodes, and an API that serves."""
    upstream.script("api", SERVES)
    return [ScriptedNode(upstream, place) for place in "ab"]


def start(start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode], **fields: Any) -> Gateway:
    """A gateway that has looked at its nodes."""
    models = {"chat": {"targets": ["own", "api"], "policy": "overflow"}}
    configured = settings({"api": target(upstream.url("api"))}, models, pools={"own": pool(upstream, **fields)})
    gateway = start_gateway(configured)
    for node in nodes:
        wait_for(lambda node=node: node.looks >= 1, "nobody looks at the metrics", gateway.said)  # type: ignore[misc]
    return gateway


def ask(line: Line) -> tuple[str, str]:
    """Ask once, and return who answered and why."""
    reply = line.chat(payloads.request("chat"))
    assert reply.status == 200
    return reply.headers["x-breakeven-target"], reply.headers["x-breakeven-decision"]


def test_paid_nodes_serve_until_they_are_full_and_again_when_they_are_clearly_not(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes, full={"waiting": 10, "back": 0.5})
    with gateway.line() as line:
        assert {ask(line) for _ in range(20)} == {("own/a", "paid_capacity"), ("own/b", "paid_capacity")}
        nodes[0].busy(8, 10)
        assert {ask(line) for _ in range(5)} == {("own/b", "paid_capacity")}
        nodes[1].busy(8, 11)
        assert {ask(line) for _ in range(5)} == {("api", "overflow")}
        nodes[0].busy(8, 7)  # below the limit, and not half of it
        assert ask(line) == ("api", "overflow")
        nodes[0].busy(8, 3)
        assert {ask(line) for _ in range(5)} == {("own/a", "paid_capacity")}
    assert len(upstream.calls("api")) == 6


def test_a_full_cache_is_a_full_node(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes, full={"kv_use": 0.9})
    for node in nodes:
        node.busy(3, 0, kv_use=0.95)
    with gateway.line() as line:
        assert ask(line) == ("api", "overflow")
        nodes[1].busy(3, 0, kv_use=0.5)
        assert ask(line) == ("own/b", "paid_capacity")


def test_full_nodes_serve_all_the_same_where_no_api_can(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes)
    for node, waiting in zip(nodes, (30, 20), strict=True):
        node.busy(8, waiting)
    upstream.script("api", answers.failure(503))
    with gateway.line() as line:
        who, why = ask(line)
    assert (who, why) == ("own/b", "fallback")
    assert len(upstream.calls("api")) == 1


def test_an_engine_that_tells_nothing_is_as_busy_as_what_we_sent_there(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    let_go = threading.Event()

    def held(call: Call) -> None:
        let_go.wait(10)
        SERVES(call)

    for place in "ab":
        upstream.script(place, held)
    upstream.script("api", SERVES)
    gateway = start(start_gateway, upstream, [], engine="other", slots=2, full={"waiting": 1})
    waiting = [threading.Thread(target=_ask_once, args=(gateway,)) for _ in range(6)]
    for thread in waiting:
        thread.start()
    for place in "ab":
        upstream.calls(place, at_least=3)  # two at work, and one that waits
    with gateway.line() as line:
        assert ask(line) == ("api", "overflow")
    let_go.set()
    for thread in waiting:
        thread.join()
    with gateway.line() as line:
        assert ask(line)[1] == "paid_capacity"
    assert [call.path for call in upstream.calls("a")] == ["/a/v1/chat/completions"] * len(upstream.calls("a"))


def _ask_once(gateway: Gateway) -> None:
    with gateway.line() as line:
        ask(line)


def test_an_engine_that_stops_telling_is_as_busy_as_what_we_sent_there(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes)
    for node in nodes:
        node.busy(8, 50)
    with gateway.line() as line:
        assert ask(line) == ("api", "overflow")
        for page in (b"<html>no metrics here</html>", b"\xff\xfe" * 1000, b""):
            for node in nodes:
                node.page = page
            wait_for(lambda: ask(line)[1] == "paid_capacity", "an engine that tells nothing stays full")


def test_a_node_that_dies_is_passed_by_and_nothing_is_lost(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes)
    upstream.script("a", answers.reset)
    with gateway.line() as line:
        assert {ask(line)[0] for _ in range(20)} == {"own/b"}
    assert nodes[1].requests() == 20


def test_an_adapter_is_asked_for_by_its_own_name_on_the_same_nodes(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    models = {
        "chat": {"targets": ["own"], "policy": "overflow"},
        "support": {"targets": [{"target": "own", "model": "support-v3"}], "policy": "overflow"},
    }
    gateway = start_gateway(settings({}, models, pools={"own": pool(upstream, model="base")}))
    with gateway.line() as line:
        for name in ("chat", "support"):
            assert line.chat(payloads.request(name)).status == 200
    asked = [call.json["model"] for place in "ab" for call in upstream.calls(place) if call.method == "POST"]
    assert sorted(asked) == ["base", "support-v3"]
    assert nodes


@pytest.mark.parametrize("policy", ["marginal_cost", "prefix_affinity", "two_choices", "cost_threshold"])
def test_other_policies_serve_from_pools_too(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode], policy: str
) -> None:
    models = {"chat": {"targets": ["own", "api"], "policy": policy}}
    configured = settings({"api": target(upstream.url("api"))}, models, pools={"own": pool(upstream)})
    gateway = start_gateway(configured)
    with gateway.line() as line:
        served = {ask(line)[0] for _ in range(10)}
    if policy in ("marginal_cost", "prefix_affinity"):
        assert served <= {"own/a", "own/b"}
    if policy == "prefix_affinity":
        assert len(served) == 1  # they all begin alike
    assert served
    assert nodes


def test_a_timetable_says_which_target_is_asked_now(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    for place in ("night", "day"):
        upstream.script(place, SERVES)
    now = datetime.now(UTC)
    hours = [f"{now:%a} 00-24, {now + timedelta(days=1):%a} 00-24", f"{now + timedelta(days=3):%a} 00-24"]
    listed = [{"target": name, "hours": item} for name, item in zip(("day", "night"), reversed(hours), strict=True)]
    targets = {name: target(upstream.url(name)) for name in ("night", "day")}
    gateway = start_gateway(settings(targets, {"chat": {"targets": listed, "policy": "schedule"}}))
    with gateway.line() as line:
        assert ask(line) == ("night", "in_hours")


def test_a_dear_target_is_left_when_the_budget_runs_out(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    dear: dict[str, Any] = {"provider": "tests", "model": "dear", "source": "made up", "checked_on": "2026-01-01"}
    dear |= {"prices": [{"input_usd_per_mtok": "100", "output_usd_per_mtok": "1000"}]}
    cards = {"rate_cards": [*RATE_CARDS["rate_cards"], dear]}
    upstream.script("dear", SERVES)
    upstream.script("cheap", SERVES)
    targets = {"dear": target(upstream.url("dear"), prices="tests:dear"), "cheap": target(upstream.url("cheap"))}
    models = {"chat": {"targets": ["dear", "cheap"], "policy": "budget_downgrade"}}
    configured = settings(targets, models)
    configured["keys"][0]["quota"] = {"budget_day_usd": "28"}
    gateway = start_gateway(configured, cards)
    with gateway.line() as line:
        seen = [ask(line) for _ in range(60)]
    assert seen[0] == ("dear", "budget_ample")
    assert seen[-1] == ("cheap", "budget_ample")
    assert seen == sorted(seen, key=lambda item: item[0] == "cheap")  # never back


def test_what_waits_for_idle_capacity_goes_to_no_api_and_to_no_full_node(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: list[ScriptedNode]
) -> None:
    gateway = start(start_gateway, upstream, nodes)
    with gateway.line() as line:
        reply = line.chat(payloads.request("chat"), x_breakeven_batch="idle")
        assert reply.status == 200
        for node in nodes:
            node.busy(8, 50)
        reply = line.chat(payloads.request("chat"), x_breakeven_batch="idle")
        assert (reply.status, reply.code) == (503, "no_idle_capacity")
        assert ask(line) == ("api", "overflow")
    assert len(upstream.calls("api")) == 1
