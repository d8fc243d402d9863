"""How engines are now, and what they cost: of real ones, by their own word."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from real_engines import WAIT_S, chat, random_model
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.console.canaries import CanaryState, write_canaries
from breakeven.economics.pool_hours import NodePrices
from breakeven.engines import ENGINES
from breakeven.engines.degraded import Watched
from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.settings import read_settings
from breakeven.settings.pools import PoolEntry
from breakeven.wiring.clock import current_s
from breakeven.wiring.engine_ask import Door, ask
from breakeven.wiring.engine_status import node_statuses, usd_per_hour_at
from breakeven.wiring.pools import declared_entries, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


POOLS = """
pools:
  tiny:
    engine: llama.cpp
    model: tiny
    prices: [{{since: 2026-01-01, usd_per_hour: "0.75"}}]
    nodes:
{nodes}
  quiet:
    nodes: [{{url: "{first}/v1", usd_per_hour: "2", since: 2999-01-01}}]
  gone:
    engine: vllm
    model: other
    nodes: [{{url: "http://127.0.0.1:{closed}/v1"}}, {{url: "{first}/v1"}}]
  later: {{runs: llama-3.3-70b, hardware: 2xH100, virtual: true, nodes: [{{usd_per_hour: "5", since: 2026-01-01}}]}}
models:
  tiny: {{targets: [tiny]}}
"""


@pytest.fixture
def pool(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Eight real engines, and settings that name them beside a port where nothing listens."""
    with ExitStack() as engines, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = EngineSettings(slot_count=1)
        urls = [engines.enter_context(running_engine(model, settings)).removesuffix("/v1") for _ in range(8)]
        nodes = "\n".join(f'      - {{url: "{url}/v1", usd_per_hour: "1.25", since: 2026-01-01}}' for url in urls)
        path = tmp_path / "breakeven.yaml"
        text = POOLS.format(nodes=nodes, first=urls[0], closed=closed.getsockname()[1])
        path.write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        yield path


def test_the_status_of_a_real_pool_is_its_engines_own_word(pool: Path) -> None:
    settings = read_settings(pool, has_stored_keys=lambda _: False)
    url = settings.file.pools["tiny"].nodes[2].url
    assert url is not None
    chat(url.removesuffix("/v1"), tokens=5)
    found = {f"{item.pool}/{item.node}": item for item in node_statuses(settings)}
    assert len(found) == 11
    tiny = [found[f"tiny/n{number}"] for number in range(1, 9)]
    assert all(item.is_well and item.models == ("tiny",) and not item.unserved for item in tiny)
    assert [item.load.running_requests for item in tiny] == [0] * 8
    assert tiny[2].load.output_tokens == 5
    assert tiny[2].load.input_tokens
    assert {item.load.output_tokens for item in tiny} == {0, 5}
    assert [item.usd_per_hour for item in tiny] == [Decimal("0.75")] * 8
    assert found["quiet/n1"].usd_per_hour == 0
    assert "counts what it has in flight" in found["quiet/n1"].note
    assert found["gone/n1"].trouble == "nothing listens there"
    assert found["gone/n1"].usd_per_hour is None
    assert (found["gone/n2"].unserved, found["gone/n2"].load.is_known) == ("other", False)


@pytest.mark.usefixtures("pool")
def test_status_is_shown_as_a_table_and_as_json() -> None:
    shown = CliRunner().invoke(app, ["engine", "status"])
    assert shown.exit_code == 0, shown.output
    assert "11 nodes, 2 of them without a price: 6.00 USD an hour now." in shown.output
    assert "gone/n2 does not list 'other', the model of its pool." in shown.output
    assert "later is a virtual pool" in shown.output
    told = json.loads(CliRunner().invoke(app, ["engine", "status", "--json"]).output)
    assert told["usd_per_hour"] == "6.00"
    assert told["virtual_pools"] == ["later"]
    assert [node["well"] for node in told["nodes"]] == [*[True] * 9, False, True]


def test_status_tells_what_a_golden_prompt_shows(pool: Path) -> None:
    well, bad = Watched(begins="Rome"), Watched(begins="Rome", bad_count=2)
    degraded = Watched(begins="Rome", bad_count=3, is_degraded=True)
    nodes = {
        "tiny/n1": well,
        "tiny/n2": bad,
        "tiny/n3": degraded,
        "tiny/n4": replace(degraded, is_out=True),
        "tiny/n5": replace(degraded, is_out=True, is_restarting=True),
        "tiny/n6": Watched(),
    }
    settings = read_settings(pool)
    write_canaries(settings.ledger_folder, CanaryState(at_s=current_s(), nodes=nodes))
    assert [item.canary for item in node_statuses(settings)][:7] == [
        "well",
        "bad answers: 2",
        "degraded, in service, since nothing else is",
        "degraded, out of service",
        "degraded, being started afresh",
        "no answer yet",
        "",
    ]
    write_canaries(settings.ledger_folder, CanaryState(at_s=current_s() + 4, nodes=nodes))  # asking may take a while
    shown = CliRunner().invoke(app, ["engine", "status"]).output
    assert "tiny/n4, golden prompt: degraded, out of service." in shown
    assert "tiny/n1, golden" not in shown


def test_a_busy_engine_says_how_many_wait(model: Path) -> None:
    with running_engine(model, EngineSettings(slot_count=1)) as url, ThreadPoolExecutor(3) as clients:
        root, read = url.removesuffix("/v1"), ENGINES["llama.cpp"].read_load
        asked = [clients.submit(chat, root, tokens=1500) for _ in range(3)]
        loads = [read(ask(Door(root, {}), "/metrics", timeout_s=WAIT_S))]
        while not all(item.done() for item in asked):
            loads.append(read(ask(Door(root, {}), "/metrics", timeout_s=WAIT_S)))
    assert max(load.running_requests or 0 for load in loads) == 1
    assert max(load.waiting_requests or 0 for load in loads) >= 1


def test_a_price_holds_from_its_moment_and_nothing_is_paid_outside() -> None:
    pool = PoolEntry.model_validate(
        {
            "nodes": [
                {"name": "a", "url": "http://h/v1", "usd_per_hour": "5", "since": "2026-01-01", "until": "2026-06-01"}
            ],
            "prices": [
                {"node": "a", "since": "2026-02-01", "usd_per_hour": "4"},
                {"since": "2026-03-01", "usd_per_hour": "3"},
                {"node": "b", "since": "2026-03-02", "usd_per_hour": "1"},
            ],
        }
    )  # fmt: skip
    prices = [
        usd_per_hour_at(pool, "a", pool.nodes[0], datetime(2026, month, day, tzinfo=UTC))
        for month, day in ((1, 1), (1, 31), (2, 1), (3, 1), (5, 31), (6, 1))
    ]
    assert prices == [5, 5, 4, 3, 3, 0]
    before = datetime(2025, 12, 31, tzinfo=UTC)
    assert usd_per_hour_at(pool, "a", pool.nodes[0], before) == 0


def test_of_prices_from_one_moment_on_the_last_is_the_one_of_the_bill(tmp_path: Path) -> None:
    config = tmp_path / "breakeven.yaml"
    config.write_text(
        "pools: {p: {nodes: [{name: a, url: 'http://h/v1', usd_per_hour: '5', since: 2026-01-01}], prices: ["
        "{node: a, since: 2026-02-01, usd_per_hour: '4'}, {since: 2026-02-01, usd_per_hour: '3'}]}}",
        encoding="utf-8",
    )
    (pool,) = declared_entries(config).values()
    shown = usd_per_hour_at(pool, "a", pool.nodes[0], datetime(2026, 2, 2, tzinfo=UTC))
    (terms,) = declared_pools(config)
    moment_us = 1_769_990_400_000_000  # 2026-02-02
    ((_, billed),) = NodePrices(terms.prices).between("a", moment_us, moment_us + 1)
    assert shown == billed == Decimal(3)
