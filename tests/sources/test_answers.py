"""Answers in words: what is understood, what is refused, and that the scenario made of them says the same."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.sources.answers import Answers, Hardware, count, node, positive, price, ratio, words, yes_or_no
from breakeven.sources.scenario import Scenario, parse_scenario
from breakeven.sources.scenario_text import scenario_text

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = {
    "3600000000": 3_600_000_000,
    "3_600_000_000": 3_600_000_000,
    "3,600,000,000": 3_600_000_000,
    "3 600 000 000": 3_600_000_000,
    "3.6B": 3_600_000_000,
    "3.6 billion": 3_600_000_000,
    "250m": 250_000_000,
    "12k": 12_000,
    "12 thousand": 12_000,
    "1.5T": 1_500_000_000_000,
    " 1 ": 1,
}


@pytest.mark.parametrize("text", COUNTS)
def test_counts_are_read_as_people_write_them(text: str) -> None:
    assert count(text) == COUNTS[text]


@given(st.integers(1, 10**15))
def test_a_count_is_read_back_however_its_thousands_are_set_apart(number: int) -> None:
    assert {count(f"{number}"), count(f"{number:,}"), count(f"{number:_}")} == {number}


REFUSED: dict[str, tuple[Callable[[str], object], str, str]] = {
    "a decimal comma": (count, "3,6B", "'3,6B' is no count"),
    "a unit that is none": (count, "3.6G", "'3.6G' is no count"),
    "words": (count, "a lot", "'a lot' is no count"),
    "a negative count": (count, "-5", "'-5' is no count"),
    "no traffic": (count, "0", "no traffic"),
    "a part of a token": (count, "1.2345k", "no whole number"),
    "too large a count": (count, "2000T", "the most is 10^15"),
    "too long a number": (positive, "1" * 41, "the most is 10^15"),
    "zero where more is needed": (positive, "0", "no number above 0"),
    "percent": (ratio, "97%", "if it is percent, write 0.97"),
    "percent without its sign": (ratio, "97", "if it is percent, write 0.97"),
    "no success at all": (ratio, "0", "never succeeds"),
    "neither yes nor no": (yes_or_no, "perhaps", "write y or n"),
    "a node of nothing": (node, "", "4x h100-sxm"),
    "a node of none": (node, "0x h100-sxm", "1 to 1,024"),
    "a price of nothing": (price, "free", "2.10/h"),
    "too dear an hour": (price, "2000000/h", "the most is 1,000,000 USD"),
    "an unprintable name": (words, "eu, a\x1b[31mb", "is no name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_value_and_what_to_write(name: str) -> None:
    read, text, expected = REFUSED[name]
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        read(text)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.10/h", (Decimal("2.10"), True)),
        ("$2.10 per hour", (Decimal("2.10"), True)),
        ("2.10 an hour", (Decimal("2.10"), True)),
        ("250000", (Decimal(250_000), False)),
        ("USD 250,000", (Decimal(250_000), False)),
    ],
)
def test_a_price_is_rent_by_the_hour_or_else_a_purchase(text: str, expected: tuple[Decimal, bool]) -> None:
    assert price(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("4x h100-sxm", 4), ("4 h100-sxm", 4), ("4×h100-sxm", 4), ("h100-sxm", 1)]
)
def test_a_node_is_so_many_gpus_of_a_kind(text: str, expected: int) -> None:
    assert node(text) == (expected, "h100-sxm")


NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
    lambda name: "," not in name
)
DECIMALS = st.decimals("0.01", 2, places=2)
HARDWARE = st.builds(
    Hardware,
    model=NAMES,
    gpu=NAMES,
    gpus_per_node=st.integers(1, 1024),
    precision=st.sampled_from(["fp8", "fp16", "int4"]),
    usd_per_gpu_hour=st.none() | DECIMALS,
    node_usd=st.none() | st.integers(1, 10**9).map(Decimal),
    output_tokens_per_s=st.none() | DECIMALS,
    regions=st.lists(NAMES, max_size=2).map(tuple),
    compliance=st.lists(NAMES, max_size=2).map(tuple),
)
TOTALS = st.fixed_dictionaries(
    {"input_tokens_per_month": st.integers(1, 10**15), "output_tokens_per_month": st.integers(1, 10**15)},
    optional={"requests_per_month": st.integers(1, 10**15)},
)
JUDGED = st.fixed_dictionaries({"judged_model": NAMES, "accuracy_ratio": DECIMALS})
OTHERS = st.fixed_dictionaries(
    {},
    optional={
        "today": NAMES,
        "data_may_leave": st.booleans(),
        "regions": st.lists(NAMES, max_size=3).map(tuple),
        "compliance": st.lists(NAMES, max_size=3).map(tuple),
        "fine_tuning": st.booleans(),
        "consider": st.lists(NAMES, max_size=3).map(tuple),
        "hardware": HARDWARE,
        "team_exists": st.booleans(),
    },
)
ANSWERS = st.builds(
    lambda name, *parts: Answers(name=name, **{key: value for part in parts for key, value in part.items()}),
    NAMES,
    OTHERS,
    TOTALS | st.just({}),
    JUDGED | st.just({}),
)


@given(ANSWERS)
def test_the_scenario_that_is_written_says_what_was_answered(answers: Answers) -> None:
    scenario, _ = parse_scenario(scenario_text(answers))
    assert scenario.name == answers.name
    assert (scenario.today, scenario.consider) == (answers.today, answers.consider)
    for key in ("input_tokens_per_month", "output_tokens_per_month", "requests_per_month"):
        assert getattr(scenario.traffic, key) == getattr(answers, key)
    assert scenario.constraints.data_may_leave is (answers.data_may_leave is not False)
    assert (scenario.constraints.regions, scenario.constraints.compliance) == (answers.regions, answers.compliance)
    assert scenario.constraints.fine_tuning is (answers.fine_tuning is True)
    assert scenario.team_exists is (answers.team_exists is True)
    assert [(item.model, item.accuracy_ratio) for item in scenario.quality] == (
        [(answers.judged_model, float(answers.accuracy_ratio))] if answers.accuracy_ratio is not None else []
    )
    _assert_same_pool(scenario, answers.hardware)


def _assert_same_pool(scenario: Scenario, said: Hardware | None) -> None:
    if said is None:
        assert scenario.pools == ()
        return
    (pool,) = scenario.pools
    for key in ("model", "gpu", "gpus_per_node", "precision", "node_usd", "regions", "compliance"):
        assert getattr(pool, key) == getattr(said, key)
    assert pool.already_owned is (said.node_usd is not None)
    assert pool.usd_per_gpu_hour == (said.usd_per_gpu_hour if said.node_usd is None else None)
    measured = pool.throughput.output_tokens_per_s if pool.throughput else None
    assert measured == (None if said.output_tokens_per_s is None else float(said.output_tokens_per_s))


@given(ANSWERS)
def test_every_example_holds_when_its_mark_is_taken_away(answers: Answers) -> None:
    text = scenario_text(answers)
    scenario, _ = parse_scenario(_uncommented(text))
    assert scenario.assumptions
    assert scenario.pools
    assert all(re.match(r" *# \S", line) for line in _uncommented(text).splitlines() if line.lstrip().startswith("#"))


def test_without_answers_every_section_is_an_example() -> None:
    text = scenario_text(Answers(name="mine"))
    assert parse_scenario(text)[0] == Scenario(name="mine")
    scenario, _ = parse_scenario(_uncommented(text))
    left_out = {"as_of", "today_is_open_model", "rate_cards"}
    assert scenario.model_fields_set == set(Scenario.model_fields) - left_out


def _uncommented(text: str) -> str:
    return re.sub(r"^( *)#(?! \S)", r"\1", text, flags=re.MULTILINE)
