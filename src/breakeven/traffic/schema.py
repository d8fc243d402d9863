"""The canonical request table: the one shape in which traffic reaches the profile.

Trace readers and the ledger both yield it through Ibis.  It holds one row a request, counts and
times only: no prompt, no completion, no price.  A bill has a table of its own, one row a month and
model, because its totals cannot be told apart into requests.
"""

from __future__ import annotations

from typing import Any, Final

import ibis

TIME: Final = "time"
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
MONTH: Final = "month"
REQUESTS: Final = "requests"

TEXT_COLUMNS: Final = (MODEL, TARGET, KEY, TASK, EPISODE, TAGS)
"""May be null: a log seldom says them all."""

TOKEN_COLUMNS: Final = (INPUT_TOKENS, CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS, OUTPUT_TOKENS)
"""Input counts all prompt tokens; cached reads and cache writes are parts of it.  0 where not said."""

REQUEST_COLUMNS: Final = (TIME, *TEXT_COLUMNS, *TOKEN_COLUMNS)
BILL_COLUMNS: Final = (MONTH, MODEL, REQUESTS, *TOKEN_COLUMNS)

REQUEST_SCHEMA: Final[Any] = ibis.schema(
    {TIME: "!timestamp('UTC')"} | dict.fromkeys(TEXT_COLUMNS, "string") | dict.fromkeys(TOKEN_COLUMNS, "!int64")
)
"""One row a request, in no particular order."""

BILL_SCHEMA: Final[Any] = ibis.schema(
    {MONTH: "!date", MODEL: "string", REQUESTS: "int64"} | dict.fromkeys(TOKEN_COLUMNS, "!int64")
)
"""One row a month and model; ``month`` is its first day, ``requests`` null where the bill does not say."""
