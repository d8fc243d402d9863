"""The seeds' own worked examples, kept as data that a finance reader can check line by line.

Each names the function that computes it.  An input ``pool.x`` belongs to a pool's stair of costs,
``api.x`` to an API's bill, ``lines.x`` to a stack of monthly lines.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from breakeven.economics.breakeven import FlatCost, StairCost
from breakeven.economics.stack import line

FOLDER = Path(__file__).parent / "worked_examples"
READ: list[dict[str, Any]] = [
    example for file in sorted(FOLDER.glob("*.yaml")) for example in yaml.safe_load(file.read_text(encoding="utf-8"))
]
EXAMPLES = [pytest.param(example, id=f"{example['seed']}: {example['name']}") for example in READ]
KEYS = {"name", "seed", "quote", "function", "inputs", "expected", "unit", "tolerance"}
OPTIONAL_KEYS = {"published", "note", "times", "result"}
GROUPS: dict[str, type[StairCost | FlatCost]] = {"pool": StairCost, "api": FlatCost}
"""What the inputs with that prefix together make."""


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_program_arrives_at_the_worked_example(example: dict[str, Any]) -> None:
    found = _called(example["function"], _arguments(example["inputs"]))
    if "result" in example:
        found = getattr(found, example["result"])
    found *= example.get("times", 1)
    assert found == pytest.approx(example["expected"], abs=float(example["tolerance"]), rel=1e-12)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_says_where_it_stands_and_in_which_units(example: dict[str, Any]) -> None:
    assert set(example) >= KEYS
    assert set(example) <= KEYS | OPTIONAL_KEYS
    assert 1 <= len(example["quote"].split()) <= 10
    assert example["function"].startswith(("breakeven.economics.", "breakeven.capacity."))
    assert all(set(given) == {"value", "unit"} for given in example["inputs"].values())
    assert "published" not in example or "note" in example


def test_every_seed_has_examples() -> None:
    assert {example["seed"] for example in READ} == {"000", "001", "002", "003"}


def _arguments(inputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the inputs by parameter; those with a prefix together, as the thing they describe."""
    plain: dict[str, Any] = {}
    grouped: dict[str, dict[str, Any]] = {}
    for name, given in inputs.items():
        group, _, rest = name.rpartition(".")
        (grouped.setdefault(group, {}) if group else plain)[rest] = given["value"]
    for group, values in grouped.items():
        plain[group] = GROUPS[group](**values) if group in GROUPS else _lines(values)
    return plain


def _lines(amounts: dict[str, float]) -> tuple[Any, ...]:
    return tuple(line(name, "infrastructure", amount, "as published") for name, amount in amounts.items())


def _called(dotted: str, arguments: dict[str, Any]) -> Any:
    """Call a function, or a method (``module.Class.method``) of an object made from the same arguments."""
    owner, name = dotted.rsplit(".", 1)
    parent, last = owner.rsplit(".", 1)
    if not last[0].isupper():
        return getattr(import_module(owner), name)(**arguments)
    kind = getattr(import_module(parent), last)
    own = {item.name for item in fields(kind)}
    made = kind(**{key: value for key, value in arguments.items() if key in own})
    return getattr(made, name)(**{key: value for key, value in arguments.items() if key not in own})
