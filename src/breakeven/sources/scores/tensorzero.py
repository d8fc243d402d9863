"""TensorZero's feedback: rows of its tables, what its API lists, or bodies as they were posted to ``/feedback``.

https://www.tensorzero.com/docs/gateway/data-model and …/api-reference/feedback: the tables of metrics have
``metric_name``, those of comments ``target_type`` and of demonstrations ``inference_id`` in its place.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import Problem
from breakeven.sources.scores.records import mapping, records
from breakeven.sources.scores.score import OUR_EPISODE, OUR_REQUEST, Score, as_text, ids, moment_us, noted, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMENT: Final = "comment"
DEMONSTRATION: Final = "demonstration"
HUMAN: Final = "tensorzero::human_feedback"
EVALUATOR: Final = "tensorzero::evaluator_inference_id"
"""Tags that say who gave the feedback; a person's word on an evaluation has both."""

_UUID7: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "false": False}


def read(path: Path) -> Iterator[Score | Problem]:
    """Yield the feedback of a file, and a problem for each record that is none.  Raises ``InputError``."""
    for item in records(path):
        yield item if isinstance(item, Problem) else _score(*item)


def _score(where: str, record: Mapping[str, Any]) -> Score | Problem:
    tags = mapping(record.get("tags"))
    about = ids(
        *noted(tags, OUR_REQUEST),
        *noted(tags, OUR_EPISODE),
        *(record.get(name) for name in ("inference_id", "target_id", "episode_id")),
    )
    name = _name(record)
    value = record.get("value")
    if not about or not name or value in (None, ""):
        what = "this is no feedback of TensorZero: it needs a target, a metric and a value."
        return Problem(where=where, what=what)
    said = _said(name, value)
    if said is None:
        return Problem(
            where=where, what=f"the metric {name!r} has the value {value!r}, no number and no true or false."
        )
    source = "human" if as_text(tags.get(HUMAN)) == "true" else "judge" if tags.get(EVALUATOR) else ""
    return Score(
        where=where,
        id=as_text(record.get("id") or record.get("feedback_id")),
        of=about,
        name=name,
        source=source,
        at_us=moment_us(record.get("timestamp")) or _made_us(as_text(record.get("id"))),
        **said,
    )


def _name(record: Mapping[str, Any]) -> str:
    """Return the metric; tables of comments and demonstrations have no column for it."""
    told = as_text(record.get("metric_name"))
    if told:
        return told
    kind = as_text(record.get("type"))
    if kind in (COMMENT, DEMONSTRATION):
        return kind
    return COMMENT if record.get("target_type") else DEMONSTRATION if record.get("inference_id") else ""


def _said(name: str, value: Any) -> dict[str, Any] | None:
    if name in (COMMENT, DEMONSTRATION):
        return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    success = value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())
    if success is not None:
        return {"success": success}
    amount = number(value)
    return None if amount is None else {"score": amount}


def _made_us(uuid: str) -> int | None:
    """Return the time in a UUID of version 7."""
    found = _UUID7.fullmatch(uuid)
    return None if found is None else int(found[1] + found[2], 16) * 1000
