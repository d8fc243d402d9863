"""The rules of thumb as data: what the file holds, and what the loader refuses, with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.sources.claims import read_claims
from breakeven.sources.rules import UNIT_OF, Condition, load_rules, read_rules
from breakeven.studies.rules.facts import Facts
from breakeven.studies.rules.words import PROVIDE

if TYPE_CHECKING:
    from pathlib import Path

GROUP_LINES = """\
- id: a-group
  seed: "001"
  title: A group
  tally: band
  rules:
    - id: a-rule
      text: "Over 3B tokens/month"
      measure: volume_mtok_per_month
      unit: Mtok/month
      yes_when: "> 3000"
"""


def _refused(folder: Path, text: str) -> str:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_rules(path)
    return str(refused.value)


def test_the_seeds_lists_are_there_with_all_their_items() -> None:
    assert {group.id: len(group.rules) for group in load_rules()} == {
        "bands-001": 5,
        "questions-001": 5,
        "bands-002": 3,
        "any-volume-002": 3,
        "factors-002": 5,
        "checklist-002": 9,
        "signals-003": 7,
        "all-three-003": 3,
    }


def test_every_measure_is_asked_for_and_can_be_known_and_says_how() -> None:
    asked = {rule.measure for group in load_rules() for rule in group.rules}
    assert asked == set(UNIT_OF) == set(PROVIDE) == set(Facts.__slots__)


def test_every_correction_rests_on_a_checked_claim_that_does_not_simply_hold() -> None:
    verdicts = {claim.id: claim.verdict for claim in read_claims()}
    for group in load_rules():
        for rule in group.rules:
            assert all(verdicts[claim] != "holds" for claim in rule.claims), rule.id


def test_a_comparison_is_read_with_its_ends(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(GROUP_LINES.replace('"> 3000"', '">= 500, <3000.5"'), encoding="utf-8")
    rule = read_rules(path)[0].rules[0]
    assert rule.yes_when == Condition(low=500, low_belongs=True, high=3000.5, high_belongs=False)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("volume_mtok_per_month", "volume_of_tokens", "rules.yaml:8 0.rules.0.measure", "volume_of_tokens"),
        ("unit: Mtok/month", "unit: furlongs", "rules.yaml:9 0.rules.0.unit", "furlongs"),
        ("unit: Mtok/month", "unit: ratio", "rules.yaml:9 0.rules.0.unit", "is in Mtok/month, not in ratio"),
        ('"> 3000"', "true", "rules.yaml:10 0.rules.0.yes_when", "does not go with volume_mtok_per_month"),
        ('"> 3000"', "3000", "rules.yaml:10 0.rules.0.yes_when", "write a comparison such as"),
        ('"> 3000"', '"over 3B"', "rules.yaml:10 0.rules.0.yes_when", "write a comparison such as"),
        ('"> 3000"', '"> 3, > 4"', "rules.yaml:10 0.rules.0.yes_when", "write a comparison such as"),
        ('"> 3000"', '"> 4, < 3"', "rules.yaml:10 0.rules.0.yes_when", "no number satisfies"),
        ('"> 3000"', '">= 3, < 3"', "rules.yaml:10 0.rules.0.yes_when", "no number satisfies"),
        ("tally: band", "tally: count", "rules.yaml:4 0.tally", "needed_count goes with the tally 'count'"),
        ("tally: band", "tally: any", "rules.yaml:4 0.tally", "leans goes with the tallies"),
        ("tally: band", "tally: band\n  leans: api", "rules.yaml:5 0.leans", "leans goes with the tallies"),
        (
            "tally: band",
            "tally: count\n  needed_count: 2\n  leans: api",
            "rules.yaml:5 0.needed_count",
            "2 of 1 rules cannot be needed",
        ),
        ("text:", "caveat: not so\n      text:", "rules.yaml:7 0.rules.0.caveat", "names the checked claims"),
        ("text:", "claims: [x]\n      text:", "rules.yaml:7 0.rules.0.claims", "such claims need a caveat"),
        ("      text:", "      txt:", "rules.yaml:7 0.rules.0.txt", "Did you mean 'text'?"),
    ],
)
def test_the_loader_refuses_what_it_cannot_use_and_names_the_line(
    tmp_path: Path, old: str, new: str, where: str, what: str
) -> None:
    message = _refused(tmp_path, GROUP_LINES.replace(old, new, 1))
    assert where in message
    assert what in message


def test_an_id_stands_only_once_in_all_groups(tmp_path: Path) -> None:
    message = _refused(tmp_path, GROUP_LINES + GROUP_LINES)
    assert "rules.yaml:16 1.rules.0.id: the id 'a-rule' stands already above." in message


def test_a_group_without_rules_is_refused(tmp_path: Path) -> None:
    head = GROUP_LINES[: GROUP_LINES.index("  rules:")]
    assert "rules.yaml:5 0.rules: a group needs at least one rule." in _refused(tmp_path, head + "  rules: []\n")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = GROUP_LINES.replace("unit: Mtok/month", "unit: ratio").replace("tally: band", "tally: all")
    message = _refused(tmp_path, text)
    assert "2 problem(s)" in message
