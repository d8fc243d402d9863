"""From what a target tells of its usage to a ``Reading``, with estimates where it tells nothing or nothing possible.

Servers differ in what they put inside what; the sum that they tell settles it:

- reasoning is a part of ``completion_tokens`` at OpenAI and most others, and stands beside it at xAI
  (https://github.com/vercel/ai/pull/12425: prompt 12, completion 2, reasoning 317, total 331);
- tokens read from or written to a cache are parts of ``prompt_tokens`` at OpenAI, and stand beside it in some
  translations from Anthropic's API, whose ``input_tokens`` leave them out
  (https://docs.claude.com/en/docs/build-with-claude/prompt-caching).

They are added only where ``total_tokens`` is exactly the sum of all of them.  Totals are used for nothing else: a total
that fits nothing is ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.metering.reading import Reading

if TYPE_CHECKING:
    from breakeven.metering.wire import Usage

MOST_TOKENS: Final = 1_000_000_000
"""Above it a count is taken for a mistake: a hundred times the longest context sold."""


def settle(usage: Usage, input_estimate: int, output_estimate: int, processing: int, doubtful: bool) -> Reading:  # noqa: FBT001 - hot path
    """Return the reading of one told usage; the estimates, in tokens, stand where it tells nothing possible.

    Explicit zeros are believed.  A missing, negative or absurd count is replaced by its estimate, a part of the input
    that cannot be by 0 or by what the input holds; either sets ``estimated``, as does ``doubtful`` (a count was there
    and could not be read).
    """
    input_tokens, output_tokens = usage.prompt_tokens, usage.completion_tokens
    if input_tokens is None or not 0 <= input_tokens <= MOST_TOKENS:
        input_tokens, doubtful = input_estimate, True
    if output_tokens is None or not 0 <= output_tokens <= MOST_TOKENS:
        output_tokens, doubtful = output_estimate, True
    reading = _new(Reading, (input_tokens, output_tokens, 0, 0, processing, doubtful))
    parts = _parts(usage)
    return reading if parts == _NO_PARTS else _with_parts(reading, parts, usage.total_tokens or 0)


_NO_PARTS: Final = (0, 0, 0)
_new: Final = tuple.__new__
"""Makes a named tuple of its values; the class itself takes 0.3 µs longer, having to pass through Python."""


def _with_parts(reading: Reading, parts: tuple[int, int, int], total_tokens: int) -> Reading:
    """Add what the target tells of caches and reasoning, where ``parts`` are as ``_parts`` returns them."""
    input_tokens, output_tokens, _, _, processing, doubtful = reading
    doubtful |= not all(0 <= part <= MOST_TOKENS for part in parts)
    cached, written, reasoning = (part if 0 <= part <= MOST_TOKENS else 0 for part in parts)
    beside = 0 if doubtful else total_tokens - input_tokens - output_tokens
    if beside == reasoning + cached + written:
        input_tokens += cached + written
        output_tokens += reasoning
    elif beside == reasoning:
        output_tokens += reasoning
    elif beside == cached + written:
        input_tokens += cached + written
    if cached + written > input_tokens:
        doubtful = True
        cached = min(cached, input_tokens)
        written = min(written, input_tokens - cached)
    return Reading(input_tokens, output_tokens, cached, written, processing, doubtful)


def _parts(usage: Usage) -> tuple[int, int, int]:
    """Tokens read from a cache, written to it, and of reasoning, as told; 0 where nothing is.

    A server that uses several names for one count repeats the number, or leaves the others at 0.
    """
    cached = usage.prompt_cache_hit_tokens or usage.cached_tokens or usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    parts = usage.prompt_tokens_details
    if parts is not None:
        cached = parts.cached_tokens or cached
        written = (
            parts.cache_write_tokens or parts.cache_creation_tokens or parts.cache_creation_input_tokens or written
        )
    details = usage.completion_tokens_details
    return cached, written, (details.reasoning_tokens or 0) if details is not None else 0
