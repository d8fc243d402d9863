"""Requests that wait for a node: who goes first, who is turned away, and what is left when a client leaves."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.routing.queueing import TURN_S
from gateway import answers, payloads
from gateway.gateway import TIMEOUTS, settings, target, wait_for
from gateway.scripted import scripted_upstream
from gateway.test_pools import ScriptedNode, pool
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Reply

    Start = Callable[..., Gateway]

URGENT_KEY = "sk-be-urgent"
SERVES = answers.whole()


class HeldNode:
    """An engine that works on one request at a time, and ends it when it is told to."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self.order: list[str] = []
        self._go = threading.Semaphore(0)
        upstream.script("a", self)

    def __call__(self, call: Call) -> None:
        """Answer when allowed to."""
        self.order.append(call.json["user"])
        assert self._go.acquire(timeout=10)
        SERVES(call)

    def end_one(self) -> None:
        """Let the request that is at work end."""
        self._go.release()


@pytest.fixture
def node(upstream: ScriptedUpstream) -> HeldNode:
    """The only node."""
    return HeldNode(upstream)


def start(start_gateway: Start, upstream: ScriptedUpstream, other: str = "", **waiting: Any) -> Gateway:
    """A gateway before one node that takes one request at a time, where others wait."""
    nodes = [{"name": "a", "url": upstream.url("a")}, *([{"name": "other", "url": other}] if other else [])]
    pools = {
        "own": {
            "slots": 1,
            "full": {"waiting": 1, "back": 1},
            "timeouts": TIMEOUTS | {"first_token_s": 15},
            "nodes": nodes,
        }
    }
    models = {"chat": {"targets": ["own"], "policy": "overflow", "waiting": waiting}}
    configured = settings({}, models, pools=pools) | {"breaker": {"failed_requests": 2, "open_s": 60}}
    configured["keys"].append(
        {"name": "urgent", "sha256": hashlib.sha256(URGENT_KEY.encode()).hexdigest(), "priority": 5}
    )
    return start_gateway(configured)


class Asking(threading.Thread):
    """A client that asks once, on a connection of its own."""

    def __init__(self, gateway: Gateway, name: str, **headers: str) -> None:
        super().__init__()
        self.gateway = gateway
        self.user = name
        self.headers = headers
        self.reply: Reply | None = None
        self._sent = threading.Event()
        self.start()
        assert self._sent.wait(15)

    def run(self) -> None:
        """Ask, and keep the answer."""
        with self.gateway.line() as line:
            line.send(chat_bytes(payloads.request("chat", user=self.user), **self.headers))
            self._sent.set()
            self.reply = line.reply()

    @property
    def status(self) -> int:
        """The answer's status, once it is there."""
        self.join(15)
        assert self.reply is not None
        return self.reply.status


def fill(gateway: Gateway, node: HeldNode) -> list[Asking]:
    """Have one request at work and one waiting in the engine, which then counts as full."""
    first = Asking(gateway, "first")
    wait_for(lambda: node.order == ["first"], "the first request does not come")
    second = Asking(gateway, "second")
    wait_for(lambda: node.order == ["first", "second"], "the second request does not come")
    return [first, second]


def settle(gateway: Gateway) -> None:
    """Let what was sent reach the queue: its worker takes what comes in turn, and here it answers what comes later."""
    with gateway.line() as line:
        for _ in range(5):
            assert line.ask("GET", "/health").status == 200


def test_the_urgent_go_first_and_keys_in_turn(start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode) -> None:
    gateway = start(start_gateway, upstream)
    asked = fill(gateway, node)
    for name in ("plain 1", "plain 2"):
        asked.append(Asking(gateway, name))
        settle(gateway)
    asked.append(Asking(gateway, "low", x_breakeven_priority="-3"))
    settle(gateway)
    asked.append(Asking(gateway, "urgent", authorization=f"Bearer {URGENT_KEY}"))
    settle(gateway)
    assert node.order == ["first", "second"]  # the rest wait with us
    for count in range(3, 7):
        node.end_one()
        wait_for(lambda count=count: len(node.order) == count, "nobody takes the free place")  # type: ignore[misc]
    for _ in range(2):
        node.end_one()
    assert [client.status for client in asked] == [200] * 6
    assert node.order == ["first", "second", "urgent", "plain 1", "plain 2", "low"]


def test_those_who_wait_are_not_sent_to_a_full_node_since_another_is_dead(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    gateway = start(start_gateway, upstream, other=dead)
    for _ in range(8):  # until nobody tries the dead node any more
        node.end_one()
        assert Asking(gateway, "before").status == 200
    node.order.clear()
    asked = [*fill(gateway, node), Asking(gateway, "third")]
    settle(gateway)
    time.sleep(6 * TURN_S)
    assert node.order == ["first", "second"]
    for _ in range(3):
        node.end_one()
    assert [client.status for client in asked] == [200] * 3
    assert node.order == ["first", "second", "third"]


def test_a_newcomer_does_not_pass_those_who_wait(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    """As soon as the engine is seen to have room, whoever comes next finds it given to those before.

    There is room for one, so the second is not sent before the first was there, however slow this machine is.
    """
    engine, order = ScriptedNode(upstream, "a"), []

    def call(asked: Call) -> None:
        if asked.method == "POST":
            order.append(asked.json["user"])
        engine(asked)

    upstream.script("a", call)
    own = pool(upstream, "a", slots=4, full={"waiting": 2, "back": 0.7})
    models = {"chat": {"targets": ["own"], "policy": "overflow", "waiting": {}}}
    gateway = start_gateway(settings({}, models, pools={"own": own}))
    wait_for(lambda: engine.looks > 0, "nobody looks", gateway.said)
    with gateway.line() as line:
        for _ in range(10):
            engine.busy(4, 2)
            before = Asking(gateway, "before")
            settle(gateway)
            engine.busy_once(4, 1)
            line.send(chat_bytes(payloads.request("chat", user="newcomer")))
            assert (line.reply().status, before.status) == (200, 200)
    assert order == ["before", "newcomer"] * 10


@pytest.mark.parametrize("text", ["--5", "-", "9" * 5000, "1e3", "\xb2"])
def test_a_priority_that_is_none_is_left_alone(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode, text: str
) -> None:
    gateway = start(start_gateway, upstream)
    asked = [*fill(gateway, node), Asking(gateway, "odd", x_breakeven_priority=text)]
    for _ in range(3):
        node.end_one()
    assert [client.status for client in asked] == [200] * 3


def made_key(gateway: Gateway, name: str, *options: str) -> str:
    """Make a key with the command, and wait until the running gateway knows it."""
    command = [sys.executable, "-m", "breakeven", "keys", "create", name, *options, "--json"]
    done = subprocess.run(
        [*command, "--config", str(gateway.folder / "breakeven.yaml")],
        cwd=gateway.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    secret: str = json.loads(done.stdout)["key"]

    def known() -> bool:
        with gateway.line() as line:
            return line.ask("GET", "/v1/models", authorization=f"Bearer {secret}").status == 200

    wait_for(known, f"the gateway does not know the key {name}", gateway.said)
    return secret


def test_keys_of_the_store_wait_by_the_priority_they_were_made_with(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode
) -> None:
    gateway = start(start_gateway, upstream)
    keys = {
        name: f"Bearer {made_key(gateway, name, *options)}"
        for name, options in {"high": ("--priority", "7"), "low": ("--priority", "-7"), "plain": ()}.items()
    }
    asked = fill(gateway, node)
    for name in ("low", "plain", "high"):
        asked.append(Asking(gateway, name, authorization=keys[name]))
        settle(gateway)
    asked.append(Asking(gateway, "low that asks for more", authorization=keys["low"], x_breakeven_priority="90"))
    settle(gateway)
    asked.append(Asking(gateway, "high that asks for less", authorization=keys["high"], x_breakeven_priority="3"))
    settle(gateway)
    assert node.order == ["first", "second"]
    for count in range(3, 8):
        node.end_one()
        wait_for(lambda count=count: len(node.order) == count, "nobody takes the free place")  # type: ignore[misc]
    for _ in range(2):
        node.end_one()
    assert [client.status for client in asked] == [200] * 7
    assert node.order[2:] == ["high", "high that asks for less", "plain", "low", "low that asks for more"]


def test_who_would_come_too_late_is_told_so(start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode) -> None:
    gateway = start(start_gateway, upstream, longest_s=0.5)
    asked = fill(gateway, node)
    late, hasty = Asking(gateway, "late"), Asking(gateway, "hasty", x_breakeven_deadline_s="0.1")
    for client in (hasty, late):
        assert client.status == 503
        assert client.reply is not None
        assert client.reply.headers["retry-after"]
        assert b"no_room_in_time" in client.reply.body
    for _ in asked:
        node.end_one()
    assert [client.status for client in asked] == [200, 200]
    assert node.order == ["first", "second"]


def test_a_full_queue_turns_away_the_least_urgent(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode
) -> None:
    gateway = start(start_gateway, upstream, most_requests=1)
    asked = fill(gateway, node)
    plain = Asking(gateway, "plain")
    settle(gateway)
    other = Asking(gateway, "other")
    assert other.status == 503
    urgent = Asking(gateway, "urgent", authorization=f"Bearer {URGENT_KEY}")
    assert plain.status == 503
    assert plain.reply is not None
    assert b"queue_full" in plain.reply.body
    for _ in range(3):
        node.end_one()
    assert [client.status for client in (*asked, urgent)] == [200] * 3


def test_a_client_that_leaves_gives_its_place_up(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode
) -> None:
    gateway = start(start_gateway, upstream)
    asked = fill(gateway, node)
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("chat", user="gone")))
        settle(gateway)
    settle(gateway)
    after = Asking(gateway, "after")
    settle(gateway)
    for _ in range(3):
        node.end_one()
    assert [client.status for client in (*asked, after)] == [200] * 3
    assert node.order == ["first", "second", "after"]


@pytest.mark.parametrize("way", ["header", "key", "tag"])
def test_marked_requests_wait_for_what_is_inside_while_others_go_outside(
    start_gateway: Start, upstream: ScriptedUpstream, node: HeldNode, way: str
) -> None:
    """The only node inside is full: an API outside has room, and must not see what is marked, however long it waits."""
    with scripted_upstream() as outside:
        outside.script("api", SERVES)
        own = {"slots": 1, "full": {"waiting": 1, "back": 1}, "timeouts": TIMEOUTS | {"first_token_s": 15}}
        own |= {"nodes": [{"name": "a", "url": upstream.url("a")}], "sensitivities": ["local-only"]}
        models = {"chat": {"targets": ["own", "api"], "policy": "overflow", "waiting": {"longest_s": 3}}}
        plan = settings({"api": target(outside.url("api"))}, models, pools={"own": own})
        plan["sensitivity_of_tags"] = {"data=patient": "local-only"}
        plan["keys"].append(
            {"name": "ward", "sha256": hashlib.sha256(URGENT_KEY.encode()).hexdigest(), "sensitivity": "local-only"}
        )
        gateway = start_gateway(plan)
        asked = fill(gateway, node)
        mark = {
            "header": {"x_breakeven_sensitivity": "local-only"},
            "key": {"authorization": f"Bearer {URGENT_KEY}"},
            "tag": {"x_breakeven_tags": "data=patient"},
        }[way]
        waits = Asking(gateway, "waits", **mark)
        settle(gateway)
        assert (outside.connection_count, node.order) == (0, ["first", "second"])
        assert Asking(gateway, "open").status == 200
        assert [call.json["user"] for call in outside.calls("api")] == ["open"], "there is room outside"
        node.end_one()
        wait_for(lambda: "waits" in node.order, "it does not get the place that is free", gateway.said)
        late = Asking(gateway, "late", **mark)
        assert late.status == 503, "rather none than one outside"
        for _ in range(2):
            node.end_one()
        assert [client.status for client in (*asked, waits)] == [200] * 3
        assert [call.json["user"] for call in outside.calls("api")] == ["open"]
