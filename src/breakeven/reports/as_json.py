"""Any frozen result as plain JSON data: every field under its own name, plus what it derives."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

from breakeven.records import TrafficProfile, TrafficTimes


def to_json(result: object) -> str:
    """Return the result as indented JSON text.  Money in ``Decimal`` becomes a string."""
    return json.dumps(plain(result), indent=2, allow_nan=False)


def plain(value: object) -> Any:
    """Return dataclasses as dicts, tuples as lists, dates as ISO text; infinities as null."""
    if is_dataclass(value) and not isinstance(value, type):
        data = {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        return data | _derived(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, date | time | Decimal | Path) else value


def _derived(value: object) -> dict[str, Any]:
    """Return figures that follow from others; the windows of a trace, thousands of rows, are left out."""
    if isinstance(value, TrafficProfile):
        return {
            "total_tokens": value.usage.total_tokens,
            "input_output_ratio": value.input_output_ratio,
        }
    if isinstance(value, TrafficTimes):
        return {"windows": len(value.windows), "span_hours": value.span_hours}
    return {}
