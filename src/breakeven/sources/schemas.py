"""The published JSON Schemas, generated from the classes that validate the files."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import TypeAdapter

from breakeven.sources.rate_cards import RateCardFile
from breakeven.sources.scenario import Scenario


def schema_text(kind: Literal["scenario", "rate-cards"]) -> str:
    """Return the schema as JSON text, ending in a newline."""
    model = Scenario if kind == "scenario" else RateCardFile
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(model).json_schema()}
    return json.dumps(schema, indent=2) + "\n"
