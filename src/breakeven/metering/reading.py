"""What was read off one answer: tokens by type, kind of processing, and whether the target told them.

The rule for what a target does not tell, used wherever ``estimated`` is set:

    input tokens  = ceil(bytes of the request's body / 4)
    output tokens = max(events that bore content, ceil(UTF-8 bytes of text / 4))

where text is content, reasoning, refusal, and the names and arguments of tool calls, and an answer that did not come
as events counts one for each choice, block or item that bore content.  Most servers send one event a token, so the
first term is right for them and the second for those that bundle tokens.  Four bytes a token is the usual figure for
English; it is too few tokens for most other scripts, and the input's JSON is counted as if it were text, so such a
reading is a stand-in, never a measurement.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.usage import TokenUsage

BYTES_PER_TOKEN: Final = 4
"""Of text, where the target does not count."""

# What a response's ``service_tier`` says was used, not what was asked for (OpenAI's reference names auto, default,
# flex, scale and priority: https://platform.openai.com/docs/api-reference/chat/object).  "fast" is another name for
# priority (https://openrouter.ai/docs/guides/features/service-tiers).  All others, with scale (prepaid capacity) and
# the names of other providers (Groq's on_demand, say), are standard.
_PROCESSING_BY_TIER: Final = {
    "batch": PROCESSINGS.index("batch"),
    "flex": PROCESSINGS.index("flex"),
    "priority": PROCESSINGS.index("priority"),
    "fast": PROCESSINGS.index("priority"),
}


class Reading(NamedTuple):
    """The tokens of one attempt; ``cached_input_tokens + cache_write_tokens <= input_tokens``."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    processing: int
    """Index into ``catalog.rate_card.PROCESSINGS``."""

    estimated: bool
    """Whether any of the counts was not told by the target, or cannot be as it was told."""

    def usage(self) -> TokenUsage:
        """Return the tokens as the type that prices are applied to."""
        return TokenUsage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )


def processing_of(service_tier: str | None) -> int:
    """Return the index into ``PROCESSINGS`` for what a response says of its service tier."""
    return _PROCESSING_BY_TIER.get(service_tier, 0) if service_tier else 0


def tokens_of_bytes(length_bytes: int) -> int:
    """Return the estimate for that much text: a quarter of its bytes, rounded up; 0 for nothing or less."""
    return -(-length_bytes // BYTES_PER_TOKEN) if length_bytes > 0 else 0
