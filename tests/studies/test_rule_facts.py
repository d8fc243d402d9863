"""From a verdict and a scenario to facts: what is known, from where, and what stays unknown."""

from __future__ import annotations

from datetime import date
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

import breakeven
from breakeven.economics.breakeven import BreakEven
from breakeven.quantities import Interval
from breakeven.sources.rules import load_rules
from breakeven.sources.scenario import Scenario, parse_scenario
from breakeven.studies.rule_facts import computed_of, facts_of
from breakeven.studies.rules import Amount, Said, judge_rules
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from breakeven.studies.rules import Facts
    from breakeven.studies.verdict.result import Verdict

NEVER = BreakEven(first_mtok=None, first_nodes=None, stable_mtok=None, stable_nodes=None, islands=(), island_count=0)


def _option(option_id: str, kind: str, usd_per_month: float, **more: Any) -> SimpleNamespace:
    """Stand for an option of a verdict with the fields that facts are taken from."""
    fields: dict[str, Any] = {
        "id": option_id,
        "title": option_id,
        "kind": kind,
        "model": "qwen",
        "usd_per_month": Interval.exact(usd_per_month),
        "quality": SimpleNamespace(standing="evidence", score_ratio=0.97, reason="public scores"),
        "excluded_by": (),
        "partial": (),
        "break_even": (),
        "nodes": None,
        "lines": (),
    }
    return SimpleNamespace(**fields | more)


def _today() -> SimpleNamespace:
    lines = (
        SimpleNamespace(layer="tokens", usd_per_month=Interval.exact(40_000)),
        SimpleNamespace(layer="engineering", usd_per_month=Interval.exact(2_500)),
    )
    bases = SimpleNamespace(fully_loaded_usd_per_mtok=42.5)
    quality = SimpleNamespace(standing="same model", score_ratio=None, reason="")
    return _option("today", "today", 42_500, model="gpt-4o", lines=lines, bases=bases, quality=quality)


def _pool(**more: Any) -> SimpleNamespace:
    nodes = SimpleNamespace(utilisation_fraction=Interval(low=0.2, likely=0.3, high=0.5), sized_by="peak windows")
    crossings = tuple(SimpleNamespace(against=name, likely=NEVER) for name in ("today", "optimised", "brokered"))
    return _option("pool", "self-hosted", 21_000, **{"nodes": nodes, "break_even": crossings} | more)


def _brokered(**more: Any) -> SimpleNamespace:
    return _option("brokered", "open-model-api", 8_000, **more)


def _verdict(*options: SimpleNamespace, recommended: str = "today", **profile: Any) -> Verdict:
    known: dict[str, Any] = {
        "source": "log.csv", "kind": "trace", "times": None, "batchable_fraction": None, "batch_fraction": None,
    }  # fmt: skip
    return cast(
        "Verdict",
        SimpleNamespace(
            profile=SimpleNamespace(**known | profile),
            volume_mtok_per_month=Interval(low=500, likely=1000, high=2000),
            requests_per_month=Interval.exact(2e6),
            options=options,
            option=lambda name: next(item for item in options if item.id == name),
            answer=SimpleNamespace(recommended=recommended),
            outlook=SimpleNamespace(self_hosting_wins_fraction=0.25),
        ),
    )


def _times(days: float, rates: list[float | None]) -> SimpleNamespace:
    return SimpleNamespace(span_days=days, hour_of_week_requests_per_s=tuple(rates + [None] * (168 - len(rates))))


def _scenario(text: str = "{}") -> Scenario:
    return parse_scenario(text)[0]


def _facts(text: str = "{}", **profile: Any) -> Facts:
    return facts_of(_verdict(_today(), _pool(), **profile), _scenario(text))


def test_a_default_that_nobody_wrote_is_not_a_fact() -> None:
    facts = _facts()
    assert facts.data_must_stay is None
    assert facts.compliance_needed is None
    assert facts.residency_needed is None
    assert facts.fine_tuning_needed is None
    assert facts.team_exists is None
    assert facts.batch_fraction is None


def test_what_the_scenario_says_is_a_fact_with_its_key() -> None:
    facts = _facts(
        "team_exists: false\n"
        "constraints: {data_may_leave: true, compliance: [], regions: [eu], fine_tuning: true}\n"
        "assumptions: {batchable_fraction: {low: 0.1, likely: 0.2, high: 0.4}}\n"
    )
    assert facts.team_exists == Said(holds=False, source="scenario: team_exists")
    assert facts.data_must_stay == Said(holds=False, source="scenario: constraints.data_may_leave")
    assert facts.compliance_needed == Said(holds=False, source="scenario: constraints.compliance")
    assert facts.residency_needed == Said(holds=True, source="scenario: constraints.regions")
    assert facts.fine_tuning_needed == Said(holds=True, source="scenario: constraints.fine_tuning")
    assert facts.batch_fraction == Amount(
        low=0.1, likely=0.2, high=0.4, source="scenario: assumptions.batchable_fraction"
    )


def test_data_that_must_stay_is_a_compliance_requirement_of_its_own() -> None:
    assert _facts("constraints: {data_may_leave: false}").compliance_needed == Said(
        holds=True, source="scenario: constraints.data_may_leave"
    )
    facts = _facts("constraints: {data_may_leave: true, compliance: [HIPAA]}")
    assert facts.compliance_needed == Said(holds=True, source="scenario: constraints.compliance")
    assert _facts("constraints: {data_may_leave: true}").compliance_needed is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("{}", "your trace: log.csv"),
        ("traffic: {total_tokens_per_month: 1000000}", "scenario: traffic.total_tokens_per_month"),
        ("traffic: {input_tokens_per_month: 5, output_tokens_per_month: 5}", "scenario: traffic"),
    ],
)
def test_volumes_say_where_they_come_from(text: str, source: str) -> None:
    facts = _facts(text)
    assert facts.volume_mtok_per_month == Amount(low=500, likely=1000, high=2000, source=source)
    assert facts.volume_requests_per_month == Amount.exact(2e6, source)


def test_the_busiest_hour_is_known_after_a_week_a_lower_end_after_a_day_and_nothing_before() -> None:
    week = _facts(times=_times(7.0, [1.0, 1.0, 4.0])).hour_peak_to_mean_ratio
    assert week == Amount.exact(2.0, "your trace: 7 days")
    days = _facts(times=_times(2.5, [1.0, 1.0, 4.0])).hour_peak_to_mean_ratio
    assert days == Amount(low=2.0, likely=None, high=inf, source="your trace: 2.5 days")
    assert _facts(times=_times(0.9, [1.0, 1.0, 4.0])).hour_peak_to_mean_ratio is None
    assert _facts(times=_times(9.0, [0.0])).hour_peak_to_mean_ratio is None
    assert _facts().hour_peak_to_mean_ratio is None, "a bill has no hours"


def test_a_log_tells_what_can_wait_or_at_least_what_was_a_batch() -> None:
    known = _facts(batchable_fraction=0.3, batch_fraction=0.1).batch_fraction
    assert known == Amount.exact(0.3, "your trace: log.csv")
    sent = _facts(batch_fraction=0.1).batch_fraction
    assert sent == Amount(low=0.1, likely=None, high=1.0, source="your trace: log.csv, sent as batch or flex")


def test_todays_engineering_is_per_million_tokens() -> None:
    source = "computed: engineering in the 42.5 USD of today"
    assert _facts().today_engineering_usd_per_mtok == Amount.exact(2.5, source)


def test_utilisation_is_that_of_the_cheapest_pool_with_evidence() -> None:
    unproven = SimpleNamespace(standing="no evidence", score_ratio=None, reason="")
    cheaper = _option("cheaper", "owned", 1_000, quality=unproven)
    excluded = _option("barred", "owned", 500, excluded_by=("must run in eu",))
    facts = facts_of(_verdict(_today(), cheaper, excluded, _pool()), _scenario())
    assert facts.pool_utilisation_fraction == Amount(
        low=0.2, likely=0.3, high=0.5, source="computed: pool, sized by peak windows"
    )
    assert facts_of(_verdict(_today()), _scenario()).pool_utilisation_fraction is None


@pytest.mark.parametrize(
    ("standing", "ratio", "low", "high"),
    [("same model", None, 1.0, 1.0), ("evidence", 0.97, 0.97, 0.97), ("evidence", None, 0.95, inf),
     ("no evidence", 0.8, 0.8, 0.8)],
)  # fmt: skip
def test_quality_is_a_score_or_a_word(standing: str, ratio: float | None, low: float, high: float) -> None:
    quality = SimpleNamespace(standing=standing, score_ratio=ratio, reason="because")
    found = facts_of(_verdict(_today(), _brokered(quality=quality)), _scenario()).open_model_quality_ratio
    assert found is not None
    assert (found.low, found.high, found.source) == (low, high, "qwen: because")


def test_quality_without_any_evidence_is_unknown_and_the_best_model_counts() -> None:
    none = SimpleNamespace(standing="no evidence", score_ratio=None, reason="")
    assert facts_of(_verdict(_today(), _brokered(quality=none)), _scenario()).open_model_quality_ratio is None
    found = facts_of(_verdict(_today(), _brokered(quality=none), _pool()), _scenario()).open_model_quality_ratio
    assert found is not None
    assert found.likely == 0.97


def test_of_several_open_models_the_best_one_counts() -> None:
    better = SimpleNamespace(standing="evidence", score_ratio=1.1, reason="public scores")
    found = facts_of(_verdict(_today(), _pool(), _brokered(quality=better)), _scenario()).open_model_quality_ratio
    assert found == Amount.exact(1.1, "qwen: public scores")


def test_a_ledger_shows_that_a_gateway_is_in_the_path() -> None:
    assert _facts().gateway_in_path is None
    assert _facts(source="ledger:var").gateway_in_path == Said(holds=True, source="your ledger: ledger:var")


def test_the_computed_side_names_what_is_recommended_and_what_a_pool_would_cost() -> None:
    optimised = _option("optimised", "today-optimised", 39_000)
    computed = computed_of(_verdict(_today(), optimised, _brokered(), _pool(), recommended="brokered"))
    assert computed.leans == "managed"
    assert computed.recommended is not None
    assert computed.recommended.usd_per_month == 8_000
    assert computed.managed == computed.recommended
    assert computed.allowed_apis_count == 3
    assert computed.self_hosting_wins_fraction == 0.25
    assert computed.pool is not None
    assert computed.pool.break_evens == (
        "it never breaks even against today",
        "it never breaks even against brokered",
    )


def test_break_even_against_the_recommended_option_is_told_whatever_its_kind() -> None:
    optimised = _option("optimised", "today-optimised", 7_000)
    computed = computed_of(_verdict(_today(), optimised, _brokered(), _pool(), recommended="optimised"))
    assert computed.pool is not None
    assert "it never breaks even against optimised" in computed.pool.break_evens


def test_a_bill_with_a_price_missing_is_never_the_cheapest() -> None:
    missing = {"partial": ("no price for output",)}
    options = [_option("half-api", "open-model-api", 1, **missing), _option("half-pool", "owned", 1, **missing)]
    computed = computed_of(_verdict(_today(), *options, _brokered(), _pool(break_even=())))
    assert computed.managed is not None
    assert computed.managed.title == "brokered"
    assert computed.pool is not None
    assert computed.pool.title == "pool"


@pytest.mark.parametrize(
    ("recommended", "leans"), [("today", "api"), ("optimised", "api"), ("pool", "self-host"), ("", None)]
)
def test_the_kind_of_the_recommended_option_is_its_lean(recommended: str, leans: str | None) -> None:
    options = (_today(), _option("optimised", "today-optimised", 39_000), _brokered(), _pool())
    assert computed_of(_verdict(*options, recommended=recommended)).leans == leans


def test_an_option_that_is_excluded_is_no_alternative() -> None:
    barred = {"excluded_by": ("data may not leave",)}
    computed = computed_of(_verdict(_today(), _brokered(**barred), _pool(**barred)))
    assert computed.managed is None
    assert computed.pool is None
    assert computed.allowed_apis_count == 1


def test_the_bundled_hour_shows_where_the_bands_and_the_figures_part() -> None:
    """20B tokens a month: 001 and 002 say self-hosting, and an hour cannot say how steady the week is."""
    verdict = breakeven.plan(sample_trace(), today="gpt-4o", as_of=date(2026, 11, 21))
    result = judge_rules(facts_of(verdict, _scenario()), load_rules(), computed_of(verdict))
    apart = {group.id: group for group in result.disagreements}
    assert set(apart) == {"bands-001", "bands-002"}
    recommended = verdict.option(verdict.answer.recommended)
    assert f"computed: {recommended.title} at" in apart["bands-001"].beside.sentence
    assert "The cheapest pool of your own is" in apart["bands-001"].beside.why
    assert "against openai:gpt-4o" in apart["bands-001"].beside.why
    replies = {rule.id: rule.reply for group in result.groups for rule in group.rules}
    assert replies["003-signal-pattern"] == "unknown"
    assert replies["002-check-utilisation"] == "yes"
