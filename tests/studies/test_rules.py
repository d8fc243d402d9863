"""The rules of thumb answered: each flips at its own threshold, groups add up, disagreements say why."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.sources.rules import Lean, Rule, RuleGroup, load_rules
from breakeven.studies.rules import Amount, Computed, Facts, GroupResult, Priced, Said, judge_rules
from breakeven.studies.rules.study import answer_rule
from breakeven.studies.rules.words import condition_text

GROUPS = {group.id: group for group in load_rules()}
RULES = {rule.id: rule for group in GROUPS.values() for rule in group.rules}

FLIPS: dict[str, tuple[float | bool, float | bool]] = {
    "001-band-api": (59.999, 60),
    "001-band-tiered": (60, 500),
    "001-band-managed": (5000, 5000.001),
    "001-band-gap": (9999.999, 5000),
    "001-band-self-host": (10_000, 9999.999),
    "001-question-volume": (10_000.001, 10_000),
    "001-question-data": (True, False),
    "001-question-fine-tuning": (True, False),
    "001-question-team": (True, False),
    "001-question-quality": (0.95, 0.949),
    "002-band-api": (499.999, 500),
    "002-band-depends": (3000, 499.999),
    "002-band-self-host": (3000.001, 3000),
    "002-any-compliance": (True, False),
    "002-any-fine-tuning": (True, False),
    "002-any-batch": (0.95, 0.94),
    "002-factor-privacy": (True, False),
    "002-factor-fine-tuning": (True, False),
    "002-factor-utilisation": (0.85, 0.849),
    "002-factor-team": (True, False),
    "002-factor-residency": (True, False),
    "002-check-volume": (499.999, 500),
    "002-check-fully-loaded": (2.5, 0),
    "002-check-compliance": (True, False),
    "002-check-utilisation": (0.599, 0.6),
    "002-check-steady": (1.66, 1.68),
    "002-check-team": (True, False),
    "002-check-full-stack": (3000.001, 3000),
    "002-check-hybrid": (0.3, 1.0),
    "002-check-router": (True, False),
    "003-signal-volume": (1_000_001, 1_000_000),
    "003-signal-pattern": (4, 4.01),
    "003-signal-stage": (True, False),
    "003-signal-team": (True, False),
    "003-signal-model": (0.95, 0.949),
    "003-signal-data": (True, False),
    "003-signal-latency": (True, False),
    "003-all-volume": (1_000_001, 1_000_000),
    "003-all-steady": (4, 4.01),
    "003-all-team": (True, False),
}
"""For each item a value with which the document says yes, and the nearest with which it does not."""


def _fact(value: float | bool) -> Amount | Said:
    return Said(holds=value, source="here") if isinstance(value, bool) else Amount.exact(value, "here")


def _facts(**values: float | bool | Amount) -> Facts:
    facts = {name: value if isinstance(value, Amount) else _fact(value) for name, value in values.items()}
    return replace(Facts(), **facts)  # type: ignore[arg-type]


API = Priced(title="gpt-4o", usd_per_month=50_000, has_evidence=True)
BROKERED = Priced(title="qwen by the token", usd_per_month=8_000, has_evidence=True)
POOL = Priced(
    title="qwen on 4x H200",
    usd_per_month=21_000,
    has_evidence=True,
    break_evens=("it never breaks even against qwen by the token",),
)


def _computed(recommended: Priced | None = BROKERED, leans: Lean | None = "managed") -> Computed:
    return Computed(recommended=recommended, leans=leans, today=API, pool=POOL, managed=BROKERED, allowed_apis_count=7)


def _group(group_id: str, facts: Facts, computed: Computed | None = None) -> GroupResult:
    return judge_rules(facts, [GROUPS[group_id]], computed or _computed()).groups[0]


def test_each_item_has_a_value_that_flips_it() -> None:
    assert set(FLIPS) == set(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_each_item_is_answered_yes_no_or_unknown(rule: Rule) -> None:
    yes_value, no_value = FLIPS[rule.id]
    yes = answer_rule(rule, _facts(**{rule.measure: yes_value}))
    no = answer_rule(rule, _facts(**{rule.measure: no_value}))
    unknown = answer_rule(rule, Facts())
    assert (yes.reply, no.reply, unknown.reply) == ("yes", "no", "unknown")
    assert (yes.leans, no.leans, unknown.leans) == (rule.yes_leans, rule.no_leans, rule.unknown_leans)
    assert yes.certain
    assert no.certain
    for known in (yes, no):
        assert known.value
        assert known.source == "here"
        assert not known.provide
    assert (unknown.value, unknown.source) == ("", "")
    assert unknown.provide
    assert yes.threshold == unknown.threshold == condition_text(rule.yes_when, rule.unit)


@given(st.floats(min_value=0, max_value=1e9))
def test_every_volume_lies_in_exactly_one_band(volume: float) -> None:
    for group_id in ("bands-001", "bands-002"):
        replies = [rule.reply for rule in _group(group_id, _facts(volume_mtok_per_month=volume)).rules]
        assert replies.count("yes") == 1


@pytest.mark.parametrize(
    ("volume", "leans", "said"),
    [
        (59.9, "api", "59.9M tokens a month is in '< 60 Million: Standard API': an API."),
        (60, "hybrid", "60M tokens a month is in '60M - 500 Million: Tiered API / Small Self-Host': a mix."),
        (500, "managed", "500M tokens a month is in '500M - 5 Billion: Managed GPU Platforms': an open model run by"),
        (5000, "managed", "5B tokens a month is in '500M - 5 Billion: Managed GPU Platforms': an open model run by"),
        (7000, None, "7B tokens a month is in '(5B - 10 Billion: no row)', which recommends nothing."),
        (10_000, "self-host", "10B tokens a month is in '10 Billion+: Full Self-Hosting': self-hosting."),
        (2_500_000, "self-host", "2.5T tokens a month is in '10 Billion+: Full Self-Hosting': self-hosting."),
    ],
)
def test_the_bands_of_001_at_their_edges(volume: float, leans: Lean | None, said: str) -> None:
    group = _group("bands-001", _facts(volume_mtok_per_month=volume))
    assert group.leans == leans
    assert group.summary.startswith(said)


def test_the_gap_between_5_and_10_billion_is_told_and_corrected() -> None:
    group = _group("bands-001", _facts(volume_mtok_per_month=7000))
    held = next(rule for rule in group.rules if rule.reply == "yes")
    assert "gap" in held.caveat
    assert group.beside.stand == "open"


@pytest.mark.parametrize(("volume", "leans"), [(499.9, "api"), (500, None), (3000, None), (3001, "self-host")])
def test_the_bands_of_002_at_their_edges(volume: float, leans: Lean | None) -> None:
    assert _group("bands-002", _facts(volume_mtok_per_month=volume)).leans == leans


def test_a_volume_whose_interval_reaches_into_other_bands_says_so() -> None:
    wide = Amount(low=4000, likely=12_000, high=30_000, source="your trace")
    group = _group("bands-001", _facts(volume_mtok_per_month=wide))
    answers = {rule.id: (rule.reply, rule.certain) for rule in group.rules}
    assert answers["001-band-self-host"] == ("yes", False)
    assert answers["001-band-gap"] == ("no", False), "the interval holds all of 5B to 10B, though neither end is in it"
    assert answers["001-band-api"] == ("no", True)
    assert group.summary == (
        "12B (4B to 30B) tokens a month is in '10 Billion+: Full Self-Hosting': self-hosting; "
        "the volume's interval reaches into other bands."
    )


@given(
    st.sampled_from([rule for rule in RULES.values() if rule.yes_when is not None]),
    st.tuples(*[st.floats(min_value=0, max_value=2e6)] * 4),
)
def test_a_certain_answer_is_that_of_every_value_in_the_interval(rule: Rule, points: tuple[float, ...]) -> None:
    low, first, second, high = sorted(points)
    wide = answer_rule(rule, _facts(**{rule.measure: Amount(low=low, likely=first, high=high, source="here")}))
    other = answer_rule(rule, _facts(**{rule.measure: second}))
    assert not wide.certain or wide.reply == other.reply


@pytest.mark.parametrize(("at_least", "reply"), [(1.2, "unknown"), (1.67, "unknown"), (6.0, "no")])
def test_a_lower_end_alone_answers_only_where_it_suffices(at_least: float, reply: str) -> None:
    """Three days of traffic show that it is spiky, never that it is steady."""
    result = answer_rule(RULES["002-check-steady"], _facts(hour_peak_to_mean_ratio=Amount.at_least(at_least, "3 days")))
    assert result.reply == reply
    assert result.value == f"at least {at_least:g}"
    assert bool(result.provide) == (reply == "unknown")


@pytest.mark.parametrize(
    ("rule_id", "value", "threshold", "text"),
    [
        ("002-check-utilisation", 0.108, "below 60 %", "10.8 %"),
        ("002-check-hybrid", 0.3, "above 0 and below 100 %", "30 %"),
        ("002-check-fully-loaded", 2.5, "above 0 USD a million tokens", "2.5 USD a million tokens"),
        ("003-signal-volume", 14_530_000, "above 1M requests a month", "14.5M requests a month"),
        ("002-band-depends", 0.0005, "at least 500M and at most 3B tokens a month", "500 tokens a month"),
        ("001-question-quality", 1.143, "at least 0.95", "1.14"),
        ("001-question-team", True, "yes", "yes"),
    ],
)
def test_values_and_thresholds_are_written_in_their_unit(
    rule_id: str, value: float | bool, threshold: str, text: str
) -> None:
    result = answer_rule(RULES[rule_id], _facts(**{RULES[rule_id].measure: value}))
    assert (result.threshold, result.value) == (threshold, text)


def test_an_amount_keeps_its_order() -> None:
    with pytest.raises(ValueError, match="low <= likely <= high"):
        Amount(low=2, likely=1, high=3, source="")
    with pytest.raises(ValueError, match="low <= likely <= high"):
        Amount(low=2, likely=None, high=1, source="")
    assert Amount.at_least(1, "").high == inf


FIVE_YES = {
    "volume_mtok_per_month": 12_000,
    "data_must_stay": True,
    "fine_tuning_needed": True,
    "team_exists": True,
    "open_model_quality_ratio": 1.0,
}
FIVE_NO = {
    "volume_mtok_per_month": 10,
    "data_must_stay": False,
    "fine_tuning_needed": False,
    "team_exists": False,
    "open_model_quality_ratio": 0.5,
}


@pytest.mark.parametrize(
    ("yes_count", "unknown_count", "leans"),
    [(3, 2, "self-host"), (2, 0, "api"), (2, 1, None), (0, 2, "api"), (0, 3, None), (5, 0, "self-host")],
)
def test_three_of_five_questions_decide_once_they_are_answered(
    yes_count: int, unknown_count: int, leans: Lean | None
) -> None:
    names = list(FIVE_YES)
    facts = {name: FIVE_YES[name] for name in names[:yes_count]}
    facts |= {name: FIVE_NO[name] for name in names[yes_count + unknown_count :]}
    group = _group("questions-001", _facts(**facts))
    assert group.leans == leans
    assert group.summary.startswith(f"{yes_count} of 5 yes, {unknown_count} unknown, 3 needed: ")


def test_one_factor_is_enough_and_none_says_nothing() -> None:
    nothing = {
        "data_must_stay": False,
        "fine_tuning_needed": False,
        "pool_utilisation_fraction": 0.3,
        "team_exists": False,
        "residency_needed": False,
    }
    assert _group("factors-002", _facts(**nothing)).leans is None
    assert _group("factors-002", _facts(**nothing | {"residency_needed": True})).leans == "self-host"


def test_all_three_at_once_of_003_fail_with_one() -> None:
    three = {"volume_requests_per_month": 5e6, "hour_peak_to_mean_ratio": 1.5, "team_exists": True}
    assert _group("all-three-003", _facts(**three)).leans == "self-host"
    assert _group("all-three-003", _facts(**three | {"team_exists": False})).leans == "api"
    del three["team_exists"]
    assert _group("all-three-003", _facts(**three)).leans is None


def test_signals_lean_only_when_the_unknown_ones_cannot_turn_them() -> None:
    four = {"hour_peak_to_mean_ratio": 9, "product_is_mature": False, "team_exists": False, "data_must_stay": False}
    three = dict(list(four.items())[:3])
    assert _group("signals-003", _facts(**four)).leans == "api", "5 with the unknown volume, against 2 at most"
    assert _group("signals-003", _facts(**three)).leans == "api", "4 against 3"
    assert _group("signals-003", _facts(**dict(list(three.items())[:2]))).leans is None, "3 against 4"


def test_a_volume_that_is_unknown_leans_to_the_api_in_003() -> None:
    assert answer_rule(RULES["003-signal-volume"], Facts()).leans == "api"


def test_a_tie_that_is_fully_answered_is_undecided() -> None:
    known = RuleGroup(id="g", seed="", title="G", tally="lean", rules=(RULES["001-band-api"], RULES["003-signal-team"]))
    result = judge_rules(_facts(volume_mtok_per_month=1, team_exists=True), [known], _computed()).groups[0]
    assert result.leans is None
    assert result.summary == "1 towards an API, 1 towards self-hosting; 0 of 2 unknown: undecided."


def test_self_hosting_by_the_rule_against_an_api_by_the_figures_says_what_the_pool_costs() -> None:
    group = _group("bands-001", _facts(volume_mtok_per_month=12_000))
    assert group.beside.stand == "disagrees"
    assert group.beside.sentence == (
        "Volume bands of 001 at 12B tokens a month: self-hosting; computed: qwen by the token at 8,000 USD a month."
    )
    assert group.beside.why == (
        "The cheapest pool of your own is qwen on 4x H200 at 21,000 USD a month; "
        "it never breaks even against qwen by the token."
    )


def test_a_rule_that_rests_on_a_constraint_hears_how_many_apis_meet_it() -> None:
    group = _group("any-volume-002", _facts(compliance_needed=True))
    assert "7 options by the token meet every constraint" in group.beside.why
    by_team = _group("factors-002", _facts(team_exists=True))
    assert "meet every constraint" not in by_team.beside.why


@pytest.mark.parametrize(
    ("facts", "computed", "why"),
    [
        (
            {"volume_mtok_per_month": 10},
            replace(_computed(POOL, "self-host"), allowed_apis_count=0),
            "Every option by the token is excluded by a constraint, whatever it costs.",
        ),
        (
            {"volume_mtok_per_month": 10},
            _computed(POOL, "self-host"),
            (
                "The rule knows neither your prices nor your load: "
                "qwen on 4x H200 costs 29,000 USD a month less than gpt-4o."
            ),
        ),
        (
            {"volume_mtok_per_month": 10},
            _computed(),
            (
                "The rule leaves out open models that others run: "
                "qwen by the token costs 42,000 USD a month less than gpt-4o."
            ),
        ),
        (
            {"volume_mtok_per_month": 1000},
            replace(_computed(API, "api"), managed=replace(BROKERED, has_evidence=False)),
            (
                "The cheapest open model run by others is qwen by the token at 8,000 USD a month; "
                "that it is good enough has no evidence yet."
            ),
        ),
        (
            {"volume_mtok_per_month": 1000},
            replace(_computed(API, "api"), managed=None),
            "No open model run by others could be compared that no constraint excludes.",
        ),
        (
            {"volume_mtok_per_month": 20_000},
            replace(_computed(), pool=None),
            "No pool of your own could be computed that no constraint excludes.",
        ),
    ],
)
def test_each_way_to_disagree_has_its_reason(facts: dict[str, float], computed: Computed, why: str) -> None:
    group = _group("bands-001", _facts(**facts), computed)
    assert group.beside.stand == "disagrees"
    assert group.beside.why == why


@pytest.mark.parametrize(
    ("volume", "leans"),
    [(10, "api"), (100, "api"), (100, "self-host"), (100, "hybrid"), (1000, "managed"), (20_000, "hybrid")],
)
def test_a_mix_agrees_with_its_parts(volume: float, leans: Lean) -> None:
    beside = _group("bands-001", _facts(volume_mtok_per_month=volume), _computed(API, leans)).beside
    assert (beside.stand, beside.why) == ("agrees", "")


def test_where_nothing_may_be_recommended_no_rule_is_right_or_wrong() -> None:
    beside = _group("bands-001", _facts(volume_mtok_per_month=10), _computed(None, None)).beside
    assert beside.stand == "open"
    assert beside.sentence.endswith("computed: nothing may be recommended.")


def test_the_share_of_draws_that_self_hosting_wins_stands_beside() -> None:
    computed = replace(_computed(), self_hosting_wins_fraction=0.125)
    beside = _group("bands-001", _facts(volume_mtok_per_month=10), computed).beside
    assert "(self-hosting is cheapest in 12% of draws)" in beside.sentence


def test_the_whole_result_counts_where_rules_and_figures_part() -> None:
    result = judge_rules(_facts(volume_mtok_per_month=12_000), load_rules(), _computed())
    assert [group.id for group in result.disagreements] == ["bands-001", "bands-002"]
    assert result.summary == (
        "Of 8 lists of rules, 0 lean the way of the computed result, 2 another way, and 6 say nothing here."
    )
