"""Pools of the settings become what their cost follows from: nodes, prices, weights, and a scenario's fixed lines."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.economics.allocation import GpuTime
from breakeven.economics.pool_hours import NodePrice, PaidNode
from breakeven.errors import BreakevenError, InputError, MissingExtraError, UnknownNameError
from breakeven.ledger.pools import stored_pools
from breakeven.ledger.store import connect
from breakeven.settings.pools import PoolEntry
from breakeven.wiring import pools
from breakeven.wiring.pools import (
    RETRY_S,
    SETTLE_S,
    PoolHours,
    closed_hours,
    declared_pools,
    fixed_usd_per_hour,
    gateway_pools,
    gpu_time_of,
    pool_terms,
)

if TYPE_CHECKING:
    from pathlib import Path

FIRST_US = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
NODE = {"url": "http://10.0.0.5:8000/v1", "usd_per_hour": "5.00", "since": "2026-11-01"}
ESTIMATED = {"runs": "llama-3.3-70b", "hardware": "2xH100", "quantisation": "fp8", "engine": "vllm"}


def entry(**said: Any) -> PoolEntry:
    return PoolEntry.model_validate({"nodes": [NODE]} | said)


def test_nodes_and_prices_are_taken_over_with_their_dates(tmp_path: Path) -> None:
    nodes = [NODE, {"name": "b", "url": "http://b/v1", "since": "2026-11-02T08:30:00Z", "until": "2026-11-03"},
             {"name": "new", "url": "http://c/v1"}]  # fmt: skip
    dated = [{"since": "2026-11-03", "usd_per_hour": 4}, {"node": "b", "since": "2026-11-02", "usd_per_hour": "3.5"}]
    found = pool_terms("llama", entry(nodes=nodes, prices=dated, slots=8), tmp_path)
    day_us = 86_400_000_000
    assert found.nodes == (
        PaidNode(name="n1", since_us=FIRST_US),
        PaidNode(
            name="b", since_us=FIRST_US + day_us + 8 * 3_600_000_000 + 1_800_000_000, until_us=FIRST_US + 2 * day_us
        ),
    ), "a node of which nobody says since when it is paid is in no bill"
    assert found.prices == (
        NodePrice(node="n1", since_us=0, usd_per_hour=Decimal("5.00")),
        NodePrice(node="", since_us=FIRST_US + 2 * day_us, usd_per_hour=Decimal(4)),
        NodePrice(node="b", since_us=FIRST_US + day_us, usd_per_hour=Decimal("3.5")),
    )
    assert (found.gpu_time, found.basis, found.slots_count) == (None, "", 8)


def test_gpu_time_that_is_said_goes_before_an_estimate() -> None:
    said = {"prefill_s_per_mtok": 40, "decode_s_per_mtok": 900}
    assert gpu_time_of(entry(gpu_time=said, **ESTIMATED)) == (
        GpuTime(prefill_us=40, cached_us=0, decode_us=900), "as the settings say",
    )  # fmt: skip


def test_an_estimate_is_of_the_declared_deployment_and_says_so() -> None:
    weights, basis = gpu_time_of(entry(**ESTIMATED))
    assert weights is not None
    assert 10 < weights.prefill_us < weights.decode_us < 1_000, "µs of a node of two H100 for a token of a 70B model"
    assert weights.cached_us == 0
    assert basis.startswith("estimated of 2xH100:llama-3.3-70b:fp8 on vllm: roofline fitted on")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"runs": "llama-3.3-70b", "hardware": "1xL4"}, InputError, "does not fit"),
        ({"runs": "no-such-model", "hardware": "1xL4"}, UnknownNameError, "no-such-model"),
        ({"runs": "llama-3.3-70b", "hardware": "99xH100"}, InputError, "1 to 8 GPUs"),
        (ESTIMATED | {"quantisation": "fp99"}, InputError, "fp99"),
    ],
)
def test_what_cannot_be_estimated_is_an_error_for_people(
    said: dict[str, str], error: type[BreakevenError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        gpu_time_of(entry(**said))
    told: list[str] = []
    (found,) = gateway_pools({"llama": entry(**said)}, tmp_path, told.append)
    assert found.gpu_time is None
    assert message in told[0]
    assert "shared by the time that attempts took" in told[0]


def test_a_quantisation_that_nobody_knows_is_an_error_where_weights_are_said_too(tmp_path: Path) -> None:
    said = {"prefill_s_per_mtok": 40, "decode_s_per_mtok": 900}
    with pytest.raises(InputError, match=r"'awq' is none of .*fp8"):
        pool_terms("llama", entry(gpu_time=said, runs="llama-3.3-70b", quantisation="awq"), tmp_path)


def test_an_estimate_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"breakeven\[plan\].*gpu_time"):
        gpu_time_of(entry(**ESTIMATED))


def test_fixed_lines_are_a_months_over_its_hours(tmp_path: Path) -> None:
    known = {
        "self_hosted_engineering_fte": 0.5, "engineering_per_node_fte": 0.1, "engineer_usd_per_year": 120_000,
        "opportunity_cost_fraction": 0.2, "load_balancer_usd_per_month": 20, "monitoring_usd_per_month": 30,
        "cache_usd_per_month": 40, "logging_usd_per_month": 10, "self_hosted_downtime_hours_per_month": 1,
        "downtime_usd_per_hour": 100, "self_hosted_incidents_per_month": 0,
        "self_hosted_breach_probability_per_year": 0, "hours_per_month": 730,
    }  # fmt: skip
    lines = "\n".join(f"  {key}: {value}" for key, value in known.items())
    (tmp_path / "plan.yaml").write_text(f"assumptions:\n{lines}\n", encoding="utf-8")
    first_usd, further_usd = fixed_usd_per_hour(entry(scenario="plan.yaml"), tmp_path)
    assert first_usd == (Decimal(5_000 * 12 // 10 + 100 + 100) / 730).quantize(Decimal("1e-6"))
    assert further_usd == (Decimal(1_000) * Decimal("1.2") / 730).quantize(Decimal("1e-6"))


def test_without_a_scenario_the_catalogues_likely_values_hold(tmp_path: Path) -> None:
    first_usd, further_usd = fixed_usd_per_hour(entry(), tmp_path)
    heavier_usd, _ = fixed_usd_per_hour(entry(**ESTIMATED), tmp_path)
    assert first_usd > further_usd > 0
    assert heavier_usd > first_usd, "its weights are stored"


def test_a_scenario_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        pool_terms("llama", entry(scenario="nowhere.yaml"), tmp_path)


def test_pools_are_read_without_anything_else_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(
        "pools:\n  llama: {key: 'env:NOT_THERE', nodes: [{url: 'http://a/v1', usd_per_hour: 5, since: 2026-11-01}]}\n"
        "  seen: {virtual: true, runs: llama-3.3-70b, hardware: 2xH100, nodes: [{usd_per_hour: 5}]}\n"
    )
    assert [found.name for found in declared_pools(path)] == ["llama"], "a virtual pool has no bill"
    assert declared_pools(None) == ()
    path.write_text("pools:\n  llama: {nodes: []}\n")
    with pytest.raises(InputError, match=r"'llama' in .*not well-formed.*config check"):
        declared_pools(path)
    path.write_text("targets: {a: {url: 'http://a/v1'}}\n")
    assert declared_pools(path) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "gpu_time: {prefill_s_per_mtok: -1, decode_s_per_mtok: 5}",
        "gpu_tme: {decode_s_per_mtok: 5}",
        "virtual: perhaps",
        "prices: 4.20",
        "slots: 0",
    ],
)
def test_a_key_that_is_wrong_is_not_left_out_of_what_a_pool_cost(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "breakeven.yaml"
    node = "{url: 'http://a/v1', usd_per_hour: 5, since: 2026-11-01}"
    path.write_text(f"pools:\n  llama: {{nodes: [{node}], {wrong}}}\n")
    with pytest.raises(InputError, match=r"'llama' in .*not well-formed"):
        declared_pools(path)


@pytest.mark.parametrize("written", ["5", "[llama]", "false", "''"])
def test_pools_that_are_no_mapping_are_not_taken_for_none(tmp_path: Path, written: str) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(f"pools: {written}\n")
    with pytest.raises(InputError, match="is no mapping of names to pools"):
        declared_pools(path)
    path.write_text("pools:\n")
    assert declared_pools(path) == ()


def test_hours_are_written_when_they_have_settled(tmp_path: Path) -> None:
    terms = pool_terms("llama", entry(), tmp_path)
    store = tmp_path / "ledger.sqlite"
    hours = PoolHours(store, (terms,))
    noon_s = FIRST_US / 1e6 + 12 * 3600
    assert closed_hours(noon_s + SETTLE_S - 1) == closed_hours(noon_s + SETTLE_S) - 1

    def count() -> int:
        with closing(connect(store, read_only=True)) as connection:
            assert stored_pools(connection) == {"llama": terms}
            return int(connection.execute("SELECT count(*) FROM pool_hour").fetchone()[0])

    assert hours.poll(noon_s + SETTLE_S - 1) == ""
    assert count() == 11
    assert hours.poll(noon_s + SETTLE_S) == ""
    assert count() == 12


def test_a_gateway_without_pools_makes_no_store_for_them(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    assert PoolHours(store, ()).poll(FIRST_US / 1e6) == ""
    assert not store.exists()


def test_hours_that_cannot_be_written_are_tried_again(tmp_path: Path) -> None:
    terms = pool_terms("llama", entry(), tmp_path)
    store = tmp_path / "ledger.sqlite"
    store.write_bytes(b"no database at all, and longer than a header" * 100)
    hours = PoolHours(store, (terms,))
    now_s = FIRST_US / 1e6 + 12.5 * 3600
    assert "again in a minute" in hours.poll(now_s)
    store.unlink()
    assert hours.poll(now_s + RETRY_S - 1) == ""
    assert not store.exists(), "not asked before its time"
    assert hours.poll(now_s + RETRY_S) == ""
    assert store.is_file()
