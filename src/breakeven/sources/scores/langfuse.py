"""Langfuse's scores, as its API, its tables or its blob storage export them.

Names of fields are ``traceId`` or ``trace_id``, times without a zone UTC:
https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields.  A boolean score says success or
not; a number is a score; a category stays a label, which says success only where it is pass, fail or the like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import Problem
from breakeven.sources.scores.records import mapping, normal, records
from breakeven.sources.scores.score import (
    OUR_EPISODE,
    OUR_REQUEST,
    Score,
    as_text,
    ids,
    moment_us,
    noted,
    number,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SOURCES: Final = {"ANNOTATION": "human", "EVAL": "judge"}
"""What came by the API may be a user's word or a program's: Langfuse does not say."""


def read(path: Path) -> Iterator[Score | Problem]:
    """Yield the scores of a file, and a problem for each record that is none.  Raises ``InputError``."""
    for item in records(path):
        yield item if isinstance(item, Problem) else _score(*item)


def _score(where: str, record: Mapping[str, Any]) -> Score | Problem:
    fields = normal(record)
    name = as_text(fields.get("name"))
    noted_in = mapping(fields.get("metadata"))
    about = ids(
        *noted(noted_in, OUR_REQUEST),
        fields.get("observationid"),
        *noted(noted_in, OUR_EPISODE),
        fields.get("traceid"),
        fields.get("sessionid"),
    )
    if not name or not about:
        return Problem(
            where=where, what="this is no Langfuse score: it needs a name, and a trace, observation or session."
        )
    said = _said(fields)
    if said is None:
        return Problem(where=where, what=f"the score {name!r} has no value.")
    return Score(
        where=where,
        id=as_text(fields.get("id")),
        of=about,
        name=name,
        source=SOURCES.get(as_text(fields.get("source")).upper(), ""),
        at_us=moment_us(fields.get("updatedat") or fields.get("timestamp") or fields.get("createdat")),
        **said,
    )


def _said(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a score says; None where it says nothing."""
    kind = as_text(fields.get("datatype")).upper()
    value, label = fields.get("value"), as_text(fields.get("longstringvalue") or fields.get("stringvalue"))
    comment = as_text(fields.get("comment"))
    if kind == "CORRECTION":
        text = label or as_text(value)
        return {"demonstration": text, "comment": comment} if text else None
    if kind == "TEXT":
        return {"comment": label or as_text(value) or comment} if label or value or comment else None
    amount = number(value)
    if kind == "BOOLEAN":
        success = verdict(label) if amount is None else amount != 0
        return None if success is None else {"success": success, "comment": comment}
    if kind == "CATEGORICAL" or amount is None:
        label = label or as_text(value)
        if not label:
            return None
        return {"success": verdict(label), "label": label, "comment": comment}  # its number is a place in a list
    return {"score": amount, "comment": comment}
