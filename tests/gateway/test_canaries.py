"""A golden prompt for a pool's nodes: one whose answers get worse is left alone, started afresh, and comes back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from breakeven.console.canaries import LIVE_S, kept_canaries, write_canaries
from breakeven.console.drained import read_drained, set_drained
from gateway import answers, payloads
from gateway.gateway import command_of, free_port, settings, wait_for
from gateway.test_control import TOKEN, Control
from gateway.test_pools import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

    Start = Callable[..., Gateway]

PROMPT = "The capital of Italy is"
EVERY_S = 0.1
ROME, NOISE = "Rome, of course.", "the the the the"


class Node:
    """An engine that answers the golden prompt as it is told to, and everything else well."""

    def __init__(self, upstream: ScriptedUpstream, place: str, healing: Path | None = None) -> None:
        self.says: list[str | None] = []
        """The next answers; then it goes on with ``usual``; None: a failure."""

        self.usual: str | None = ROME
        self.place = place
        self.golden_count = 0
        self.headers: dict[str, str] = {}
        self.asked: dict[str, Any] = {}
        self._healing = healing
        self._upstream = upstream
        upstream.script(place, self)

    def __call__(self, call: Call) -> None:
        """Answer."""
        if call.json["messages"][-1]["content"] != PROMPT:
            answers.whole()(call)
            return
        if self._healing is not None and self._healing.exists():
            self.usual = ROME
        text = self.says.pop(0) if self.says else self.usual
        self.golden_count += 1
        self.headers, self.asked = call.headers, call.json
        answer = answers.failure(503) if text is None else answers.whole(payloads.completion(text))
        answer(call)

    def golden(self, more: int) -> None:
        """Wait until it has been asked so many times more."""
        until = self.golden_count + more
        wait_for(lambda: self.golden_count >= until, f"{self.place} is not asked")

    def served(self) -> int:
        """How many requests of clients came."""
        calls = self._upstream.calls(self.place)
        return sum(call.json["messages"][-1]["content"] != PROMPT for call in calls)


@pytest.fixture
def nodes(upstream: ScriptedUpstream, tmp_path: Path) -> dict[str, Node]:
    """Two well nodes; a file by their name heals each."""
    return {place: Node(upstream, place, tmp_path / f"restarted-{place}") for place in "ab"}


def configured(upstream: ScriptedUpstream, places: str = "ab", **canary: Any) -> dict[str, Any]:
    """Settings with a pool whose nodes are asked all the time, and a control plane."""
    asked = {"prompt": PROMPT, "expect": "Rome", "every_s": EVERY_S, **canary}
    own = pool(upstream, places, engine="other", canary=asked)
    models = {"chat": {"targets": ["own"], "policy": "two_choices"}}
    return settings({}, models, pools={"own": own})


def without_canary(upstream: ScriptedUpstream, places: str = "ab") -> dict[str, Any]:
    """The same without."""
    found = configured(upstream, places)
    del found["pools"]["own"]["canary"]
    return found


def restart_command(tmp_path: Path, *, before: str = "") -> list[str]:
    """A command that notes which node it was for, and does something else first; signals reach it."""
    code = (
        "import os, pathlib, signal, sys; assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()), 'blocked';"
        "name = os.environ['BREAKEVEN_POOL'] + '/' + os.environ['BREAKEVEN_NODE'];"
        f"assert name == sys.argv[1]; {before}\n"
        "pathlib.Path(sys.argv[2], 'restarted-' + os.environ['BREAKEVEN_NODE']).write_text(name)"
    )
    return [sys.executable, "-c", code, "{pool}/{node}", str(tmp_path)]


def answered_by(gateway: Gateway, count: int = 40) -> set[str]:
    """Who answers some requests of clients: so many that each node in service is drawn."""
    with gateway.line() as line:
        replies = [line.chat(payloads.request("chat")) for _ in range(count)]
    assert {reply.status for reply in replies} == {200}
    return {reply.headers["x-breakeven-target"] for reply in replies}


def await_out(gateway: Gateway, name: str) -> None:
    wait_for(lambda: f"{name} is taken out of service" in gateway.said(), "it stays in service", gateway.said)
    wait_for(lambda: name not in answered_by(gateway), "it is asked all the same", gateway.said)


def await_back(gateway: Gateway, name: str) -> None:
    wait_for(lambda: f"{name} is in service again" in gateway.said(), "it does not come back", gateway.said)
    wait_for(lambda: name in answered_by(gateway), "it is not asked", gateway.said)


def processes(gateway: Gateway) -> list[int]:
    """The processes that ask golden prompts."""
    return [pid for pid in gateway.alive() if "wiring.canaries" in command_of(pid)]


def make_old(gateway: Gateway) -> None:
    """Have what an ended process said be as old as it gets by itself in a while."""
    said = kept_canaries(gateway.ledger_folder)
    write_canaries(gateway.ledger_folder, replace(said, at_s=said.at_s - LIVE_S))


def test_a_node_whose_answers_get_worse_is_out_of_service_until_they_are_good_again(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    gateway = start_gateway(configured(upstream))
    for node in nodes.values():
        node.golden(2)
    assert answered_by(gateway) == {"own/a", "own/b"}
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    assert "own/a answered the golden prompt with 'the the the the', expected was 'Rome'" in gateway.said()
    served = nodes["a"].served()
    assert answered_by(gateway) == {"own/b"}
    assert nodes["a"].served() == served
    nodes["a"].usual = ROME
    await_back(gateway, "own/a")
    assert gateway.stop() == 0


def test_a_slip_does_nothing(start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]) -> None:
    gateway = start_gateway(configured(upstream))
    nodes["a"].golden(1)
    nodes["a"].says = [NOISE, NOISE, ROME, NOISE, None, NOISE, ROME]
    wait_for(lambda: not nodes["a"].says, "it is not asked")
    nodes["a"].golden(2)
    assert "taken out" not in gateway.said()
    assert answered_by(gateway) == {"own/a", "own/b"}


def test_a_degraded_node_is_started_afresh_by_its_command_and_comes_back(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], tmp_path: Path
) -> None:
    gateway = start_gateway(configured(upstream, restart=restart_command(tmp_path)))
    nodes["b"].golden(1)
    nodes["b"].usual = NOISE
    await_out(gateway, "own/b")
    await_back(gateway, "own/b")
    assert (tmp_path / "restarted-b").read_text() == "own/b"
    assert not (tmp_path / "restarted-a").exists()
    assert "own/b: restart ended with code 0" in gateway.said()


def test_the_last_node_in_service_stays_whatever_it_answers(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    gateway = start_gateway(configured(upstream))
    for node in nodes.values():
        node.usual = NOISE
    wait_for(lambda: "stays in service: nothing else in its pool is" in gateway.said(), "who stays", gateway.said)
    wait_for(lambda: len(answered_by(gateway)) == 1, "two are in service", gateway.said)
    for node in nodes.values():
        node.golden(4)
    (last,) = answered_by(gateway)
    assert gateway.said().count("taken out of service") == 1
    nodes[{"own/a": "b", "own/b": "a"}[last]].usual = ROME
    wait_for(lambda: answered_by(gateway) == {"own/a", "own/b"} - {last}, "the other way round", gateway.said)


def test_a_pool_of_one_node_is_only_told_of(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], tmp_path: Path
) -> None:
    gateway = start_gateway(configured(upstream, "a", restart=restart_command(tmp_path)))
    nodes["a"].usual = NOISE
    wait_for(lambda: "own/a is degraded and stays in service" in gateway.said(), "it is told", gateway.said)
    nodes["a"].golden(3)
    assert answered_by(gateway) == {"own/a"}
    assert not (tmp_path / "restarted-a").exists()


def test_a_person_and_the_canary_each_undo_only_what_they_did(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    control = Control(free_port())
    token = {"name": "tests", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest(), "role": "admin"}
    section = {"port": control.port, "tokens": [token]}
    gateway = start_gateway({**configured(upstream), "control": section})
    wait_for(lambda: control.ask("GET", "/control/v1/health")[0] == 200, "the control plane", gateway.said)

    def state(name: str) -> str:
        _, text = control.ask("GET", "/control/v1/targets")
        return {item["name"]: str(item["state"]) for item in json.loads(text)["targets"]}[name]

    nodes["a"].golden(1)
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    assert state("own/a") == "degraded"
    assert 'breakeven_target_degraded{target="own/a"} 1' in control.ask("GET", "/metrics")[1]
    assert control.ask("DELETE", "/control/v1/targets/own%2Fa/drain")[0] == 200
    nodes["a"].golden(2)
    assert answered_by(gateway) == {"own/b"}

    assert control.ask("POST", "/control/v1/targets/own%2Fb/drain")[0] == 200  # so the degraded one is all there is
    wait_for(lambda: answered_by(gateway) == {"own/a"}, "who is left", gateway.said)
    nodes["a"].usual = ROME
    wait_for(lambda: "own/a is well again" in gateway.said(), "it is well", gateway.said)
    asked = nodes["b"].golden_count
    nodes["a"].golden(3)
    assert nodes["b"].golden_count <= asked + 1  # whom a person took out, nobody asks
    assert answered_by(gateway) == {"own/a"}
    assert read_drained(gateway.ledger_folder) == {"own/b"}
    assert state("own/b") == "out of service"


def test_without_a_canary_there_is_no_process_and_nobody_stays_out(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    gateway = start_gateway(configured(upstream))
    nodes["a"].golden(1)
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    assert len(processes(gateway)) == 1
    gateway.configure(without_canary(upstream))
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: not processes(gateway), "the process goes on", gateway.said)
    assert answered_by(gateway) == {"own/b"}
    make_old(gateway)
    wait_for(lambda: "own/a" in answered_by(gateway), "it stays out", gateway.said)
    asked = nodes["a"].golden_count
    assert answered_by(gateway) == {"own/a", "own/b"}
    assert nodes["a"].golden_count == asked


def test_after_a_kill_of_everything_it_goes_on_where_it_was(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    first = configured(upstream)
    del first["pools"]["own"]["canary"]["expect"]
    gateway = start_gateway(first)
    nodes["a"].golden(2)
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    gateway.kill()
    gateway.start()
    await_out(gateway, "own/a")
    nodes["a"].golden(4)  # its first answer of this life is not taken for the one to begin as
    assert answered_by(gateway) == {"own/b"}
    nodes["a"].usual = ROME
    await_back(gateway, "own/a")

    nodes["b"].usual = NOISE
    await_out(gateway, "own/b")
    gateway.kill()
    make_old(gateway)
    gateway.configure(without_canary(upstream))
    gateway.start()
    wait_for(lambda: answered_by(gateway) == {"own/a", "own/b"}, "it stays out for ever", gateway.said)


def test_a_real_engine_answers_the_golden_prompt_alike_each_time(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], engine: str
) -> None:
    own = configured(upstream, "a")
    del own["pools"]["own"]["canary"]["expect"]
    own["pools"]["own"] |= {"model": "tiny"}
    own["pools"]["own"]["nodes"].append({"name": "real", "url": engine})
    gateway = start_gateway(own)
    wait_for(lambda: "own/real answers the golden prompt with" in gateway.said(), "it is not asked", gateway.said)
    nodes["a"].golden(10)
    assert "own/real answered" not in gateway.said()
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    assert answered_by(gateway, 3) == {"own/real"}


def test_a_command_that_fails_is_tried_again_and_the_node_stays_out(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], tmp_path: Path
) -> None:
    gateway = start_gateway(configured(upstream, restart=restart_command(tmp_path, before="sys.exit('no quota')")))
    nodes["a"].usual = NOISE
    wait_for(lambda: "restart ended with code 1. It said: no quota" in gateway.said(), "it fails", gateway.said)
    nodes["a"].golden(3)
    assert answered_by(gateway) == {"own/b"}
    nodes["a"].usual = ROME  # somebody else has seen to it
    await_back(gateway, "own/a")


def test_a_killed_process_is_started_again_and_nobody_comes_back_for_it(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node]
) -> None:
    gateway = start_gateway(configured(upstream))
    nodes["a"].golden(1)
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    (pid,) = processes(gateway)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: processes(gateway) not in ([], [pid]), "it is not started again", gateway.said)
    nodes["a"].golden(4)
    assert answered_by(gateway) == {"own/b"}
    assert "own/a is in service again" not in gateway.said()


def test_nodes_are_asked_with_their_key_and_by_their_models_name(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], tmp_path: Path
) -> None:
    (tmp_path / "node.key").write_text("sk-of-the-node")
    own = configured(upstream)
    own["pools"]["own"] |= {"key": f"file:{tmp_path / 'node.key'}", "headers": {"x-team": "search"}}
    own["models"]["chat"]["targets"] = [{"target": "own", "model": "llama-tuned"}]
    gateway = start_gateway(own)
    nodes["a"].golden(1)
    assert nodes["a"].headers["authorization"] == "Bearer sk-of-the-node"
    assert nodes["a"].headers["x-team"] == "search"
    assert nodes["a"].asked["model"] == "llama-tuned"
    assert nodes["a"].asked["temperature"] == 0
    (pid,) = processes(gateway)
    assert "sk-of-the-node" not in command_of(pid)
    assert b"sk-of-the-node" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "sk-of-the-node" not in gateway.said()
    assert "sk-of-the-node" not in (gateway.ledger_folder / "state" / "canary.json").read_text()


def test_a_drained_node_is_neither_asked_nor_started_afresh(
    start_gateway: Start, upstream: ScriptedUpstream, nodes: dict[str, Node], tmp_path: Path
) -> None:
    gateway = start_gateway(configured(upstream, restart=restart_command(tmp_path, before="sys.exit(1)")))
    nodes["a"].usual = NOISE
    await_out(gateway, "own/a")
    set_drained(gateway.ledger_folder, "own/a", out=True)
    nodes["b"].golden(2)
    asked = nodes["a"].golden_count
    nodes["b"].golden(6)
    assert nodes["a"].golden_count <= asked + 1  # one may have been under way
    nodes["a"].usual = ROME
    set_drained(gateway.ledger_folder, "own/a", out=False)
    await_back(gateway, "own/a")
