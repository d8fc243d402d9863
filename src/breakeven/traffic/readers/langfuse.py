"""Langfuse: observations as exported from its tables, its API or its blob storage, in JSON, JSON lines, CSV or Parquet.

Field names are those of the API (``startTime``, ``usageDetails``) or of the blob export (``start_time``,
``usage_details``).  Only generations are calls of a model; spans, events and tools are skipped.  Sources:
https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields (times without a zone are UTC)
and https://langfuse.com/docs/model-usage-and-cost (every usage type whose name has ``input`` in it is input; they
are parts, unless the total says that ``input`` is already their sum).
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.traffic.entries import Entry, added, as_count, made_columns, read_records, within
from breakeven.traffic.layout import Layout
from breakeven.traffic.readers.names import normal
from breakeven.traffic.readers.prompts import NOTE, prompt_of
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    EPISODE,
    FAILED,
    HISTORY_TOKENS,
    INPUT_TOKENS,
    KEY,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT_ID,
    SYSTEM_TOKENS,
    TASK,
    TIME,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

NEEDED: Final = frozenset({"trace_id", "start_time"})
TELLING: Final = frozenset({"usage_details", "provided_model_name", "completion_start_time", "parent_observation_id"})
"""What an observation has and no other log: the first all, the second any."""

CALLS: Final = ("GENERATION", "")
LABELS: Final = {
    TIME: "startTime",
    MODEL: "providedModelName",
    KEY: "userId",
    TASK: "name",
    EPISODE: "sessionId",
    INPUT_TOKENS: "usageDetails.input",
    OUTPUT_TOKENS: "usageDetails.output",
    CACHED_INPUT_TOKENS: "usageDetails.input_cached_tokens",
    CACHE_WRITE_TOKENS: "usageDetails.input_cache_creation",
    FAILED: "level",
    PROMPT_ID: "input",
    SYSTEM_TOKENS: "input",
    HISTORY_TOKENS: "input",
}


OLDER: Final = {
    INPUT_TOKENS: ("input_usage", "prompt_tokens", "input_tokens"),
    OUTPUT_TOKENS: ("output_usage", "completion_tokens", "output_tokens"),
}
WHOLE: Final = ("input", "output", "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
WRITTEN: Final = ("creation", "write")


@dataclass(frozen=True, slots=True, kw_only=True)
class LangfuseReader:
    """Reads generations, bare or inside pages (``data``) and traces (``observations``)."""

    name: str = "langfuse"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the first records, or those inside them, have the fields of an observation."""
        if options.mapping:
            return False
        names = [{normal(column.keys[0]) for column in head.columns}]
        names += [set(_fields(inner or {})) for record in head.records for _, inner in _observations("", record)]
        return any(found >= NEEDED and found & TELLING for found in names)

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage a row for each generation; times without a zone are UTC, as documented."""
        seen: Counter[str] = Counter()
        layout = Layout(kind="trace", columns=made_columns(LABELS), zone=options.zone or "UTC")
        rows = stage(backend, head, layout, _entries(head, seen))
        skipped = {kind: count for kind, count in seen.items() if kind not in (*CALLS, "prompts")}
        told = ", ".join(f"{count:,} of type {kind}" for kind, count in skipped.items())
        if skipped and not any(seen[kind] for kind in CALLS):
            raise InputError(
                f"{head.file}: these are Langfuse observations, but none is a generation ({told}), and only "
                "generations are calls of a model. Export the generations (type GENERATION)."
            )
        notes = [f"{head.file}: observations skipped, being no generation: {told}"] if skipped else []
        return rows.noting(notes + ([f"{head.file}: {NOTE}"] if seen["prompts"] else []))


def _entries(head: Head, seen: Counter[str]) -> Iterator[Entry]:
    for place, record in read_records(head):
        for inner_place, observation in _observations(place, record):
            if observation is None:
                yield Entry(place=inner_place, wrong="it is not an object with fields, and an observation is")
                continue
            fields = _fields(observation)
            kind = str(fields.get("type") or "").upper()
            seen[kind] += 1
            if kind in CALLS:
                yield Entry(place=inner_place, values=_values(fields, seen))


def _observations(place: str, record: Any) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield a record, or what it holds: the observations of a page or of a trace, which lends them its session.

    None where there is no object.
    """
    if not isinstance(record, dict):
        yield place, None
        return
    for name in ("data", "observations"):
        held = record.get(name)
        if isinstance(held, list) and any(isinstance(item, dict) for item in held):
            lent = {key: record[key] for key in ("sessionId", "userId") if record.get(key)}
            for number, item in enumerate(held):
                inner = lent | item if isinstance(item, dict) else item
                yield from _observations(within(place, f"{name}[{number}]"), inner)
            return
    yield place, record


def _fields(observation: Mapping[str, Any]) -> dict[str, Any]:
    return {normal(name): value for name, value in observation.items()}


def _values(fields: Mapping[str, Any], seen: Counter[str]) -> dict[str, Any]:
    level = str(fields.get("level") or "").upper()
    tokens = _tokens(fields)
    prompt = prompt_of(fields.get("input"))
    seen["prompts"] += prompt is not None
    return {
        TIME: fields.get("start_time") or None,
        MODEL: fields.get("provided_model_name") or fields.get("model") or None,
        KEY: fields.get("user_id") or None,
        TASK: fields.get("name") or None,
        EPISODE: fields.get("session_id") or fields.get("trace_id") or None,
        FAILED: level == "ERROR" if level else None,
        "id": fields.get("id"),
        **tokens,
        **(prompt.details(tokens[INPUT_TOKENS]) if prompt else {}),
    }


def _tokens(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of an observation, from the usage by type or from the older fields."""
    usage = _mapping(fields.get("usage_details")) or _mapping(fields.get("usage"))
    if not usage:
        return {
            name: next((as_count(fields[field]) for field in older if fields.get(field) not in (None, "")), None)
            for name, older in OLDER.items()
        }
    counts = {normal(name): as_count(value) for name, value in usage.items() if value is not None}
    inputs, outputs = (
        {name: count for name, count in counts.items() if any(word in name for word in words) and "cost" not in name}
        for words in (("input", "prompt"), ("output", "completion"))
    )
    total = counts.get("total", counts.get("total_tokens"))
    all_input, all_output = _wholes(inputs, outputs, total)
    cached = {name: count for name, count in inputs.items() if "cache" in name}
    written = {name for name in cached if any(word in name for word in WRITTEN)}
    return {
        INPUT_TOKENS: all_input,
        OUTPUT_TOKENS: all_output,
        CACHED_INPUT_TOKENS: added(count for name, count in cached.items() if name not in written),
        CACHE_WRITE_TOKENS: added(cached[name] for name in written),
    }


def _wholes(inputs: Mapping[str, Any], outputs: Mapping[str, Any], total: Any) -> tuple[Any, Any]:
    """Return all input and all output: parts are added, unless the total says that one field holds them all."""
    choices = [
        [added(counts.values()), *(counts[name] for name in WHOLE if name in counts)] for counts in (inputs, outputs)
    ]
    for choice in itertools.product(*choices):
        if all(isinstance(count, int) for count in choice) and sum(choice) == total:
            return choice[0], choice[1]
    return choices[0][0], choices[1][0]


def _mapping(value: Any) -> dict[str, Any]:
    """Return an object that is written as one, as JSON (CSV) or as pairs (Parquet)."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if isinstance(value, list):
        value = dict(pair for pair in value if isinstance(pair, tuple))
    return value if isinstance(value, dict) else {}
