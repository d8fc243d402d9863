"""The columns that only some logs fill, read leniently: a row is never lost for what it need not say.

A value that is not understood counts as not said, and ``doubt`` keeps it so that a note can tell how
often.  The identity of a prompt is hashed, whatever the log holds there: a prompt's text goes no further.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final

from breakeven.routing.queueing import MOST_PRIORITY
from breakeven.traffic.schema import (
    DEADLINE_S,
    FAILED,
    INPUT_TOKENS,
    PREFIX_BLOCKS,
    PRIORITY,
    PROCESSING,
    PROMPT_ID,
    RETRY,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PROCESSING_WORDS: Final = {
    "standard": ("standard", "default", "on_demand"),
    "batch": ("batch",),
    "flex": ("flex", "flex_discount"),
    "priority": ("priority", "priority_on_demand"),
}
FAILED_WORDS: Final = ("true", "yes", "failed", "failure", "error")
SOUND_WORDS: Final = ("false", "no", "success", "succeeded", "ok", "unset")
HTTP_STATUS: Final = (100, 599)
FIRST_HTTP_FAILURE: Final = 400
SHOWN_CHARACTERS: Final = 40


def said_sql(name: str) -> str:
    """Return the expression of a detail, from the text ``<name>_given``; null where it is not understood.

    ``failed`` understands truth values, words for success and failure, and HTTP status codes; ``retry`` truth
    values and the number of the repetition (0 is the first attempt).
    """
    given, number = f"{name}_given", f"TRY_CAST({name}_given AS DOUBLE)"
    word = f"lower(trim({given}))"
    if name == PROCESSING:
        cases = " ".join(f"WHEN {_among(word, words)} THEN '{meaning}'" for meaning, words in PROCESSING_WORDS.items())
        return f"CASE {cases} END"
    if name == PROMPT_ID:
        return f"CASE WHEN {given} <> '' THEN md5({given}) END"
    if name == PREFIX_BLOCKS:
        blocks = f"TRY_CAST({given} AS BIGINT[])"
        return f"CASE WHEN list_count({blocks}) = len({blocks}) THEN {blocks} END"
    if name in (FAILED, RETRY):
        low, high = HTTP_STATUS
        codes = f"WHEN {number} BETWEEN {low} AND {high} THEN {number} >= {FIRST_HTTP_FAILURE} "
        later = f"WHEN {number} BETWEEN 2 AND {low - 1} THEN TRUE "
        return (
            f"CASE WHEN {number} IN (0, 1) THEN {number} = 1 {codes if name == FAILED else later}"
            f"WHEN {_among(word, FAILED_WORDS)} THEN TRUE WHEN {_among(word, SOUND_WORDS)} THEN FALSE END"
        )
    if name == DEADLINE_S:
        return f"CASE WHEN {number} > 0 AND isfinite({number}) THEN {number} END"
    whole = f"TRY_CAST({given} AS BIGINT)"
    bounds = f"{-MOST_PRIORITY} AND {MOST_PRIORITY}" if name == PRIORITY else f"0 AND {INPUT_TOKENS}_number"
    return f"CASE WHEN {number} = {whole} AND {number} BETWEEN {bounds} THEN {whole} END"


def doubt_sql(names: Collection[str]) -> str:
    """Return the expression of the first detail that was given and not understood, as ``name|value``, or null."""
    cases = " ".join(
        f"WHEN trim({name}_given) <> '' AND {name} IS NULL THEN '{name}|' || left({name}_given, {SHOWN_CHARACTERS})"
        for name in names
    )
    return f"CASE {cases} END" if names else "NULL::VARCHAR"


def first_odd(name: str, values: Iterable[str]) -> str | None:
    """Return the first value that could not be the detail, cut to what may be shown; None where all could be it."""
    words = (word for value in values if (word := value.strip()))
    return next((word[:SHOWN_CHARACTERS] for word in words if not _is_known(name, word.lower())), None)


def _is_known(name: str, word: str) -> bool:
    if name == PROCESSING:
        return any(word in words for words in PROCESSING_WORDS.values())
    if name == FAILED:
        return word in (*FAILED_WORDS, *SOUND_WORDS, "0", "1") or (_is_count(word) and _is_status(int(word)))
    if name == RETRY:
        return word in ("true", "false") or _is_count(word)
    if name == PRIORITY:
        return (number := _number(word)) is not None and number.is_integer() and abs(number) <= MOST_PRIORITY
    if name == DEADLINE_S:
        return (number := _number(word)) is not None and number > 0
    return name in (PROMPT_ID, PREFIX_BLOCKS) or _is_count(word)


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _number(word: str) -> float | None:
    """Return a finite number written in figures, which may be below zero or have a point; None for anything else."""
    found = float(word) if re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", word) else None
    return found if found is not None and isfinite(found) else None


def _is_status(number: int) -> bool:
    return HTTP_STATUS[0] <= number <= HTTP_STATUS[1]


def _among(value: str, words: Collection[str]) -> str:
    # No IN: DuckDB turns one with many constants into a join, which loses the order of rows.
    return "(" + " OR ".join(f"{value} = '{word}'" for word in words) + ")"
