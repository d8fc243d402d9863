"""``tasks:`` of the settings: rules as routing wants them, and what is wrong with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from breakeven.errors import InputError
from breakeven.routing.task_rules import RULE, Fingerprints, task_of
from breakeven.routing.task_shape import Shape
from breakeven.settings.check import Findings
from breakeven.settings.check_tasks import check_tasks, tables_of, tasks_of
from breakeven.settings.tasks import TasksEntry
from breakeven.sources.yaml_file import parse_yaml

if TYPE_CHECKING:
    from pathlib import Path


def entry(**data: Any) -> TasksEntry:
    return TasksEntry.model_validate(data)


def findings_of(found: TasksEntry, folder: Path, places: frozenset[str] = frozenset({"llama", "api"})) -> list[str]:
    findings = Findings(parse_yaml("tasks: {}", "breakeven.yaml"), folder, {})
    check_tasks(found, frozenset({"gpt"}), places, findings)
    return [str(problem) for problem in findings.problems]


def write_table(path: Path, weak: str) -> None:
    tasks = {"faq": {"allowed": True, "pairs": 200, "difference": 0.0, "lower_bound": -0.01}}
    data = {"version": 1, "weak": weak, "strong": "api", "margin": 0.02, "tasks": tasks}
    path.write_text(json.dumps(data), encoding="utf-8")


def test_rules_are_tried_in_order_and_words_stand_alone(tmp_path: Path) -> None:
    rules = [
        {"task": "summary", "words": ["tl;dr", "summarise"]},
        {"task": "labels", "max_tokens": 10, "json_answer": True},
        {"task": "sql", "matches": r"(?i)\bselect\b"},
    ]
    tasks = tasks_of(entry(rules=rules), tmp_path)
    known = Fingerprints({})
    assert task_of(tasks, known, "k", Shape(text="Please SUMMARISE it")) == ("summary", RULE)
    assert task_of(tasks, known, "k", Shape(text="tl;dr")).task == "summary"
    assert task_of(tasks, known, "k", Shape(text="summarised")).task == ""
    assert task_of(tasks, known, "k", Shape(is_json=True, max_tokens=8)).task == "labels"
    assert task_of(tasks, known, "k", Shape(text="Select all", max_tokens=8)).task == "sql"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"task": "t"}, "needs a condition"),
        ({"task": "t", "matches": "("}, "no regular expression"),
        ({"task": "t", "matches": "a", "words": ["b"]}, "not both"),
        ({"task": "two words", "matches": "a"}, "one word"),
        ({"task": "t", "max_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        entry(rules=[rule])


def test_tables_and_aliases_must_name_what_is_there(tmp_path: Path) -> None:
    write_table(tmp_path / "a.yaml", "llama")
    write_table(tmp_path / "b.yaml", "llama")
    write_table(tmp_path / "c.yaml", "nobody")
    assert findings_of(entry(tables=["a.yaml"]), tmp_path) == []
    told = findings_of(entry(tables=["a.yaml", "b.yaml", "c.yaml", "d.yaml"], aliases={"x": "faq"}), tmp_path)
    assert len(told) == 4
    assert "there is no model 'x'" in told[0]
    assert "both speak of 'llama'" in told[1]
    assert "no target and no pool" in told[2]
    assert "d.yaml cannot be read" in told[3]
    assert tables_of(entry(tables=["a.yaml"]), tmp_path)[0].allowed == {"faq"}


def test_a_classifier_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"nothing")
    assert "no classifier" in findings_of(entry(classifier="m"), tmp_path)[0]
    with pytest.raises(InputError, match="cannot be read"):
        tasks_of(entry(classifier="missing"), tmp_path)
