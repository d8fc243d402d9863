"""Figures of 000, a seller's case for self-hosting: how tokens count and what they are charged at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from breakeven.economics.tokens import output_price_ratio, tokens_of_characters, tokens_of_words
from breakeven.errors import NoPriceError
from breakeven.sources.genai import price_list
from breakeven.studies.claims.compare import Recomputed
from breakeven.studies.claims.seed_002 import CLAUDE_SONNET, GPT_4O

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.book import Book
    from breakeven.sources.claims import Claim

PRICES_OF: Final = datetime(2026, 11, 20, tzinfo=UTC)
"""The day on whose prices the claim was reviewed; later prices change no verdict."""

PARAGRAPH_WORDS: Final = 40
PARAGRAPH_CHARACTERS: Final = 232
"""The seed's paragraph that says of itself that it has 35 tokens, counted."""


def paragraph_tokens(_claim: Claim, _book: Book) -> Recomputed:
    """Apply the seed's two rules of thumb to its own paragraph; a tokeniser is not at hand."""
    by_words = tokens_of_words(PARAGRAPH_WORDS)
    by_characters = tokens_of_characters(PARAGRAPH_CHARACTERS)
    return Recomputed(
        text=f"{by_words:.0f}-{by_characters:.0f} by its own rules",
        numbers=(("by_words_tokens", by_words), ("by_characters_tokens", by_characters)),
        verdict=None,
    )


def output_multiple(_claim: Claim, book: Book) -> Recomputed:
    """Compare output with input prices: the seeds' own, and those of a newer model."""
    gpt_4o, claude = output_price_ratio(*GPT_4O), output_price_ratio(*CLAUDE_SONNET)
    gpt_5 = output_price_ratio(*_listed(book, "openai:gpt-5"))
    return Recomputed(
        text=f"{gpt_4o:g}x (GPT-4o) {claude:g}x (002's own Claude prices) {gpt_5:g}x (GPT-5)",
        numbers=(("gpt_4o_output_ratio", gpt_4o), ("claude_output_ratio", claude), ("gpt_5_output_ratio", gpt_5)),
        verdict=None,
    )


def _listed(book: Book, target: str) -> tuple[float, float]:
    """Return a target's input and output price, from the book where it holds them."""
    prices = (book.price_lists.get(target) or price_list(target)).card_at(PRICES_OF).prices
    if prices.input is None or prices.output is None:
        raise NoPriceError(f"{target} quotes no price of input and output on {PRICES_OF.date()}.")
    return float(prices.input.usd_per_mtok), float(prices.output.usd_per_mtok)


RECOMPUTE: Final[Mapping[str, Callable[[Claim, Book], Recomputed]]] = {
    "paragraph-tokens": paragraph_tokens,
    "out-multiple": output_multiple,
}
