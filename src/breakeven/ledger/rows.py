"""The row of one attempt as the gateway writes it: codes, times and token counts, no text of a prompt.

Texts that repeat (keys, models, targets …) are codes of the spool's dictionary; 0 is "none".
"""

from __future__ import annotations

from typing import Final, NamedTuple

KEY, TASK, TAGS, MODEL, TARGET, PRICED_AS, REASON = range(1, 8)
"""Kinds of text that the spool's dictionary codes."""

OK, FAILED, CUT, CLIENT_LEFT, CACHED = range(5)
OUTCOMES: Final = ("ok", "failed", "cut", "client_left", "cached")
"""How an attempt ended: a whole answer; none; a part of one; the client did not wait for it; or it was none at all,
because the answer of an earlier one was given again: its tokens and its cost are what that avoided."""

PROCESSINGS: Final = ("standard", "batch", "flex", "priority")
"""Kinds of processing by code, in the order of ``catalog.rate_card.PROCESSINGS``."""

ESTIMATED: Final = 1
"""Flag: the token counts are counted from what passed, not told by the target."""

STREAMED: Final = 2
"""Flag: the client asked for a stream."""

UNKNOWN_US: Final = 0xFFFFFFFF
"""In place of a duration that never came to be (no first byte, say)."""


class Attempt(NamedTuple):
    """One call to one target for one request.

    Durations count from the end of the request's body and saturate below ``UNKNOWN_US`` (71 minutes).  Input counts all
    prompt tokens; cached reads and cache writes are parts of it; output includes reasoning.
    """

    attempt_id: int
    """Request id with the attempt's number in its low 4 bits: time-ordered, unique (``ids.py``)."""

    received_us: int
    """When the head of the request had come: Unix microseconds."""

    queued_us: int
    """Until the request was written to the target; ``UNKNOWN_US`` when it never was."""

    first_byte_us: int
    """Until the first byte of the answer's body; ``UNKNOWN_US`` when none came."""

    ended_us: int
    key: int
    task: int
    tags: int
    model: int
    target: int
    priced_as: int
    """``provider:model`` under which prices are looked up; 0 when the target has no price."""

    decision: int
    """Why the policy took this target (kind ``REASON``)."""

    fallback: int
    """Why the attempt before this one failed; 0 on a first attempt."""

    failure: int
    """Why this attempt failed; 0 when it did not."""

    status: int
    """HTTP status of the target's answer; 0 when there was none."""

    outcome: int
    processing: int
    flags: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    episode: str
    """At most 128 bytes of UTF-8; empty when not said."""
