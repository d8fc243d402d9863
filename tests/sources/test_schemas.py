"""The published JSON Schemas are current, and agree with the reader about the published examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from breakeven.sources.schemas import schema_text
from breakeven.sources.yaml_file import read_yaml

DOCS = Path(__file__).parents[2] / "docs"
Kind = Literal["scenario", "rate-cards"]
KINDS: tuple[Kind, ...] = ("scenario", "rate-cards")


def _schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((DOCS / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return schema


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_is_current(kind: Kind) -> None:
    published = (DOCS / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(kind), "run: make generate"


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_is_a_schema(kind: Kind) -> None:
    jsonschema.Draft202012Validator.check_schema(_schema(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_example_obeys_the_schema(kind: Kind) -> None:
    document = read_yaml(DOCS / "examples" / f"{kind}.yaml")
    jsonschema.validate(document.data, _schema(kind), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("kind", KINDS)
def test_no_limit_is_lost_on_the_way_to_the_schema(kind: Kind) -> None:
    text = schema_text(kind)
    assert not [word for word in ('"ge"', '"gt"', '"le"', '"lt"') if word in text]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("scenario", {"tody": "gpt-4o"}),
        ("scenario", {"pools": [{"model": "a"}]}),
        ("scenario", {"pools": [{"model": "a", "gpu": "b", "gpus_per_node": 0}]}),
        ("scenario", {"assumptions": {"pue_ratio": "high"}}),
        ("scenario", {"assumptions": {"pue_ratio": {"low": 1, "likely": 2}}}),
        ("rate-cards", {"rate_cards": []}),
        ("rate-cards", {"rate_cards": [{"provider": "p"}]}),
    ],
)
def test_an_editor_refuses_what_the_program_refuses(kind: Kind, data: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, _schema(kind), jsonschema.Draft202012Validator)
