"""Prices and volumes of tokens: blends, a month's capacity, and what counts become on another model."""

from __future__ import annotations

from breakeven.quantities import SECONDS_PER_HOUR, TOKENS_PER_MTOK


def blended_usd_per_mtok(input_usd_per_mtok: float, output_usd_per_mtok: float, *, input_output_ratio: float) -> float:
    """Return the price of a million tokens of which ``ratio`` are input for each output token.

    (ratio x input + output) / (ratio + 1).  A ratio of 3 is an assumption of 002; measured traces
    have 0.8 to 73.  A ratio of 0 is output only.
    """
    if input_output_ratio < 0:
        raise ValueError(f"an input:output ratio cannot be negative: {input_output_ratio}")
    weighted = input_output_ratio * input_usd_per_mtok + output_usd_per_mtok
    return weighted / (input_output_ratio + 1)


def request_usd(
    input_tokens: float, output_tokens: float, *, input_usd_per_mtok: float, output_usd_per_mtok: float
) -> float:
    """Return the price of one request of these lengths at flat prices (003's worked example)."""
    return (input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok) / TOKENS_PER_MTOK


def capacity_mtok(tokens_per_s: float, *, hours: float, utilisation_fraction: float = 1.0) -> float:
    """Return the millions of tokens that a node serves in ``hours`` at that utilisation.

    tokens/s x 3,600 x hours x utilisation.  The result counts tokens of the type that the
    throughput counts: output tokens for an output throughput.
    """
    _check_utilisation(utilisation_fraction)
    return tokens_per_s * SECONDS_PER_HOUR * hours * utilisation_fraction / TOKENS_PER_MTOK


def total_tokens_per_s(output_tokens_per_s: float, *, input_output_ratio: float) -> float:
    """Return input and output tokens/s together, for an output throughput at that ratio."""
    return output_tokens_per_s * (1 + input_output_ratio)


def capacity_requests(requests_per_s: float, *, hours: float, utilisation_fraction: float = 1.0) -> float:
    """Return the requests that a node serves in ``hours`` at that utilisation (003's table).

    requests/s x 3,600 x hours x utilisation.
    """
    _check_utilisation(utilisation_fraction)
    return requests_per_s * SECONDS_PER_HOUR * hours * utilisation_fraction


def output_price_ratio(input_usd_per_mtok: float, output_usd_per_mtok: float) -> float:
    """Return how many times the price of an input token an output token costs (000: 2 to 4)."""
    return output_usd_per_mtok / input_usd_per_mtok


def tokens_of_words(words: float, *, words_per_token: float = 0.75) -> float:
    """Return the tokens of English text by its words: 0.75 words a token (000's rule of thumb)."""
    return words / words_per_token


def tokens_of_characters(characters: float, *, characters_per_token: float = 4.0) -> float:
    """Return the tokens of English text by its characters: 4 a token (000's rule of thumb)."""
    return characters / characters_per_token


def _check_utilisation(utilisation_fraction: float) -> None:
    if not 0 < utilisation_fraction <= 1:
        raise ValueError(f"utilisation is a fraction above 0 and at most 1, got {utilisation_fraction}")
