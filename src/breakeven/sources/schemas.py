"""The published JSON Schemas, generated from the classes that validate the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from breakeven.sources.rate_cards import RateCardFile
from breakeven.sources.scenario import Scenario

if TYPE_CHECKING:
    from pydantic import BaseModel


def schema_text(kind: Literal["scenario", "rate-cards"]) -> str:
    """Return the schema as JSON text, ending in a newline."""
    return schema_of(Scenario if kind == "scenario" else RateCardFile)


def schema_of(model: type[BaseModel]) -> str:
    """Return the schema of a file that is checked against that class, as JSON text ending in a newline."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(model).json_schema()}
    return json.dumps(schema, indent=2) + "\n"
