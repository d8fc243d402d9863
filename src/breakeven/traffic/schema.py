"""The canonical request table: the one shape in which traffic reaches the profile.

Trace readers and the ledger both yield it through Ibis.  It holds one row a request, counts and
times only: no prompt, no completion, no price.  Totals have tables of their own, because they cannot
be told apart into requests: windows (one row a time bucket) and a bill (one row a month).
"""

from __future__ import annotations

from typing import Any, Final

import ibis

TIME: Final = "time"
AT_US: Final = "at_us"
MODEL: Final = "model"
TARGET: Final = "target"
KEY: Final = "key"
TASK: Final = "task"
EPISODE: Final = "episode"
TAGS: Final = "tags"
INPUT_TOKENS: Final = "input_tokens"
CACHED_INPUT_TOKENS: Final = "cached_input_tokens"
CACHE_WRITE_TOKENS: Final = "cache_write_tokens"
OUTPUT_TOKENS: Final = "output_tokens"
PROCESSING: Final = "processing"
FAILED: Final = "failed"
RETRY: Final = "retry"
PROMPT_ID: Final = "prompt_id"
PREFIX_BLOCKS: Final = "prefix_blocks"
SYSTEM_TOKENS: Final = "system_tokens"
HISTORY_TOKENS: Final = "history_tokens"
PRIORITY: Final = "priority"
DEADLINE_S: Final = "deadline_s"
WINDOW_S: Final = "window_s"
MONTH: Final = "month"
REQUESTS: Final = "requests"

TEXT_COLUMNS: Final = (MODEL, TARGET, KEY, TASK, EPISODE, TAGS)
"""May be null: a log seldom says them all."""

TOKEN_COLUMNS: Final = (INPUT_TOKENS, CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS, OUTPUT_TOKENS)
"""Input counts all prompt tokens; cached reads and cache writes are parts of it.  0 where not said."""

DETAILS: Final[dict[str, str]] = {
    PROCESSING: "string",
    FAILED: "boolean",
    RETRY: "boolean",
    PROMPT_ID: "string",
    PREFIX_BLOCKS: "array<int64>",
    SYSTEM_TOKENS: "int64",
    HISTORY_TOKENS: "int64",
    PRIORITY: "int64",
    DEADLINE_S: "float64",
}
"""What only some logs say, with its type; null where a log is silent.

``processing`` is standard, batch, flex or priority.  ``failed``: the attempt gave no usable answer, and its
tokens were spent all the same; ``retry``: it repeats an earlier attempt.  ``prompt_id`` is equal for equal
prompts, and never their text.  ``prefix_blocks`` are ids of consecutive blocks of the prompt from its beginning,
each standing for its block and everything before it.  ``system_tokens`` and ``history_tokens`` are parts of
the input: the system prompt, and earlier turns sent again.  ``priority`` is from -100 to 100, and higher goes
first where requests wait; ``deadline_s``: within how many seconds of its coming an answer must begin, above 0.
"""

REQUEST_COLUMNS: Final = (TIME, *TEXT_COLUMNS, *TOKEN_COLUMNS, *DETAILS)
WINDOW_COLUMNS: Final = (TIME, WINDOW_S, MODEL, KEY, PROCESSING, REQUESTS, *TOKEN_COLUMNS)
BILL_COLUMNS: Final = (MONTH, MODEL, REQUESTS, *TOKEN_COLUMNS)

REQUEST_SCHEMA: Final[Any] = ibis.schema(
    {TIME: "!timestamp('UTC')"}
    | dict.fromkeys(TEXT_COLUMNS, "string")
    | dict.fromkeys(TOKEN_COLUMNS, "!int64")
    | DETAILS
)
"""One row a request, in no particular order.

A table may say the time as ``at_us`` too: whole microseconds since 1970, UTC.  The profile then leaves ``time`` alone,
whose conversion can cost more than all sums together (time zones are looked up row by row).
"""

WINDOW_SCHEMA: Final[Any] = ibis.schema(
    {TIME: "!timestamp('UTC')", WINDOW_S: "!int64", MODEL: "string", KEY: "string", PROCESSING: "string"}
    | {REQUESTS: "int64"}
    | dict.fromkeys(TOKEN_COLUMNS, "!int64")
)
"""One row a time bucket (and model, key, processing where said): ``time`` is its start, ``window_s`` its length.

``requests`` is null where the log counts only tokens.
"""

BILL_SCHEMA: Final[Any] = ibis.schema(
    {MONTH: "!date", MODEL: "string", REQUESTS: "int64"} | dict.fromkeys(TOKEN_COLUMNS, "!int64")
)
"""One row a month and model; ``month`` is its first day, ``requests`` null where the bill does not say."""
