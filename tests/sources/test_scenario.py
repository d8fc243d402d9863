"""Scenarios: what a person writes, what is refused, and how it is said."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.catalog.assumptions import RATES_OF_GROWTH
from breakeven.errors import InputError
from breakeven.sources.catalogue import load_book
from breakeven.sources.scenario import Scenario, own_assumptions, parse_scenario, read_scenario, stated_profile

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "scenario.yaml"
TODAY = date(2026, 11, 21)


def _refused(text: str) -> list[str]:
    """Return the lines of the message, without the one that counts them."""
    with pytest.raises(InputError) as caught:
        own_assumptions(*parse_scenario(text, "s.yaml"), load_book(), TODAY)
    return str(caught.value).splitlines()[1:] or [str(caught.value)]


def test_the_published_example_is_read_whole() -> None:
    scenario, document = read_scenario(EXAMPLE)
    assert scenario.today == "openai:gpt-4o"
    assert [pool.purchase for pool in scenario.pools] == ["reserved", "owned"]
    assert scenario.pools[0].usd_per_gpu_hour == Decimal("2.1")
    assert scenario.quality[0].accuracy_ratio == 0.97
    assert set(type(scenario).model_fields) - {"today_is_open_model"} == set(document.data), "it shows every key"
    profile = stated_profile(scenario)
    assert profile is not None
    assert profile.usage.total_tokens == 4_200_000_000
    assert profile.moments.requests == 2_400_000
    own = {item.key: item for item in own_assumptions(scenario, document, load_book(), TODAY)}
    assert own["engineer_usd_per_year"].interval.likely == 130_000
    assert own["engineer_usd_per_year"].basis == "user"
    assert own["target_utilisation_fraction"].interval.is_exact


def test_everything_is_optional() -> None:
    scenario, document = parse_scenario("{}")
    assert scenario == Scenario()
    assert stated_profile(scenario) is None
    assert own_assumptions(scenario, document, load_book(), TODAY) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.yaml is empty: a scenario is a mapping of keys to values, such as 'today: gpt-4o'."),
        ("# nothing\n", "s.yaml is empty: "),
        ("- today: gpt-4o", "s.yaml: a scenario is a mapping of keys to values, such as 'today: gpt-4o'."),
        ("gpt-4o", "s.yaml: a scenario is a mapping of keys to values, such as 'today: gpt-4o'."),
    ],
)
def test_a_file_that_is_no_mapping_is_told_what_a_scenario_is(text: str, message: str) -> None:
    assert _refused(text)[0].startswith(message)


def test_every_problem_is_told_at_once_with_its_line_and_key() -> None:
    text = """\
tody: gpt-4o
team_exists: perhaps
traffic:
  input_tokens_per_month: -5
  output_tokens_per_month: 60%
pools:
  - model: llama-3.1-8b
    gpus: h100-sxm
    precision: fp7
  - gpu: l4
    model: llama-3.1-8b
    gpus_per_node: true
    throughput: {output_tokens_per_s: 100, total_tokens_per_s: 200}
quality: word
name: x
name: y
"""
    assert _refused(text) == [
        "  s.yaml:16 name: the key 'name' stands twice (first in line 15); only one can hold.",
        "  s.yaml:4 traffic.input_tokens_per_month: Input should be greater than or equal to 0 (given: -5).",
        "  s.yaml:5 traffic.output_tokens_per_month: write 60 % as 0.6 (given: '60%').",
        "  s.yaml:7 pools.0.gpu: the key 'gpu' is missing.",
        "  s.yaml:9 pools.0.precision: Input should be 'bf16', 'fp16', 'fp8', 'int8', 'fp4' or 'int4' (given: 'fp7').",
        "  s.yaml:8 pools.0.gpus: unknown key 'gpus'. Did you mean 'gpu'?",
        "  s.yaml:12 pools.1.gpus_per_node: this should be a number (given: True).",
        "  s.yaml:13 pools.1.throughput: give exactly one of output_tokens_per_s and total_tokens_per_s.",
        "  s.yaml:14 quality: this should be a list, one '- ' each (given: 'word').",
        "  s.yaml:2 team_exists: Input should be a valid boolean, unable to interpret input (given: 'perhaps').",
        "  s.yaml:1 tody: unknown key 'tody'. Did you mean 'today'?",
    ]


def test_an_unknown_key_far_from_all_others_is_told_what_is_known_there_inside_lists_too() -> None:
    (line,) = _refused("pools:\n  - {model: a, gpu: b, zzz: 1}")
    assert line.startswith(
        "  s.yaml:2 pools.0.zzz: unknown key 'zzz'. Known here: already_owned, compliance, engine, gpu,"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("traffic: {input_tokens_per_month: 5}", "s.yaml:1 traffic: give input_tokens_per_month and output_tokens"),
        ("traffic: {requests_per_month: 5}", "s.yaml:1 traffic: requests_per_month counts only beside input_ and"),
        (
            "traffic: {input_tokens_per_month: 5, output_tokens_per_month: 5, total_tokens_per_month: 9}",
            "s.yaml:1 traffic: give either tokens by type or total_tokens_per_month, not both.",
        ),
        (
            "traffic: {input_tokens_per_month: 0, output_tokens_per_month: 0}",
            "s.yaml:1 traffic: no input and no output tokens: there is no traffic to plan for.",
        ),
        ("traffic: {total_tokens_per_month: 0}", "traffic.total_tokens_per_month: Input should be greater than or"),
        ("traffic: {total_tokens_per_month: 1.5}", "traffic.total_tokens_per_month: Input should be a valid integer"),
        ("traffic: {total_tokens_per_month: .inf}", "traffic.total_tokens_per_month: this should be a finite number"),
        ("traffic: {total_tokens_per_month: .nan}", "traffic.total_tokens_per_month: this should be a finite number"),
        ("traffic: [1]", "s.yaml:1 traffic: this should be a mapping of keys to values."),
        ("pools: [{model: a, gpu: b, purchase: owned}]", "s.yaml:1 pools.0: an owned pool needs node_usd"),
        ("pools: [{model: a, gpu: b, purchase: rented}]", "pools.0.purchase: Input should be 'on-demand', 'spot',"),
        ("pools: [{model: a, gpu: b, usd_per_gpu_hour: -1}]", "pools.0.usd_per_gpu_hour: Input should be greater than"),
        ("pools: [{model: a, gpu: b, usd_per_gpu_hour: .nan}]", "pools.0.usd_per_gpu_hour: this should be a finite"),
        ("pools: [{model: a, gpu: b, gpus_per_node: 0}]", "pools.0.gpus_per_node: Input should be greater than or"),
        ("quality: [{model: a, evidence: word, accuracy_ratio: 97%}]", "quality.0.accuracy_ratio: write 97 % as 0.97"),
        ("quality: [{model: a, evidence: word, accuracy_ratio: 97}]", "less than or equal to 2 (given: 97)"),
        ("consider: gpt-4o", "s.yaml:1 consider: this should be a list, one '- ' each (given: 'gpt-4o')."),
        ("as_of: 20261121", "s.yaml:1 as_of: write a date as 2026-11-21 (given: 20261121)."),
        ("as_of: 21.11.2026", "s.yaml:1 as_of: write a date as 2026-11-21 (given: '21.11.2026')."),
        ("as_of: 2026-02-30", "s.yaml:1 as_of: Input should be a valid date"),
        ("today: 4", "s.yaml:1 today: Input should be a valid string (given: 4)."),
        ("7: x", "s.yaml:1 7: a key should be text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key_and_value(text: str, message: str) -> None:
    assert any(message in line for line in _refused(text)), _refused(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("60", "is a share between 0 and 1 (given: 60). If that is percent, write 60 % as 0.6."),
        ("1.2", "is a share between 0 and 1 (given: 1.2). If that is percent, write 1.2 % as 0.012."),
        ("60%", "write 60 % as 0.6 (given: '60%')."),
        ("much%", "write a share as a number between 0 and 1 (given: 'much%')."),
        ("-0.1", "cannot be negative (given: -0.1 fraction)."),
        ("0", "must be above 0 (given: 0 fraction)."),
        (".nan", "this should be a finite number, up to 1e15 (given: nan)."),
        ("-.inf", "this should be a finite number, up to 1e15 (given: -inf)."),
        ("1e300", "this should be a finite number, up to 1e15 (given: 1e+300)."),
        ("true", "this should be a number (given: True)."),
        ("most", "write a number, or a mapping of low, likely and high (given: 'most')."),
        ("[0.4, 0.6]", "write a number, or a mapping of low, likely and high."),
        ("", "write a number, or a mapping of low, likely and high (given: None)."),
        ("{low: 0.6, likely: 0.5, high: 0.7}", "need low <= likely <= high, got 0.6, 0.5, 0.7."),
    ],
)
def test_a_share_that_is_none_is_refused_with_what_to_write(value: str, message: str) -> None:
    where = "  s.yaml:2 assumptions.target_utilisation_fraction: "
    (line,) = _refused(f"assumptions:\n  target_utilisation_fraction: {value}")
    assert line.startswith(where)
    assert line.endswith(message)


def test_the_parts_of_a_range_are_named_when_they_are_wrong() -> None:
    text = "assumptions:\n  pue_ratio:\n    low: .inf\n    likly: 1\n    high: false"
    assert _refused(text) == [
        "  s.yaml:3 assumptions.pue_ratio.low: this should be a finite number (given: inf).",
        "  s.yaml:2 assumptions.pue_ratio.likely: the key 'likely' is missing.",
        "  s.yaml:5 assumptions.pue_ratio.high: this should be a number (given: False).",
        "  s.yaml:4 assumptions.pue_ratio.likly: unknown key 'likly'. Did you mean 'likely'?",
    ]


def test_unknown_and_impossible_assumptions_are_told_at_once() -> None:
    text = """\
assumptions:
  pue_ration: 0.5
  quux: 1
  pue_ratio: 0
  discount_rate_per_year: 8
  hours_per_month: 0
"""
    assert _refused(text) == [
        "  s.yaml:2 assumptions.pue_ration: unknown assumption 'pue_ration'. Did you mean 'pue_ratio'?",
        "  s.yaml:3 assumptions.quux: unknown assumption 'quux'. `breakeven catalog assumptions` lists them all.",
        "  s.yaml:4 assumptions.pue_ratio: pue_ratio is at least 1 (given: 0).",
        (
            "  s.yaml:5 assumptions.discount_rate_per_year: discount_rate_per_year is a share between 0 and 1 "
            "(given: 8). If that is percent, write 8 % as 0.08."
        ),
        "  s.yaml:6 assumptions.hours_per_month: hours_per_month must be above 0 (given: 0 hours).",
    ]


@pytest.mark.parametrize(
    ("key", "value", "distribution"),
    [
        ("pue_ratio", "1.3", "fixed"),
        ("pue_ratio", "{low: 1.1, likely: 1.3, high: 1.5}", "triangular"),
        ("horizon_months", "{low: 12, likely: 24, high: 36}", "triangular"),
        ("self_hosted_incidents_per_month", "{low: 0, likely: 1, high: 2}", "triangular"),
        ("self_hosted_incidents_per_month", "{low: 0.1, likely: 1, high: 2}", "lognormal"),
    ],
)
def test_a_figure_of_your_own_has_a_distribution_that_it_can_have(key: str, value: str, distribution: str) -> None:
    (own,) = own_assumptions(*parse_scenario(f"assumptions: {{{key}: {value}}}"), load_book(), TODAY)
    assert own.distribution == distribution
    assert own.unit == load_book().assumptions[key].unit
    assert own.as_of == TODAY
    assert own.source == "stated in the scenario"


def test_your_figures_are_dated_as_the_scenario() -> None:
    (own,) = own_assumptions(*parse_scenario("{as_of: 2026-05-01, assumptions: {pue_ratio: 1.3}}"), load_book(), TODAY)
    assert own.as_of == date(2026, 5, 1)


values = st.floats() | st.integers() | st.text(max_size=5) | st.none() | st.booleans()
ranges = st.fixed_dictionaries({}, optional=dict.fromkeys(("low", "likely", "high"), values))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(load_book().assumptions)), values | ranges, max_size=4))
def test_stated_assumptions_are_taken_as_intervals_or_refused(stated: dict[str, object]) -> None:
    try:
        scenario, document = parse_scenario(f"assumptions: {stated}".replace("None", "null"))
        taken = own_assumptions(scenario, document, load_book(), TODAY)
    except InputError:
        return
    for item in taken:
        least = -1 if item.key in RATES_OF_GROWTH else 0
        assert least <= item.interval.low <= item.interval.likely <= item.interval.high
        assert (item.distribution == "fixed") == item.interval.is_exact
