"""A prompt as terms: words and pairs of neighbouring words, as a classifier of tasks counts them.

Only the beginning and the end of a long prompt are read: what is asked stands there, and the time that it takes stays
bounded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

FIRST_CHARACTERS: Final = 1000
"""Characters that are read from the beginning of a longer prompt."""

LAST_CHARACTERS: Final = 399  # and a line end between
"""And from its end."""

_WORD: Final = re.compile(r"[^\W\d_]+|\d|[^\w\s]")
"""A run of letters, one digit, or one sign: numbers differ from prompt to prompt, that there is one does not."""


def shortened(text: str) -> str:
    """Return the part of a prompt that is read."""
    if len(text) <= FIRST_CHARACTERS + LAST_CHARACTERS + 1:
        return text
    return f"{text[:FIRST_CHARACTERS]}\n{text[-LAST_CHARACTERS:]}"


def terms_of(text: str) -> list[str]:
    """Return the terms of a prompt, in order and with repetitions: its words, then its pairs of neighbours.

    Case is dropped, and every digit reads ``0``, so that prompts with other numbers have the same terms.
    """
    words = ["0" if word.isdigit() else word for word in _WORD.findall(shortened(text).lower())]
    return words + [f"{first} {second}" for first, second in pairwise(words)]
