"""Prompts of random words, as long as is asked for in the endpoint's own tokens, no two of which begin alike.

All words have four letters and are common, so that most tokenisers have one token for each with the blank before it;
how many it really is, is learned from the usage that the endpoint tells (``Measure``).  A prompt begins with letters of
its own, so that no cache of prefixes knows it, and goes on with a piece of one long text of random words: to cut it out
takes no longer for long prompts than for short ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS: Final = (
    "able", "acid", "aged", "also", "area", "army", "away", "baby", "back", "ball", "band", "bank", "base", "bath",
    "bear", "beat", "been", "bell", "belt", "best", "bill", "bird", "blow", "blue", "boat", "body", "bomb", "bond",
    "bone", "book", "boom", "born", "boss", "both", "bowl", "bulk", "burn", "bush", "busy", "call", "calm", "came",
    "camp", "card", "care", "case", "cash", "cast", "cell", "chat", "chip", "city", "club", "coal", "coat", "code",
    "cold", "come", "cook", "cool", "cope", "copy", "core", "cost", "crew", "crop", "dark", "data", "date", "dawn",
    "days", "dead", "deal", "dean", "dear", "debt", "deep", "deny", "desk", "diet", "disc", "disk", "does", "done",
    "door", "dose", "down", "draw", "drew", "drop", "drug", "dual", "duke", "dust", "duty", "each", "earn", "ease",
    "east", "easy", "edge", "else", "even", "ever", "evil", "exit", "face", "fact", "fail", "fair", "fall", "farm",
    "fast", "fate", "fear", "feed", "feel", "feet", "fell", "felt", "file", "fill", "film", "find", "fine", "fire",
    "firm", "fish", "five", "flat", "flow", "food", "foot", "ford", "form", "fort", "four", "free", "from", "fuel",
    "full", "fund", "gain", "game", "gate", "gave", "gear", "gene", "gift", "girl", "give", "glad", "goal", "goes",
)  # fmt: skip

_TEXT_WORDS: Final = 1 << 18
"""Length of the text from which prompts are cut: longer than any prompt that is asked for."""

MOST_PROMPT_TOKENS: Final = _TEXT_WORDS // 2
_WORD_BYTES: Final = 5
_OWN_LETTERS: Final = 12
_LEAST_RATIO: Final = 0.25


class Measure(NamedTuple):
    """How an endpoint counts: tokens of a prompt = ``fixed_tokens`` + words times ``word_ratio``."""

    fixed_tokens: float = 12.0
    """Of a prompt without words: the chat template and the letters that make it unlike others."""

    word_ratio: float = 1.0
    """Tokens of a word."""

    def words(self, tokens: int) -> int:
        """Return how many words come nearest to that many tokens; never below 1."""
        return max(1, round((tokens - self.fixed_tokens) / self.word_ratio))


def fitted(counted: Sequence[tuple[int, int]]) -> Measure:
    """Return the measure that fits pairs of words sent and tokens told, by least squares.

    With one number of words, or none, the part that does not grow is taken for the usual one.  An endpoint whose count
    does not grow with the prompt does not count it, and tells nothing.
    """
    usual = Measure()
    if len({words for words, _ in counted}) < 2:
        ratios = [(tokens - usual.fixed_tokens) / words for words, tokens in counted]
        return usual._replace(word_ratio=max(_LEAST_RATIO, float(np.mean(ratios)))) if ratios else usual
    words, tokens = np.array(counted, dtype=float).T
    ratio, fixed = np.polyfit(words, tokens, 1).tolist()
    return Measure(max(0.0, fixed), ratio) if ratio >= _LEAST_RATIO else usual


class Prompts:
    """A source of prompts; equal seeds give equal ones."""

    def __init__(self, chance: np.random.Generator, measure: Measure, *, shared_tokens: int = 0) -> None:
        """``shared_tokens``: of the beginning that all prompts have in common."""
        drawn = chance.integers(0, len(WORDS), _TEXT_WORDS)
        self._text = " ".join(WORDS[index] for index in drawn.tolist())
        self._chance = chance
        self.measure = measure
        self._shared_words = self._words_of(shared_tokens) if shared_tokens else 0

    def text(self, tokens: int) -> str:
        """Return a prompt of about that many tokens."""
        return self.text_of_words(max(self.measure.words(tokens), self._shared_words + 1))

    def text_of_words(self, words: int) -> str:
        """Return a prompt of so many words, and letters of its own behind what is shared."""
        own = self._chance.integers(97, 123, _OWN_LETTERS, dtype=np.uint8).tobytes().decode("ascii")
        left = words - self._shared_words
        start = int(self._chance.integers(self._shared_words, _TEXT_WORDS - left)) * _WORD_BYTES
        tail = self._text[start : start + left * _WORD_BYTES - 1]
        return f"{self._text[: self._shared_words * _WORD_BYTES]}{own} {tail}"

    def _words_of(self, tokens: int) -> int:
        return max(1, round(tokens / self.measure.word_ratio))
