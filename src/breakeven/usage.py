"""Typed token counts: the tokens of one request, or the sum over many.

Input counts *all* prompt tokens; tokens read from or written to a provider's cache are parts of
it.  Output includes reasoning.  There is no untyped "tokens" anywhere in the program.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens by type.  ``cached_input_tokens + cache_write_tokens <= input_tokens``."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0

    def __post_init__(self) -> None:
        counts = (self.input_tokens, self.output_tokens, self.cached_input_tokens, self.cache_write_tokens)
        if min(counts) < 0:
            raise ValueError(f"token counts cannot be negative: {self}")
        if self.cached_input_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError(f"cached and cache-write tokens are parts of the input, and exceed it: {self}")

    @property
    def total_tokens(self) -> int:
        """Input and output together; only for volumes, never for prices."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )
