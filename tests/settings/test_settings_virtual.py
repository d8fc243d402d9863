"""``pools: virtual: true`` as people get it right and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from breakeven.settings import pooled
from breakeven.studies.virtual.plan import VirtualPlan
from breakeven.wiring.snapshot import build_snapshot
from settings.files import MINIMAL, read, refused

if TYPE_CHECKING:
    from pathlib import Path

NODES = 'nodes: [{usd_per_hour: "8"}, {usd_per_hour: "8", since: 2026-11-20}]'
POOL = f"virtual: true, runs: llama-3.3-70b, hardware: 2xH100, quantisation: fp8, {NODES}"


def configured(pool: str = POOL, models: str = "") -> str:
    return f"{models or MINIMAL}pools: {{llama: {{{pool}}}}}\n"


def test_its_process_is_told_what_it_is(tmp_path: Path) -> None:
    settings = read(configured(f"{POOL}, engine: trtllm, watches: [gpt-4o-mini], full: {{waiting: 7}}"), tmp_path)
    assert not settings.warnings
    plan = msgspec.msgpack.decode(build_snapshot(settings).virtual, type=VirtualPlan)
    (pool,) = plan.pools
    assert plan.store == str(settings.store)
    assert (pool.deployment, pool.engine, pool.models) == ("2xH100:llama-3.3-70b:fp8", "tensorrt-llm", ("gpt-4o-mini",))
    assert (pool.most_waiting_requests, pool.most_kv_fraction, pool.most_ttft_s) == (7, 0.95, None)
    assert [node.since_us for node in pool.terms.nodes] == [0, 1_795_132_800_000_000]
    assert pool.terms.fixed_usd_per_hour > 0


def test_without_one_there_is_no_process(tmp_path: Path) -> None:
    assert build_snapshot(read(MINIMAL, tmp_path)).virtual == b""


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (f"virtual: true, {NODES}", "simulated from its runs and hardware"),
        (POOL.replace("llama-3.3-70b", "no-such"), "no-such"),
        (POOL.replace("2xH100", "2xNOSUCH"), "NOSUCH"),
        (f"{POOL}, watches: [nobody]", "there is no model 'nobody'"),
        (
            POOL.replace('{usd_per_hour: "8"}', '{url: "http://10.0.0.5:8000/v1", usd_per_hour: "8"}'),
            "has no addresses",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, pool: str, said: str) -> None:
    assert said in refused(configured(pool), tmp_path)


def test_it_serves_nobody(tmp_path: Path) -> None:
    models = MINIMAL.replace("targets: [openai]", "targets: [llama, openai]")
    assert "virtual and serves nobody" in refused(configured(models=models), tmp_path)


def test_without_numba_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "find_spec", lambda _: None)
    said = refused(configured(), tmp_path)
    assert "needs the package numba" in said
    assert "pip install 'breakeven[plan]'" in said
