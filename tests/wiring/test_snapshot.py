"""The snapshot that the gateway gets is what the settings say, secrets and prices resolved."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from breakeven.catalog.rate_card import PriceList
from breakeven.gateway.snapshot import Proxy, Snapshot, Timeouts
from breakeven.settings import read_settings
from breakeven.settings.file import Policy
from breakeven.usage import TokenUsage
from breakeven.wiring.snapshot import build_snapshot

BENCH = Path(__file__).parents[2] / "bench"
DIGEST = "C00397DE4384B5BBAF14C02FE1EC7020D28D1EEAB6A722C576C84B6678C41C29"
ENVIRONMENT = {"KEY": "sk-1", "USER": "me", "PASSWORD": "pass word"}
CARDS = """
rate_cards:
  - {provider: broker, model: llama, source: contract, checked_on: 2026-01-01,
     prices: [{input_usd_per_mtok: 1, output_usd_per_mtok: 2}]}
"""
FULL = f"""
listen: {{host: "::1", port: 9555}}
workers: 2
targets:
  openai: {{url: "https://api.openai.com/v1", key: "env:KEY"}}
  mistral: {{url: "https://api.mistral.ai/v1", key: "env:KEY", model: mistral-small-latest, stream_usage: true}}
  other: {{url: "https://api.mistral.ai/v1", key: "env:KEY", model: mistral-small-latest}}
  broker:
    url: https://llm.example:8443/api/
    headers: {{X-Api-Key: "file:key.txt", X-Team: " a b "}}
    model: llama
    prices: broker:llama
    timeouts: {{connect_s: 1, first_token_s: 2, between_tokens_s: 3, total_s: 4}}
    proxy: {{url: "http://proxy.example:3128", user: "env:USER", password: "env:PASSWORD"}}
    stream_usage: false
    max_connections: 7
    sensitivities: [public]
models:
  gpt-4o: {{targets: [openai], unknown_price: refuse}}
  gpt-4o-2024-08-06: {{targets: [openai, broker, mistral]}}
  split: {{targets: [{{target: broker, weight: 9}}, other], max_attempts: 1}}
  "*": {{targets: [openai]}}
keys: [{{name: a, sha256: {DIGEST}, models: [split], tags: team=x, expires: 2030-01-01}}]
rate_cards: [cards.yaml]
limits: {{connections: 9, drain_s: 1}}
ledger: {{folder: d, store: e/f.db, on_full: drop, waiting_rows: 2000, fresh: true}}
"""


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    (tmp_path / "breakeven.yaml").write_text(FULL, encoding="utf-8")
    (tmp_path / "cards.yaml").write_text(CARDS, encoding="utf-8")
    (tmp_path / "key.txt").write_text("sk-2\n", encoding="utf-8")
    return build_snapshot(read_settings(tmp_path / "breakeven.yaml", environment=ENVIRONMENT))


def test_a_target_carries_its_address_credentials_and_limits(snapshot: Snapshot) -> None:
    target = snapshot.targets[3]
    assert (target.host, target.port, target.tls, target.host_header, target.base_path) == (
        "llm.example",
        8443,
        True,
        "llm.example:8443",
        "/api",
    )
    assert target.headers == (("x-api-key", "sk-2"), ("x-team", "a b"))
    assert target.timeouts == Timeouts(connect_s=1, first_token_s=2, between_tokens_s=3, total_s=4)
    encoded = base64.b64encode(b"me:pass word").decode()
    assert target.proxy == Proxy(host="proxy.example", port=3128, authorization=f"Basic {encoded}")
    assert (target.stream_usage, target.max_connections, target.sensitivities) == (False, 7, ("public",))
    assert snapshot.targets[0].headers == (("authorization", "Bearer sk-1"),)


def test_stream_usage_is_not_asked_of_hosts_that_refuse_it_unless_told(snapshot: Snapshot) -> None:
    assert [target.stream_usage for target in snapshot.targets[:3]] == [True, True, False]


def test_routes_keys_limits_and_ledger_are_those_of_the_file(snapshot: Snapshot, tmp_path: Path) -> None:
    routes = {route.model: route for route in snapshot.routes}
    assert routes["gpt-4o"].refuse_unpriced
    assert routes["gpt-4o-2024-08-06"].targets == ("openai", "broker", "mistral")
    assert (routes["gpt-4o-2024-08-06"].policy, routes["gpt-4o-2024-08-06"].max_attempts) == ("ordered", 3)
    assert (routes["split"].policy, routes["split"].weights, routes["split"].max_attempts) == ("weighted", (9, 1), 1)
    key = snapshot.keys[0]
    assert (key.name, key.sha256, key.models, key.tags) == ("a", DIGEST.lower(), ("split",), "team=x")
    assert key.expires_s == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert (snapshot.host, snapshot.port, snapshot.workers, snapshot.open_to_all) == ("::1", 9555, 2, False)
    assert (snapshot.limits.max_connections, snapshot.limits.drain_s, snapshot.limits.idle_s) == (9, 1, 75)
    ledger = snapshot.ledger
    assert (ledger.folder, ledger.store) == (str(tmp_path / "d"), str(tmp_path / "e" / "f.db"))
    assert (ledger.drop_when_full, ledger.waiting_rows, ledger.fresh) == (True, 2000, True)


def test_prices_are_listed_under_the_names_that_the_ledger_looks_up(snapshot: Snapshot) -> None:
    lists = {item.target: item for item in snapshot.price_lists}
    assert [target.priced_as for target in snapshot.targets] == [
        "openai:*",
        "mistral:mistral-small-latest",
        "mistral:mistral-small-latest",
        "broker:llama",
    ]
    assert lists.keys() == {
        "openai:gpt-4o",
        "openai:gpt-4o-2024-08-06",
        "mistral:mistral-small-latest",
        "broker:llama",
    }
    card = lists["broker:llama"].card_at(datetime(2026, 6, 1, tzinfo=UTC))
    assert card.price_usd(TokenUsage(input_tokens=1_000_000, output_tokens=500_000)) == Decimal(2)


def test_a_snapshot_survives_the_hand_over(snapshot: Snapshot) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


def test_the_benchmark_has_a_price_for_both_targets_and_the_key_that_it_brings() -> None:
    snapshot = build_snapshot(read_settings(BENCH / "gateway.yaml", environment={}))
    routes = {route.model: route.targets[0] for route in snapshot.routes}
    targets = {target.name: target for target in snapshot.targets}
    assert {model: targets[name].port for model, name in routes.items()} == {"tiny": 9001, "tiny-stream": 9101}
    assert {target.priced_as for target in snapshot.targets} == {item.target for item in snapshot.price_lists}
    assert snapshot.keys[0].sha256 == hashlib.sha256(b"sk-bench").hexdigest()
    assert (snapshot.port, snapshot.ledger.fresh, snapshot.open_to_all) == (9400, True, False)


def test_every_policy_that_a_file_may_name_is_there() -> None:
    policies = pytest.importorskip("breakeven.routing.policies")
    assert set(Policy.__args__) == set(policies.POLICIES)  # type: ignore[attr-defined]


def _price(*names: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "breakeven.wiring.price", *names], capture_output=True, check=False)


@pytest.mark.parametrize(
    "name", ["openai:gpt-4o-mini", "openai:gpt-4o-mini-2024-07-18", "groq:llama-3.3-70b-versatile"]
)
def test_one_price_list_is_looked_up_under_the_name_that_was_asked_for(name: str) -> None:
    done = _price(name)
    assert done.returncode == 0, done.stderr
    found: Any = msgspec.json.decode(done.stdout, type=PriceList)
    assert found.target == name
    assert found.card_at(datetime(2026, 11, 21, tzinfo=UTC)).missing == ()


@pytest.mark.parametrize("name", ["openai:no-such-model-9", "pool:gpt-4o", "gpt-4o", "openai:", ":", "x" * 5000])
def test_a_name_without_a_price_is_exit_code_3_and_silence(name: str) -> None:
    done = _price(name)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


def test_the_price_of_several_names_at_once_is_not_asked() -> None:
    assert _price("openai:gpt-4o", "openai:gpt-4").returncode == 2


def anything(tmp_path: Path, more: str) -> Snapshot:
    path = tmp_path / "breakeven.yaml"
    path.write_text(
        "targets:\n  openai: {url: 'https://api.openai.com/v1', key: 'env:KEY'}\n"
        f"models:\n  '*': {{targets: [openai]{more}}}\n"
    )
    return build_snapshot(read_settings(path, environment=ENVIRONMENT))


def test_a_route_for_every_name_lists_the_models_that_the_catalogue_knows(tmp_path: Path) -> None:
    (route,) = anything(tmp_path, "").routes
    assert {"gpt-4o", "gpt-4o-mini"} <= set(route.listed)
    assert not [name for name in route.listed if name.startswith("claude")]


def test_prices_that_decide_whether_a_request_is_taken_are_known_at_the_start(tmp_path: Path) -> None:
    assert not anything(tmp_path, "").price_lists
    targets = {item.target for item in anything(tmp_path, ", unknown_price: refuse").price_lists}
    assert "openai:gpt-4o" in targets
