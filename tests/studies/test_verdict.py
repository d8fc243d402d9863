"""The verdict as a whole, on the bundled trace and on stated traffic."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest
from stated_traffic import ON, only, stated_plan, write

import breakeven
from breakeven.economics.levers import Levers
from breakeven.errors import InputError, NoPriceError, UnknownNameError
from breakeven.reports.as_json import to_json
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.result import Verdict


@pytest.fixture(scope="module")
def azure() -> Verdict:
    return breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON)


def test_todays_tokens_are_priced_request_by_request_to_the_cent(azure: Verdict) -> None:
    """GPT-4o has flat prices, so 2.50 and 10.00 USD per Mtok of the totals is the exact bill."""
    usage = azure.profile.usage
    observed_usd = usage.input_tokens * 2.5e-6 + usage.output_tokens * 10e-6
    today = only(azure, "today")
    tokens = sum(row.usd_per_month.likely for row in today.lines if row.layer == "tokens")
    assert azure.profile.times is not None
    month_over_observed = 730 * 3600 / azure.profile.times.span_s
    assert tokens == pytest.approx(observed_usd * month_over_observed, rel=1e-12)


def test_lines_add_up_to_the_bill(azure: Verdict) -> None:
    for option in azure.options:
        assert sum(row.usd_per_month.likely for row in option.lines) == pytest.approx(option.usd_per_month.likely)


def test_every_interval_is_ordered_and_holds_its_likely_value(azure: Verdict) -> None:
    for option in azure.options:
        for item in (option.usd_per_month, option.usd_per_mtok):
            assert item.low <= item.likely <= item.high


def test_the_kinds_of_option_that_a_team_should_compare_are_there(azure: Verdict) -> None:
    kinds = {item.kind for item in azure.options}
    assert kinds >= {"today", "today-optimised", "api", "open-model-api", "serverless", "self-hosted", "owned"}


def test_a_pool_shows_all_six_drains_and_four_layers(azure: Verdict) -> None:
    pool = only(azure, "self-hosted")
    assert {row.drain for row in pool.lines if row.drain} == {
        "engineering labour", "MLOps infrastructure", "hardware decay", "incident response", "opportunity cost",
        "idle capacity",
    }  # fmt: skip
    assert {row.layer for row in pool.lines} >= {"compute", "engineering", "infrastructure", "reliability"}


def test_a_model_without_evidence_is_never_recommended(azure: Verdict) -> None:
    recommended = azure.option(azure.answer.recommended)
    cheaper = [item for item in azure.options if item.usd_per_month.likely < recommended.usd_per_month.likely]
    assert cheaper
    assert all(item.quality.standing == "no evidence" for item in cheaper)


def test_a_short_trace_says_what_it_cannot_show(azure: Verdict) -> None:
    assert any("no night, no week and no growth" in text for text in azure.limits)
    volume = azure.volume_mtok_per_month
    assert volume.low < 0.7 * volume.likely
    assert volume.high > 1.5 * volume.likely


def test_self_hosting_costs_the_same_as_the_api_at_its_break_even_volume(azure: Verdict, tmp_path: Path) -> None:
    """Plan again at the break-even volume: the two fully loaded bills agree."""
    pool = next(item for item in azure.options if item.kind == "self-hosted" and item.break_even[0].likely.first_mtok)
    volume = pool.break_even[0].likely.first_mtok
    assert volume is not None
    path = write(tmp_path, f"today: gpt-4o\ntraffic: {{total_tokens_per_month: {round(volume * 1e6)}}}\n")
    there = breakeven.plan(sample_trace(), scenario=path, as_of=ON)
    same, today = there.option(pool.id), only(there, "today")
    assert same.usd_per_month.likely == pytest.approx(today.usd_per_month.likely, rel=1e-3)


def test_doubling_the_volume_doubles_the_token_bill_and_nothing_else_of_an_api(tmp_path: Path) -> None:
    once, twice = stated_plan(tmp_path), stated_plan(tmp_path, tokens=6_000_000_000)
    for kind in ("today", "open-model-api"):
        first, second = only(once, kind), twice.option(only(once, kind).id)
        for row, other in zip(first.lines, second.lines, strict=True):
            factor = 2 if row.layer == "tokens" else 1
            assert other.usd_per_month.likely == pytest.approx(factor * row.usd_per_month.likely)


def test_allocated_and_idle_make_the_whole_rent(tmp_path: Path) -> None:
    """Conservation: busy hours + idle hours + standby = nodes x price x hours."""
    result = stated_plan(
        tmp_path,
        "quality: [{model: llama-3.1-70b, evidence: word}]\n"
        "pools:\n  - {model: llama-3.1-70b, gpu: a100-80gb-sxm, gpus_per_node: 2, precision: int8,"
        " usd_per_gpu_hour: 2.5, throughput: {total_tokens_per_s: 1000}}\n",
    )
    pool = next(item for item in result.options if item.id.endswith(":stated"))
    assert pool.nodes is not None
    rent = sum(row.usd_per_month.likely for row in pool.lines if row.layer in ("compute", "standby"))
    assert rent == pytest.approx((pool.nodes.serving_nodes + pool.nodes.standby_nodes) * 2 * 2.5 * 730)
    # 3B tokens a month at 1,000 tokens/s x 0.8 x 60 % utilisation: 1.26B a node.
    assert pool.nodes.serving_nodes == 3


def test_data_that_may_not_leave_excludes_every_third_party_whatever_it_costs(tmp_path: Path) -> None:
    result = stated_plan(
        tmp_path,
        "constraints: {data_may_leave: false}\nquality: [{model: llama-3.3-70b, evidence: word}]\n",
    )
    assert result.option(result.answer.recommended).kind in ("self-hosted", "owned")
    for item in result.options:
        if item.kind in ("today", "today-optimised", "api", "open-model-api", "serverless"):
            assert any("may not leave" in reason for reason in item.excluded_by)
    assert "The constraints cost" in result.answer.paragraph


def test_with_every_door_closed_it_says_so_instead_of_recommending(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, "constraints: {data_may_leave: false, regions: [mars]}\n")
    assert result.answer.recommended == ""
    assert "No option may be recommended" in result.answer.paragraph


def test_a_team_that_exists_is_sunk_and_leaves_the_avoidable_cost(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, "team_exists: true\n")
    pool = only(result, "self-hosted")
    sunk = sum(row.usd_per_month.likely for row in pool.lines if row.sunk)
    assert sunk > 0
    gap = pool.bases.fully_loaded_usd_per_mtok - pool.bases.avoidable_usd_per_mtok
    assert gap * result.volume_mtok_per_month.likely == pytest.approx(sunk)


def test_the_bases_climb_from_marginal_to_fully_loaded(azure: Verdict) -> None:
    for item in azure.options:
        b = item.bases
        assert b.marginal_usd_per_mtok <= b.allocated_usd_per_mtok * (1 + 1e-9)
        assert b.allocated_usd_per_mtok <= b.fully_loaded_usd_per_mtok


def test_a_labelled_comparison_below_95_percent_is_no_evidence(tmp_path: Path) -> None:
    text = "quality: [{{model: llama-3.3-70b, evidence: labelled-pairs, accuracy_ratio: {ratio}}}]\n"
    for ratio, standing in ((0.94, "no evidence"), (0.96, "evidence")):
        result = stated_plan(tmp_path, text.format(ratio=ratio))
        found = next(item for item in result.options if item.model == "llama-3.3-70b")
        assert found.quality.standing == standing


def test_the_same_model_self_hosted_keeps_todays_token_counts(tmp_path: Path) -> None:
    """Today buys Llama 3.3 70B by the token: its own nodes need no transfer of counts."""
    result = stated_plan(tmp_path, today="groq:llama-3.3-70b-versatile")
    own = next(item for item in result.options if item.model == "llama-3.3-70b" and item.kind == "self-hosted")
    assert own.quality.standing == "same model"
    assert not any(swing.key in ("tokeniser_ratio", "verbosity_ratio") for swing in own.swings)


def test_provisioned_throughput_is_bought_in_whole_units(tmp_path: Path) -> None:
    (tmp_path / "cards.yaml").write_text(
        "rate_cards:\n  - provider: acme\n    model: ptu\n    source: a contract\n    checked_on: 2026-11-01\n"
        "    open_model: llama-3.3-70b\n    provisioned: {usd_per_unit_hour: '2', unit_output_tokens_per_s: 100}\n"
        "    prices: [{input_usd_per_mtok: '1', output_usd_per_mtok: '1'}]\n",
        encoding="utf-8",
    )
    result = stated_plan(tmp_path, "rate_cards: [cards.yaml]\nassumptions: {verbosity_ratio: 1, tokeniser_ratio: 1}\n")
    found = only(result, "provisioned")
    assert found.nodes is not None
    # 750M output tokens a month are 285 a second: at 60 % utilisation five units of a hundred.
    assert found.nodes.serving_nodes == 5
    tokens = sum(row.usd_per_month.likely for row in found.lines if row.key in ("provisioned units", "idle capacity"))
    assert tokens == pytest.approx(5 * 2 * 730)


def test_a_commitment_is_paid_whether_it_is_used_or_not(tmp_path: Path) -> None:
    (tmp_path / "cards.yaml").write_text(
        "rate_cards:\n  - provider: acme\n    model: chat\n    source: a contract\n    checked_on: 2026-11-01\n"
        "    committed_usd_per_month: '50000'\n"
        "    prices: [{input_usd_per_mtok: '1', output_usd_per_mtok: '1'}]\n",
        encoding="utf-8",
    )
    result = stated_plan(tmp_path, "rate_cards: [cards.yaml]\n", today="acme:chat")
    today = only(result, "today")
    assert sum(row.usd_per_month.likely for row in today.lines if row.layer == "tokens") == pytest.approx(50_000)


def test_json_holds_everything_and_is_plain(azure: Verdict) -> None:
    data = json.loads(to_json(azure))
    assert data["profile"]["usage"]["input_tokens"] == azure.profile.usage.input_tokens
    assert data["profile"]["input_output_ratio"] == pytest.approx(5.47, abs=0.01)
    assert data["profile"]["total_tokens"] == azure.profile.usage.total_tokens
    assert len(data["options"]) == len(azure.options)
    assert data["options"][0]["usd_per_month"].keys() == {"low", "likely", "high"}


def test_the_same_input_gives_the_same_verdict(azure: Verdict) -> None:
    assert breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON) == azure


FOUR_OF_405B = """pools:
  - {model: llama-3.1-405b, gpu: h100-sxm, gpus_per_node: 4, precision: fp16, throughput: {output_tokens_per_s: 300}}
"""


@pytest.mark.parametrize(
    ("scenario", "error", "message"),
    [
        ("today: gpt-4oo\n", UnknownNameError, "openai:gpt-4o"),
        ("consider: [gpt-9-turbo]\n", UnknownNameError, "gpt-9-turbo"),
        ("pools: [{model: llama-3.3-70b, gpu: h900}]\n", UnknownNameError, "h900"),
        (
            "pools: [{model: llama-3.1-405b, gpu: h100-sxm, gpus_per_node: 4, precision: fp16}]\n",
            InputError,
            "812 GB for its weights alone",
        ),
        (FOUR_OF_405B, InputError, "812 GB"),
        (
            "pools: [{model: llama-3.3-70b, gpu: t4, gpus_per_node: 8}]\n",
            InputError,
            "No current on-demand price of t4",
        ),
        ("assumptions: {target_utilisation_fraction: 1.2}\n", InputError, "between 0 and 1"),
    ],
)
def test_what_cannot_work_is_refused_with_its_values(
    tmp_path: Path, scenario: str, error: type[Exception], message: str
) -> None:
    traffic = "traffic: {input_tokens_per_month: 3000000, output_tokens_per_month: 1000000}\n"
    head = "" if scenario.startswith("today") else "today: gpt-4o\n"
    with pytest.raises(error, match=message):
        breakeven.plan(scenario=write(tmp_path, head + traffic + scenario), as_of=ON)


def test_a_price_that_starts_later_is_missing_before(tmp_path: Path) -> None:
    (tmp_path / "cards.yaml").write_text(
        "rate_cards:\n  - provider: acme\n    model: chat\n    source: a contract\n    checked_on: 2026-11-01\n"
        "    prices: [{starts_on: 2026-06-01, input_usd_per_mtok: '1', output_usd_per_mtok: '1'}]\n",
        encoding="utf-8",
    )
    path = write(
        tmp_path,
        "today: acme:chat\nrate_cards: [cards.yaml]\n"
        "traffic: {input_tokens_per_month: 3000000, output_tokens_per_month: 1000000}\n",
    )
    with pytest.raises(NoPriceError, match="2026-06-01"):
        breakeven.plan(scenario=path, as_of=date(2026, 5, 31))


def test_an_open_model_named_as_todays_is_recognised_at_any_seller(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, today="cerebras:llama-3.3-70b")
    assert only(result, "today").model == "llama-3.3-70b"


def test_a_gain_too_small_to_act_on_is_no_reason_to_change(tmp_path: Path) -> None:
    """At a million tokens a month prompt caching saves cents beside the engineering share."""
    result = stated_plan(tmp_path, "consider: [openai:gpt-4o]\n", tokens=1_000_000)
    assert result.answer.recommended == "today:openai:gpt-4o"
    assert "stay" in result.answer.paragraph


def test_what_is_owned_already_is_sunk_and_its_running_cost_is_not(tmp_path: Path) -> None:
    pool = "{model: llama-3.1-8b, gpu: l40s, purchase: owned, node_usd: 14000, already_owned: true}"
    result = stated_plan(tmp_path, f"pools:\n  - {pool}\n")
    own = next(item for item in result.options if item.id.endswith(":stated"))
    assert own.nodes is not None
    sunk = sum(row.usd_per_month.likely for row in own.lines if row.sunk)
    # 14,000 USD over four years at 8 %: 352.24 USD a month for each node, busy, idle or standby.
    nodes = own.nodes.serving_nodes + own.nodes.standby_nodes
    assert sunk == pytest.approx(nodes * 352.24, rel=1e-4)


def test_break_even_against_a_commitment_does_not_depend_on_the_volume_it_was_run_at(tmp_path: Path) -> None:
    (tmp_path / "cards.yaml").write_text(
        "rate_cards:\n  - provider: acme\n    model: chat\n    source: a contract\n    checked_on: 2026-11-01\n"
        "    committed_usd_per_month: '20000'\n"
        "    prices: [{input_usd_per_mtok: '2', output_usd_per_mtok: '8'}]\n",
        encoding="utf-8",
    )
    found = []
    for tokens in (400_000_000, 4_000_000_000):
        result = stated_plan(tmp_path, "rate_cards: [cards.yaml]\n", today="acme:chat", tokens=tokens)
        pool = next(item for item in result.options if item.kind == "self-hosted")
        found.append(result.option(pool.id).break_even[0].likely.first_mtok)
    assert found[0] == pytest.approx(found[1], rel=0.2)


def test_a_price_read_later_than_the_day_it_is_used_for_warns(tmp_path: Path) -> None:
    text = "today: gpt-4o\ntraffic: {input_tokens_per_month: 3000000, output_tokens_per_month: 1000000}\n"
    result = breakeven.plan(scenario=write(tmp_path, text), as_of=date(2020, 1, 1))
    assert any("openai:gpt-4o was read on" in item for item in result.warnings)


def test_with_every_lever_at_rest_the_parts_are_the_bill(azure: Verdict) -> None:
    for option in azure.options:
        if option.levers is not None:
            assert option.levers.usd_per_month(Levers()) == pytest.approx(option.usd_per_month.likely)
            assert option.levers.nodes(Levers()) == (option.nodes.serving_nodes if option.nodes else 0)


def test_the_volume_lever_gives_what_planning_for_that_volume_gives(azure: Verdict, tmp_path: Path) -> None:
    twice = round(azure.volume_mtok_per_month.likely * 2e6)
    path = write(tmp_path, f"today: gpt-4o\ntraffic: {{total_tokens_per_month: {twice}}}\n")
    there = {item.id: item for item in breakeven.plan(sample_trace(), scenario=path, as_of=ON).options}
    for option in azure.options:
        if option.levers is not None and option.id in there:
            expected = there[option.id].usd_per_month.likely
            assert option.levers.usd_per_month(Levers(volume_ratio=2)) == pytest.approx(expected, rel=1e-6)
