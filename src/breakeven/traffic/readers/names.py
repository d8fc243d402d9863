"""Names under which logs are known to keep what the request table needs, and the search for them.

A name is compared without case and punctuation (``promptTokenCount`` is ``prompt_token_count``),
first in full, then by its last part (``usage.prompt_tokens``).  A guess is always reported.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, Problem
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    DEADLINE_S,
    EPISODE,
    FAILED,
    HISTORY_TOKENS,
    INPUT_TOKENS,
    KEY,
    MODEL,
    MONTH,
    OUTPUT_TOKENS,
    PREFIX_BLOCKS,
    PRIORITY,
    PROCESSING,
    PROMPT_ID,
    REQUESTS,
    RETRY,
    SYSTEM_TOKENS,
    TAGS,
    TARGET,
    TASK,
    TIME,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.traffic.head import Column, Head

KNOWN_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    TIME: (
        "time", "timestamp", "timestamp_utc", "created_at", "created", "start_time", "request_time", "requested_at",
        "request_timestamp", "received_at", "event_time", "time_generated", "datetime", "date_time", "date", "ts",
    ),
    INPUT_TOKENS: (
        "input_tokens", "prompt_tokens", "context_tokens", "n_context_tokens", "n_context_tokens_total",
        "num_input_tokens", "num_prompt_tokens", "input_token_count", "prompt_token_count", "prompt_eval_count",
        "request_tokens", "tokens_in", "input_length", "prompt_length", "usage_input_tokens", "usage_prompt_tokens",
        "gen_ai_usage_input_tokens", "gen_ai_usage_prompt_tokens",
    ),
    OUTPUT_TOKENS: (
        "output_tokens", "completion_tokens", "generated_tokens", "n_generated_tokens", "n_generated_tokens_total",
        "num_output_tokens", "num_completion_tokens", "output_token_count", "completion_token_count",
        "candidates_token_count", "eval_count", "response_tokens", "tokens_out", "output_length",
        "usage_output_tokens", "usage_completion_tokens", "gen_ai_usage_output_tokens",
        "gen_ai_usage_completion_tokens",
    ),
    CACHED_INPUT_TOKENS: (
        "cached_input_tokens", "cached_tokens", "cache_read_input_tokens", "cache_read_tokens", "input_cached_tokens",
        "n_cached_context_tokens_total", "cached_content_token_count", "gen_ai_usage_cache_read_input_tokens",
    ),
    CACHE_WRITE_TOKENS: (
        "cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens", "cache_write_input_tokens",
        "gen_ai_usage_cache_creation_input_tokens",
    ),
    MODEL: ("model", "model_name", "model_id", "gen_ai_request_model", "snapshot_id"),
    TARGET: ("target", "deployment", "deployment_name"),
    KEY: ("key", "key_name", "key_alias", "api_key_id", "user_api_key_alias"),
    TASK: ("task", "task_name", "use_case"),
    EPISODE: ("episode", "episode_id", "session_id", "conversation_id"),
    TAGS: ("tags", "request_tags"),
    PROCESSING: ("processing", "service_tier"),
    FAILED: ("failed", "is_error", "response_status", "status_code", "http_status"),
    RETRY: ("retry", "is_retry"),
    PROMPT_ID: ("prompt_id", "prompt_hash", "prompt_sha256", "prompt_md5"),
    PREFIX_BLOCKS: ("prefix_blocks",),
    SYSTEM_TOKENS: ("system_tokens", "system_prompt_tokens"),
    HISTORY_TOKENS: ("history_tokens",),
    PRIORITY: ("priority", "request_priority"),
    DEADLINE_S: ("deadline_s", "request_deadline_s"),
}  # fmt: skip
"""Likeliest first; secrets (``api_key``) are left out on purpose.

A detail is guessed only where every value seen is one that it may have; ``details`` knows which.
"""

BILL_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    TIME: ("month", "billing_period", "billing_month", "period"),
    REQUESTS: ("requests", "num_requests", "request_count", "n_requests", "num_model_requests"),
    **{
        name: KNOWN_NAMES[name]
        for name in (INPUT_TOKENS, OUTPUT_TOKENS, CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS, MODEL)
    },
}

ANTHROPIC_PARTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""Its ``input_tokens`` leaves out what was read from or written to the cache; everyone else's counts it."""


def normal(name: str) -> str:
    """Return a name in lower snake case: ``usage.promptTokens`` → ``usage_prompt_tokens``."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def guess(head: Head, names: Iterable[str]) -> Column | None:
    """Return the column that bears one of these names, the least nested first."""
    shallow_first = sorted(head.columns, key=lambda column: len(column.keys))
    by_full = {normal(column.name): column for column in reversed(shallow_first)}
    by_last = {normal(column.keys[-1]): column for column in reversed(shallow_first)}
    return next((found for name in names if (found := by_full.get(name) or by_last.get(name))), None)


def resolve(
    head: Head, mapping: Mapping[str, str], known: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Column, ...]]:
    """Return the columns that the user named; raises with every name that is unknown or not in the file."""
    problems = [problem for name, wanted in mapping.items() for problem in _mapping_problems(head, name, wanted, known)]
    if problems:
        raise InputError(f"{head.file}: the columns named are not all there.", tuple(problems))
    return {name: parts for name, wanted in mapping.items() if (parts := named(head, wanted))}


def named(head: Head, wanted: str) -> tuple[Column, ...]:
    """Return the column of that name, or those of a sum ``A+B``; empty where one is not in the file."""
    if whole := head.column(wanted):
        return (whole,)
    parts = tuple(head.column(part.strip()) for part in wanted.split("+"))
    return tuple(part for part in parts if part) if all(parts) else ()


def _mapping_problems(head: Head, name: str, wanted: str, known: Mapping[str, Sequence[str]]) -> Iterable[Problem]:
    if name not in known and name != MONTH:
        near = difflib.get_close_matches(name, known, n=1)
        yield Problem(
            where=f"--column {name}={wanted}",
            what=f"{name} is not a column of the request table.",
            fix=(f"Did you mean {near[0]}? " if near else "") + f"Known: {', '.join(known)}.",
        )
    elif not named(head, wanted):
        yield Problem(
            where=f"--column {name}={wanted}",
            what=f"{head.file} has no column {wanted}.",
            fix=f"{_nearest(head, [wanted])}Found: {found_names(head)}.",
        )


def require(
    head: Head, columns: Mapping[str, object], needed: Sequence[str], known: Mapping[str, Sequence[str]]
) -> None:
    """Raise where a needed column is neither named nor guessed."""
    missing = [name for name in needed if name not in columns]
    if not missing:
        return
    raise InputError(
        f"{head.file}: {len(missing)} of the {len(needed)} columns needed ({', '.join(needed)}) "
        f"cannot be told from the names found: {found_names(head)}.{_headerless(head)}",
        tuple(
            Problem(
                where=head.file,
                what=f"no column was recognised as {name}.",
                fix=f"{_nearest(head, known[name])}Name it: --column {name}=COLUMN",
            )
            for name in missing
        ),
    )


def found_names(head: Head) -> str:
    """Return the file's column names, at most 40 of them."""
    names = [column.name for column in head.columns]
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _nearest(head: Head, wanted: Sequence[str]) -> str:
    names = {normal(column.name): column.name for column in head.columns}
    near = (match for name in wanted for match in difflib.get_close_matches(normal(name), names, n=1, cutoff=0.6))
    return f"The nearest is {names[match]}. " if (match := next(near, None)) else ""


def _headerless(head: Head) -> str:
    numbers = [column.name for column in head.columns if re.fullmatch(r"-?\d+(\.\d+)?", column.name)]
    return " The first line looks like data: put a line of column names above it." if numbers else ""
