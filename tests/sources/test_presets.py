"""Each preset reproduces its seed's worked example, as corrected, by way of ``plan``.

What is expected is computed here from the seeds' own figures, by counting nodes one by one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from breakeven.errors import UnknownNameError
from breakeven.sources.catalogue import load_book
from breakeven.sources.claims import read_claims
from breakeven.sources.presets import preset, presets
from breakeven.sources.rate_cards import RateCardFile
from breakeven.sources.scenario import own_assumptions, parse_scenario
from breakeven.sources.schemas import schema_of, schema_text
from breakeven.wiring.init import preset_files, write_files
from breakeven.wiring.plan import PlanRequest, run_plan

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.economics.breakeven import BreakEven
    from breakeven.studies.verdict.result import CrossingResult, OptionResult, Verdict

NAMES = [item.name for item in presets()]
GPT_4O_USD = (3 * 2.50 + 10.00) / 4
"""USD per million tokens at 3:1, input to output."""


@dataclass(frozen=True, kw_only=True)
class Stair:
    """A bill of whole nodes: what a pool costs before its first node, what a node costs and serves."""

    fixed_usd: float
    node_usd: float
    node_mtok: float
    price_usd: float
    """Of the alternative, per million tokens."""

    def first(self) -> tuple[float, int]:
        """Find the first volume at which n nodes cost what the alternative does, within what n nodes serve."""
        for nodes in range(1, 10_000):
            volume = (self.fixed_usd + nodes * self.node_usd) / self.price_usd
            if volume <= nodes * self.node_mtok:
                return max(volume, (nodes - 1) * self.node_mtok), nodes
        return inf, 0

    def stable(self) -> float:
        """Find the volume after the last one at which the alternative is cheaper, among the first 10,000 nodes."""
        last = 0.0
        for nodes in range(1, 10_000):
            volume = (self.fixed_usd + nodes * self.node_usd) / self.price_usd
            if volume > (nodes - 1) * self.node_mtok:
                last = min(volume, nodes * self.node_mtok)
        return last


def _write(name: str, folder: Path) -> Path:
    path = folder / f"{name}.yaml"
    write_files(preset_files(name, path), overwrite=False)
    return path


def _plan(path: Path, today: str | None = None) -> Verdict:
    return run_plan(PlanRequest(scenario=path, today=today))


def _edited(path: Path, **changes: Any) -> Path:
    """Change keys of a scenario; those of its mappings one by one."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        data[key] = {**data[key], **value}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def _pools(result: Verdict) -> list[OptionResult]:
    return [item for item in result.options if item.id.endswith(":stated")]


def _against(option: OptionResult, rival: str) -> CrossingResult:
    return next(item for item in option.break_even if item.against == rival)


def _line_usd(option: OptionResult, *keys: str) -> float:
    return sum(item.usd_per_month.likely for item in option.lines if item.key in keys)


def _rent_usd(option: OptionResult) -> float:
    return _line_usd(option, "node rent, busy hours", "idle capacity", "standby nodes")


def _assert_breaks_even(found: BreakEven, expected: Stair) -> None:
    volume, nodes = expected.first()
    assert found.first_mtok == pytest.approx(volume)
    assert found.first_nodes == nodes
    assert found.stable_mtok == pytest.approx(expected.stable())


def test_every_seed_has_a_preset() -> None:
    assert [f"seed-{seed}" for seed in sorted({claim.seed for claim in read_claims()})] == NAMES


def test_an_unknown_preset_names_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"no preset named 'seed-004'.*seed-000.*seed-003"):
        preset("seed-004")


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_valid_scenario_of_its_name(name: str) -> None:
    found = preset(name)
    scenario, document = parse_scenario(found.text, name)
    assert scenario.name == name
    assert scenario.as_of is not None, "prices move; a worked example keeps its day"
    assert own_assumptions(scenario, document, load_book(), scenario.as_of)
    jsonschema.validate(_as_json(found.text), json.loads(schema_text("scenario")))
    assert [path.name for path in scenario.rate_cards] == list(found.companions)
    for text in found.companions.values():
        jsonschema.validate(_as_json(text), json.loads(schema_of(RateCardFile)))


def _as_json(text: str) -> Any:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.mark.parametrize("name", NAMES)
def test_a_worked_example_has_no_doubt_but_that_of_the_catalogues_own_figures(name: str, tmp_path: Path) -> None:
    result = _plan(_write(name, tmp_path))
    compared = [*_pools(result), *(item for item in result.options if item.kind == "today")]
    assert len(compared) >= 2
    for option in compared:
        assert option.usd_per_month.low == option.usd_per_month.likely == option.usd_per_month.high


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_was_published_and_what_is_corrected(name: str) -> None:
    head = preset(name).text.split("\nname:")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line)
    assert "# Published: " in head
    assert "# Corrected:\n# - " in head
    assert max(map(len, preset(name).text.splitlines())) <= 120


CORRECTIONS = {
    "capacity-60": ("seed-002", ("346M", "1,244M", "1,866M")),
    "blend-sonnet": ("seed-002", ("5.25", "6.00")),
    "blend-haiku": ("seed-002", ("0.44", "0.50")),
    "cost-at-346": ("seed-002", ("38.20", "53.60", "7.09", "14.90")),
    "breakeven-nodes": ("seed-002", ("4.67B", "7.14B", "8.85B", "42.3B", "56.1B")),
    "breakeven-util": ("seed-003", ("22.2 %", "44.4 %", "12.31M", "13.46M")),
    "util-90": ("seed-003", ("4,665,600",)),
    "h100-year": ("seed-001", ("14,454", "10,000", "10,118")),
    "per-token-10b": ("seed-001", ("per 1,000 tokens",)),
    "tco-multiple": ("seed-001", ("6.2 times",)),
    "tiers-gap": ("seed-001", ("between 5 and 10 billion",)),
    "fintech": ("seed-001", ("83 %",)),
    "paragraph-tokens": ("seed-000", ("about 35 tokens", "about 50")),
    "out-multiple": ("seed-000", ("5 times", "8 times")),
}
"""Claims whose correction a preset names, and the figures that it must show."""


@pytest.mark.parametrize("claim", CORRECTIONS)
def test_a_preset_names_the_correction_of_a_claim(claim: str) -> None:
    name, figures = CORRECTIONS[claim]
    assert next(f"seed-{item.seed}" for item in read_claims() if item.id == claim) == name
    head = " ".join(preset(name).text.split("\nname:")[0].replace("\n#", " ").split())
    assert [figure for figure in figures if figure not in head] == []


def _high_002(path: Path) -> Path:
    """Take the figures that stand beside those of the low estimate as comments."""
    text = re.sub(r"(\w+:) [\d.]+ +# high: ([\d.]+)", r"\1 \2", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One of seed 002's two: engineer, supporting infrastructure, GPU-hour, and the published bill of one node."""

    engineer_usd: float
    infrastructure_usd: float
    gpu_hour_usd: float
    published_usd: float

    def stair(self, tokens_per_s: float) -> Stair:
        return Stair(
            fixed_usd=0.75 * self.engineer_usd / 12 + self.infrastructure_usd,
            node_usd=720 * 2 * self.gpu_hour_usd,
            node_mtok=tokens_per_s * 0.6 * 720 * 3600 / 1e6,
            price_usd=GPT_4O_USD,
        )


LOW = Estimate(engineer_usd=150_000, infrastructure_usd=250, gpu_hour_usd=2.50, published_usd=13_225)
HIGH = Estimate(engineer_usd=200_000, infrastructure_usd=1000, gpu_hour_usd=3.50, published_usd=18_540)


@pytest.mark.parametrize("estimate", [LOW, HIGH], ids=["low", "high"])
@pytest.mark.parametrize(("gpu", "tokens_per_s"), [("sxm", 1200), ("pcie", 800)])
def test_seed_002_breaks_even_on_the_corrected_staircase(
    tmp_path: Path, estimate: Estimate, gpu: str, tokens_per_s: int
) -> None:
    path = _write("seed-002", tmp_path)
    result = _plan(_high_002(path) if estimate is HIGH else path)
    found = _against(result.option(f"on-demand:llama-3.1-70b:2xa100-80gb-{gpu}:stated"), "today:openai:gpt-4o")
    expected = estimate.stair(tokens_per_s)
    _assert_breaks_even(found.likely, expected)
    assert found.pool is not None
    assert found.pool.node_mtok_per_month == pytest.approx(expected.node_mtok)
    assert found.pool.step_usd_per_month(1) == pytest.approx(estimate.published_usd)
    assert found.api.usd_per_mtok == pytest.approx(4.375)


CORRECTED_BILLIONS = {(LOW, 1200): (4.67, 3, 4.67), (LOW, 800): (7.14, 6, 8.78)}
CORRECTED_BILLIONS |= {(HIGH, 1200): (8.85, 5, 10.0), (HIGH, 800): (42.3, 34, 56.1)}
"""What the preset's comment says: first crossing, its nodes, and from where it stays cheaper."""


@pytest.mark.parametrize(("estimate", "tokens_per_s"), CORRECTED_BILLIONS)
def test_seed_002_says_the_staircase_in_its_comment(estimate: Estimate, tokens_per_s: int) -> None:
    first, nodes, stable = CORRECTED_BILLIONS[estimate, tokens_per_s]
    stair = estimate.stair(tokens_per_s)
    assert (f"{stair.first()[0] / 1000:.3g}", stair.first()[1]) == (f"{first:.3g}", nodes)
    assert f"{stair.stable() / 1000:.3g}" == f"{stable:.3g}"
    assert f"{first:.3g}B" in preset("seed-002").text


@pytest.mark.parametrize("gpu", ["sxm", "pcie"])
def test_seed_002_never_beats_the_same_weights_sold_by_the_token(tmp_path: Path, gpu: str) -> None:
    pool = _plan(_write("seed-002", tmp_path)).option(f"on-demand:llama-3.1-70b:2xa100-80gb-{gpu}:stated")
    (seller,) = [item for item in pool.break_even if item.against.startswith("open-api:")]
    assert seller.likely.never


def test_seed_003_breaks_even_at_22_percent(tmp_path: Path) -> None:
    result = _plan(_write("seed-003", tmp_path))
    (pool,) = _pools(result)
    found = _against(pool, "today:mid-size-api:example")
    capacity_requests, request_usd = 2 * 720 * 3600, (1000 * 0.50 + 500 * 1.50) / 1e6
    assert found.utilisation_fraction == pytest.approx(1440 / (capacity_requests * request_usd))
    assert found.utilisation_fraction == pytest.approx(0.2222, abs=1e-4)
    assert found.likely.first_mtok == found.likely.stable_mtok == pytest.approx(1440 / request_usd * 1500 / 1e6)
    assert pool.nodes is not None
    assert pool.nodes.utilisation_fraction.likely == pytest.approx(0.25)
    assert pool.usd_per_month.likely == pytest.approx(1440)
    today = result.option("today:mid-size-api:example")
    assert today.usd_per_request is not None
    assert today.usd_per_request.likely == pytest.approx(0.00125)


@pytest.mark.parametrize(
    ("used_fraction", "published_usd"), [(0.05, 0.0055), (0.25, 0.0011), (0.6, 0.00046), (0.9, 0.00031)]
)
def test_seed_003_has_every_row_of_the_published_table(
    tmp_path: Path, used_fraction: float, published_usd: float
) -> None:
    requests = round(2 * 720 * 3600 * used_fraction)
    traffic = {
        "requests_per_month": requests,
        "input_tokens_per_month": 1000 * requests,
        "output_tokens_per_month": 500 * requests,
    }
    (pool,) = _pools(_plan(_edited(_write("seed-003", tmp_path), traffic=traffic)))
    assert pool.nodes is not None
    assert pool.usd_per_request is not None
    assert pool.nodes.utilisation_fraction.likely == pytest.approx(used_fraction)
    assert pool.usd_per_request.likely == pytest.approx(1440 / requests)
    assert pool.usd_per_request.likely == pytest.approx(published_usd, rel=0.02)


def test_seed_003_with_the_standby_gpu_breaks_even_at_twice_that(tmp_path: Path) -> None:
    path = _edited(_write("seed-003", tmp_path), assumptions={"standby_count": 1})
    (pool,) = _pools(_plan(path))
    stair = _against(pool, "today:mid-size-api:example").pool
    assert stair is not None
    volume_mtok = stair.step_usd_per_month(1) / (0.00125 / 0.0015)
    assert volume_mtok / stair.node_mtok_per_month == pytest.approx(2 * 1440 / (2 * 720 * 3600 * 0.00125))


def test_seed_003_with_people_and_infrastructure_needs_four_gpus(tmp_path: Path) -> None:
    whole = {"self_hosted_engineering_fte": 0.75, "logging_usd_per_month": 250, "target_utilisation_fraction": 0.6}
    (pool,) = _pools(_plan(_edited(_write("seed-003", tmp_path), assumptions=whole)))
    found = _against(pool, "today:mid-size-api:example").likely
    node_mtok = 2 * 1500 * 720 * 3600 * 0.6 / 1e6
    _assert_breaks_even(found, Stair(fixed_usd=9625, node_usd=1440, node_mtok=node_mtok, price_usd=0.00125 / 0.0015))
    assert found.first_nodes == 4
    assert found.first_mtok is not None
    assert found.stable_mtok is not None
    assert found.first_mtok / 1500 == pytest.approx(12.31, abs=0.005), "millions of requests"
    assert found.islands[0].to_mtok == pytest.approx(4 * node_mtok)
    assert found.stable_mtok / 1500 == pytest.approx(13.46, abs=0.005)


def test_seed_001_rents_by_the_hour_and_not_by_the_busy_hour(tmp_path: Path) -> None:
    result = _plan(_write("seed-001", tmp_path))
    (pool,) = _pools(result)
    assert pool.nodes is not None
    nodes = pool.nodes.serving_nodes + pool.nodes.standby_nodes
    assert _rent_usd(pool) / nodes * 12 == pytest.approx(1.65 * 8760)
    assert pool.usd_per_month.likely / _rent_usd(pool) == pytest.approx(1 + 6250 / (1.65 * 730 * nodes))
    assert result.option("today:openai:gpt-4o").usd_per_month.likely == pytest.approx(10_000 * GPT_4O_USD)


def test_seed_001_with_one_gpu_is_6_times_its_rent_and_breaks_even_far_below_10_billion(tmp_path: Path) -> None:
    (pool,) = _pools(_plan(_write("seed-001", tmp_path)))
    found = _against(pool, "today:openai:gpt-4o")
    bill_usd = 1.65 * 730 + 0.5 * 150_000 / 12
    assert found.pool is not None
    assert found.pool.step_usd_per_month(1) == pytest.approx(bill_usd)
    assert bill_usd / (1.65 * 730) == pytest.approx(6.19, abs=0.005)
    assert found.likely.first_nodes == 1
    assert found.likely.first_mtok == pytest.approx(bill_usd / GPT_4O_USD)
    assert found.likely.first_mtok == pytest.approx(1_704, abs=0.5)


@pytest.mark.parametrize(
    ("today", "api_usd"), [("openai:o1", (3 * 15 + 60) / 4), ("openai:gpt-4o-mini", (3 * 0.15 + 0.60) / 4)]
)
def test_seed_000_pays_the_same_until_the_hardware_is_full(tmp_path: Path, today: str, api_usd: float) -> None:
    (pool,) = _pools(_plan(_write("seed-000", tmp_path), today))
    found = _against(pool, f"today:{today}")
    assert pool.usd_per_month.likely == pytest.approx(300_000 / 48)
    assert found.pool is not None
    assert found.pool.usd_per_month(0.001) == found.pool.usd_per_month(found.pool.node_mtok_per_month)
    assert found.pool.usd_per_month(1.001 * found.pool.node_mtok_per_month) == pytest.approx(2 * 300_000 / 48)
    stair = Stair(fixed_usd=0, node_usd=300_000 / 48, node_mtok=found.pool.node_mtok_per_month, price_usd=api_usd)
    _assert_breaks_even(found.likely, stair)
    assert found.likely.first_mtok == pytest.approx(300_000 / 48 / api_usd)
