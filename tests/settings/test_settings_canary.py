"""``canary:`` of a pool as people get it right and wrong, and what its process is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from breakeven.engines.canary import Golden
from breakeven.wiring.canary_plan import CanariesPlan
from breakeven.wiring.snapshot import build_snapshot
from settings.files import MINIMAL, SECRET, read, refused

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary: {prompt: The capital of Italy is, expect: Rome}"
NODES = 'nodes: [{url: "http://10.0.0.5:8000/v1"}, {name: b, url: "http://10.0.0.6:8000/v1"}]'
MODELS = "models: {chat: {targets: [llama]}}\n"


def configured(canary: str = CANARY, pool: str = "", nodes: str = NODES, models: str = MODELS) -> str:
    return f"{models}pools: {{llama: {{engine: vllm, {pool} {canary}, {nodes}}}}}\n"


def planned(text: str, folder: Path) -> CanariesPlan:
    return msgspec.msgpack.decode(build_snapshot(read(text, folder)).canaries, type=CanariesPlan)


def test_its_process_is_told_whom_to_ask_what_and_what_starts_a_node_afresh(tmp_path: Path) -> None:
    canary = (
        'canary: {prompt: Say it, every_s: 5, restart: [systemctl, restart, "{pool}@{node}"], timeout_s: 90}, '
        'schedule: {hours: "08-20", time_zone: Europe/Berlin, start: [a], stop: [b]}'
    )
    settings = read(configured(canary, "model: org/llama, key: env:OPENAI_API_KEY,"), tmp_path)
    snapshot = build_snapshot(settings)
    plan = msgspec.msgpack.decode(snapshot.canaries, type=CanariesPlan)
    (pool,) = plan.pools
    assert plan.folder == str(settings.ledger_folder)
    assert (pool.name, pool.golden, pool.every_s, pool.timeout_s) == (
        "llama",
        Golden(prompt="Say it", expected=None),
        5,
        90,
    )
    assert (pool.hours, pool.time_zone) == ("08-20", "Europe/Berlin")
    assert [node.model for node in pool.nodes] == ["org/llama"] * 2
    assert [node.restart[2] for node in pool.nodes] == ["llama@n1", "llama@b"]
    assert [node.target for node in pool.nodes] == list(snapshot.targets)
    assert dict(pool.nodes[0].target.headers) == {"authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr(plan) + repr(snapshot)


def test_a_minute_and_no_command_are_what_is_left_out(tmp_path: Path) -> None:
    (pool,) = planned(configured(), tmp_path).pools
    assert (pool.every_s, pool.timeout_s, pool.hours, pool.nodes[0].restart) == (60, 1800, "", ())


@pytest.mark.parametrize(
    ("models", "name"),
    [
        (MODELS, "chat"),
        ("models: {support: {targets: [{target: llama, model: support-v3}]}}\n", "support-v3"),
        ('models: {"*": {targets: [llama]}, base: {targets: [llama]}}\n', "base"),
    ],
)
def test_without_a_model_of_its_own_a_pool_is_asked_for_what_clients_ask_it_for(
    tmp_path: Path, models: str, name: str
) -> None:
    assert {node.model for node in planned(configured(models=models), tmp_path).pools[0].nodes} == {name}


def test_without_one_there_is_no_process(tmp_path: Path) -> None:
    assert build_snapshot(read(MINIMAL, tmp_path)).canaries == b""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (configured(models='models: {"*": {targets: [llama]}}\n'), "by which name its nodes know their model"),
        (configured(pool="protocols: [embeddings],"), "asked as a chat, which the pool does not speak"),
        (configured(pool="virtual: true, runs: llama-3.3-70b, hardware: 2xH100,"), "has no nodes that could be asked"),
        (configured("canary: {expect: Rome}"), "prompt"),
        (configured('canary: {prompt: ""}'), "prompt"),
        (configured('canary: {prompt: x, expect: ""}'), "expect"),
        (configured("canary: {prompt: x, every_s: 0}"), "every_s"),
        (configured("canary: {prompt: x, every_s: .inf}"), "every_s"),
        (configured("canary: {prompt: x, timeout_s: 0}"), "timeout_s"),
        (configured("canary: {prompt: x, restart: systemctl restart llama}"), "restart"),
        (configured("canary: {prompt: x, restart: []}"), "restart"),
        (configured("canary: {prompt: x, unknown: 1}"), "unknown"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(text, tmp_path)


def test_of_a_pools_only_node_it_just_tells(tmp_path: Path) -> None:
    one = 'nodes: [{url: "http://10.0.0.5:8000/v1", usd_per_hour: "5", since: 2026-11-01}]'
    (warning,) = read(configured(nodes=one), tmp_path).warnings
    assert "neither taken out nor started afresh" in warning.what
